"""The built-in model lists as data. Source: the reference's recorded model lists and provider sheets.

A Codex base also makes its effort ids (`gpt-5` + `high` -> `gpt-5-high`): same date, limits and levels.
`thinking=None`: nothing recorded, so nothing is restricted; `False`: the model is known not to think.
"""

from __future__ import annotations

from typing import Final

from proxy.config.model import ListedModel
from proxy.convo.model import Capability, Effort

_200K: Final = 200_000
_128K: Final = 128_000


def _claude(
    id: str,
    created: int,
    name: str,
    context: int,
    output: int,
    thinking: bool | None,
    text: str = "",
) -> ListedModel:
    budget = 100_000 if thinking else 0
    return ListedModel(
        id=id,
        created=created,
        owned_by="anthropic",
        kind="claude",
        display_name=name,
        description=text,
        context=context,
        output=output,
        capability=Capability(
            thinking=thinking,
            budget_min=1024 if thinking else 0,
            budget_max=budget,
            dynamic_allowed=bool(thinking),
            context=context,
            output=output,
        ),
    )


_GEMINI_METHODS: Final = (
    "generateContent",
    "countTokens",
    "createCachedContent",
    "batchGenerateContent",
)


def _gemini(
    id: str,
    created: int,
    name: str,
    version: str,
    *,
    text: str = "",
    levels: tuple[str, ...] = (),
    budget: tuple[int, int] = (128, 32768),
) -> ListedModel:
    return ListedModel(
        id=id,
        created=created,
        owned_by="google",
        kind="gemini",
        display_name=name,
        description=text or name,
        version=version,
        methods=_GEMINI_METHODS,
        input_limit=1_048_576,
        output_limit=65_536,
        capability=Capability(
            thinking=True,
            levels=levels,
            budget_min=budget[0],
            budget_max=budget[1],
            zero_allowed=budget[0] == 0,
            dynamic_allowed=True,
            context=1_048_576,
            output=65_536,
        ),
    )


_EFFORT_TEXT: Final = {"none": "no", "xhigh": "extra-high"}
_EFFORT_NAME: Final = {"xhigh": "XHigh"}
_LOW_HIGH: Final[tuple[Effort, ...]] = ("low", "medium", "high")
_MINIMAL: Final[tuple[Effort, ...]] = ("minimal", *_LOW_HIGH)
_CODING: Final = "The best model for coding and agentic tasks across domains."
_CHEAPER: Final = "cheaper, faster, but less capable version of"

_CODEX_BASES: Final[
    tuple[tuple[str, int, str, str, str, tuple[Effort, ...], tuple[Effort, ...]], ...]
] = (
    # id, created, display name, version, description, levels, efforts that have an id of their own
    ("gpt-5", 1754524800, "GPT 5", "gpt-5-2025-08-07",
     f"Stable version of GPT 5, {_CODING}", _MINIMAL, _MINIMAL),
    ("gpt-5-codex", 1757894400, "GPT 5 Codex", "gpt-5-2025-09-15",
     f"Stable version of GPT 5 Codex, {_CODING}", _LOW_HIGH, _LOW_HIGH),
    ("gpt-5-codex-mini", 1762473600, "GPT 5 Codex Mini", "gpt-5-2025-11-07",
     f"Stable version of GPT 5 Codex Mini: {_CHEAPER} GPT 5 Codex.", _LOW_HIGH, _LOW_HIGH[1:]),
    ("gpt-5.1", 1762905600, "GPT 5", "gpt-5.1-2025-11-12",
     f"Stable version of GPT 5, {_CODING}", ("none", *_LOW_HIGH), ("none", *_LOW_HIGH)),
    ("gpt-5.1-codex", 1762905600, "GPT 5.1 Codex", "gpt-5.1-2025-11-12",
     f"Stable version of GPT 5.1 Codex, {_CODING}", _LOW_HIGH, _LOW_HIGH),
    ("gpt-5.1-codex-mini", 1762905600, "GPT 5.1 Codex Mini", "gpt-5.1-2025-11-12",
     f"Stable version of GPT 5.1 Codex Mini: {_CHEAPER} GPT 5.1 Codex.", _LOW_HIGH, _LOW_HIGH[1:]),
    ("gpt-5.1-codex-max", 1763424000, "GPT 5.1 Codex Max", "gpt-5.1-max",
     "Stable version of GPT 5.1 Codex Max", (*_LOW_HIGH, "xhigh"), (*_LOW_HIGH, "xhigh")),
    ("gpt-5.2", 1765440000, "GPT 5.2", "gpt-5.2",
     "Stable version of GPT 5.2", ("none", *_LOW_HIGH, "xhigh"), ("none", *_LOW_HIGH, "xhigh")),
    ("gpt-5.2-codex", 1765440000, "GPT 5.2 Codex", "gpt-5.2",
     f"Stable version of GPT 5.2 Codex, {_CODING}", (*_LOW_HIGH, "xhigh"), (*_LOW_HIGH, "xhigh")),
)  # fmt: skip


def _codex() -> tuple[list[ListedModel], dict[str, tuple[str, Effort]]]:
    models: list[ListedModel] = []
    efforts: dict[str, tuple[str, Effort]] = {}
    for base, created, title, version, text, levels, own in _CODEX_BASES:

        def model(id: str, name: str, description: str) -> ListedModel:
            return ListedModel(
                id=id,
                created=created,  # noqa: B023  # called in this turn of the loop only
                owned_by="openai",
                kind="openai",
                display_name=name,
                description=description,
                version=version,  # noqa: B023  # as above
                context=400_000,
                output=_128K,
                capability=Capability(
                    thinking=True,
                    levels=levels,  # noqa: B023  # as above
                    context=400_000,
                    output=_128K,
                ),
            )

        models.append(model(base, title, text))
        family = "GPT 5.1" if base == "gpt-5.1" else title
        for effort in own:
            id = f"{base}-{effort}"
            name = f"{family} {_EFFORT_NAME.get(effort, effort.title())}"
            budget = _EFFORT_TEXT.get(effort, effort)
            models.append(model(id, name, f"Alias for {family} with {budget} thinking budget."))
            efforts[id] = (base, effort)
    return models, efforts


_CODEX, EFFORT_IDS = _codex()

CLAUDE: Final = (
    _claude("claude-haiku-4-5-20251001", 1759276800, "Claude 4.5 Haiku", _200K, 64_000, None),
    _claude("claude-sonnet-4-5-20250929", 1759104000, "Claude 4.5 Sonnet", _200K, 64_000, True),
    _claude(
        "claude-opus-4-5-20251101",
        1761955200,
        "Claude 4.5 Opus",
        _200K,
        64_000,
        True,
        "Premium model combining maximum intelligence with practical performance",
    ),
    _claude("claude-opus-4-1-20250805", 1722945600, "Claude 4.1 Opus", _200K, 32_000, True),
    _claude("claude-opus-4-20250514", 1715644800, "Claude 4 Opus", _200K, 32_000, True),
    _claude("claude-sonnet-4-20250514", 1715644800, "Claude 4 Sonnet", _200K, 64_000, True),
    _claude("claude-3-7-sonnet-20250219", 1708300800, "Claude 3.7 Sonnet", _128K, 8192, True),
    _claude("claude-3-5-haiku-20241022", 1729555200, "Claude 3.5 Haiku", _128K, 8192, False),
)
CODEX: Final = tuple(_CODEX)
_PRO_LEVELS: Final = ("low", "high")
GEMINI: Final = (
    _gemini(
        "gemini-2.5-pro",
        1750118400,
        "Gemini 2.5 Pro",
        "2.5",
        text="Stable release (June 17th, 2025) of Gemini 2.5 Pro",
    ),
    _gemini(
        "gemini-2.5-flash",
        1750118400,
        "Gemini 2.5 Flash",
        "001",
        text="Stable version of Gemini 2.5 Flash, our mid-size multimodal model that supports up to"
        " 1 million tokens, released in June of 2025.",
        budget=(0, 24576),
    ),
    _gemini(
        "gemini-2.5-flash-lite",
        1753142400,
        "Gemini 2.5 Flash Lite",
        "2.5",
        text="Our smallest and most cost effective model, built for at scale usage.",
        budget=(0, 24576),
    ),
    _gemini("gemini-3-pro-preview", 1737158400, "Gemini 3 Pro Preview", "3.0", levels=_PRO_LEVELS),
    _gemini("gemini-3-flash-preview", 1765929600, "Gemini 3 Flash Preview", "3.0", levels=_MINIMAL),
    _gemini(
        "gemini-3-pro-image-preview",
        1737158400,
        "Gemini 3 Pro Image Preview",
        "3.0",
        levels=_PRO_LEVELS,
    ),
)
VERTEX: Final = tuple(
    _gemini(
        model.id,
        model.created,
        model.display_name,
        model.version,
        text="Our most intelligent model built for speed, combining frontier intelligence with"
        " superior search and grounding.",
        levels=_MINIMAL,
    )
    if model.id == "gemini-3-flash-preview"
    else model
    for model in GEMINI
)
GEMINI_CLI: Final = tuple(
    _gemini(
        model.id,
        model.created,
        model.display_name,
        model.version,
        text="Our most intelligent model with SOTA reasoning and multimodal understanding, and"
        " powerful agentic and vibe coding capabilities",
        levels=_PRO_LEVELS,
    )
    if model.id == "gemini-3-pro-preview"
    else model
    for model in VERTEX
    if model.id != "gemini-3-pro-image-preview"
)


_ALL_LEVELS: Final = ("none", "auto", "minimal", "low", "medium", "high", "xhigh")
_SWITCHED: Final = Capability(thinking=True, levels=_ALL_LEVELS)
"""Thinks or not; any effort but `none` means that it does."""


def _plain(
    owner: str,
    id: str,
    created: int,
    name: str,
    text: str,
    *,
    context: int = 0,
    output: int = 0,
    version: str = "",
    capability: Capability | None = None,
) -> ListedModel:
    return ListedModel(
        id=id,
        created=created,
        owned_by=owner,
        kind=owner,
        display_name=name,
        description=text,
        version=version,
        context=context,
        output=output,
        capability=capability or Capability(),
    )


QWEN: Final = tuple(
    _plain("qwen", id, created, name, text, version="3.0", context=context, output=output)
    for id, created, name, text, context, output in (
        ("qwen3-coder-plus", 1753228800, "Qwen3 Coder Plus",
         "Advanced code generation and understanding model", 32_768, 8192),
        ("qwen3-coder-flash", 1753228800, "Qwen3 Coder Flash",
         "Fast code generation model", 8192, 2048),
        ("vision-model", 1758672000, "Qwen3 Vision Model",
         "Vision model model", 32_768, 2048),
    )
)  # fmt: skip
IFLOW: Final = tuple(
    _plain("iflow", id, created, name, text, capability=capability)
    for id, created, name, text, capability in (
        ("tstars2.0", 1746489600, "TStars-2.0", "iFlow TStars-2.0 multimodal assistant", None),
        ("qwen3-coder-plus", 1753228800, "Qwen3-Coder-Plus",
         "Qwen3 Coder Plus code generation", None),
        ("qwen3-max", 1758672000, "Qwen3-Max", "Qwen3 flagship model", None),
        ("qwen3-vl-plus", 1758672000, "Qwen3-VL-Plus", "Qwen3 multimodal vision-language", None),
        ("qwen3-max-preview", 1757030400, "Qwen3-Max-Preview", "Qwen3 Max preview build", None),
        ("kimi-k2-0905", 1757030400, "Kimi-K2-Instruct-0905",
         "Moonshot Kimi K2 instruct 0905", None),
        ("kimi-k2", 1752192000, "Kimi-K2", "Moonshot Kimi K2 general model", None),
        ("kimi-k2-thinking", 1762387200, "Kimi-K2-Thinking",
         "Moonshot Kimi K2 thinking model", None),
        ("glm-4.6", 1759190400, "GLM-4.6", "Zhipu GLM 4.6 general model", _SWITCHED),
        ("glm-4.7", 1766448000, "GLM-4.7", "Zhipu GLM 4.7 general model", _SWITCHED),
        ("deepseek-v3.2-chat", 1764576000, "DeepSeek-V3.2", "DeepSeek V3.2 Chat", None),
        ("deepseek-v3.2-reasoner", 1764576000, "DeepSeek-V3.2", "DeepSeek V3.2 Reasoner", None),
        ("deepseek-v3.2", 1759104000, "DeepSeek-V3.2-Exp", "DeepSeek V3.2 experimental", None),
        ("deepseek-v3.1", 1756339200, "DeepSeek-V3.1-Terminus", "DeepSeek V3.1 Terminus", None),
        ("deepseek-r1", 1737331200, "DeepSeek-R1", "DeepSeek reasoning model R1", None),
        ("deepseek-v3", 1734307200, "DeepSeek-V3-671B", "DeepSeek V3 671B", None),
        ("qwen3-32b", 1747094400, "Qwen3-32B", "Qwen3 32B", None),
        ("qwen3-235b-a22b-thinking-2507", 1753401600, "Qwen3-235B-A22B-Thinking",
         "Qwen3 235B A22B Thinking (2507)", None),
        ("qwen3-235b-a22b-instruct", 1753401600, "Qwen3-235B-A22B-Instruct",
         "Qwen3 235B A22B Instruct", None),
        ("qwen3-235b", 1753401600, "Qwen3-235B-A22B", "Qwen3 235B A22B", None),
        ("minimax-m2", 1758672000, "MiniMax-M2", "MiniMax M2", _SWITCHED),
        ("minimax-m2.1", 1766448000, "MiniMax-M2.1", "MiniMax M2.1", _SWITCHED),
    )
)  # fmt: skip


KIRO: Final = tuple(
    ListedModel(
        id=f"kiro-claude-{id}{suffix}",
        created=1732752000,
        owned_by="aws",
        kind="kiro",
        display_name=f"Kiro Claude {name}{' (Agentic)' if suffix else ''}",
        description=f"Claude {name} optimized for coding agents (chunked writes)"
        if suffix
        else f"Claude {name} via Kiro ({price}x credit)",
        context=_200K,
        output=64_000,
        capability=Capability(
            thinking=True,
            budget_min=1024,
            budget_max=32_000,
            zero_allowed=True,
            dynamic_allowed=True,
            context=_200K,
            output=64_000,
        ),
    )
    for id, name, price in (
        ("opus-4-5", "Opus 4.5", "2.2"),
        ("sonnet-4-5", "Sonnet 4.5", "1.3"),
        ("sonnet-4", "Sonnet 4", "1.3"),
        ("haiku-4-5", "Haiku 4.5", "0.4"),
    )
    for suffix in ("", "-agentic")
)


def _budget(low: int, high: int) -> Capability:
    return Capability(
        thinking=True,
        budget_min=low,
        budget_max=high,
        zero_allowed=low == 0,
        dynamic_allowed=True,
    )


OTHER: Final[dict[str, Capability]] = {
    # Providers without a built-in list here; their models may still be named by a route.
    "gemini-pro-latest": _budget(128, 32768),
    "gemini-flash-latest": _budget(0, 24576),
    "gemini-flash-lite-latest": Capability(
        thinking=True,
        budget_min=512,
        budget_max=24576,
        zero_allowed=True,
        dynamic_allowed=True,
    ),
    "gemini-claude-sonnet-4-5-thinking": Capability(
        thinking=True, budget_min=1024, budget_max=200_000, context=_200K, output=64_000
    ),
    "gemini-claude-opus-4-5-thinking": Capability(
        thinking=True, budget_min=1024, budget_max=200_000, context=_200K, output=64_000
    ),
}
