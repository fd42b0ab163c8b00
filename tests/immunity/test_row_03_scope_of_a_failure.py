"""Row 3: an account that is used up is not tried again for each other model."""

from __future__ import annotations

import pytest

from proxy.accounts.pool import Pool
from proxy.errors import ProxyError
from tests.pools import WALL, Caller, failure, plain


def test_an_account_wide_limit_on_one_model_spares_the_upstream_all_others() -> None:
    limit = failure(429, kind="usage_limit_reached", retry_after=50.0)
    caller = Caller(Pool(), lambda name, _m, now: limit if name == "a" and now < 50 else None)
    assert caller.try_request(plain("a", model="A")) == ""
    for number in range(20):
        caller.now = 1.0 + number
        with pytest.raises(ProxyError, match="cooling down"):
            caller.request(plain("a", model=f"B{number}"))
    assert caller.called("a") == [0.0]
    caller.now = 50.0
    assert caller.request(plain("a", model="B")) == "a"


def test_a_plain_429_is_of_its_model() -> None:
    caller = Caller(
        Pool(), lambda _n, model, _now: failure(429, retry_after=50.0) if model == "A" else None
    )
    assert caller.try_request(plain("a", model="A")) == ""
    assert caller.request(plain("a", model="B")) == "a"


def test_a_limit_of_a_tier_is_of_its_models() -> None:
    told = [
        (b"anthropic-ratelimit-unified-7d_opus-status", b"rejected"),
        (b"anthropic-ratelimit-unified-7d_opus-reset", b"%d" % (WALL + 40)),
        (b"anthropic-ratelimit-unified-7d-utilization", b"0.6"),
    ]
    caller = Caller(
        Pool(),
        lambda _n, model, _now: failure(429, kind="rate_limit_error") if "opus" in model else None,
        lambda _n, _now: told,
    )
    assert caller.try_request(plain("a", model="claude-opus-4-5")) == ""
    assert caller.try_request(plain("a", model="claude-opus-4-1")) == ""
    assert len(caller.calls) == 1
    assert caller.request(plain("a", model="claude-sonnet-4-5")) == "a"
