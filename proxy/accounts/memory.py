"""What the pool keeps across a restart, in wall-clock times: cooldowns, windows, bindings.

A restart keeps at most what a probe would confirm: every restored cooldown is due for its probe.
"""

from __future__ import annotations

from math import inf
from typing import Final

import msgspec
from msgspec import Struct

from proxy.accounts.affinity import Bindings
from proxy.accounts.cooldown import ACCOUNT, LONGEST, OVERAGE, Cooldown, Cooldowns
from proxy.accounts.quota import Ledger, Window
from proxy.jsonio import Json

VERSION: Final = 1
_BINDINGS_KEPT: Final = 1000


class SavedCooldown(Struct, frozen=True):
    """`until` in seconds since the epoch."""

    credential: str
    scope: str
    word: str
    firm: bool
    until: float
    level: int = 0


class SavedWindow(Struct, frozen=True):
    """`resets_at` in seconds since the epoch."""

    credential: str
    name: str
    scope: str
    used: float
    resets_at: float
    dated: bool = True


class SavedBinding(Struct, frozen=True):
    """`used` in seconds since the epoch. The session is a digest already."""

    session: str
    model: str
    credential: str
    used: float


class Snapshot(Struct):
    """The whole of it."""

    version: int
    cooldowns: list[SavedCooldown] = []
    windows: list[SavedWindow] = []
    bindings: list[SavedBinding] = []
    labels: dict[str, str] = {}


def snapshot(
    cooldowns: Cooldowns,
    ledger: Ledger,
    bindings: Bindings,
    labels: dict[str, str],
    now: float,
    wall: float,
) -> Json:
    """As plain JSON values."""
    away = wall - now
    kept = list(bindings.by.items())[-_BINDINGS_KEPT:]
    whole = Snapshot(
        VERSION,
        [
            SavedCooldown(name, scope, rest.word, rest.firm, rest.until + away, rest.level)
            for name, rests in cooldowns.by.items()
            for scope, rest in rests.items()
            if rest.until > now
        ],
        [
            SavedWindow(name, w.name, w.scope, w.used, w.resets_at + away, w.dated)
            for name in ledger.names()
            for w in ledger.windows(name, now)
        ],
        [
            SavedBinding(session, model, credential, used + away)
            for (session, model), (credential, used) in kept
        ],
        {name: label for name, label in labels.items() if label},
    )
    return msgspec.to_builtins(whole)


def restore(
    cooldowns: Cooldowns,
    ledger: Ledger,
    bindings: Bindings,
    labels: dict[str, str],
    data: Json,
    now: float,
    wall: float,
) -> None:
    """Adds what a snapshot holds and is not over. Raises ValueError if it is no snapshot."""
    whole = _read(data)
    away = now - wall
    for saved in whole.cooldowns:
        until = min(saved.until + away, now + LONGEST)
        if until > now:
            probe = inf if saved.word == OVERAGE or not saved.firm else now
            rest = Cooldown(until, saved.word, saved.firm, saved.level, probe)
            cooldowns.put(saved.credential, saved.scope, rest, now)
    for window in whole.windows:
        resets = min(window.resets_at + away, now + LONGEST)
        if resets > now:
            kept = Window(window.name, window.scope, window.used, resets, dated=window.dated)
            ledger.put(window.credential, [kept])
    for binding in whole.bindings:
        used = min(binding.used + away, now)
        bindings.put((binding.session, binding.model), binding.credential, used)
    labels |= {
        name: label
        for name, label in whole.labels.items()
        if name in cooldowns.by or name in ledger.by
    }


def standing(data: Json, wall: float) -> dict[str, list[SavedCooldown]]:
    """The cooldowns of a snapshot that are not over, by credential: widest first, then longest.

    Raises ValueError if it is no snapshot.
    """
    found: dict[str, list[SavedCooldown]] = {}
    for saved in _read(data).cooldowns:
        if saved.until > wall:
            found.setdefault(saved.credential, []).append(saved)
    for rests in found.values():
        rests.sort(key=lambda rest: (not rest.firm, rest.scope != ACCOUNT, -rest.until))
    return found


def _read(data: Json) -> Snapshot:
    try:
        whole = msgspec.convert(data, Snapshot)
    except msgspec.ValidationError as error:
        raise ValueError(f"no snapshot of accounts: {error}") from None
    if whole.version != VERSION:
        raise ValueError(f"a snapshot of version {whole.version}, expected {VERSION}")
    return whole
