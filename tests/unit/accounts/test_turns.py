"""The strategies."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.accounts.pool import Pool
from proxy.config.model import Plan, Target
from tests.pools import WALL, candidate, failure, ids, plain, plan, target


def weighed(**weights: int) -> Plan:
    each = tuple(candidate(name, weight=weight) for name, weight in weights.items())
    return plan(Target(upstream="u", candidates=each), strategy="weighted")


def test_weighted_is_spread_evenly_and_exact() -> None:
    pool, p = Pool(), weighed(a=5, b=1, c=1)
    firsts = "".join(ids(pool, p)[0] for _ in range(14))
    assert firsts[:7] == firsts[7:]
    assert Counter(firsts[:7]) == {"a": 5, "b": 1, "c": 1}
    assert "aaaaa" not in firsts


def test_weighted_goes_on_without_one_that_rests() -> None:
    pool, p = Pool(), weighed(a=2, b=1, c=1)
    pool.failed(p.targets[0].candidates[0], p, failure(401), 0.0)
    assert Counter(ids(pool, p, 1.0)[0] for _ in range(10)) == {"b": 5, "c": 5}


@given(
    count=st.integers(1, 6),
    resting=st.sets(st.integers(0, 5)),
    rounds=st.integers(1, 40),
)
def test_round_robin_is_fair_within_one(count: int, resting: set[int], rounds: int) -> None:
    names = [f"k{i}" for i in range(count)]
    pool, p = Pool(), plain(*names)
    for which in resting:
        if which < count:
            pool.failed(p.targets[0].candidates[which], p, failure(401), 0.0)
    free = [name for place, name in enumerate(names) if place not in resting]
    served = Counter(dict.fromkeys(free, 0))
    for _ in range(rounds if free else 0):
        served[ids(pool, p, 1.0)[0]] += 1
    assert not free or max(served.values()) - min(served.values()) <= 1


def test_balance_spreads_targets_by_weight_and_failover_does_not() -> None:
    pool = Pool()
    both = (target("u", "a"), target("v", "b"))
    balanced = plan(*both, policy="balance")
    assert [pool.targets(balanced)[0].upstream for _ in range(3)] == ["u", "v", "u"]
    assert [pool.targets(plan(*both))[0].upstream for _ in range(3)] == ["u", "u", "u"]
    uneven = plan(target("u", "a", "b", "c"), target("v", "d"), policy="balance", model="n")
    firsts = [pool.targets(uneven) for _ in range(8)]
    assert Counter(order[0].upstream for order in firsts) == {"u": 6, "v": 2}
    assert all(len(order) == 2 for order in firsts)


def told(pool: Pool, p: Plan, which: int, used: str, reset: str) -> None:
    fields = [
        (b"x-codex-secondary-used-percent", used.encode()),
        (b"x-codex-secondary-reset-after-seconds", reset.encode()),
    ]
    pool.signals(p.targets[0].candidates[which], fields, 0.0, WALL)


def test_most_remaining_picks_the_emptiest_and_unknown_is_half() -> None:
    pool, p = Pool(), plain("a", "b", "c", strategy="most-remaining")
    told(pool, p, 0, "52", "1000")
    told(pool, p, 2, "12", "1000")
    assert ids(pool, p, 1.0) == ["c", "b", "a"]
    assert ids(pool, p, 1001.0)[0] in "abc"


def test_most_remaining_takes_turns_among_equals() -> None:
    pool, p = Pool(), plain("a", "b", "c", strategy="most-remaining")
    assert [ids(pool, p)[0] for _ in range(4)] == ["a", "b", "c", "a"]


def test_soonest_reset_spends_what_would_be_lost_first() -> None:
    pool, p = Pool(), plain("a", "b", "c", "d", strategy="soonest-reset")
    told(pool, p, 0, "10", "86400")
    told(pool, p, 1, "90", "3600")
    told(pool, p, 3, "100", "60")
    assert ids(pool, p, 1.0) == ["b", "a", "c", "d"]


@pytest.mark.parametrize("strategy", ["round-robin", "weighted"])
def test_made_up_names_do_not_grow_the_turns(strategy: str) -> None:
    pool = Pool()
    for number in range(20_010):
        ids(pool, plain("a", "b", model=f"m{number}", strategy=strategy))
    turns = pool._turns
    assert max(len(turns._cursors), len(turns._weights)) == 20_000
