"""How much each credential has left, as its upstream's replies say it. Pure; bounded.

Every signal becomes the same thing: a window with a share that is used, a time at which it starts
anew, and a scope. Sources: the public header references of OpenAI and Anthropic, the open sources of
Codex (`codex-rs`) and of the Copilot extension of VS Code for what subscriptions send.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import datetime
from math import inf, isfinite
from typing import Final, TypeAlias
from urllib.parse import parse_qsl

from msgspec import Struct

from proxy.accounts.cooldown import ACCOUNT, HOUR, LONGEST, TIERS, model_scope, scopes_of, tier
from proxy.clock import duration

Fields: TypeAlias = dict[str, str]
Headers: TypeAlias = Iterable[tuple[bytes, bytes]]
Pairs: TypeAlias = list[tuple[bytes, bytes]]

_PREFIXES: Final = (
    b"x-ratelimit-",
    b"anthropic-ratelimit-",
    b"x-codex-",
    b"x-quota-snapshot-",
    b"x-usage-ratelimit-",
)
_SHORTEST: Final = len("x-ratelimit-") + 4
_SILENT: Final = frozenset({"gemini"})
"""Wires whose services tell nothing of quota in headers."""
NEUTRAL: Final = 0.5
_MOST_CREDENTIALS: Final = 20_000
_MOST_WINDOWS: Final = 24


class Window(Struct):
    """`used`: share from 0 to 1 (and above, where a service counts on). `resets_at`: monotonic
    seconds; `dated`: whether the upstream said so, otherwise the figure is just dropped by then."""

    name: str
    scope: str
    used: float
    resets_at: float
    dated: bool = True


class Signals(Struct):
    """What one reply said. `overage_until`: it was, or the next one will be, paid for on top."""

    windows: list[Window]
    overage_until: float | None = None


def relevant(headers: Headers, wire: str) -> Pairs:
    """The quota headers of a reply; most replies have none, so this is cheap."""
    if wire in _SILENT:
        return []
    return [h for h in headers if len(h[0]) > _SHORTEST and h[0].startswith(_PREFIXES)]


def read(headers: Pairs, model: str, now: float, wall: float) -> Signals:
    """The windows that these headers tell of."""
    fields = {name.decode("latin-1"): value.decode("latin-1").strip() for name, value in headers}
    found = Signals([])
    for family in (_anthropic, _codex, _copilot, _ratelimit):
        family(fields, model, _When(now, wall), found)
    return found


class _When(Struct, frozen=True):
    """Turns what services call a reset time into monotonic seconds."""

    now: float
    wall: float

    def at(self, text: str | None) -> float | None:
        """Seconds from now, a duration, a Unix time in s or ms, or an RFC 3339 date."""
        if not text:
            return None
        away = duration(text)
        if away is None:
            try:
                away = datetime.fromisoformat(text).timestamp() - self.wall
            except (ValueError, OverflowError):
                return None
        elif away > 1e11:
            away = away / 1000 - self.wall
        elif away > 1e9:
            away -= self.wall
        return self.now + min(max(away, 0.0), LONGEST)

    def window(self, name: str, scope: str, used: float, reset: float | None) -> Window:
        """A window; one without a date is believed for an hour."""
        if reset is None:
            return Window(name, scope, used, self.now + HOUR, dated=False)
        return Window(name, scope, used, reset)


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and isfinite(value) and value >= 0 else None


def _grouped(fields: Fields, prefix: str, kinds: tuple[str, ...]) -> dict[str, Fields]:
    """`<prefix><window>-<kind>` by window."""
    groups: dict[str, Fields] = {}
    for name, value in fields.items():
        if not name.startswith(prefix):
            continue
        for kind in kinds:
            if name.endswith("-" + kind):
                window = name[len(prefix) : -len(kind) - 1]
                if window:
                    groups.setdefault(window, {})[kind] = value
    return groups


_UNIFIED: Final = "anthropic-ratelimit-unified-"
_CLAIMS: Final = (("five_hour", "5h"), ("seven_day", "7d"))


def _anthropic(fields: Fields, model: str, when: _When, found: Signals) -> None:
    """API keys: requests and tokens a minute, per model. Subscriptions: `unified` windows of 5 hours
    and 7 days, some for one family of models."""
    windows = _grouped(fields, _UNIFIED, ("utilization", "reset", "status"))
    for name, group in windows.items():
        used = _number(group.get("utilization"))
        if group.get("status") == "rejected":
            used = max(used or 0.0, 1.0)
        if name != "overage" and used is not None:
            reset = when.at(group.get("reset"))
            found.windows.append(when.window(name, _family(name), used, reset))
    claim = fields.get(_UNIFIED + "representative-claim", "")
    reset = when.at(fields.get(_UNIFIED + "reset"))
    if fields.get(_UNIFIED + "status") == "rejected" and claim not in ("", "overage"):
        for words, short in _CLAIMS:
            claim = claim.replace(words, short)
        if all(window.name != claim or window.used < 1 for window in found.windows):
            found.windows.append(when.window(claim, _family(claim), 1.0, reset))
    if fields.get(_UNIFIED + "overage-in-use", "").lower() == "true":
        ends = [w.resets_at for w in found.windows if w.used >= 1 and w.dated]
        found.overage_until = max(ends, default=reset or when.now + HOUR)
    _counted(fields, "anthropic-ratelimit-", model, when, found)


def _family(window: str) -> str:
    for name in TIERS:
        if window.endswith("_" + name):
            return tier(name)
    return ACCOUNT


def _codex(fields: Fields, _model: str, when: _When, found: Signals) -> None:
    """A short and a long window of the whole account; credits are used where one is full."""
    kinds = ("used-percent", "reset-after-seconds", "reset-at", "resets-in-seconds")
    for name, group in _grouped(fields, "x-codex-", kinds).items():
        percent = _number(group.get("used-percent"))
        if name not in ("primary", "secondary") or percent is None:
            continue
        ends = (when.at(group.get(kind)) for kind in kinds[1:])
        reset = next((end for end in ends if end is not None), None)
        found.windows.append(when.window(name, ACCOUNT, percent / 100, reset))
        credits = fields.get("x-codex-credits-has-credits", "").lower() == "true"
        if credits and percent >= 100:
            end = found.windows[-1].resets_at
            found.overage_until = max(found.overage_until or end, end)


def _copilot(fields: Fields, _model: str, when: _When, found: Signals) -> None:
    """`ent=300&ov=0.0&ovPerm=false&rem=88.5&rst=DATE`: `rem` in percent, `ov` = requests above the plan."""
    for name, value in fields.items():
        prefix = next(
            (p for p in ("x-quota-snapshot-", "x-usage-ratelimit-") if name.startswith(p)), ""
        )
        if not prefix:
            continue
        said = dict(parse_qsl(value))
        left = _number(said.get("rem"))
        if left is None or said.get("ent", "").startswith("-"):
            continue
        reset = when.at(said.get("rst"))
        window = when.window(name[len(prefix) :], ACCOUNT, 1 - min(left, 100.0) / 100, reset)
        found.windows.append(window)
        if prefix == "x-quota-snapshot-" and (_number(said.get("ov")) or 0.0) > 0:
            found.overage_until = max(found.overage_until or 0.0, window.resets_at)


def _ratelimit(fields: Fields, model: str, when: _When, found: Signals) -> None:
    """OpenAI and those who follow it: `x-ratelimit-<what>-<window>`, the window last or absent."""
    turned: Fields = {}
    for name, value in fields.items():
        if name.startswith("x-ratelimit-"):
            what, _, window = name[len("x-ratelimit-") :].partition("-")
            turned[f"x-{window or 'requests'}-{what}"] = value
    _counted(turned, "x-", model, when, found)


def _counted(fields: Fields, prefix: str, model: str, when: _When, found: Signals) -> None:
    """Windows told as a limit and what remains of it: they are of one model."""
    for name, group in _grouped(fields, prefix, ("limit", "remaining", "reset")).items():
        limit, left = _number(group.get("limit")), _number(group.get("remaining"))
        if name.startswith("unified") or not limit or left is None:
            continue
        used = 1 - min(left / limit, 1.0)
        reset = when.at(group.get("reset"))
        found.windows.append(when.window(name, model_scope(model), used, reset))


class Ledger:
    """The last known windows of each credential. A reply's headers are read when somebody asks."""

    def __init__(self) -> None:
        self.by: OrderedDict[str, dict[tuple[str, str], Window]] = OrderedDict()
        self._unread: dict[str, tuple[Pairs, str, float, float]] = {}

    def offer(self, credential: str, headers: Pairs, model: str, now: float, wall: float) -> None:
        """Keeps a reply's headers; those of an earlier reply for the same model are outdated."""
        unread = self._unread.get(credential)
        if unread is not None and unread[1] != model:
            self._settle(credential)
        self._unread[credential] = headers, model, now, wall
        if len(self._unread) > _MOST_CREDENTIALS:
            self._settle(next(iter(self._unread)))

    def _settle(self, credential: str) -> None:
        self.put(credential, read(*self._unread.pop(credential)).windows)

    def names(self) -> list[str]:
        """The credentials that something is known of."""
        for credential in list(self._unread):
            self._settle(credential)
        return list(self.by)

    def put(self, credential: str, windows: list[Window]) -> None:
        """Keeps what a reply said."""
        if credential in self._unread:
            self._settle(credential)
        if not windows:
            return
        known = self.by.setdefault(credential, {})
        for window in windows:
            key = (window.scope, window.name)
            known.pop(key, None)
            known[key] = window
        while len(known) > _MOST_WINDOWS:
            del known[next(iter(known))]
        self.by.move_to_end(credential)
        if len(self.by) > _MOST_CREDENTIALS:
            self.by.popitem(last=False)

    def windows(self, credential: str, now: float) -> list[Window]:
        """What is known and not yet over."""
        if credential in self._unread:
            self._settle(credential)
        known = self.by.get(credential)
        return [w for w in known.values() if w.resets_at > now] if known else []

    def _of(self, credential: str, model: str, now: float) -> list[Window]:
        scopes = scopes_of(model)
        return [w for w in self.windows(credential, now) if w.scope in scopes]

    def room(self, credential: str, model: str, now: float) -> float:
        """The share that is left where least is left."""
        windows = self._of(credential, model, now)
        return max(0.0, 1 - max(w.used for w in windows)) if windows else NEUTRAL

    def reset(self, credential: str, model: str, now: float) -> tuple[int, float]:
        """Sorts by the end of the longest window; unknown after known, used up last."""
        windows = self._of(credential, model, now)
        if any(w.used >= 1 for w in windows):
            return 2, inf
        dated = [w.resets_at for w in windows if w.dated]
        return (0, max(dated)) if dated else (1, inf)

    def spent(self, credential: str, model: str, now: float) -> Window | None:
        """The window that is used up, the one that is longest so."""
        full = [w for w in self._of(credential, model, now) if w.used >= 1]
        by_end: Callable[[Window], float] = lambda w: w.resets_at  # noqa: E731  # typed for mypy
        return max(full, key=by_end, default=None)

    def has_room(self, credential: str, scope: str, now: float) -> bool:
        """Whether something is known of this scope, and none of it is used up."""
        windows = [w for w in self.windows(credential, now) if w.scope == scope]
        return bool(windows) and all(w.used < 1 for w in windows)
