"""Row 9: with `overage = "never"` no second call is paid for on top of the plan."""

from __future__ import annotations

import pytest

from proxy.accounts.pool import Pool
from tests.pools import WALL, Caller, plain

SIGNALS = {
    "claude": [
        (b"anthropic-ratelimit-unified-overage-in-use", b"true"),
        (b"anthropic-ratelimit-unified-5h-utilization", b"1.01"),
        (b"anthropic-ratelimit-unified-5h-reset", b"%d" % (WALL + 9000)),
    ],
    "codex": [
        (b"x-codex-primary-used-percent", b"100"),
        (b"x-codex-primary-reset-after-seconds", b"9000"),
        (b"x-codex-credits-has-credits", b"True"),
    ],
    "openai-compat": [
        (
            b"x-quota-snapshot-premium_interactions",
            b"ent=300&ov=1.0&ovPerm=true&rem=0.0&rst=2025-06-15T17:36:40Z",
        ),
    ],
}


@pytest.mark.parametrize("provider", list(SIGNALS))
def test_one_billed_call_and_no_more_until_the_reset(provider: str) -> None:
    told = SIGNALS[provider]
    caller = Caller(
        Pool(), lambda *_: None, lambda name, now: told if name == "a" and now < 9000 else []
    )
    p = plain("a", "b", strategy="fill-first", provider=provider, overage="never")
    for second in range(0, 9000, 20):
        caller.now = float(second)
        assert caller.request(p) == ("b" if second else "a")
    assert caller.called("a") == [0.0]
    caller.now = 9001.0
    assert caller.request(p) == "a"


def test_alone_it_refuses_with_the_reason_and_the_time() -> None:
    caller = Caller(Pool(), lambda *_: None, lambda *_: SIGNALS["claude"])
    p = plain("a", wire="anthropic", provider="claude", overage="never")
    assert caller.request(p) == "a"
    caller.now = 1000.0
    assert caller.try_request(p) == ""
    error = caller.pool.exhausted(p, 1000.0)
    assert (error.status, error.retry_after) == (429, 8000.0)
    assert caller.pool.verdicts(p, 1000.0)[0].word == "overage"


def test_it_is_allowed_unless_somebody_says_never() -> None:
    caller = Caller(Pool(), lambda *_: None, lambda *_: SIGNALS["claude"])
    p = plain("a", wire="anthropic", provider="claude")
    assert [caller.request(p) for _ in range(3)] == ["a"] * 3
