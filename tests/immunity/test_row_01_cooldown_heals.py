"""Row 1: a cooldown never outlives the quota's reset; nobody has to restart anything."""

from __future__ import annotations

import pytest

from proxy.accounts.pool import Pool
from proxy.jsonio import decode, encode
from tests.pools import WALL, Caller, failure, plain

DAYS = 5 * 86400.0


def resting(healthy_at: float) -> Caller:
    """One account that answers 429 with a reset in five days, but is well again long before."""
    return Caller(
        Pool(),
        lambda _name, _model, now: (
            None
            if now >= healthy_at
            else failure(429, kind="usage_limit_reached", retry_after=DAYS - now)
        ),
    )


def test_traffic_finds_out_that_the_account_is_well_again() -> None:
    caller, p = resting(3600.0), plain("a")
    served = []
    for second in range(0, 2 * 3600, 5):
        caller.now = float(second)
        if caller.try_request(p):
            served.append(second)
    failed = [at for at in caller.called("a") if at < 3600]
    assert failed == [0, 60, 180, 420, 900, 1800, 2700]
    assert served[0] - 3600 <= 900
    assert len(served) == (2 * 3600 - served[0]) // 5


def test_with_others_free_the_price_is_one_failed_call_per_probe() -> None:
    caller, p = resting(1e9), plain("a", "b")
    caller.answers = lambda name, _m, now: (
        failure(429, kind="usage_limit_reached", retry_after=DAYS) if name == "a" else None
    )
    for second in range(3600):
        caller.now = float(second)
        assert caller.request(p) == "b"
    assert caller.called("a") == [0, 60, 180, 420, 900, 1800, 2700]


def test_at_most_one_probe_is_under_way() -> None:
    caller, p = resting(1e9), plain("a")
    caller.try_request(p)
    pool, now = caller.pool, 10_000.0
    under_way = [c for _ in range(50) for c in pool.order(p.targets[0], p, now)]
    assert len(under_way) == 1
    pool.take(under_way[0])
    assert [pool.order(p.targets[0], p, now + s) for s in (1, 100, 10_000)] == [[], [], []]


@pytest.mark.parametrize("change", ["signal", "file"])
def test_news_of_the_account_are_tried_at_once(change: str) -> None:
    caller, p = resting(30.0), plain("a")
    caller.try_request(p)
    caller.now = 31.0
    assert caller.try_request(p) == ""
    if change == "file":
        caller.pool.changed("a")
    else:
        fields = [
            (b"x-codex-primary-used-percent", b"1"),
            (b"x-codex-primary-reset-after-seconds", b"18000"),
        ]
        caller.pool.signals(p.targets[0].candidates[0], fields, 31.0, WALL + 31)
    assert caller.try_request(p) == "a"
    assert caller.pool.view(31.0) == () or not caller.pool.view(31.0)[0].cooldowns


def test_a_restart_keeps_what_a_probe_confirms_and_nothing_else() -> None:
    caller, p = resting(100.0), plain("a")
    caller.try_request(p)
    saved = decode(encode(caller.pool.snapshot(1.0, WALL + 1)))
    for now, served in ((50.0, ""), (100.0, "a")):
        caller.pool, caller.now = Pool(), now
        caller.pool.restore(saved, now, WALL + now)
        calls = len(caller.calls)
        assert caller.try_request(p) == served
        assert len(caller.calls) == calls + 1
        assert caller.try_request(p) == served
        assert len(caller.calls) == calls + (2 if served else 1)
