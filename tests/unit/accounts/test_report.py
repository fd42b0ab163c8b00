"""What `explain` and `accounts` see: the same decision that requests get."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.accounts.pool import Pool
from proxy.config.model import Candidate, Plan, Target
from tests.pools import WALL, candidate, failure, plain, plan


def test_every_candidate_has_a_verdict_with_its_reason() -> None:
    pool = Pool()
    each = tuple(candidate(name, in_flight=1) for name in "abcde")
    p = plan(Target(upstream="u", candidates=each), strategy="fill-first")
    pool.failed(each[0], p, failure(429, kind="usage_limit_reached", retry_after=7200.0), 0.0)
    pool.take(each[1])
    pool.failed(each[2], p, failure(503), 50.0)
    pool.failed(each[4], p, failure(401), 50.0)
    pool.bindings.put(("s", "m"), "d", 50.0)
    assert [(v.credential, v.position, v.text) for v in pool.verdicts(p, 61.0, "s")] == [
        ("a", 1, "chosen"),
        ("d", 2, "next, bound to this session"),
        ("c", 3, "suspicious: transient (model:m), 49s left"),
        ("b", 0, "at limit"),
        ("e", 0, "cooling for 1789s because unauthorized (model:m), next try in 49s"),
    ]


def test_the_view_holds_what_is_known() -> None:
    pool, p = Pool(), plain("a", label="work", in_flight=1, queue=2)
    only = p.targets[0].candidates[0]
    pool.take(only)
    pool.enqueue(p, 0.0, lambda: None)
    pool.signals(only, [(b"x-codex-primary-used-percent", b"25")], 0.0, WALL)
    other = plain("a", model="n", label="work")
    pool.failed(other.targets[0].candidates[0], other, failure(404), 0.0)
    (state,) = pool.view(1.0)
    assert (state.credential, state.label, state.in_flight, state.waiting) == ("a", "work", 1, 1)
    assert [(w.name, w.used, w.seconds) for w in state.windows] == [("primary", 0.25, None)]
    (rest,) = state.cooldowns
    assert (rest.scope, rest.word, rest.firm, rest.probe) == ("model:n", "not_found", True, 59.0)


ERRORS = st.sampled_from(
    [
        failure(401),
        failure(404),
        failure(429),
        failure(429, retry_after=300.0),
        failure(429, kind="usage_limit_reached"),
        failure(503),
    ]
)
STRATEGIES = ["round-robin", "fill-first", "weighted", "most-remaining", "soonest-reset"]
STEP = st.tuples(
    st.integers(0, 5),
    st.one_of(st.none(), ERRORS),
    st.floats(0, 90),
    st.sampled_from(["", "s", "t"]),
)


def world(strategy: str, policy: str) -> Plan:
    def some(*names: str) -> tuple[Candidate, ...]:
        return tuple(candidate(n, weight=i + 1, in_flight=i) for i, n in enumerate(names))

    targets = (
        Target(upstream="u", candidates=some("a", "b", "c")),
        Target(upstream="v", candidates=some("d", "e", "f")),
    )
    return plan(*targets, strategy=strategy, policy=policy)


@settings(max_examples=300, deadline=None)
@given(
    strategy=st.sampled_from(STRATEGIES),
    policy=st.sampled_from(["failover", "balance"]),
    steps=st.lists(STEP, max_size=25),
)
def test_the_verdicts_are_what_the_next_request_gets(
    strategy: str, policy: str, steps: list
) -> None:
    pool, now = Pool(), 0.0
    p = world(strategy, policy)
    everyone = [c for t in p.targets for c in t.candidates]
    busy: list[Candidate] = []
    for which, error, seconds, session in steps:
        now += seconds
        verdicts = pool.verdicts(p, now, session)
        assert verdicts == pool.verdicts(p, now, session)
        order = [c.credential.id for t in pool.targets(p) for c in pool.order(t, p, now, session)]
        said = [v.credential for v in verdicts if v.position]
        assert said == order
        assert sorted(v.credential for v in verdicts) == list("abcdef")
        chosen = everyone[which]
        if error is None:
            pool.take(chosen)
            busy.append(chosen)
            pool.succeeded(chosen, p, now, session)
        else:
            pool.failed(chosen, p, error, now, session)
            if busy:
                pool.give_back(busy.pop())
