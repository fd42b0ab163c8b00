"""How much to think, in the spellings that chat clients use.

`reasoning_effort` is the API's; `reasoning` is OpenRouter's, `thinking` that of several model makers,
`extra_body.google.thinking_config` the one of Google's compatible endpoint (some clients send the
`extra_body` of their library as it is).
"""

from __future__ import annotations

from typing import Final, cast

import msgspec
from msgspec import Raw, Struct

from proxy.convo.model import Capability, Effort, Reasoning
from proxy.convo.thinking import effort_of
from proxy.errors import bad_request
from proxy.jsonio import Body
from proxy.wire.chat import types as t

WORDS: Final = frozenset(("none", "minimal", "low", "medium", "high", "xhigh", "max", "auto"))


class Config(Struct):
    """`thinking_config`."""

    thinking_budget: int | None = None
    thinkingBudget: int | None = None  # noqa: N815 - the API's spelling
    thinking_level: str | None = None
    thinkingLevel: str | None = None  # noqa: N815 - the API's spelling
    include_thoughts: bool | None = None
    includeThoughts: bool | None = None  # noqa: N815 - the API's spelling


class Google(Struct):
    """`google` of `extra_body`."""

    thinking_config: Config | None = None
    thinkingConfig: Config | None = None  # noqa: N815 - the API's spelling


class Extra(Struct):
    """`extra_body`."""

    google: Google | None = None
    reasoning: t.ReasoningIn | None = None
    thinking: t.ReasoningIn | None = None


_word = msgspec.json.Decoder(str | None)
_reasoning = msgspec.json.Decoder(t.ReasoningIn | None)
_google = msgspec.json.Decoder(Google | None)
_extra = msgspec.json.Decoder(Extra | None)


def reasoning_of(top: Body) -> Reasoning | None:
    """The reasoning settings of a request body. Raises ProxyError (400) for an unknown word."""
    try:
        return _read(top)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_request(f"reasoning: {error}") from error


def _read(top: Body) -> Reasoning | None:
    raw = _raw(top, "reasoning_effort")
    word = _word.decode(raw) if raw is not None else None
    if word:
        return Reasoning(effort=_known(word, "reasoning_effort"))
    for key in ("reasoning", "thinking"):
        raw = _raw(top, key)
        if raw is not None and bytes(memoryview(raw)[:1]) == b"{":
            found = _of_struct(_reasoning.decode(raw), key)
            if found is not None:
                return found
    raw = _raw(top, "google")
    if raw is not None:
        return _of_google(_google.decode(raw))
    raw = _raw(top, "extra_body")
    extra = _extra.decode(raw) if raw is not None else None
    if extra is None:
        return None
    return (
        _of_google(extra.google)
        or _of_struct(extra.reasoning, "reasoning")
        or _of_struct(extra.thinking, "thinking")
    )


def _raw(top: Body, key: str) -> Raw | None:
    value = top.get(key)
    return value if isinstance(value, Raw) else None


def _known(word: str, path: str) -> Effort:
    lower = word.strip().lower()
    if lower not in WORDS:
        raise bad_request(f"{path}: Invalid effort '{word}'")
    return cast("Effort", lower)


def _of_struct(given: t.ReasoningIn | None, path: str) -> Reasoning | None:
    if given is None:
        return None
    include = None if given.exclude is None else not given.exclude
    if given.enabled is False or given.type == "disabled":
        return Reasoning(effort="none")
    if given.effort:
        return Reasoning(_known(given.effort, f"{path}.effort"), include=include)
    budget = given.max_tokens if given.max_tokens is not None else given.budget_tokens
    if budget is not None:
        return Reasoning(budget=max(budget, -1), include=include)
    if given.enabled or given.type in ("enabled", "auto", "adaptive"):
        return Reasoning(effort="auto", include=include)
    return None


def _of_google(given: Google | None) -> Reasoning | None:
    config = (given.thinking_config or given.thinkingConfig) if given is not None else None
    if config is None:
        return None
    include = config.includeThoughts if config.include_thoughts is None else config.include_thoughts
    level = config.thinking_level or config.thinkingLevel
    if level and level.lower() in WORDS:
        return Reasoning(effort=cast("Effort", level.lower()), include=include)
    budget = config.thinkingBudget if config.thinking_budget is None else config.thinking_budget
    if budget is None:
        return None if include is None else Reasoning(include=include)
    return Reasoning(budget=max(budget, -1), include=include)


def set_effort(body: Body, reasoning: Reasoning, capability: Capability) -> None:
    """`reasoning_effort` of an upstream body; models known not to think get none."""
    if capability.thinking is False:
        return
    word = effort_of(reasoning, capability)
    if word is not None:
        body["reasoning_effort"] = word


def patch_reasoning(body: Body, reasoning: Reasoning, capability: Capability) -> None:
    """Overwrites the thinking settings of a chat body, in whatever spelling they stand."""
    for key in ("reasoning_effort", "reasoning", "thinking"):
        body.pop(key, None)
    set_effort(body, reasoning, capability)
