"""Limits and queues."""

from __future__ import annotations

import pytest

from proxy.accounts.pool import Pool
from proxy.config.model import Plan
from tests.pools import failure, ids, plain, plan, target


class Waiter:
    """One who waits, and whether it was woken."""

    def __init__(self, pool: Pool, p: Plan, now: float = 0.0, *spent: tuple[str, str]) -> None:
        self.woken = 0
        self.ticket = pool.enqueue(p, now, self.wake, spent)

    def wake(self) -> None:
        self.woken += 1


def busy(queue: int = 3, *names: str) -> tuple[Pool, Plan, list]:
    """A pool whose only places are taken."""
    pool, p = Pool(), plain(*(names or ("a",)), in_flight=1, queue=queue, queue_wait=60.0)
    taken = pool.order(p.targets[0], p, 0.0)
    for candidate in taken:
        pool.take(candidate)
    return pool, p, taken


def test_a_place_goes_to_the_first_who_waits_and_to_nobody_who_comes_later() -> None:
    pool, p, (held,) = busy()
    first, second = Waiter(pool, p), Waiter(pool, p, 5.0)
    assert (first.ticket.deadline, second.ticket.deadline) == (60.0, 65.0)
    pool.give_back(held)
    assert (first.woken, second.woken) == (1, 0)
    assert ids(pool, p) == []
    assert pool.in_flight == {"a": 1}
    mine = first.ticket.candidate
    assert pool.usable(mine, 0.0)
    pool.take(mine)
    pool.leave(first.ticket)
    assert pool.in_flight == {"a": 1}
    pool.give_back(mine)
    assert second.ticket.candidate.credential.id == "a"


def test_one_who_left_leaves_no_place_behind() -> None:
    pool, p, (held,) = busy()
    first, second, third = (Waiter(pool, p) for _ in range(3))
    pool.leave(first.ticket)
    pool.give_back(held)
    assert (first.woken, second.woken) == (0, 1)
    pool.leave(second.ticket)  # gone after it was given the place
    assert third.woken == 1
    pool.leave(third.ticket)
    assert pool.in_flight == {}
    assert pool.view(0.0) == ()
    assert ids(pool, p) == ["a"]


def test_a_full_queue_refuses_and_says_when_there_will_be_room() -> None:
    pool, p, _ = busy(2)
    assert [Waiter(pool, p, now).ticket is not None for now in (0.0, 1.0, 2.0)] == [
        True,
        True,
        False,
    ]
    error = pool.exhausted(p, 20.0)
    assert (error.status, error.kind, error.retry_after) == (429, "too_many_requests", 40.0)


def test_without_a_queue_nobody_waits() -> None:
    pool, p, _ = busy(0)
    assert Waiter(pool, p).ticket is None


def test_a_place_that_is_free_by_now_is_given_at_once() -> None:
    pool, p, (held,) = busy(0)
    pool.give_back(held)
    waiter = Waiter(pool, p)
    assert (waiter.woken, waiter.ticket.candidate.credential.id) == (1, "a")
    assert ids(pool, p) == []
    pool.leave(waiter.ticket)
    assert pool.in_flight == {}


def test_what_was_tried_is_not_waited_for() -> None:
    pool, p, (one, other) = busy(1, "a", "b")
    assert Waiter(pool, p, 0.0, ("a", "m"), ("b", "m")).ticket is None
    waiter = Waiter(pool, p, 0.0, ("a", "m"))
    pool.give_back(one)
    assert waiter.woken == 0
    pool.give_back(other)
    assert waiter.ticket.candidate.credential.id == "b"


def test_a_place_of_an_account_that_went_to_rest_is_not_usable() -> None:
    pool, p, (held,) = busy()
    first, second = Waiter(pool, p), Waiter(pool, p)
    pool.give_back(held)
    pool.failed(held, p, failure(429, retry_after=500.0), 1.0)
    assert not pool.usable(first.ticket.candidate, 1.0)
    pool.leave(first.ticket)
    assert (second.woken, second.ticket.candidate) == (1, None)
    assert pool.in_flight == {}


@pytest.mark.parametrize("queue", [0, 5])
def test_a_raised_limit_serves_those_who_wait_in_order(queue: int) -> None:
    """A reload raises the limit: who waits under the old one neither stays nor holds others up."""
    pool, p, (held,) = busy()
    old = Waiter(pool, p)
    raised = plain("a", in_flight=3, queue=queue, queue_wait=60.0)
    (later,) = pool.order(raised.targets[0], raised, 0.0)
    assert not pool.usable(later, 0.0)
    newer = Waiter(pool, raised)
    assert (old.woken, newer.woken) == (1, 1)
    assert pool.in_flight == {"a": 3}
    if queue:
        more = [Waiter(pool, raised), Waiter(pool, raised)]
        pool.give_back(held)
        assert [one.woken for one in more] == [1, 0]


def test_a_queue_of_both_limits_goes_by_the_newer() -> None:
    pool, p, (held,) = busy()
    old, older = Waiter(pool, p), Waiter(pool, p)
    raised = plain("a", in_flight=2, queue=5)
    newer = Waiter(pool, raised)
    assert (old.woken, older.woken, newer.woken) == (1, 0, 0)
    pool.give_back(held)
    assert (older.woken, newer.woken) == (1, 0)


def test_one_waits_for_the_first_place_of_several() -> None:
    pool, p, (one, other) = busy(1, "a", "b")
    waiter = Waiter(pool, p)
    pool.give_back(other)
    assert waiter.ticket.candidate.credential.id == other.credential.id
    pool.give_back(one)
    assert waiter.woken == 1
    assert ids(pool, p) == [one.credential.id]


def test_who_waits_for_an_account_that_goes_to_rest_is_told() -> None:
    pool, p, (held,) = busy()
    waiter, late = Waiter(pool, p), Waiter(pool, p)
    pool.failed(held, p, failure(429, retry_after=500.0), 1.0)
    assert (waiter.woken, waiter.ticket.candidate) == (1, None)
    assert late.woken == 1
    pool.leave(waiter.ticket)
    pool.give_back(held)
    assert pool.in_flight == {}
    assert pool.exhausted(p, 1.0).kind == "model_cooldown"


def test_who_waits_for_two_goes_on_waiting_for_the_other() -> None:
    pool, p, taken = busy(1, "a", "b")
    waiter = Waiter(pool, p)
    pool.failed(taken[0], p, failure(401), 1.0)
    assert waiter.woken == 0
    pool.give_back(taken[0])
    assert waiter.woken == 0
    pool.give_back(taken[1])
    assert waiter.ticket.candidate.credential.id == taken[1].credential.id


def test_targets_of_one_plan_are_waited_for_together() -> None:
    pool = Pool()
    p = plan(target("u", "a", in_flight=1, queue=1), target("v", "b", in_flight=1, queue=1))
    for each in p.targets:
        pool.take(each.candidates[0])
    waiter = Waiter(pool, p)
    pool.give_back(p.targets[1].candidates[0])
    assert waiter.ticket.candidate.credential.id == "b"
