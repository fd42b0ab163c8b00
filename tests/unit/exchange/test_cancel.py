"""A client that leaves at any moment leaves nothing behind: `run` is cancelled at its nth step, for all n."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from proxy.accounts.cooldown import Cooldown
from proxy.config.model import Candidate, Credential, Hedge, Plan, Settings, Target
from proxy.exchange import Live, run
from proxy.net.api import UpstreamBroken
from proxy.upstream.prepare import Ask
from tests.scripted import (
    DONE,
    ROLE,
    FakeReply,
    HostTransport,
    Out,
    chain,
    chunk,
    credential,
    live_of,
)

STREAMED = b'{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true}'
CUT = UpstreamBroken("closed", "reset")
SSE = [(b"content-type", b"text/event-stream")]
_MOST_STEPS = 400


class Reply(FakeReply):
    """Like those of an upstream far away: closing it is a checkpoint too."""

    async def aclose(self) -> None:
        await super().aclose()
        await trio.lowlevel.checkpoint()


class Client(Out):
    """Every write is a checkpoint."""

    async def whole(self, status, headers, body) -> None:
        await trio.lowlevel.checkpoint()
        await super().whole(status, headers, body)

    async def send(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        await super().send(data)

    async def end(self) -> None:
        await trio.lowlevel.checkpoint()
        await super().end()


class At(trio.abc.Instrument):
    """Cancels a scope at the nth step of any task."""

    def __init__(self, step: int, scope: trio.CancelScope) -> None:
        self.left = step
        self.scope = scope

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.left -= 1
        if not self.left:
            self.scope.cancel()


def stream(*pieces) -> FakeReply:
    return Reply(200, [ROLE, *pieces], SSE)


def good() -> FakeReply:
    return stream(0.5, chunk(content="x"), 0.5, chunk(finish="stop"), DONE)


def empty() -> FakeReply:
    return stream(chunk(finish="stop"), DONE)


def refused(status: int = 500) -> FakeReply:
    return Reply(status, [b'{"error":{"message":"no"}}'], [(b"content-type", b"application/json")])


def breaking() -> FakeReply:
    return stream(chunk(content="Hel"), 0.5, CUT)


def twice(one: Credential, **more) -> Plan:
    """Two models of one credential."""
    targets = tuple(
        Target(upstream="u", candidates=(Candidate(credential=one, model=model),))
        for model in ("real", "other")
    )
    return Plan(asked="m", model="m", targets=targets, **more)


def rests(live: Live, *names: str) -> None:
    """These are due for a probe."""
    for name in names:
        rest = Cooldown(10_000.0, "quota", firm=True, probe_at=-1.0)
        live.pool.cooldowns.put(name, "model:real", rest, 0.0)


class Scripts(HostTransport):
    """The scripts of a host are made anew for each call; the last one again and again."""

    async def send(self, call):
        host = call.url.split("/")[2].split(".")[0]
        made = self.scripts[host]
        self.calls.append(call)
        seconds, make = made.pop(0) if len(made) > 1 else made[0]
        await trio.sleep(seconds)
        reply = make()
        self.given.append(reply)
        return reply


Case = tuple[Plan, dict[str, list[tuple[float, Callable[[], FakeReply]]]], dict]


def case(name: str) -> Case:
    one_place = credential("a", in_flight=1, queue=5)
    cases: dict[str, Case] = {
        "failover": (chain("a", "b"), {"a": [(0.1, refused)], "b": [(0.1, good)]}, {}),
        "rounds": (
            chain("a", "b"),
            {"a": [(0.1, refused), (0.1, good)], "b": [(0.1, refused)]},
            {"request_retry": 2},
        ),
        "queue": (chain(one_place), {"a": [(3.0, good)]}, {}),
        "race": (
            chain("a", "b", "c", policy="race"),
            {"a": [(0.1, good)], "b": [(0.1, good)], "c": [(0.2, refused)]},
            {},
        ),
        "race with an empty answer": (
            chain("a", "b", "c", policy="race"),
            {"a": [(0.1, empty)], "b": [(0.1, empty)], "c": [(0.2, good)]},
            {},
        ),
        "race of one credential": (twice(credential("a"), policy="race"), {"a": [(0.1, good)]}, {}),
        "race for one place": (twice(one_place, policy="race"), {"a": [(0.1, good)]}, {}),
        "hedge": (
            chain("a", "b", policy="hedge", hedge=Hedge(after=0.2, budget=1.0)),
            {"a": [(1.0, good)], "b": [(0.1, good)]},
            {},
        ),
        "resume": (
            chain("a", "b", "c", on_break="resume"),
            {"a": [(0.1, breaking)], "b": [(0.1, refused)], "c": [(0.1, good)]},
            {},
        ),
    }
    return cases[name]


NAMES = (
    "failover",
    "rounds",
    "queue",
    "race",
    "race with an empty answer",
    "race of one credential",
    "race for one place",
    "hedge",
    "resume",
)


async def cancelled_at(step: int, name: str, *, probe: bool) -> bool:
    """Whether the request was over before its nth step."""
    plan, scripts, settings = case(name)
    transport = Scripts(**{host: list(made) for host, made in scripts.items()})
    live = live_of(transport, plan, Settings(keepalive=0.3, **settings))
    if probe:
        rests(live, *scripts)
    out = Client()
    over = False
    async with trio.open_nursery() as nursery:
        if name == "queue":
            first = Out()
            nursery.start_soon(run, Ask(wire="chat", body=STREAMED, headers=[]), first, live)
            await trio.testing.wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            instrument = At(step, scope)
            trio.lowlevel.add_instrument(instrument)
            try:
                await run(Ask(wire="chat", body=STREAMED, headers=[]), out, live)
                over = instrument.left > 0
            finally:
                trio.lowlevel.remove_instrument(instrument)
    told = (name, step, probe, out.body)
    assert live.pool.in_flight == {}, told
    assert all(reply.closed for reply in transport.given), told
    assert live.pool.places.waiting("a") == 0, told
    # A probe that was not taken is kept for a moment; one that was is given back.
    now = trio.current_time() + 11.0
    for target in plan.targets:
        resting = live.pool.cooldowns.binding(target.candidates[0].credential.id, "real", now)
        if resting is not None and resting[1].probe_at < now:
            assert live.pool.order(target, plan, now), told
    return over


CASES = [(name, probe) for name in NAMES for probe in (False, True)]
CASES.remove(("queue", True))  # nobody waits for a place where a probe is under way


@pytest.mark.parametrize(("name", "probe"), CASES)
def test_nothing_is_left_behind(name: str, probe: bool) -> None:
    for step in range(1, _MOST_STEPS):
        clock = trio.testing.MockClock(autojump_threshold=0)

        async def once(step: int = step) -> bool:
            return await cancelled_at(step, name, probe=probe)

        if trio.run(once, clock=clock):
            assert step > 5
            return
    pytest.fail("it never ends")
