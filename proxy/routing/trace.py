"""How a name led to its plan, step by step: what `explain` shows. Filled only when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from proxy.config.model import Plan
    from proxy.errors import ProxyError

StepKind = Literal[
    "suffix", "rule", "no-rule", "auto", "model", "prefix", "alias", "wildcard", "account"
]


class Step(Struct, frozen=True):
    """One step. `place`: where it is written, `file:line:col`; empty when nowhere.

    `no-rule` is a rule that was tried and did not hold; `text` says why.
    """

    kind: StepKind
    text: str
    place: str = ""

    def __str__(self) -> str:
        return f"{self.text} ({self.place})" if self.place else self.text


class Trace(Struct, frozen=True, kw_only=True):
    """The way of one name. `plan` or `error`: what `resolve` gives or raises."""

    asked: str
    steps: tuple[Step, ...]
    plan: Plan | None = None
    error: ProxyError | None = None
