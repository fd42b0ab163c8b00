"""Row 2: one bad account, or an error of one model, never blanks the pool."""

from __future__ import annotations

import pytest

from proxy.accounts.pool import Pool
from tests.pools import Caller, failure, plain

EIGHT = tuple("abcdefgh")


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
@pytest.mark.parametrize("strategy", ["round-robin", "fill-first", "weighted", "most-remaining"])
def test_a_hundred_requests_succeed_on_the_other_seven(status: int, strategy: str) -> None:
    caller = Caller(Pool(), lambda name, _m, _now: failure(status) if name == "a" else None)
    p = plain(*EIGHT, strategy=strategy)
    served = []
    for number in range(100):
        caller.now = number * 3.0
        served.append(caller.request(p, f"s{number % 10}" if number % 2 else ""))
    assert "a" not in served
    assert len(caller.called("a")) <= 12
    verdict = next(v for v in caller.pool.verdicts(p, caller.now) if v.credential == "a")
    assert verdict.word
    assert {v.credential for v in caller.pool.verdicts(p, caller.now) if v.position} >= set(
        EIGHT[1:]
    )


def test_an_error_of_one_model_leaves_the_account_its_others() -> None:
    caller = Caller(Pool(), lambda _n, model, _now: failure(404) if model == "gone" else None)
    gone, there = plain(*EIGHT, model="gone"), plain(*EIGHT, model="there")
    assert caller.try_request(gone) == ""
    assert {caller.request(there) for _ in range(16)} == set(EIGHT)
    error = caller.pool.exhausted(gone, 1.0)
    assert (error.status, error.retry_after) == (503, 59.0)
    assert "not_found" in error.message
