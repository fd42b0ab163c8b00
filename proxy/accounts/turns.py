"""Whose turn it is among credentials that are all free: the strategies.

Cursors and weights are kept per upstream and model; both maps are bounded, since a prefix route with
`any-model` lets clients make up names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from proxy.accounts.quota import Ledger
from proxy.config.model import Candidate, Target

Key: TypeAlias = tuple[str, str]

_MOST_KEYS: Final = 20_000


class Turns:
    """The state of rotations. With `peek`, the answer is the same and nothing moves on."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._cursors: dict[Key, int] = {}
        self._weights: dict[Key, dict[str, int]] = {}

    def rotated(
        self, key: Key, everyone: Sequence[Candidate], free: list[Candidate], *, peek: bool = False
    ) -> list[Candidate]:
        """Round-robin: the next free one after the last that was first. The cursor counts through
        all, so one that rests for a while does not shift the turns of the others."""
        count = len(everyone)
        start = self._cursors.get(key, 0) % count
        if len(free) == count:
            first = start
            ordered = free[start:] + free[:start] if start else free
        else:
            places = {id(candidate): place for place, candidate in enumerate(everyone)}
            ordered = sorted(free, key=lambda c: (places[id(c)] - start) % count)
            first = places[id(ordered[0])]
        if not peek:
            self._cursors[key] = first + 1
            _bound(self._cursors)
        return ordered

    def weighted(self, key: Key, free: list[Candidate], *, peek: bool = False) -> list[Candidate]:
        """Smooth weighted round-robin: as often first as its weight says, spread evenly."""
        shares = [(c.credential.id, max(c.credential.weight, 0)) for c in free]
        state = self._turn(key, shares, peek=peek)
        names = sorted(range(len(free)), key=lambda place: -state[shares[place][0]])
        return [free[place] for place in names]

    def _turn(self, key: Key, shares: list[tuple[str, int]], *, peek: bool) -> dict[str, int]:
        """Everybody's credit before the first one pays for its turn."""
        old = self._weights.get(key, {})
        credit = {name: old.get(name, 0) + weight for name, weight in shares}
        if not peek:
            winner = max(credit, key=credit.__getitem__)
            paid = dict(credit)
            paid[winner] -= sum(weight for _, weight in shares)
            self._weights[key] = paid
            _bound(self._weights)
        return credit

    def targets(self, model: str, targets: tuple[Target, ...], *, peek: bool) -> tuple[Target, ...]:
        """Targets spread by weight, their own or their credentials'; the others follow in their order."""
        shares = [
            (
                str(place),
                target.weight or sum(max(c.credential.weight, 0) for c in target.candidates) or 1,
            )
            for place, target in enumerate(targets)
        ]
        credit = self._turn(("", model), shares, peek=peek)
        start = int(max(credit, key=credit.__getitem__))
        return targets[start:] + targets[:start]

    def by_room(self, free: list[Candidate], now: float) -> list[Candidate]:
        """The one with the most quota left first; where nothing is known, half is assumed."""
        room = self._ledger.room
        return sorted(free, key=lambda c: -room(c.credential.id, c.model, now))

    def by_reset(self, free: list[Candidate], now: float) -> list[Candidate]:
        """The one whose longest window starts anew first, then those of which nothing is known, and
        last those with nothing left."""
        reset = self._ledger.reset
        return sorted(free, key=lambda c: reset(c.credential.id, c.model, now))


def _bound(states: dict[Key, int] | dict[Key, dict[str, int]]) -> None:
    if len(states) > _MOST_KEYS:
        del states[next(iter(states))]
