"""The pool as a machine: whatever happens in whatever order, its promises hold."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from proxy.accounts.cooldown import scopes_of
from proxy.accounts.places import Ticket
from proxy.accounts.pool import Pool
from proxy.config.model import Candidate, Plan, Target
from tests.pools import WALL, candidate, failure, plan

ERRORS = [
    failure(401),
    failure(404),
    failure(429),
    failure(429, retry_after=5 * 86400.0),
    failure(429, kind="usage_limit_reached", retry_after=7200.0),
    failure(500),
    failure(503),
]
LIMIT, QUEUE = 2, 3


class Machine(RuleBasedStateMachine):
    """Three accounts with two models each and two places each."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = Pool()
        self.plans = [self.a_plan("m"), self.a_plan("n")]
        self.now = 0.0
        self.running: list[tuple[Candidate, Plan, str, bool]] = []
        self.waiting: list[tuple[Ticket, Plan]] = []
        self.woken: set[int] = set()

    def a_plan(self, model: str) -> Plan:
        each = tuple(
            candidate(n, model, in_flight=LIMIT, queue=QUEUE, queue_wait=60.0) for n in "abc"
        )
        return plan(Target(upstream="u", candidates=each), model=model)

    def firm(self, chosen: Candidate) -> bool:
        """Looked up the long way, in the state itself."""
        rests = self.pool.cooldowns.by.get(chosen.credential.id, {})
        return any(
            rests[scope].firm and rests[scope].until > self.now
            for scope in scopes_of(chosen.model)
            if scope in rests
        )

    def start(self, chosen: Candidate, p: Plan, session: str, *, probe: bool) -> None:
        self.pool.take(chosen)
        self.running.append((chosen, p, session, probe))

    @rule(seconds=st.one_of(st.floats(0, 1000), st.sampled_from([11.0, 61.0])))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds

    @rule(which=st.integers(0, 1), session=st.sampled_from(["", "s", "t"]), skip=st.integers(0, 2))
    def request(self, which: int, session: str, skip: int) -> None:
        p = self.plans[which]
        order = self.pool.order(p.targets[0], p, self.now, session)
        names = [c.credential.id for c in order]
        assert len(set(names)) == len(names)
        for place, chosen in enumerate(order):
            resting = self.firm(chosen)
            if resting:
                probes = [c for c, *_, probe in self.running if probe]
                assert chosen.credential.id not in {c.credential.id for c in probes}
                assert place == 0 or all(self.firm(c) for c in order[:place])
        for chosen in order[skip:]:
            if self.pool.usable(chosen, self.now):
                self.start(chosen, p, session, probe=self.firm(chosen))
                return
        if not order:
            self.pool.exhausted(p, self.now)

    @rule(which=st.integers(0, 1))
    def wait_for_a_place(self, which: int) -> None:
        p = self.plans[which]
        waiter: list[Ticket] = []
        wakes: list[bool] = []

        def wake() -> None:
            wakes.append(True)
            self.woken.update(map(id, waiter))

        ticket = self.pool.enqueue(p, self.now, wake)
        if ticket is None:
            return
        waiter.append(ticket)
        assert bool(wakes) == (ticket.candidate is not None)
        if wakes:
            self.woken.add(id(ticket))
        self.waiting.append((ticket, p))

    @rule(which=st.integers(0, 10), go_on=st.booleans())
    def stop_waiting(self, which: int, go_on: bool) -> None:
        if not self.waiting:
            return
        ticket, p = self.waiting.pop(which % len(self.waiting))
        if ticket.candidate is not None and go_on:
            assert id(ticket) in self.woken
            self.start(ticket.candidate, p, "", probe=False)
        self.pool.leave(ticket)

    @rule(
        which=st.integers(0, 10),
        outcome=st.one_of(st.sampled_from(["answered", "cancelled"]), st.sampled_from(ERRORS)),
    )
    def end(self, which: int, outcome: object) -> None:
        if not self.running:
            return
        chosen, p, session, _ = self.running.pop(which % len(self.running))
        if outcome == "answered":
            self.pool.succeeded(chosen, p, self.now, session)
        elif outcome != "cancelled":
            self.pool.failed(chosen, p, outcome, self.now, session)
        self.pool.give_back(chosen)

    @rule(which=st.integers(0, 2))
    def credential_changes(self, which: int) -> None:
        self.pool.changed("abc"[which])

    @rule()
    def restart(self) -> None:
        if not self.running and not self.waiting:
            data = self.pool.snapshot(self.now, WALL)
            self.pool = Pool()
            self.pool.restore(data, self.now, WALL)

    @invariant()
    def never_more_than_the_limit(self) -> None:
        assert all(count <= LIMIT for count in self.pool.in_flight.values())

    @invariant()
    def places_add_up(self) -> None:
        held = sum(ticket.candidate is not None for ticket, _ in self.waiting)
        assert sum(self.pool.in_flight.values()) == len(self.running) + held

    @invariant()
    def one_probe_per_account(self) -> None:
        probes = [c.credential.id for c, *_, probe in self.running if probe]
        assert len(set(probes)) == len(probes)

    @invariant()
    def nobody_waits_beside_a_free_place(self) -> None:
        for ticket, _ in self.waiting:
            if id(ticket) in self.woken:
                continue
            for name in ticket.wanted:
                assert self.pool.in_flight.get(name, 0) == LIMIT

    @invariant()
    def one_binding_per_session_and_model(self) -> None:
        assert set(self.pool.bindings.by) <= {(s, m) for s in "st" for m in "mn"}
        assert all(name in "abc" for name, _ in self.pool.bindings.by.values())

    def teardown(self) -> None:
        for ticket, _ in self.waiting:
            self.pool.leave(ticket)
        for chosen, *_ in self.running:
            self.pool.give_back(chosen)
        assert self.pool.in_flight == {}
        assert all(s.waiting == 0 for s in self.pool.view(self.now))


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
