"""What a failure says about a credential: how long it rests, for what, and when it is tried again.

The tables are the rule. Source: routing sheet, section 7, but honouring Retry-After everywhere; kinds
of errors from the provider sheets.

A cooldown is of one credential and one scope: the account, a tier (a family of models) or one model
by its name at the upstream. `firm`: the credential is of no use for that scope until then. Otherwise
it is a suspicion (the upstream stumbled): such a credential is passed over while another one is free
and still used when none is. A firm cooldown of any length is probed, so it ends when the upstream
recovers and not when somebody once guessed that it would.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from math import inf
from typing import Final

from msgspec import Struct

from proxy.errors import ProxyError

MINUTE: Final = 60.0
HOUR: Final = 60 * MINUTE
BACKOFF_START: Final = 1.0
BACKOFF_CAP: Final = 30 * MINUTE
PROBE_FIRST: Final = MINUTE
PROBE_CAP: Final = 15 * MINUTE
TRIP_FAILURES: Final = 3
TRIP_WINDOW: Final = 60.0
TRIP_START: Final = 5.0
TRIP_CAP: Final = MINUTE
_TRIP_LASTS: Final = 4
"""A trip that nobody probes is over after so many of its pauses."""
_FORGET: Final = 10 * MINUTE
"""How long the count of failures in a row outlives its cooldown."""
LONGEST: Final = 32 * 24 * HOUR
"""No quota window is longer than a month; a later date is somebody's mistake."""
_MOST_CREDENTIALS: Final = 20_000
_MOST_SCOPES: Final = 256

ACCOUNT: Final = "account"
MODEL: Final = "model"
TIERS: Final = ("opus", "sonnet", "haiku")
"""Families that providers keep a quota of their own for; part of the model's name."""

QUOTA: Final = "quota"
TRANSIENT: Final = "transient"
TRIPPED: Final = "tripped"
OVERAGE: Final = "overage"


class Rule(Struct, frozen=True):
    """`seconds` without a hint of the upstream, 0 = backing off; `word` stands in errors and listings."""

    word: str
    seconds: float
    firm: bool
    scope: str


_STUMBLED: Final = Rule(TRANSIENT, MINUTE, firm=False, scope=MODEL)

RULES: Final[dict[int, Rule]] = {
    401: Rule("unauthorized", 30 * MINUTE, firm=True, scope=MODEL),
    402: Rule("payment_required", 30 * MINUTE, firm=True, scope=ACCOUNT),
    403: Rule("payment_required", 30 * MINUTE, firm=True, scope=MODEL),
    404: Rule("not_found", 12 * HOUR, firm=True, scope=MODEL),
    408: _STUMBLED,
    429: Rule(QUOTA, 0.0, firm=True, scope=MODEL),
    500: _STUMBLED,
    502: _STUMBLED,
    503: _STUMBLED,
    504: _STUMBLED,
    529: Rule("overloaded", MINUTE, firm=False, scope=MODEL),
}
_USED_UP: Final = Rule(QUOTA, 5 * MINUTE, firm=True, scope=ACCOUNT)
_UNPAID: Final = Rule(QUOTA, 30 * MINUTE, firm=True, scope=ACCOUNT)
_NO_SUCH_MODEL: Final = Rule("not_found", 12 * HOUR, firm=True, scope=MODEL)

KINDS: Final[dict[str, Rule]] = {
    "usage_limit_reached": _USED_UP,
    "usage_limit_exceeded": _USED_UP,
    "usage_not_included": _UNPAID,
    "quota_exceeded": _USED_UP,
    "insufficient_quota": _UNPAID,
    "billing_hard_limit_reached": _UNPAID,
    "billing_not_active": _UNPAID,
    "credit_balance_too_low": _UNPAID,
    "model_not_found": _NO_SUCH_MODEL,
    "model_not_supported": _NO_SUCH_MODEL,
    "unsupported_model": _NO_SUCH_MODEL,
    "model_not_available": _NO_SUCH_MODEL,
    "unsupported_api_for_model": _NO_SUCH_MODEL,
}
"""Kinds that say more than their status."""
INNOCENT: Final = frozenset({"previous_response_not_found", "response_not_found", "file_not_found"})
"""Kinds that speak of the request, whatever their status: the credential is as good as before."""


class Cooldown(Struct):
    """All times are monotonic seconds. `level`: failures in a row; `probe_at`: when it may be tried
    although it rests; `gap`: the pause after a failed probe; `failures`: recent stumbles."""

    until: float
    word: str
    firm: bool
    level: int = 0
    probe_at: float = inf
    gap: float = PROBE_FIRST
    failures: tuple[float, ...] = ()
    probed: bool = False


def rule_of(error: ProxyError) -> Rule | None:
    """The rule for an upstream's failure; None where it says nothing about the credential."""
    if error.kind in INNOCENT:
        return None
    return KINDS.get(error.kind) or RULES.get(error.status)


def backoff(level: int) -> float:
    """Seconds for the nth 429 without a hint: 1, 2, 4 ... 30 min."""
    return min(BACKOFF_START * 2.0 ** min(level, 30), BACKOFF_CAP)


def tier(name: str) -> str:
    """The scope of a family of models."""
    return f"tier:{name}"


def model_scope(model: str) -> str:
    """The scope of one model, by its name at the upstream."""
    return f"model:{model}"


@lru_cache(maxsize=4096)
def scopes_of(model: str) -> tuple[str, ...]:
    """Every scope that a request for this model falls under, widest first."""
    name = model.lower()
    tiers = [tier(family) for family in TIERS if family in name]
    return (ACCOUNT, *tiers, model_scope(model))


def stumble(old: Cooldown | None, rule: Rule, now: float, hint: float) -> Cooldown:
    """One more transient failure: a suspicion, or a trip if there were enough in the window."""
    recent = old.failures if old is not None else ()
    failures = (*(at for at in recent if now - at < TRIP_WINDOW), now)[-TRIP_FAILURES:]
    tripped = old is not None and old.word == TRIPPED and old.firm
    if len(failures) < TRIP_FAILURES and not tripped:
        until = now + max(rule.seconds, hint)
        return Cooldown(until, rule.word, firm=False, failures=failures)
    level = old.level + 1 if tripped and old is not None else 0
    pause = max(hint, min(TRIP_START * 2.0 ** min(level, 10), TRIP_CAP))
    return Cooldown(
        now + pause * _TRIP_LASTS,
        TRIPPED,
        firm=True,
        level=level,
        probe_at=now + pause,
        gap=pause,
        failures=failures,
    )


class Cooldowns:
    """What stands against each credential. Bounded; credentials that nothing stands against are absent."""

    def __init__(self) -> None:
        self.by: OrderedDict[str, dict[str, Cooldown]] = OrderedDict()

    def binding(self, credential: str, model: str, now: float) -> tuple[str, Cooldown] | None:
        """The cooldown that keeps the credential from this model longest, firm ones first, and its scope."""
        rests = self.by.get(credential)
        if rests is None:
            return None
        if all(rest.until + _FORGET <= now for rest in rests.values()):
            del self.by[credential]
            return None
        worst: tuple[str, Cooldown] | None = None
        for scope in scopes_of(model):
            rest = rests.get(scope)
            if rest is None or rest.until <= now:
                continue
            if worst is None or (rest.firm, rest.until) > (worst[1].firm, worst[1].until):
                worst = scope, rest
        return worst

    def firm(self, credential: str, model: str, now: float) -> bool:
        """Whether the credential is of no use for this model."""
        bound = self.binding(credential, model, now)
        return bound is not None and bound[1].firm

    def back_at(self, credential: str, model: str, now: float) -> float:
        """When it is tried again: at its end, or at a probe before that."""
        rests = self.by.get(credential, {})
        active = (rests[scope] for scope in scopes_of(model) if scope in rests)
        return max(
            (min(r.until, r.probe_at) for r in active if r.until > now and r.firm), default=now
        )

    def find(self, credential: str, scope: str, now: float) -> Cooldown | None:
        """What is remembered of one scope: a cooldown, or one that ended not long ago."""
        rest = self.by.get(credential, {}).get(scope)
        return rest if rest is not None and rest.until + _FORGET > now else None

    def put(self, credential: str, scope: str, rest: Cooldown, now: float) -> None:
        """Sets a cooldown. A firm one that goes on keeps its plan of probes."""
        rests = self.by.setdefault(credential, {})
        old = rests.get(scope)
        if rest.firm and rest.probe_at == inf and rest.word != OVERAGE:
            goes_on = old is not None and old.firm and old.until > now and old.word != OVERAGE
            if goes_on and old is not None:
                rest.probe_at, rest.gap, rest.probed = old.probe_at, old.gap, old.probed
            else:
                rest.probe_at = now + PROBE_FIRST
        rests[scope] = rest
        self.by.move_to_end(credential)
        if len(rests) > _MOST_SCOPES:
            del rests[min(rests, key=lambda name: rests[name].until)]
        if len(self.by) > _MOST_CREDENTIALS:
            self.by.popitem(last=False)

    def recover(self, credential: str, model: str, now: float, *, probe: bool) -> bool:
        """A request was answered. A probe lifts every cooldown it went through, any answer a suspicion
        and a trip; a request that began before another firm cooldown proves nothing about it. Whether
        anything was lifted."""
        rests = self.by.get(credential)
        if rests is None:
            return False
        lifted = [
            scope
            for scope in scopes_of(model)
            if (rest := rests.get(scope)) is not None
            and (probe or not rest.firm or rest.word == TRIPPED or rest.until <= now)
        ]
        for scope in lifted:
            del rests[scope]
        if not rests:
            del self.by[credential]
        return bool(lifted)

    def due(self, credential: str, model: str, now: float) -> bool:
        """Whether everything firm that rests here may be probed now."""
        return self.firm(credential, model, now) and self.back_at(credential, model, now) <= now

    def postpone(self, credential: str, model: str, now: float, *, failed: bool) -> None:
        """A probe lifted nothing; the next one comes later, after a failed one at twice the distance."""
        rests = self.by.get(credential, {})
        for scope in scopes_of(model):
            rest = rests.get(scope)
            if rest is None or not rest.firm or rest.until <= now or rest.probe_at > now:
                continue
            if failed:
                rest.gap = min(rest.gap * 2, PROBE_CAP)
                rest.probed = True
            rest.probe_at = now + rest.gap

    def hurry(self, credential: str, scope: str, now: float) -> None:
        """A fresh signal says that there is room: the first probe of a long cooldown is due at once,
        later ones not more often than a first one would come. A short one is waited for."""
        rest = self.by.get(credential, {}).get(scope)
        if rest is None or rest.until - now <= PROBE_FIRST:
            return
        if rest.firm and rest.word == QUOTA:
            soonest = rest.probe_at - rest.gap + PROBE_FIRST if rest.probed else now
            rest.probe_at = min(rest.probe_at, max(soonest, now))

    def changed(self, credential: str) -> None:
        """The credential is another one now: everything that stands against it is due for a probe."""
        for rest in self.by.get(credential, {}).values():
            rest.probe_at, rest.gap, rest.probed = -inf, PROBE_FIRST, False
