"""Which credential serves next, and what a result does to it. Pure: the caller brings the time.

`now` is monotonic seconds, `wall` seconds since the epoch. A request goes through `order`, then for
each candidate that it tries `usable`, `take`, `signals`, `succeeded` or `failed`, `give_back`. Cooldowns
are of a credential and a scope by the model's name at the upstream, so two routes to one model share
them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from proxy.accounts import memory, report
from proxy.accounts.affinity import FRESH, Bindings, has_choice, key_of
from proxy.accounts.cooldown import (
    ACCOUNT,
    MODEL,
    OVERAGE,
    QUOTA,
    TRIPPED,
    Cooldown,
    Cooldowns,
    Rule,
    backoff,
    model_scope,
    rule_of,
    stumble,
)
from proxy.accounts.places import Places, Ticket
from proxy.accounts.quota import Headers, Ledger, read, relevant
from proxy.accounts.turns import Turns
from proxy.config.model import Candidate, Plan, Target
from proxy.errors import Fault, ProxyError, Retry
from proxy.jsonio import Json

_RESERVED: Final = 10.0
"""Seconds for which a probe is kept for the request that it was given to."""
_FORGOTTEN: Final = 600.0
"""Seconds after which nobody will take it any more."""
_BUSY: Final = 1.0
"""Seconds after which a client may come back where all places are taken and nobody waits."""
_MOST_LABELS: Final = 20_000


class Probe(Struct):
    """The one request that tries a resting credential. `candidate` is a copy of its own, so that its
    result is told from those of requests that began before the cooldown."""

    candidate: Candidate
    until: float
    taken: bool = False


class Pool:
    """The mutable side of all credentials. Outlives reloads: credentials are known by their id."""

    def __init__(self, *, disable_cooling: bool = False) -> None:
        self.disable_cooling = disable_cooling
        self.cooldowns = Cooldowns()
        self.ledger = Ledger()
        self.places = Places()
        self.bindings = Bindings()
        self.labels: dict[str, str] = {}
        self.version = 0
        """Changes with everything that `snapshot` holds."""
        self.in_flight = self.places.counts
        self._turns = Turns(self.ledger)
        self._probes: dict[str, Probe] = {}
        self._resting = self.cooldowns.by

    # What to try

    def targets(self, plan: Plan, *, peek: bool = False) -> tuple[Target, ...]:
        """The plan's targets in this request's order: by weight for `balance`."""
        if plan.policy != "balance" or len(plan.targets) < 2:
            return plan.targets
        return self._turns.targets(plan.model, plan.targets, peek=peek)

    def order(
        self, target: Target, plan: Plan, now: float, session: str = "", *, peek: bool = False
    ) -> list[Candidate]:
        """The candidates to try in turn: a due probe, the session's own, then the other free ones by
        strategy, then suspicious ones, soonest first. Not those that rest firmly or are full.

        With `peek` the answer is the same and nothing moves on: no turn, no probe, no binding.
        """
        candidates = target.candidates
        if self._resting:
            free, suspicious, due = self._sorted(candidates, now)
        else:
            counts = self.in_flight
            free = [
                c
                for c in candidates
                if not c.credential.in_flight
                or counts.get(c.credential.id, 0) < c.credential.in_flight
            ]
            suspicious = due = []
        if len(candidates) > 1 and free:
            free = self._arranged(free, target, plan, now, session, peek=peek)
        if due:
            due = self._probing(due if not free and not suspicious else due[:1], now, peek=peek)
            return due + free + suspicious
        return free + suspicious if suspicious else free

    def tripped(self, plan: Plan, now: float) -> list[Candidate]:
        """Those that stumbled too often, when nobody else is left: better to ask them than nobody, since
        what fails may be the request. Soonest back first."""
        found: list[tuple[float, int, Candidate]] = []
        for candidate in (c for target in plan.targets for c in target.candidates):
            bound = self.cooldowns.binding(candidate.credential.id, candidate.model, now)
            stumbled = bound is not None and bound[1].word == TRIPPED
            if bound is not None and stumbled and not self.places.full(candidate.credential):
                found.append((bound[1].until, len(found), candidate))
        return [candidate for _, _, candidate in sorted(found)]

    def _sorted(
        self, candidates: tuple[Candidate, ...], now: float
    ) -> tuple[list[Candidate], list[Candidate], list[Candidate]]:
        """Free ones, suspicious ones by the end of their cooldown, and those due for a probe."""
        free: list[Candidate] = []
        due: list[Candidate] = []
        resting: list[tuple[float, int, Candidate]] = []
        known, full, binding = self._resting, self.places.full, self.cooldowns.binding
        for place, candidate in enumerate(candidates):
            credential = candidate.credential
            if credential.in_flight and full(credential):
                continue
            if credential.id not in known:
                free.append(candidate)
                continue
            bound = binding(credential.id, candidate.model, now)
            if bound is None:
                free.append(candidate)
            elif not bound[1].firm:
                resting.append((bound[1].until, place, candidate))
            elif self._due(candidate, now):
                due.append(candidate)
        resting.sort()
        return free, [candidate for _, _, candidate in resting], due

    def _due(self, candidate: Candidate, now: float) -> bool:
        probe = self._probes.get(candidate.credential.id)
        if probe is not None and (probe.taken or probe.until > now):
            return False
        return self.cooldowns.due(candidate.credential.id, candidate.model, now)

    def _probing(self, due: list[Candidate], now: float, *, peek: bool) -> list[Candidate]:
        first = {candidate.credential.id: candidate for candidate in reversed(due)}
        if peek:
            return [candidate for candidate in due if first[candidate.credential.id] is candidate]
        probes = [Probe(replace(c), now + _RESERVED) for c in due if first[c.credential.id] is c]
        # Those that nobody took go some time: their credentials may be gone since.
        kept = {
            key: probe
            for key, probe in self._probes.items()
            if probe.taken or probe.until + _FORGOTTEN > now
        }
        self._probes = kept | {probe.candidate.credential.id: probe for probe in probes}
        return [probe.candidate for probe in probes]

    def _arranged(
        self,
        free: list[Candidate],
        target: Target,
        plan: Plan,
        now: float,
        session: str,
        *,
        peek: bool,
    ) -> list[Candidate]:
        """Free ones by strategy, the session's own first."""
        if not session or plan.sticky == "none":
            return self._by_strategy(free, target, plan, now, peek=peek)
        key = key_of(session, plan.model)
        bound = "" if session.startswith(FRESH) else self.bindings.get(key, now)
        for place, candidate in enumerate(free if bound else ()):
            if candidate.credential.id == bound:
                return [*free[place:], *free[:place]]
        free = self._by_strategy(free, target, plan, now, peek=peek)
        if not peek and (not bound or self._lost(bound, target, now)):
            self.bindings.put(key, free[0].credential.id, now)
        return free

    def _lost(self, bound: str, target: Target, now: float) -> bool:
        """Whether a session's credential rests, and is not just full for the moment."""
        return any(
            c.credential.id == bound and self.cooldowns.binding(bound, c.model, now) is not None
            for c in target.candidates
        )

    def _by_strategy(
        self, free: list[Candidate], target: Target, plan: Plan, now: float, *, peek: bool
    ) -> list[Candidate]:
        if len(target.candidates) < 2 or not free or plan.strategy == "fill-first":
            return free
        key = (target.upstream, plan.model)
        if plan.strategy == "weighted":
            return self._turns.weighted(key, free, peek=peek)
        free = self._turns.rotated(key, target.candidates, free, peek=peek)
        if plan.strategy == "most-remaining":
            return self._turns.by_room(free, now)
        if plan.strategy == "soonest-reset":
            return self._turns.by_reset(free, now)
        return free

    def usable(self, candidate: Candidate, now: float) -> bool:
        """Whether what `order` said a while ago still holds: asked before each `take`."""
        credential = candidate.credential
        if self.places.full(credential) and not self.places.held(candidate):
            return False
        if not self._resting or not self.cooldowns.firm(credential.id, candidate.model, now):
            return True
        probe = self._probes.get(credential.id)
        return probe is not None and probe.candidate is candidate and not probe.taken

    # What became of it

    def take(self, candidate: Candidate) -> None:
        """A request is sent with this credential."""
        self.places.take(candidate)
        if self._probes:
            probe = self._probe(candidate)
            if probe is not None:
                probe.taken = True

    def give_back(self, candidate: Candidate) -> None:
        """That request is over, however it ended; the place goes to the first who waits for it."""
        if self._probes and self._probe(candidate) is not None:
            del self._probes[candidate.credential.id]
        self.places.give_back(candidate)

    def _probe(self, candidate: Candidate) -> Probe | None:
        probe = self._probes.get(candidate.credential.id)
        return probe if probe is not None and probe.candidate is candidate else None

    def succeeded(self, candidate: Candidate, plan: Plan, now: float, session: str = "") -> None:
        """Clears what stood against the credential for this model; the session stays with it."""
        credential = candidate.credential.id
        if self._resting and credential in self._resting:
            probe = self._probe(candidate) is not None
            if self.cooldowns.recover(credential, candidate.model, now, probe=probe):
                self.version += 1
        if session and plan.sticky != "none" and has_choice(plan):
            self._bind(credential, plan, now, session)

    def _bind(self, credential: str, plan: Plan, now: float, session: str) -> None:
        """The session's credential; one that was only full keeps its sessions."""
        key = key_of(session, plan.model)
        bound = self.bindings.get(key, now)
        if bound and bound != credential and not session.startswith(FRESH):
            for target in plan.targets:
                names = {c.credential.id for c in target.candidates}
                if bound in names and credential in names:
                    return
        self.bindings.put(key, credential, now)
        self.version += 1

    def failed(
        self, candidate: Candidate, plan: Plan, error: ProxyError, now: float, session: str = ""
    ) -> None:
        """Sets the cooldown that the error asks for, if any; the session moves on."""
        credential = candidate.credential
        probe = self._probe(candidate) is not None
        if error.fault is not Fault.UPSTREAM or error.retry is Retry.NEVER:
            if probe:
                self.cooldowns.postpone(credential.id, candidate.model, now, failed=False)
            return
        if session:
            self.bindings.drop(key_of(session, plan.model), credential.id)
        rule = rule_of(error)
        if rule is not None:
            self._rest(candidate, rule, error, now, probe=probe)
        if probe:
            self.cooldowns.postpone(credential.id, candidate.model, now, failed=True)

    def _rest(
        self, candidate: Candidate, rule: Rule, error: ProxyError, now: float, *, probe: bool
    ) -> None:
        credential = candidate.credential.id
        hint = error.retry_after
        scope = model_scope(candidate.model) if rule.scope == MODEL else rule.scope
        if not rule.firm:
            old = self.cooldowns.find(credential, scope, now)
            goes_on = old is not None and old.firm and old.until > now
            if old is not None and goes_on and not (probe and old.word == TRIPPED):
                return
            rest = stumble(old, rule, now, hint or 0.0)
        elif rule.word == QUOTA:
            scope, rest = self._quota(candidate, rule, scope, hint, now, probe=probe)
        else:
            rest = Cooldown(now + (rule.seconds if hint is None else hint), rule.word, firm=True)
        self._put(candidate, scope, rest, now)

    def _quota(
        self,
        candidate: Candidate,
        rule: Rule,
        scope: str,
        hint: float | None,
        now: float,
        *,
        probe: bool,
    ) -> tuple[str, Cooldown]:
        """How long and how far a 429 reaches: what it says itself, else the window that is used up,
        else a pause that doubles. Requests that fail side by side double it once."""
        credential = candidate.credential.id
        spent = self.ledger.spent(credential, candidate.model, now)
        if spent is not None and rule.scope == MODEL:
            scope = spent.scope
        old = self.cooldowns.find(credential, scope, now)
        level = old.level if old is not None and old.word == QUOTA else 0
        if hint is None and spent is not None and spent.dated:
            hint = spent.resets_at - now
        if hint is not None:
            return scope, Cooldown(now + hint, QUOTA, firm=True, level=level)
        if level and old is not None and old.until > now and not probe:
            return scope, Cooldown(old.until, QUOTA, firm=True, level=level)
        pause = 0.0 if self.disable_cooling else max(rule.seconds, backoff(level))
        return scope, Cooldown(now + pause, QUOTA, firm=True, level=level + 1)

    def _put(self, candidate: Candidate, scope: str, rest: Cooldown, now: float) -> None:
        credential = candidate.credential
        self.cooldowns.put(credential.id, scope, rest, now)
        self._know(candidate)
        if rest.firm and self.places.waiting(credential.id):
            self.places.dismiss(
                credential.id, lambda c: self.cooldowns.firm(c.credential.id, c.model, now)
            )

    def _know(self, candidate: Candidate) -> None:
        credential = candidate.credential
        self.labels[credential.id] = credential.label
        if len(self.labels) > _MOST_LABELS:
            del self.labels[next(iter(self.labels))]
        self.version += 1

    def signals(self, candidate: Candidate, headers: Headers, now: float, wall: float) -> None:
        """Quota headers of any reply, told before its result."""
        credential = candidate.credential
        told = relevant(headers, credential.wire)
        if not told:
            return
        self._know(candidate)
        if credential.overage == "allow" and credential.id not in self._resting:
            self.ledger.offer(credential.id, told, candidate.model, now, wall)
            return
        found = read(told, candidate.model, now, wall)
        self.ledger.put(credential.id, found.windows)
        if found.overage_until is not None and credential.overage == "never":
            self._probes.pop(credential.id, None)
            rest = Cooldown(found.overage_until, OVERAGE, firm=True)
            self._put(candidate, ACCOUNT, rest, now)
        elif credential.id in self._resting:
            for scope in {window.scope for window in found.windows}:
                if self.ledger.has_room(credential.id, scope, now):
                    self.cooldowns.hurry(credential.id, scope, now)

    def changed(self, credential: str) -> None:
        """The credential's file changed: whatever stands against it is due for a probe now."""
        self.cooldowns.changed(credential)
        self.version += 1

    # When nothing can be tried

    def wait(self, plan: Plan, now: float) -> float | None:
        """Seconds until the first resting credential of the plan is tried again; None if none rests."""
        ends = [
            bound[1].until
            if not bound[1].firm
            else self.cooldowns.back_at(c.credential.id, c.model, now)
            for c, bound in self._bound(plan, now)
        ]
        return max(min(ends) - now, 0.0) if ends else None

    def _bound(self, plan: Plan, now: float) -> list[tuple[Candidate, tuple[str, Cooldown]]]:
        found = []
        for target in plan.targets if self._resting else ():
            for candidate in target.candidates:
                bound = self.cooldowns.binding(candidate.credential.id, candidate.model, now)
                if bound is not None:
                    found.append((candidate, bound))
        return found

    def exhausted(self, plan: Plan, now: float) -> ProxyError:
        """Why no credential of the plan could even be tried."""
        resting = self._bound(plan, now)
        words = {bound[1].word for _, bound in resting}
        everyone = [c for target in plan.targets for c in target.candidates]
        firm = {id(c) for c, bound in resting if bound[1].firm}
        busy = [c for c in everyone if id(c) not in firm and self.places.full(c.credential)]
        seconds = self.wait(plan, now)
        if busy:
            rooms = [self.places.room_at(c.credential.id) for c in busy]
            ends = [max(room - now, _BUSY) for room in rooms if room is not None]
            return _upstream(
                f"All places for model {plan.asked} are taken and its queues are full",
                429,
                "too_many_requests",
                min(ends, default=_BUSY),
            )
        seconds = None if seconds is None else max(seconds, _BUSY)
        if words and words <= {QUOTA, OVERAGE}:
            name = plan.targets[0].upstream
            return _upstream(
                f"All credentials for model {plan.asked} are cooling down via provider {name}",
                429,
                "model_cooldown",
                seconds,
            )
        reasons = ", ".join(sorted(words)) or "none is configured"
        return _upstream(
            f"auth_unavailable: no credential for model {plan.asked} is usable now ({reasons})",
            503,
            "auth_unavailable",
            seconds,
        )

    def enqueue(
        self,
        plan: Plan,
        now: float,
        wake: Callable[[], None],
        spent: Collection[tuple[str, str]] = (),
    ) -> Ticket | None:
        """Waits for a place at any credential of the plan that does not rest; None if there is nothing
        to wait for. `spent`: what this request tried already, by credential and model.

        `wake` is called once: with a place in `ticket.candidate` (at once if one is free by now), to be
        used like a candidate of `order`, or with none where the credential went to rest meanwhile.
        `leave` must follow.
        """
        waiting = [
            candidate
            for target in plan.targets
            for candidate in target.candidates
            if (candidate.credential.id, candidate.model) not in spent
            and not self.cooldowns.firm(candidate.credential.id, candidate.model, now)
        ]
        return self.places.enqueue(waiting, now, wake) if waiting else None

    def leave(self, ticket: Ticket) -> None:
        """The waiting is over, however it ended. A place that was given and not taken goes on."""
        self.places.leave(ticket)

    # What others may see

    def verdicts(self, plan: Plan, now: float, session: str = "") -> list[report.Verdict]:
        """What this pool would do with every candidate of the plan, in the order of trying."""
        return report.verdicts(self, plan, now, session)

    def view(self, now: float) -> tuple[report.AccountState, ...]:
        """Every credential that something is known of."""
        return report.view(self, now)

    def snapshot(self, now: float, wall: float) -> Json:
        """What outlives a restart."""
        return memory.snapshot(self.cooldowns, self.ledger, self.bindings, self.labels, now, wall)

    def restore(self, data: Json, now: float, wall: float) -> None:
        """Takes a snapshot back. Raises ValueError if it is none, and is then as before."""
        memory.restore(self.cooldowns, self.ledger, self.bindings, self.labels, data, now, wall)


def _upstream(message: str, status: int, kind: str, seconds: float | None) -> ProxyError:
    return ProxyError(
        message,
        fault=Fault.UPSTREAM,
        status=status,
        kind=kind,
        retry=Retry.CREDENTIAL,
        retry_after=seconds,
    )
