"""Row 27: keep-alives, a limit for the first token that fails over, an idle limit, a client that left.

Keep-alives before the first event go over a real socket in `tests/unit/surface/test_waiting.py`.
"""

from __future__ import annotations

import msgspec
import pytest
import trio

from proxy import wire as wires
from proxy.config.model import Settings, Timeouts
from proxy.exchange import run
from proxy.net.api import UpstreamBroken
from proxy.upstream.prepare import Ask
from tests.scripted import (
    ANSWER,
    DONE,
    ROLE,
    STREAM,
    FakeReply,
    HostTransport,
    Out,
    block,
    chain,
    chunk,
    claude_stream,
    credential,
    live_of,
)

SSE = [(b"content-type", b"text/event-stream")]
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}


async def ask(transport, plan, wire: str = "chat", *, stream: bool = True, **settings):
    live, out = live_of(transport, plan, Settings(**settings)), Out()
    body = {**BODY, "stream": stream} if wire == "chat" else {**BODY, "max_tokens": 9}
    await run(Ask(wire=wire, body=msgspec.json.encode(body), headers=[]), out, live)
    assert live.pool.in_flight == {}
    return out


def reply(*pieces) -> FakeReply:
    return FakeReply(200, list(pieces), SSE)


@pytest.mark.parametrize(
    "mute",
    [
        [600.0],
        [ROLE, 600.0],
        [b": ping\n\n" if n % 2 else 1.0 for n in range(900)],
        [chunk(content="") if n % 2 else 1.0 for n in range(900)],
    ],
    ids=["silent", "role only", "pings", "empty deltas"],
)
@pytest.mark.parametrize("idle", [10.0, 300.0])
async def test_the_first_token_limit_fails_over(autojump_clock, mute: list, idle: float) -> None:
    # A transport keeps the idle limit; here the pieces do, by ending in a timeout.
    limits = Timeouts(first_event=20.0, idle=idle)
    if idle < limits.first_event and mute[-1] == 600.0:
        mute = [*mute[:-1], idle, UpstreamBroken("timeout", "too slow")]
    first, second = reply(*mute), reply(*STREAM)
    transport = HostTransport(a=(1.0, first), b=(1.0, second))
    begun = trio.current_time()
    out = await ask(transport, chain(credential("a", timeouts=limits), "b"))
    assert out.body == b"".join(STREAM)
    assert dict(out.headers)[b"x-pointsman-target"] == b"b"
    assert out.committed_at - begun <= 20.0 + 1.0 + 1.0
    assert first.closed


async def test_without_another_target_the_limit_is_a_504(autojump_clock) -> None:
    limits = Timeouts(first_event=20.0, idle=300.0)
    transport = HostTransport(a=(1.0, reply(600.0)))
    out = await ask(transport, chain(credential("a", timeouts=limits)))
    assert out.status == 504


async def test_the_idle_limit_ends_with_an_error_event(autojump_clock) -> None:
    broken = UpstreamBroken("timeout", "the answer paused for too long")
    transport = HostTransport(a=(0.0, reply(*STREAM[:2], 120.0, broken)))
    out = await ask(transport, chain("a"))
    assert out.body.count(b"Hello") == 1
    assert b'"error"' in out.body
    assert DONE not in out.body


@pytest.mark.parametrize("wire", ["chat", "anthropic"])
async def test_a_pause_is_kept_alive_in_the_protocols_own_form(autojump_clock, wire: str) -> None:
    pieces = [*claude_stream("Hello")[:3], 50.0, *claude_stream("Hello")[3:]]
    upstream = credential("a", wire="anthropic", provider="claude")
    out = await ask(HostTransport(a=(0.0, reply(*pieces))), chain(upstream), wire)
    assert out.body.count(wires.get(wire).keepalive) == 3
    assert Settings().keepalive <= 15.0


async def test_a_client_that_left_frees_the_upstream_at_once(autojump_clock) -> None:
    left = reply(*STREAM[:2], 600.0)
    with trio.move_on_after(5.0):
        await ask(HostTransport(a=(0.0, left)), chain("a"))
    assert left.closed_at == pytest.approx(5.0, abs=1.0)


async def test_a_ping_is_no_first_token(autojump_clock) -> None:
    mute = reply(block("ping"), 2.0, block("ping"), UpstreamBroken("closed", "reset"))
    upstream = credential("a", wire="anthropic", provider="claude")
    transport = HostTransport(a=(0.0, mute), b=(0.0, reply(*STREAM)))
    out = await ask(transport, chain(upstream, "b"))
    assert out.body == b"".join(STREAM)


def drip(*, seconds: float) -> list:
    """A whole answer that is never over and never silent."""
    return [b" " if number % 2 else seconds for number in range(2000)]


async def test_a_whole_answer_that_drips_fails_over(autojump_clock) -> None:
    limits = Timeouts(total=100.0)
    endless = FakeReply(200, drip(seconds=5.0), [(b"content-type", b"application/json")])
    transport = HostTransport(a=(1.0, endless), b=(0.0, FakeReply(200, [ANSWER])))
    begun = trio.current_time()
    out = await ask(transport, chain(credential("a", timeouts=limits), "b"), stream=False)
    assert out.body == ANSWER
    assert 100.0 <= out.committed_at - begun <= 106.0
    assert endless.closed


async def test_a_stream_may_last_for_hours(autojump_clock) -> None:
    hours = [one for _ in range(300) for one in (60.0, chunk(content="."))]
    limits = Timeouts(total=100.0)
    transport = HostTransport(a=(0.0, reply(ROLE, *hours, DONE)))
    out = await ask(transport, chain(credential("a", timeouts=limits)), keepalive=0.0)
    assert out.body.endswith(DONE)
    assert out.body.count(b'"."') == 300


@pytest.mark.parametrize("rest", [drip(seconds=5.0), [600.0], [UpstreamBroken("closed", "reset")]])
async def test_an_error_without_an_end_keeps_its_status(autojump_clock, rest: list) -> None:
    """The words are lost; that this key is limited is known all the same."""
    limited = FakeReply(429, [b'{"error":', *rest], [(b"retry-after", b"7")])
    begun = trio.current_time()
    out = await ask(HostTransport(a=(0.0, limited)), chain("a"))
    assert (out.status, dict(out.headers)[b"retry-after"]) == (429, b"7")
    assert out.committed_at - begun <= 15.0
    assert limited.closed
