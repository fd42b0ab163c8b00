"""`thinking`, `output_config.effort` and the parameters that they forbid.

Rules (https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking): a budget is at least
1024 tokens and below `max_tokens`; with thinking on, temperature is 1, `top_k` is absent, `top_p` is
0.95 to 1, and no tool may be forced. Claude models that take effort words think adaptively, without
budgets; what other services serve under this API (GLM, Kimi, MiniMax) knows budgets only.
With a budget the assistant turn before tool results must begin with its thinking.
"""

from __future__ import annotations

from typing import Final

from msgspec import Raw

from proxy.convo.model import Capability, Lost, Reasoning
from proxy.convo.thinking import BUDGETS, budget_of, effort_of
from proxy.jsonio import Body, Json, decode
from proxy.wire.base import Target

MAX_TOKENS: Final = 32000
"""`max_tokens` where the client named none; the API requires one."""
_OWN: Final = "claude"
"""In the name of every model of Anthropic's own."""
_LEAST_BUDGET: Final = 1024
_LEAST_TOP_P: Final = 0.95
_THOUGHTS: Final = ("thinking", "redacted_thinking")
_VISIBLE: Final = 4096
"""Tokens that a large budget leaves for the visible answer, unless the client asked for fewer."""


def set_reasoning(body: Body, reasoning: Reasoning, target: Target, lost: list[Lost]) -> None:
    """Puts the wish into the body. Removes or raises what does not go with it; says so in `lost`."""
    capability = target.capability
    if capability.thinking is False:
        if reasoning.effort != "none" and reasoning.budget != 0:
            lost.append(Lost("reasoning", f"{target.model} does not think"))
        return
    if capability.levels and _OWN in target.model.lower():
        thinking = _set_words(body, reasoning, capability)
    else:
        thinking = _budgeted(reasoning, capability)
    if thinking is None:
        return
    if thinking["type"] == "disabled":
        body["thinking"] = thinking
        return
    if _forces_tool(body.get("tool_choice")):
        lost.append(Lost("reasoning", "thinking does not go with a forced tool"))
        return
    if thinking["type"] == "enabled" and _thoughtless_loop(body.get("messages")):
        lost.append(Lost("reasoning", "the tool loop began without thinking of this provider"))
        return
    if reasoning.include is False and thinking["type"] == "adaptive":
        # Models that take budgets know no `display`.
        thinking["display"] = "omitted"
    body["thinking"] = thinking
    _fit_parameters(body, lost)
    if thinking["type"] == "enabled":
        _fit_max_tokens(body, thinking, capability)


def _set_words(
    body: Body, reasoning: Reasoning, capability: Capability
) -> dict[str, object] | None:
    effort = effort_of(reasoning, capability)
    if effort is None:
        return None
    if effort == "none":
        return {"type": "disabled"}
    if effort != "auto":
        config = body.get("output_config")
        values: Json = decode(config) if isinstance(config, Raw) else config
        body["output_config"] = {**(values or {}), "effort": effort}
    return {"type": "adaptive"}


def _budgeted(reasoning: Reasoning, capability: Capability) -> dict[str, object] | None:
    budget = budget_of(reasoning, capability)
    if budget is None:
        return None
    if budget == 0:
        return {"type": "disabled"}
    if budget < 0:
        # Dynamic: models that take budgets have no word for it.
        budget = BUDGETS["medium"]
    return {"type": "enabled", "budget_tokens": max(budget, _LEAST_BUDGET)}


def _forces_tool(choice: object) -> bool:
    value: Json = decode(choice) if isinstance(choice, Raw) else choice
    return isinstance(value, dict) and value.get("type") in ("any", "tool")


def _thoughtless_loop(messages: object) -> bool:
    """Whether tool results end the conversation and the turn that called does not begin with thinking."""
    turns: Json = decode(messages) if isinstance(messages, Raw) else messages
    if not isinstance(turns, list) or len(turns) < 2:
        return False
    called, results = _kinds(turns[-2]), _kinds(turns[-1])
    return "tool_result" in results and "tool_use" in called and called[0] not in _THOUGHTS


def _kinds(turn: Json) -> list[str]:
    """The types of a turn's blocks."""
    content = turn.get("content") if isinstance(turn, dict) else None
    return (
        [b.get("type", "") for b in content if isinstance(b, dict)]
        if isinstance(content, list)
        else []
    )


def _number(value: object) -> float | None:
    plain: Json = decode(value) if isinstance(value, Raw) else value
    return plain if isinstance(plain, int | float) else None


def _fit_parameters(body: Body, lost: list[Lost]) -> None:
    if _number(body.get("temperature")) not in (None, 1):
        del body["temperature"]
        lost.append(Lost("temperature", "thinking wants the default"))
    if body.pop("top_k", None) is not None:
        lost.append(Lost("top_k", "does not go with thinking"))
    top_p = _number(body.get("top_p"))
    if top_p is not None and top_p < _LEAST_TOP_P:
        del body["top_p"]
        lost.append(Lost("top_p", "thinking wants 0.95 to 1"))


def _fit_max_tokens(body: Body, thinking: dict[str, object], capability: Capability) -> None:
    """The budget counts towards `max_tokens`: room for the visible answer stays as it was asked."""
    budget = int(_number(thinking["budget_tokens"]) or _LEAST_BUDGET)
    given = int(_number(body.get("max_tokens")) or MAX_TOKENS)
    if given > budget:
        return
    room = given + budget
    if capability.output > 0:
        room = max(min(room, capability.output), _LEAST_BUDGET + 1)
    body["max_tokens"] = room
    visible = min(given, _VISIBLE)
    thinking["budget_tokens"] = min(budget, max(room - visible, room // 2, _LEAST_BUDGET))
