"""Races and hedges against upstreams that misbehave in every way: one winner, nothing left behind."""

from __future__ import annotations

import random
from functools import partial

import msgspec
import pytest
import trio
import trio.testing

from proxy.config.model import Hedge, Timeouts
from proxy.errors import Retry, bad_request
from proxy.exchange import run
from proxy.net.api import UpstreamBroken
from proxy.upstream.fanout import HedgeBudget, most_telling
from proxy.upstream.prepare import Ask
from tests.pools import failure
from tests.scripted import (
    DONE,
    ROLE,
    STREAM,
    FakeReply,
    HostTransport,
    Out,
    block,
    chain,
    chat_stream,
    chunk,
    claude_stream,
    credential,
    live_of,
    sse,
)

SSE = [(b"content-type", b"text/event-stream")]
BODY = msgspec.json.encode(
    {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
)
KINDS = (
    "good",
    "slow",
    "silent",
    "error inside",
    "refused",
    "breaks",
    "cut",
    "pings",
    "role only",
    "empty",
    "unreachable",
)


def texts_of(name: str) -> list[str]:
    return [f"<{name}{number}>" for number in range(6)]


def script(kind: str, name: str, wire: str, rng: random.Random):
    """(seconds to the head, reply or failure)."""
    whole = (claude_stream if wire == "anthropic" else chat_stream)(*texts_of(name))
    wait = rng.choice([0.0, 0.01, 0.3, 1.0, 4.0])
    begin = 1 if wire == "chat" else 2
    cut = rng.randrange(begin, begin + 7)
    ping = block("ping") if wire == "anthropic" else b": ping\n\n"
    pieces: list = {
        "good": whole,
        "slow": [piece for one in whole for piece in (rng.choice([0.2, 2.0]), one)],
        "silent": [600.0, *whole],
        "error inside": [
            ping,
            block("error", error={"type": "overloaded_error", "message": "busy"})
            if wire == "anthropic"
            else sse({"error": {"message": "busy", "code": 529}}),
        ],
        "refused": [b'{"error":{"message":"no"}}'],
        "breaks": [*whole[:cut], UpstreamBroken("closed", "reset")],
        "cut": whole[:cut],
        "pings": [piece for _ in range(200) for piece in (ping, 1.0)],
        "role only": [*whole[:begin], 600.0],
        "empty": [whole[0], *whole[-2:]],
        "unreachable": [],
    }[kind]
    if kind == "unreachable":
        return wait, UpstreamBroken("connect", "refused")
    status = rng.choice([401, 429, 500, 503]) if kind == "refused" else 200
    return wait, FakeReply(status, pieces, SSE)


def text_of(body: bytes) -> tuple[str, bool]:
    """The text that a chat client got, and whether it was told an error."""
    text, failed = "", False
    for event in body.split(b"\n\n"):
        if event.startswith(b"data: {"):
            said = msgspec.json.decode(event[6:])
            failed |= "error" in said
            for choice in said.get("choices", ()):
                text += choice["delta"].get("content") or ""
    return text, failed


async def once(seed: int, policy: str) -> None:
    rng = random.Random(seed)
    names = ["a", "b", "c", "d"][: rng.randrange(2, 5)]
    kinds = {name: rng.choice(KINDS) for name in names}
    wires = {name: rng.choice(["chat", "anthropic"]) for name in names}
    timeouts = Timeouts(first_event=30.0, idle=45.0)
    upstreams = [
        credential(
            name,
            wire=wires[name],
            provider="claude" if wires[name] == "anthropic" else "openai-compat",
            timeouts=timeouts,
        )
        for name in names
    ]
    transport = HostTransport(
        **{name: script(kinds[name], name, wires[name], rng) for name in names}
    )
    hedge = Hedge(after=rng.choice([0.05, 0.5, 2.0]), max=rng.randrange(1, 4), budget=1.0)
    plan = chain(*upstreams, policy=policy, hedge=hedge, sticky="none")
    live, out = live_of(transport, plan), Out()
    with trio.fail_after(500):
        await run(Ask(wire="chat", body=BODY, headers=[]), out, live)

    told = (seed, policy, kinds, wires, out.body)
    assert out.ended, told
    assert live.pool.in_flight == {}, told
    assert all(reply.closed for reply in transport.given), told
    by_text = {"".join(texts_of(name)): name for name in names}
    if out.status != 200:
        assert not {"good", "slow"} & set(kinds.values()), told
        return
    text, failed = text_of(out.body)
    winner = next((name for whole, name in by_text.items() if text and whole.startswith(text)), "")
    if not text:
        # Only where everybody had nothing to say.
        assert not {"good", "slow"} & set(kinds.values()), told
        assert "empty" in kinds.values(), told
    elif kinds[winner] in ("good", "slow"):
        assert by_text.get(text) == winner, told
        assert not failed, told
        assert out.body.endswith(DONE), told
    else:
        assert kinds[winner] in ("breaks", "cut"), told
        assert failed or by_text.get(text) == winner, told
    for reply in transport.given:
        if winner and reply is not transport.scripts[winner][1]:
            assert reply.closed_at <= out.committed_at + 0.1, told


@pytest.mark.parametrize("policy", ["race", "hedge"])
def test_one_winner_and_nothing_left_behind(policy: str) -> None:
    for seed in range(500):
        clock = trio.testing.MockClock(autojump_threshold=0)
        trio.run(partial(once, seed, policy), clock=clock)


async def ask(transport, plan, live=None):
    live, out = live or live_of(transport, plan), Out()
    await run(Ask(wire="chat", body=BODY, headers=[]), out, live)
    return out, live


def reply(*pieces) -> FakeReply:
    return FakeReply(200, list(pieces), SSE)


async def test_a_race_is_won_by_the_first_useful_event_not_the_first_byte(autojump_clock) -> None:
    early = reply(ROLE, b": ping\n\n", 5.0, *chat_stream("late"))
    late = reply(1.0, *STREAM)
    transport = HostTransport(a=(0.0, early), b=(0.2, late))
    out, live = await ask(transport, chain("a", "b", policy="race"))
    assert out.body == b"".join(STREAM)
    assert (b"x-pointsman-target", b"b") in out.headers
    assert early.closed_at == out.committed_at
    assert live.pool.wait(chain("a", "b"), trio.current_time()) is None  # the loser is not charged


async def test_a_losers_failure_before_the_commit_counts(autojump_clock) -> None:
    failing = FakeReply(429, [b"{}"], [(b"retry-after", b"60")])
    transport = HostTransport(a=(0.0, failing), b=(1.0, reply(*STREAM)))
    plan = chain("a", "b", policy="race")
    out, live = await ask(transport, plan)
    assert out.body == b"".join(STREAM)
    assert live.pool.order(plan.targets[0], plan, trio.current_time()) == []


async def test_a_call_of_a_loser_never_leaks(autojump_clock) -> None:
    function = {"name": "rm", "arguments": "{}"}
    call = {"index": 0, "id": "call_1", "type": "function", "function": function}
    loser = reply(ROLE, 2.0, chunk(tool_calls=[call]), chunk(finish="tool_calls"), DONE)
    transport = HostTransport(a=(0.0, loser), b=(0.5, reply(*STREAM)))
    out, _ = await ask(transport, chain("a", "b", policy="race"))
    assert b"call_1" not in out.body


async def test_a_hedge_starts_only_when_the_first_is_silent(autojump_clock) -> None:
    plan = chain("a", "b", policy="hedge", hedge=Hedge(after=2.0, max=1, budget=1.0))
    quick = HostTransport(a=(1.0, reply(*STREAM)), b=(0.0, reply(*STREAM)))
    await ask(quick, plan)
    assert len(quick.calls) == 1
    slow = HostTransport(a=(9.0, reply(*STREAM)), b=(1.0, reply(*chat_stream("b"))))
    before = trio.current_time()
    out, _ = await ask(slow, plan)
    assert len(slow.calls) == 2
    assert out.committed_at - before == pytest.approx(3.0)


async def test_a_failure_starts_the_next_at_once_and_is_no_hedge(autojump_clock) -> None:
    plan = chain("a", "b", policy="hedge", hedge=Hedge(after=5.0, max=1, budget=0.0))
    transport = HostTransport(a=(0.5, FakeReply(503, [b"{}"], [])), b=(0.5, reply(*STREAM)))
    before = trio.current_time()
    out, _ = await ask(transport, plan)
    assert out.committed_at - before == pytest.approx(1.0)


async def test_hedges_keep_within_their_share(autojump_clock) -> None:
    plan = chain("a", "b", policy="hedge", hedge=Hedge(after=1.0, max=1, budget=0.05))
    live = None
    hedged = 0
    for _ in range(200):
        transport = HostTransport(a=(2.0, reply(*STREAM)), b=(0.1, reply(*STREAM)))
        if live is not None:
            live.transport = transport
        _, live = await ask(transport, plan, live)
        hedged += len(transport.calls) - 1
    assert hedged == 10


async def test_a_client_that_leaves_ends_every_start(autojump_clock) -> None:
    replies = [reply(ROLE, 600.0), reply(ROLE, 600.0)]
    transport = HostTransport(a=(0.0, replies[0]), b=(0.0, replies[1]))
    live, out = live_of(transport, chain("a", "b", policy="race")), Out()
    with trio.move_on_after(3.0):
        await run(Ask(wire="chat", body=BODY, headers=[]), out, live)
    assert all(one.closed for one in replies)
    assert live.pool.in_flight == {}
    assert not out.started


async def test_all_failing_tells_the_limit_that_ends_first(autojump_clock) -> None:
    transport = HostTransport(
        a=(0.0, FakeReply(429, [b"{}"], [(b"retry-after", b"60")])),
        b=(0.1, FakeReply(429, [b"{}"], [(b"retry-after", b"9")])),
        c=(0.2, FakeReply(503, [b"{}"], [])),
    )
    out, _ = await ask(transport, chain("a", "b", "c", policy="race"))
    assert (out.status, dict(out.headers)[b"retry-after"]) == (429, b"9")


MALFORMED = failure(400, retry=Retry.NEVER, body=b"{}")
SHORT, LONG = failure(429, retry_after=9.0), failure(429, retry_after=3600.0)
UNDATED = failure(429)
DOWN, WORDED = failure(500), failure(502, body=b"{}")
REFUSED = failure(401, body=b"{}")


@pytest.mark.parametrize(
    ("failures", "told"),
    [
        ([SHORT, MALFORMED, DOWN], MALFORMED),
        ([LONG, SHORT, LONG], SHORT),
        ([WORDED, SHORT, REFUSED], SHORT),
        ([LONG, WORDED, DOWN, REFUSED], WORDED),
        ([LONG, DOWN, REFUSED], DOWN),
        ([LONG, UNDATED, REFUSED], UNDATED),
        ([REFUSED, LONG, REFUSED], LONG),
        ([failure(403), REFUSED, failure(404)], REFUSED),
    ],
)
def test_of_all_failures_the_one_is_told_that_a_client_can_do_most_about(failures, told) -> None:
    assert most_telling(failures) is told


def test_what_one_translation_cannot_say_is_no_mistake_of_the_client() -> None:
    assert most_telling([bad_request("no such part here"), DOWN]) is DOWN
    assert most_telling([bad_request("no such part here"), LONG]) is LONG


def test_a_quiet_route_saves_only_a_few_hedges() -> None:
    budget = HedgeBudget()
    for _ in range(10_000):
        budget.earn("m", 0.05)
    assert sum(budget.spend("m") for _ in range(100)) == 10


def test_the_budget_is_bounded_in_routes() -> None:
    budget = HedgeBudget()
    for number in range(10_000):
        budget.earn(f"m{number}", 1.0)
    assert not budget.spend("m0")
    assert budget.spend("m9999")
