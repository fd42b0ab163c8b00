"""`thinkingConfig` for an upstream model: `thinkingLevel` from Gemini 3 on, `thinkingBudget` before it."""

from __future__ import annotations

import re
from typing import Final

from proxy.convo.model import Reasoning
from proxy.convo.thinking import budget_of, effort_of, nearest
from proxy.wire.base import Target

_GEMINI_3: Final = re.compile(r"(?:^|/)gemini[_-]?(?:[3-9]|\d\d)(?:[._-]|$)", re.IGNORECASE)
_PRO_LEVELS: Final = ("low", "high")
_FLASH_LEVELS: Final = ("minimal", "low", "medium", "high")
_MOST: Final = 32768
"""The largest budget that any Gemini model takes (Thinking guide, "Thinking budgets")."""


def is_gemini_3(model: str) -> bool:
    """Whether a model is of Gemini's third generation or a later one: it takes `thinkingLevel`."""
    return _GEMINI_3.search(model) is not None


def checks_signatures(model: str) -> bool:
    """Whether a model refuses calls without a signature; a name for the newest one may stand for it."""
    return is_gemini_3(model) or model.lower().endswith("-latest")


def thinking_config(reasoning: Reasoning, target: Target, *, own: bool) -> dict[str, object] | None:
    """The member's value; None where nothing is to be said.

    `own`: the request came over this wire, so budget or level stand as the client said them.
    """
    if target.capability.thinking is False:
        return None
    out = _said(reasoning) if own else _fitted(reasoning, target)
    include = reasoning.include
    if include is None and not own and out.get("thinkingBudget") != 0 and _asked(reasoning):
        # Other wires show thoughts when thinking is asked for; here that has a switch of its own.
        include = True
    if include is not None and (include or own):
        out["includeThoughts"] = include
    return out or None


def _asked(reasoning: Reasoning) -> bool:
    return reasoning.effort is not None or reasoning.budget is not None


def _said(reasoning: Reasoning) -> dict[str, object]:
    if reasoning.effort is not None:
        return {"thinkingLevel": reasoning.effort.upper()}
    return {} if reasoning.budget is None else {"thinkingBudget": reasoning.budget}


def _fitted(reasoning: Reasoning, target: Target) -> dict[str, object]:
    levels = target.capability.levels
    if levels or is_gemini_3(target.model):
        known = levels or (_FLASH_LEVELS if "flash" in target.model.lower() else _PRO_LEVELS)
        effort = effort_of(reasoning, target.capability)
        if effort is None or effort == "auto":
            # Dynamic thinking is what these models do by default.
            return {}
        return {"thinkingLevel": nearest(effort, known)}
    budget = budget_of(reasoning, target.capability)
    return {} if budget is None else {"thinkingBudget": min(budget, _MOST)}
