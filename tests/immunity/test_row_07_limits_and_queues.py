"""Row 7: requests in flight are limited per account; who comes later waits in line, or is told when."""

from __future__ import annotations

import pytest
import trio

from proxy.accounts.pool import Pool
from proxy.errors import ProxyError
from tests.pools import plain


class Account:
    """Calls that take ten seconds each, and how many there were at a time."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.started: list[int] = []

    async def call(self, number: int) -> None:
        self.started.append(number)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await trio.sleep(10)
        finally:
            self.now -= 1


async def request(pool: Pool, p, account: Account, number: int) -> None:
    """As the exchange does it."""
    for chosen in pool.order(p.targets[0], p, trio.current_time()):
        await use(pool, p, account, number, chosen)
        return
    wake = trio.Event()
    ticket = pool.enqueue(p, trio.current_time(), wake.set)
    if ticket is None:
        raise pool.exhausted(p, trio.current_time())
    try:
        with trio.move_on_at(ticket.deadline):
            await wake.wait()
        if ticket.candidate is None:
            raise pool.exhausted(p, trio.current_time())
        await use(pool, p, account, number, ticket.candidate)
    finally:
        pool.leave(ticket)


async def use(pool: Pool, p, account: Account, number: int, chosen) -> None:
    pool.take(chosen)
    try:
        await account.call(number)
        pool.succeeded(chosen, p, trio.current_time())
    finally:
        pool.give_back(chosen)


async def test_ten_calls_never_exceed_two_and_keep_their_order(autojump_clock) -> None:
    pool, account = Pool(), Account()
    p = plain("a", in_flight=2, queue=20, queue_wait=60.0)
    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(request, pool, p, account, number)
            await trio.sleep(0.01)
    assert account.most == 2
    assert account.started == list(range(10))
    assert pool.in_flight == {}


async def test_those_who_leave_take_no_place_with_them(autojump_clock) -> None:
    pool, account = Pool(), Account()
    p = plain("a", in_flight=2, queue=20, queue_wait=60.0)
    scopes = [trio.CancelScope() for _ in range(10)]

    async def one(number: int) -> None:
        with scopes[number]:
            await request(pool, p, account, number)

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(one, number)
            await trio.sleep(0.01)
        await trio.sleep(1)
        for number in (0, 2, 3, 5, 8):  # one that runs, four that wait
            scopes[number].cancel()
    assert account.started == [0, 1, 4, 6, 7, 9]
    assert account.most == 2
    assert pool.in_flight == {}


async def test_one_who_leaves_in_the_moment_it_is_given_the_place(autojump_clock) -> None:
    pool, account = Pool(), Account()
    p = plain("a", in_flight=1, queue=20, queue_wait=60.0)
    (held,) = pool.order(p.targets[0], p, trio.current_time())
    pool.take(held)
    scope = trio.CancelScope()

    async def first() -> None:
        with scope:
            await request(pool, p, account, 1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first)
        await trio.sleep(1)
        nursery.start_soon(request, pool, p, account, 2)
        await trio.sleep(1)
        scope.cancel()
        pool.give_back(held)
    assert account.started[-1] == 2
    assert pool.in_flight == {}


async def test_too_many_are_refused_with_a_time_and_waiting_has_an_end(autojump_clock) -> None:
    pool, account = Pool(), Account()
    p = plain("a", in_flight=1, queue=2, queue_wait=5.0)
    errors: list[ProxyError] = []

    async def one(number: int) -> None:
        try:
            await request(pool, p, account, number)
        except ProxyError as error:
            errors.append(error)

    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(one, number)
            await trio.sleep(0.01)
    assert account.started == [0]
    assert [error.status for error in errors] == [429, 429, 429]
    assert errors[0].retry_after == pytest.approx(5.0, abs=0.1)
    assert pool.in_flight == {}
