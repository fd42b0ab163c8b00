"""What `explain`, `accounts` and `status` show of the pool. It decides nothing: verdicts come from the
very `order` that requests use, asked not to move on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

from proxy.accounts.affinity import FRESH, key_of
from proxy.config.model import Candidate, Plan, Target

if TYPE_CHECKING:
    from proxy.accounts.pool import Pool

State: TypeAlias = Literal["chosen", "next", "suspicious", "probe due", "at limit", "cooling"]


class Verdict(Struct, frozen=True, kw_only=True):
    """`position`: 1 = tried first, 0 = not tried. `seconds`: until it is tried again, `until`: until its
    cooldown ends. `bound`: the session belongs to it."""

    upstream: str
    credential: str
    label: str
    model: str
    state: State
    position: int = 0
    word: str = ""
    scope: str = ""
    until: float = 0.0
    seconds: float = 0.0
    bound: bool = False

    @property
    def text(self) -> str:
        """One phrase for a person."""
        if self.state == "cooling":
            return (
                f"cooling for {self.until:.0f}s because {self.word} ({self.scope}), "
                f"next try in {self.seconds:.0f}s"
            )
        if self.state in ("suspicious", "probe due"):
            return f"{self.state}: {self.word} ({self.scope}), {self.until:.0f}s left"
        return f"{self.state}, bound to this session" if self.bound else self.state


class WindowState(Struct, frozen=True, kw_only=True):
    """One quota window. `seconds`: until it starts anew, None where the upstream does not say."""

    name: str
    scope: str
    used: float
    seconds: float | None


class CooldownState(Struct, frozen=True, kw_only=True):
    """One cooldown; seconds from now. `probe`: until it may be tried anyway, None = not before its end."""

    scope: str
    word: str
    firm: bool
    until: float
    probe: float | None


class AccountState(Struct, frozen=True, kw_only=True):
    """What is known of one credential."""

    credential: str
    label: str
    in_flight: int
    waiting: int
    cooldowns: tuple[CooldownState, ...]
    windows: tuple[WindowState, ...]


def verdicts(pool: Pool, plan: Plan, now: float, session: str) -> list[Verdict]:
    """Every candidate of the plan, those that would be tried first and in that order."""
    tried: list[Verdict] = []
    others: list[Verdict] = []
    key = key_of(session, plan.model)
    sticky = session and plan.sticky != "none" and not session.startswith(FRESH)
    bound = pool.bindings.get(key, now) if sticky else ""
    for target in pool.targets(plan, peek=True):
        order = pool.order(target, plan, now, session, peek=True)
        for candidate in order:
            position = len(tried) + 1
            tried.append(_verdict(pool, candidate, target, now, bound, position))
        left = [c for c in target.candidates if all(c is not other for other in order)]
        others += [_verdict(pool, candidate, target, now, bound, 0) for candidate in left]
    return tried + others if tried else _last_resort(pool, plan, now, bound, others)


def _last_resort(
    pool: Pool, plan: Plan, now: float, bound: str, others: list[Verdict]
) -> list[Verdict]:
    """As `others`, but those that are asked when nobody else is left come first, unless the request waits
    for a place."""
    everyone = [c for target in plan.targets for c in target.candidates]
    if any(
        pool.places.can_wait(c.credential)
        and not pool.cooldowns.firm(c.credential.id, c.model, now)
        for c in everyone
    ):
        return others
    chosen = pool.tripped(plan, now)
    ids = {id(candidate) for candidate in chosen}
    of = {id(c): target for target in plan.targets for c in target.candidates}
    return [
        _verdict(pool, candidate, of[id(candidate)], now, bound, position)
        for position, candidate in enumerate(chosen, 1)
    ] + [
        _verdict(pool, c, target, now, bound, 0)
        for target in plan.targets
        for c in target.candidates
        if id(c) not in ids
    ]


def _verdict(
    pool: Pool, candidate: Candidate, target: Target, now: float, bound: str, position: int
) -> Verdict:
    credential = candidate.credential
    found = pool.cooldowns.binding(credential.id, candidate.model, now)
    state: State
    if position == 1:
        state = "chosen"
    elif found is not None and found[1].firm:
        state = "probe due" if position else "cooling"
    elif not position:
        state = "at limit"
    else:
        state = "next" if found is None else "suspicious"
    back = pool.cooldowns.back_at(credential.id, candidate.model, now)
    return Verdict(
        upstream=target.upstream,
        credential=credential.id,
        label=credential.label,
        model=candidate.model,
        state=state,
        position=position,
        word=found[1].word if found is not None else "",
        scope=found[0] if found is not None else "",
        until=found[1].until - now if found is not None else 0.0,
        seconds=max(back - now, 0.0),
        bound=credential.id == bound,
    )


def view(pool: Pool, now: float) -> tuple[AccountState, ...]:
    """Every credential with a request in flight, a cooldown or a known window, by id."""
    names = {*pool.in_flight, *pool.cooldowns.by, *pool.ledger.names()}
    return tuple(
        AccountState(
            credential=name,
            label=pool.labels.get(name, ""),
            in_flight=pool.in_flight.get(name, 0),
            waiting=pool.places.waiting(name),
            cooldowns=tuple(
                CooldownState(
                    scope=scope,
                    word=rest.word,
                    firm=rest.firm,
                    until=rest.until - now,
                    probe=max(rest.probe_at - now, 0.0) if rest.probe_at < rest.until else None,
                )
                for scope, rest in pool.cooldowns.by.get(name, {}).items()
                if rest.until > now
            ),
            windows=tuple(
                WindowState(
                    name=window.name,
                    scope=window.scope,
                    used=window.used,
                    seconds=window.resets_at - now if window.dated else None,
                )
                for window in pool.ledger.windows(name, now)
            ),
        )
        for name in sorted(names)
    )
