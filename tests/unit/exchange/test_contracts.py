"""What the exchange asks of pools with queues and of accounts with logins."""

from __future__ import annotations

import msgspec
import pytest
import trio
import trio.testing

from proxy.accounts.cooldown import Cooldown
from proxy.config.model import Settings
from proxy.errors import Fault, ProxyError, Retry
from proxy.exchange import run
from proxy.secret import Secret
from proxy.upstream.prepare import Ask
from tests.scripted import (
    ANSWER,
    FakeReply,
    FakeTransport,
    HostTransport,
    Out,
    chain,
    credential,
    live_of,
)

BODY = msgspec.json.encode({"model": "m", "messages": []})


def ask() -> Ask:
    return Ask(wire="chat", body=BODY, headers=[])


class Book:
    """Tokens that are numbered; `renewable` more after the first."""

    def __init__(self, renewable: int) -> None:
        self.renewable = renewable
        self.number = 0
        self.asked = 0

    async def ready(self, wanted):
        await trio.lowlevel.checkpoint()
        self.asked += 1
        return msgspec.structs.replace(wanted, key=Secret(f"token-{self.number}"))

    async def renew(self, wanted) -> bool:
        assert wanted.account
        await trio.lowlevel.checkpoint()
        if self.number >= self.renewable:
            return False
        self.number += 1
        return True


def tokens(transport) -> list[str]:
    found = [dict(call.headers)[b"Authorization"].decode() for call in transport.calls]
    return [value.removeprefix("Bearer ") for value in found]


async def served(transport, book, *upstreams):
    live, out = live_of(transport, chain(*upstreams)), Out()
    live.accounts = book
    await run(ask(), out, live)
    assert all(reply.closed for reply in transport.given)
    assert live.pool.in_flight == {}
    return out, live


async def test_a_refused_token_is_renewed_and_the_account_tried_again() -> None:
    transport = FakeTransport(FakeReply(401, [b"{}"]), FakeReply(200, [ANSWER]))
    out, live = await served(transport, Book(1), credential("a", account="a.json"), "b")
    assert out.body == ANSWER
    assert tokens(transport) == ["token-0", "token-1"]
    assert dict(out.headers)[b"x-pointsman-attempts"] == b"1"
    plan = chain("a")
    assert live.pool.wait(plan, trio.current_time()) is None


@pytest.mark.parametrize("renewable", [0, 5])
async def test_a_second_refusal_is_a_failure_of_the_account(renewable: int) -> None:
    refusals = [FakeReply(401, [b"{}"]) for _ in range(2 if renewable else 1)]
    transport = FakeTransport(*refusals, FakeReply(200, [ANSWER]))
    out, live = await served(transport, Book(renewable), credential("a", account="a.json"), "b")
    assert dict(out.headers)[b"x-pointsman-target"] == b"b"
    assert live.pool.wait(chain("a"), trio.current_time()) is not None


async def test_plain_keys_ask_no_book() -> None:
    book = Book(1)
    transport = FakeTransport(FakeReply(401, [b"{}"]), FakeReply(200, [ANSWER]))
    await served(transport, book, "a", "b")
    assert book.asked == 0


class NoToken(Book):
    async def ready(self, wanted):
        raise ProxyError(
            "log in again",
            fault=Fault.UPSTREAM,
            status=401,
            kind="login_needed",
            retry=Retry.CREDENTIAL,
        )


async def test_an_account_without_a_token_is_passed_over() -> None:
    transport = FakeTransport(FakeReply(200, [ANSWER]))
    out, _ = await served(transport, NoToken(0), credential("a", account="a.json"), "b")
    assert dict(out.headers)[b"x-pointsman-target"] == b"b"
    assert len(transport.calls) == 1


def queued(patience: float = 60.0):
    """One place at the only upstream, and a queue for it."""
    transport = HostTransport(a=(2.0, FakeReply(200, [ANSWER])))
    return live_of(transport, chain(credential("a", in_flight=1, queue=9, queue_wait=patience)))


async def test_who_finds_no_place_waits_in_order(autojump_clock) -> None:
    live, done = queued(), []

    async def one(number: int) -> None:
        await trio.sleep(number * 0.1)
        live.transport.scripts["a"] = (2.0, FakeReply(200, [ANSWER]))
        out = Out()
        await run(ask(), out, live)
        done.append((number, out.status, round(trio.current_time())))

    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(one, number)
    assert [number for number, _, _ in done] == [0, 1, 2]
    assert {status for _, status, _ in done} == {200}
    assert trio.current_time() - begun == pytest.approx(6.0, abs=0.3)
    assert live.pool.in_flight == {}


QUEUE = {"in_flight": 1, "queue": 9, "queue_wait": 60.0}


@pytest.mark.parametrize("policy", ["failover", "race"])
@pytest.mark.parametrize(("limits", "seconds"), [(QUEUE, 0.5), ({"in_flight": 1}, 2.0)])
async def test_a_failure_beside_a_busy_upstream_goes_on_with_that_one(
    policy: str, limits: dict, seconds: float, autojump_clock
) -> None:
    """Where it has a queue, or a place by the time that the other one failed."""
    transport = HostTransport(
        a=(seconds, FakeReply(500, [b"{}"])), b=(0.5, FakeReply(200, [ANSWER]))
    )
    live = live_of(transport, chain(credential("b", **limits), "a", policy=policy))
    out, busy = Out(), live.table.plan.targets[0].candidates[0]
    live.pool.take(busy)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, ask(), out, live)
        await trio.sleep(1.0)
        live.pool.give_back(busy)
    assert (out.status, out.body) == (200, ANSWER)
    assert [call.url.split("/")[2] for call in transport.calls] == ["a.test", "b.test"]
    assert live.pool.in_flight == {}


async def test_a_place_that_failed_is_no_reason_to_leave_the_other_queue(autojump_clock) -> None:
    one, other = credential("a", **QUEUE), credential("b", **QUEUE)
    transport = HostTransport(a=(0.5, FakeReply(500, [b"{}"])), b=(0.5, FakeReply(200, [ANSWER])))
    live, out = live_of(transport, chain(one, other)), Out()
    held = [target.candidates[0] for target in live.table.plan.targets]
    for candidate in held:
        live.pool.take(candidate)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, ask(), out, live)
        await trio.sleep(1.0)
        live.pool.give_back(held[0])
        await trio.sleep(5.0)
        live.pool.give_back(held[1])
    assert (out.status, out.body) == (200, ANSWER)
    assert [call.url.split("/")[2] for call in transport.calls] == ["a.test", "b.test"]
    assert live.pool.in_flight == {}


async def test_a_place_whose_account_went_to_rest_meanwhile_is_given_back(autojump_clock) -> None:
    one, other = credential("a", **QUEUE), credential("b", **QUEUE)
    transport = HostTransport(b=(0.5, FakeReply(200, [ANSWER])))
    live, out = live_of(transport, chain(one, other)), Out()
    held = [target.candidates[0] for target in live.table.plan.targets]
    for candidate in held:
        live.pool.take(candidate)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, ask(), out, live)
        await trio.sleep(1.0)
        live.pool.give_back(held[0])  # the ticket has it, and its request has not run yet
        rest = Cooldown(10_000.0, "quota", firm=True)
        live.pool.cooldowns.put("a", "model:real", rest, trio.current_time())
        await trio.sleep(1.0)
        live.pool.give_back(held[1])
    assert (out.status, out.body) == (200, ANSWER)
    assert live.pool.in_flight == {}


async def test_who_waits_too_long_is_refused(autojump_clock) -> None:
    live = queued(patience=1.0)
    out = Out()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, ask(), Out(), live)
        await trio.sleep(0.1)
        await run(ask(), out, live)
        assert trio.current_time() == pytest.approx(1.1)
    assert out.status == 429
    assert dict(out.headers)[b"retry-after"]


async def test_who_leaves_the_queue_leaves_nothing(autojump_clock) -> None:
    live = queued()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, ask(), Out(), live)
        await trio.sleep(0.1)
        with trio.move_on_after(0.5):
            await run(ask(), Out(), live)
    out = Out()
    live.transport.scripts["a"] = (2.0, FakeReply(200, [ANSWER]))
    await run(ask(), out, live)
    assert out.status == 200
    assert live.pool.in_flight == {}


async def test_rounds_outlast_a_probe_of_another_request(autojump_clock) -> None:
    """The account is probed by one request; the other one waits for what comes of it."""
    the_plan = chain("a")
    transport = HostTransport(a=(1.0, FakeReply(200, [ANSWER])))
    settings = Settings(request_retry=3, max_retry_interval=30.0)
    live = live_of(transport, the_plan, settings)
    rest = Cooldown(10_000.0, "quota", firm=True, probe_at=-1.0)
    live.pool.cooldowns.put("a", "model:real", rest, 0.0)
    outs = [Out(), Out()]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, ask(), outs[0], live)
        await trio.sleep(0.1)
        nursery.start_soon(run, ask(), outs[1], live)
        await trio.sleep(1.0)
        transport.scripts["a"] = (0.0, FakeReply(200, [ANSWER]))
    assert [out.status for out in outs] == [200, 200]
