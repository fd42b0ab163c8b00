"""Row 5: one stray failure disables nothing; what is disabled comes back by itself."""

from __future__ import annotations

from collections import Counter

import pytest

from proxy.accounts.pool import Pool
from proxy.exchange import run
from proxy.jsonio import encode
from proxy.upstream.prepare import Ask
from tests.pools import Caller, failure, plain
from tests.scripted import ANSWER, FakeReply, FakeTransport, Out, live_of, plan


def test_a_stray_failure_costs_no_request() -> None:
    caller = Caller(Pool(), lambda _n, _m, now: failure(503) if now == 10.0 else None)
    p = plain("a")
    for second in range(30):
        caller.now = float(second)
        assert caller.try_request(p) == ("" if second == 10 else "a")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_no_target_is_tried_twice_in_a_round(status: int) -> None:
    caller = Caller(Pool(), lambda _n, _m, _now: failure(status))
    p = plain("a", "b", "c")
    for second in range(0, 1200, 7):
        caller.now = float(second)
        caller.try_request(p, "s")
    rounds = Counter((at, name) for at, name, _ in caller.calls)
    assert set(rounds.values()) == {1}


def test_three_in_a_minute_trip_and_the_way_back_is_automatic() -> None:
    down = (10.0, 100.0)
    caller = Caller(
        Pool(), lambda n, _m, now: failure(503) if n == "a" and down[0] <= now < down[1] else None
    )
    p = plain("a", "b", strategy="fill-first")
    for second in range(200):
        caller.now = float(second)
        caller.request(p)
    at = [t for t in caller.called("a") if down[0] <= t < down[1]]
    assert len(at) <= 8  # three stumbles, then probes ever further apart
    back = min(t for t in caller.called("a") if t >= down[1])
    assert back - down[1] <= 60
    assert [n for t, n, _ in caller.calls if t > back] == ["a"] * (199 - int(back))


async def test_requests_that_fail_everywhere_keep_nobody_else_from_being_served() -> None:
    live = live_of(Picky(), plan("a", "b", "c"))
    for number in range(40):
        out = Out()
        bad = number % 2 == 0
        body = encode({"model": "m", "messages": [], "user": "bad" if bad else "good"})
        await run(Ask(wire="chat", body=body, headers=[]), out, live)
        assert out.status == (500 if bad else 200)
    assert live.pool.in_flight == {}


class Picky(FakeTransport):
    """An upstream that stumbles over some requests, whatever the key."""

    async def send(self, call):
        bad = b'"bad"' in call.body
        return FakeReply(500 if bad else 200, [b"{}" if bad else ANSWER])
