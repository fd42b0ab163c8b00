"""What a route does about fields that a translation cannot carry (`on-loss`). Pure.

`warn` names them in the answer's head and in the log. `fail` asks only those who can be told all of the
request. Where client and upstream speak the same protocol nothing is lost but what a provider's own
dialect takes away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec import structs

from proxy.errors import Fault, ProxyError, Retry

if TYPE_CHECKING:
    from proxy.config.model import Candidate, Plan, Target
    from proxy.convo.model import Lost
    from proxy.upstream.prepare import Ask, Work

_LONGEST: Final = 200
_MOST: Final = 1000
"""Most characters of one path, and of all: clients name fields, and heads of answers are short."""
_TOLD: Final = 3
"""Most upstreams that a refusal names."""

Skipped: TypeAlias = Callable[["Ask", str, str], None]
"""Told of each target that is left out: the request, the target, the fields."""


def paths(lost: Sequence[Lost]) -> str:
    """The lost fields, each once, with commas between; fit for a header. Ends in `+N` for N more."""
    known = list(dict.fromkeys(entry.path for entry in lost if not entry.more))
    further = sum(entry.more for entry in lost)
    shown: list[str] = []
    room = _MOST
    for path in known:
        text = _plain(path)
        room -= len(text) + 1
        if room < 0:
            further += len(known) - len(shown)
            break
        shown.append(text)
    return ",".join([*shown, f"+{further}"] if further else shown)


def _plain(path: str) -> str:
    """Visible ASCII without a comma; the rest is escaped."""
    text = "".join(
        c if "!" <= c <= "~" and c != "," else f"\\u{ord(c):04x}" for c in path[: _LONGEST + 1]
    )
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def refusal(upstream: str, lost: Sequence[Lost]) -> ProxyError:
    """The request is not sent there. Nobody's credential did anything wrong."""
    return _refusal(f"upstream {upstream} cannot be told {paths(lost)}", Retry.CREDENTIAL)


def _refusal(message: str, retry: Retry) -> ProxyError:
    return ProxyError(
        f'{message} (on-loss = "fail")',
        fault=Fault.CLIENT,
        status=400,
        kind="unsupported_parameter",
        retry=retry,
    )


def carriers(plan: Plan, work: Work, skipped: Skipped) -> Plan:
    """The plan without those who cannot be told all of the request: they neither take part in a race
    nor are waited for. Raises ProxyError where nobody is left."""
    known: dict[tuple[object, ...], list[Lost]] = {}
    targets: list[Target] = []
    refused: dict[str, str] = {}
    for target in plan.targets:
        found = [(c, _lost(c, plan, work, known)) for c in target.candidates]
        kept = tuple(candidate for candidate, lost in found if not lost)
        if kept or not found:
            targets.append(structs.replace(target, candidates=kept))
            continue
        refused[target.upstream] = fields = paths(found[0][1])
        skipped(work.ask, target.upstream, fields)
    if refused and not any(target.candidates for target in targets):
        raise _refusal(_nobody(plan, refused), Retry.NEVER)
    return structs.replace(plan, targets=tuple(targets))


def _lost(
    candidate: Candidate, plan: Plan, work: Work, known: dict[tuple[object, ...], list[Lost]]
) -> list[Lost]:
    """What is lost on the way to this one; encoded once for all keys that get the same body."""
    credential = candidate.credential
    dialect = credential.legacy or bool(credential.account)
    key = (credential.wire, credential.provider, dialect, candidate.model, candidate.capability)
    lost = known.get(key)
    if lost is None:
        try:
            lost = work.lost_to(candidate, plan)
        except ProxyError:
            lost = []  # it cannot be said there at all, which the attempt tells best
        known[key] = lost
    return lost


def _nobody(plan: Plan, refused: dict[str, str]) -> str:
    named = [f"{upstream} cannot be told {fields}" for upstream, fields in refused.items()]
    more = f"; and {len(named) - _TOLD} more" if len(named) > _TOLD else ""
    return f"no upstream of model {plan.model[:200]} takes all of this request: " + (
        "; ".join(named[:_TOLD]) + more
    )
