"""Which credential serves next, and what a result does to it. Pure: the caller brings the time.

State is kept per (credential id, routed model) and per rotation; both maps are bounded, since a
prefix route with `any-model` lets clients make up names.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from proxy.accounts.cooldown import QUOTA, RULES, backoff
from proxy.config.model import Candidate, Plan, Target
from proxy.errors import Fault, ProxyError, Retry
from proxy.net.api import Headers

_MOST_STATES: Final = 20_000
_MOST_CURSORS: Final = 20_000


class Cooldown(Struct):
    """Until when (monotonic seconds) a credential rests for a model, why, and how often in a row."""

    until: float
    word: str
    firm: bool
    level: int = 0


class Ticket(Struct):
    """One request that waits for a place; `candidate` is set before `wake` is called."""

    deadline: float
    candidate: Candidate | None = None


class Pool:
    """The mutable side of all credentials of one table."""

    def __init__(self, *, disable_cooling: bool = False) -> None:
        self._cooldowns: OrderedDict[tuple[str, str], Cooldown] = OrderedDict()
        self._cursors: OrderedDict[tuple[str, str], int] = OrderedDict()
        self.disable_cooling = disable_cooling
        self.in_flight: dict[str, int] = {}

    def targets(self, plan: Plan) -> tuple[Target, ...]:
        """The plan's targets in this request's order: rotated by one per request for `balance`."""
        if plan.policy != "balance" or len(plan.targets) < 2:
            return plan.targets
        start = self._turn(("", plan.model)) % len(plan.targets)
        return plan.targets[start:] + plan.targets[:start]

    def order(
        self,
        target: Target,
        plan: Plan,
        now: float,
        session: str = "",  # noqa: ARG002  # affinity
    ) -> list[Candidate]:
        """The candidates to try in turn: free ones by strategy, then suspicious ones, soonest first."""
        candidates = target.candidates
        if plan.strategy == "round-robin" and len(candidates) > 1:
            free = self._rotated(target, plan.model, now)
        else:
            free = [c for c in candidates if not self._resting(c, plan.model, now)]
        if self._cooldowns and len(free) < len(candidates):
            free += self._suspicious(candidates, plan.model, now)
        return free

    def _rotated(self, target: Target, model: str, now: float) -> list[Candidate]:
        free = [c for c in target.candidates if not self._resting(c, model, now)]
        if len(free) < 2:
            return free
        start = self._turn((target.upstream, model)) % len(free)
        return free[start:] + free[:start]

    def _suspicious(
        self, candidates: tuple[Candidate, ...], model: str, now: float
    ) -> list[Candidate]:
        resting: list[tuple[float, Candidate]] = []
        for candidate in candidates:
            state = self._cooldowns.get((candidate.credential.id, model))
            if state is not None and state.until > now and not state.firm:
                resting.append((state.until, candidate))
        resting.sort(key=lambda pair: pair[0])
        return [candidate for _, candidate in resting]

    def _resting(self, candidate: Candidate, model: str, now: float) -> bool:
        credential = candidate.credential
        limit = credential.in_flight
        if limit and self.in_flight.get(credential.id, 0) >= limit:
            return True
        state = self._cooldowns.get((credential.id, model))
        return state is not None and state.until > now

    def _turn(self, key: tuple[str, str]) -> int:
        cursor = self._cursors.get(key, 0)
        self._cursors[key] = cursor + 1
        if len(self._cursors) > _MOST_CURSORS:
            self._cursors.popitem(last=False)
        return cursor

    def take(self, candidate: Candidate) -> None:
        """A request is sent with this credential."""
        key = candidate.credential.id
        self.in_flight[key] = self.in_flight.get(key, 0) + 1

    def give_back(self, candidate: Candidate) -> None:
        """That request is over, however it ended."""
        key = candidate.credential.id
        count = self.in_flight[key] - 1
        if count:
            self.in_flight[key] = count
        else:
            del self.in_flight[key]

    def succeeded(self, candidate: Candidate, plan: Plan, now: float, session: str = "") -> None:  # noqa: ARG002
        """Clears what stood against the credential for this model."""
        if self._cooldowns:
            self._cooldowns.pop((candidate.credential.id, plan.model), None)

    def signals(self, candidate: Candidate, headers: Headers, now: float, wall: float) -> None:
        """What a reply's headers tell of the credential's quota."""

    def enqueue(self, plan: Plan, now: float, wake: Callable[[], None]) -> Ticket | None:  # noqa: ARG002
        """A place in the queue for a full credential; None if there is none to wait for."""
        return None

    def leave(self, ticket: Ticket) -> None:
        """The waiting is over, however it ended."""

    def failed(
        self,
        candidate: Candidate,
        plan: Plan,
        error: ProxyError,
        now: float,
        session: str = "",  # noqa: ARG002
    ) -> None:
        """Sets the cooldown that the error asks for, if any."""
        if error.fault is not Fault.UPSTREAM or error.retry is Retry.NEVER:
            return
        key = (candidate.credential.id, plan.model)
        old = self._cooldowns.get(key)
        if error.status == 429:
            state = self._quota(old, error, now)
        else:
            rule = RULES.get(error.status)
            if rule is None:
                return
            until = now + max(rule.seconds, 0.0 if rule.firm else error.retry_after or 0.0)
            state = Cooldown(until, rule.word, rule.firm)
        self._cooldowns[key] = state
        self._cooldowns.move_to_end(key)
        if len(self._cooldowns) > _MOST_STATES:
            self._cooldowns.popitem(last=False)

    def _quota(self, old: Cooldown | None, error: ProxyError, now: float) -> Cooldown:
        level = old.level if old is not None and old.word == QUOTA else 0
        if error.retry_after is not None:
            return Cooldown(now + error.retry_after, QUOTA, firm=True, level=level)
        seconds = 0.0 if self.disable_cooling else backoff(level)
        return Cooldown(now + seconds, QUOTA, firm=True, level=level + 1)

    def wait(self, plan: Plan, now: float) -> float | None:
        """Seconds until the first resting credential of the plan is free; None if none rests."""
        ends = [state.until for state in self._states(plan) if state.until > now]
        return min(ends) - now if ends else None

    def exhausted(self, plan: Plan, now: float) -> ProxyError:
        """Why no credential of the plan could even be tried."""
        states = [state for state in self._states(plan) if state.until > now]
        seconds = self.wait(plan, now)
        if states and all(state.word == QUOTA for state in states):
            name = plan.targets[0].upstream
            return ProxyError(
                f"All credentials for model {plan.asked} are cooling down via provider {name}",
                fault=Fault.UPSTREAM,
                status=429,
                kind="model_cooldown",
                retry_after=seconds,
            )
        words = ", ".join(sorted({state.word for state in states})) or "every slot is in use"
        return ProxyError(
            f"auth_unavailable: no credential for model {plan.asked} is usable now ({words})",
            fault=Fault.UPSTREAM,
            status=503,
            kind="auth_unavailable",
            retry_after=seconds,
        )

    def _states(self, plan: Plan) -> list[Cooldown]:
        found = (
            self._cooldowns.get((candidate.credential.id, plan.model))
            for target in plan.targets
            for candidate in target.candidates
        )
        return [state for state in found if state is not None]
