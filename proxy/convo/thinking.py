"""Thinking as every wire says it: effort words, token budgets, levels. Figures: spec of the reference.

One request's `Reasoning` is fitted to what the upstream model can do (`fit`) and then spelled by the
wire's encoder: as words (`effort_of`) or tokens (`budget_of`).
"""

from __future__ import annotations

from typing import Final

from proxy.convo.model import Capability, Effort, Reasoning

BUDGETS: Final[dict[str, int]] = {
    "none": 0,
    "auto": -1,
    "minimal": 512,
    "low": 1024,
    "medium": 8192,
    "high": 24576,
    "xhigh": 32768,
    "max": 128000,
}
_ORDER: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def budget_of(reasoning: Reasoning, capability: Capability) -> int | None:
    """Tokens for a wire that counts them: 0 = off, -1 = dynamic, None = nothing was asked."""
    budget = reasoning.budget
    if budget is None:
        if reasoning.effort is None:
            return None
        budget = BUDGETS[reasoning.effort]
    return clamp(budget, capability)


def clamp(budget: int, capability: Capability) -> int:
    """A budget inside the model's range; unknown models are not restricted."""
    if capability.budget_max <= 0:
        return budget
    low, high = capability.budget_min, capability.budget_max
    if budget < 0:
        return -1 if capability.dynamic_allowed else (low + high) // 2
    if budget == 0:
        return 0 if capability.zero_allowed else low
    return min(max(budget, low), high)


def effort_of(reasoning: Reasoning, capability: Capability) -> Effort | None:
    """The word for a wire that takes words; `auto` = dynamic, None = nothing was asked."""
    effort = reasoning.effort
    if effort is None:
        if reasoning.budget is None:
            return None
        effort = effort_of_budget(reasoning.budget)
    return nearest(effort, capability.levels)


def effort_of_budget(budget: int) -> Effort:
    """The smallest word whose tokens cover the budget."""
    if budget < 0:
        return "auto"
    if budget == 0:
        return "none"
    if budget <= BUDGETS["low"]:
        return "low"
    if budget <= BUDGETS["medium"]:
        return "medium"
    return "high" if budget <= BUDGETS["high"] else "xhigh"


def nearest(effort: Effort, levels: tuple[str, ...]) -> Effort:
    """The model's own level nearest to the wish (ties upwards); any word where levels are unknown."""
    if not levels or effort in levels or effort == "auto":
        return effort
    wish = _ORDER.index(effort)
    known = [level for level in _ORDER if level in levels]
    if not known:
        return effort
    return min(known, key=lambda level: (abs(_ORDER.index(level) - wish), -_ORDER.index(level)))
