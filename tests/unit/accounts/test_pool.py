"""The pool: rotation, cooldowns, what is left when all rest."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from proxy.accounts.pool import Pool
from proxy.config.model import Candidate, Credential, Plan, Target
from proxy.errors import Fault, ProxyError, Retry


def candidate(name: str, **more: object) -> Candidate:
    credential = Credential(
        id=name, provider="openai-compat", wire="chat", base_url="http://127.0.0.1:1", **more
    )
    return Candidate(credential=credential, model="m")


def plan(*targets: Target, **more: object) -> Plan:
    return Plan(asked="m", model="m", targets=targets, **more)


def target(name: str, *ids: str) -> Target:
    return Target(upstream=name, candidates=tuple(candidate(i) for i in ids))


def failure(status: int, **more: object) -> ProxyError:
    more = {"retry": Retry.CREDENTIAL} | more
    return ProxyError("x", fault=Fault.UPSTREAM, status=status, **more)


def ids(pool: Pool, the_plan: Plan, now: float = 0.0) -> list[str]:
    return [c.credential.id for c in pool.order(the_plan.targets[0], the_plan, now)]


def test_round_robin_starts_one_further_each_time() -> None:
    pool, p = Pool(), plan(target("u", "a", "b", "c"))
    assert [ids(pool, p)[0] for _ in range(4)] == ["a", "b", "c", "a"]


def test_fill_first_keeps_the_order() -> None:
    pool, p = Pool(), plan(target("u", "a", "b"), strategy="fill-first")
    assert [ids(pool, p) for _ in range(2)] == [["a", "b"], ["a", "b"]]


def test_balance_rotates_targets_and_failover_does_not() -> None:
    pool = Pool()
    both = (target("u", "a"), target("v", "b"))
    balanced = plan(*both, policy="balance")
    assert [pool.targets(balanced)[0].upstream for _ in range(3)] == ["u", "v", "u"]
    assert [pool.targets(plan(*both))[0].upstream for _ in range(3)] == ["u", "u", "u"]


@pytest.mark.parametrize(
    ("status", "seconds"), [(401, 1800), (402, 1800), (403, 1800), (404, 43200)]
)
def test_firm_cooldowns_last_as_the_table_says(status: int, seconds: int) -> None:
    pool, p = Pool(), plan(target("u", "a"))
    pool.failed(p.targets[0].candidates[0], p, failure(status), now=0.0)
    assert ids(pool, p, seconds - 1) == []
    assert ids(pool, p, seconds + 1) == ["a"]


def test_a_stumble_only_puts_a_credential_last() -> None:
    pool, p = Pool(), plan(target("u", "a", "b"), strategy="fill-first")
    pool.failed(p.targets[0].candidates[0], p, failure(500), now=0.0)
    assert ids(pool, p, 1.0) == ["b", "a"]
    assert ids(pool, p, 61.0) == ["a", "b"]


def test_quota_backs_off_doubling_and_honours_a_hint() -> None:
    pool, p = Pool(), plan(target("u", "a"))
    only = p.targets[0].candidates[0]
    for expected in (1.0, 2.0, 4.0):
        pool.failed(only, p, failure(429), now=100.0)
        assert pool.wait(p, 100.0) == expected
    pool.failed(only, p, failure(429, retry_after=77.0), now=100.0)
    assert pool.wait(p, 100.0) == 77.0
    pool.succeeded(only, p, 0.0)
    assert pool.wait(p, 100.0) is None


def test_disable_cooling_switches_the_quota_backoff_off_only() -> None:
    pool, p = Pool(disable_cooling=True), plan(target("u", "a"))
    only = p.targets[0].candidates[0]
    pool.failed(only, p, failure(429), now=0.0)
    assert ids(pool, p, 0.0) == ["a"]
    pool.failed(only, p, failure(401), now=0.0)
    assert ids(pool, p, 1.0) == []


def test_a_clients_mistake_costs_the_credential_nothing() -> None:
    pool, p = Pool(), plan(target("u", "a"))
    pool.failed(p.targets[0].candidates[0], p, failure(400, retry=Retry.NEVER), now=0.0)
    assert ids(pool, p) == ["a"]


def test_exhausted_tells_quota_from_the_rest() -> None:
    pool, p = Pool(), plan(target("u", "a", "b"))
    first, second = p.targets[0].candidates
    pool.failed(first, p, failure(429, retry_after=9.0), now=0.0)
    pool.failed(second, p, failure(429, retry_after=5.0), now=0.0)
    error = pool.exhausted(p, 1.0)
    assert (error.status, error.kind, error.retry_after) == (429, "model_cooldown", 4.0)
    pool.failed(first, p, failure(401), now=0.0)
    assert (pool.exhausted(p, 1.0).status, pool.exhausted(p, 1.0).kind) == (503, "auth_unavailable")


def test_in_flight_limit_holds_a_credential_back() -> None:
    pool = Pool()
    limited = candidate("a", in_flight=1)
    p = plan(Target(upstream="u", candidates=(limited,)))
    pool.take(limited)
    assert ids(pool, p) == []
    pool.give_back(limited)
    assert ids(pool, p) == ["a"]
    assert pool.in_flight == {}


def test_made_up_models_do_not_grow_the_state() -> None:
    pool, p = Pool(), plan(target("u", "a"))
    for number in range(25_000):
        made_up = msgspec.structs.replace(p, model=f"m{number}")
        pool.failed(p.targets[0].candidates[0], made_up, failure(500), now=0.0)
    assert len(pool._cooldowns) <= 20_000


class Machine(RuleBasedStateMachine):
    """Never a credential under a firm cooldown; in-flight counts return to nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = Pool()
        self.plan = plan(target("u", "a", "b", "c"))
        self.now = 0.0
        self.firm: dict[str, float] = {}
        self.taken: list[Candidate] = []

    @rule(seconds=st.floats(0, 4000))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(which=st.integers(0, 2), status=st.sampled_from([401, 403, 429, 500, 503]))
    def fail(self, which: int, status: int) -> None:
        chosen = self.plan.targets[0].candidates[which]
        self.pool.failed(chosen, self.plan, failure(status), self.now)
        if status in (401, 403):
            self.firm[chosen.credential.id] = self.now + 1800
        else:
            self.firm.pop(chosen.credential.id, None)

    @rule(which=st.integers(0, 2))
    def succeed(self, which: int) -> None:
        chosen = self.plan.targets[0].candidates[which]
        self.pool.succeeded(chosen, self.plan, self.now)
        self.firm.pop(chosen.credential.id, None)

    @rule()
    def take(self) -> None:
        order = self.pool.order(self.plan.targets[0], self.plan, self.now)
        if order:
            self.pool.take(order[0])
            self.taken.append(order[0])

    @rule()
    def give_back(self) -> None:
        if self.taken:
            self.pool.give_back(self.taken.pop())

    @invariant()
    def never_a_resting_one(self) -> None:
        order = self.pool.order(self.plan.targets[0], self.plan, self.now)
        names = [c.credential.id for c in order]
        assert len(set(names)) == len(names)
        assert not [name for name in names if self.firm.get(name, 0.0) > self.now]

    @invariant()
    def counts_add_up(self) -> None:
        assert sum(self.pool.in_flight.values()) == len(self.taken)


TestPoolMachine = Machine.TestCase
TestPoolMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
