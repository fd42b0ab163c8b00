"""Token counts and reasons of the end, in this wire's words and in neutral ones."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from proxy.convo.model import Finish, FinishReason, Usage
from proxy.wire.chat import types as t

_REASONS: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_calls": "tool",
    "function_call": "tool",
    "tool_use": "tool",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "filter",
    "safety": "filter",
    "error": "error",
}
_WORDS: Final[dict[FinishReason, str]] = {
    "stop": "stop",
    "tool": "tool_calls",
    "length": "length",
    "filter": "content_filter",
    "refusal": "content_filter",
    "pause": "stop",
    "error": "stop",
}
WORDS: Final = frozenset(("stop", "length", "tool_calls", "function_call", "content_filter"))


def finish_of(native: str, *, called: bool, refused: bool) -> Finish:
    """The finish of a choice; calls win over `stop`, which many upstreams say in either case."""
    reason = _REASONS.get(native.lower(), "stop")
    if reason == "stop" and called:
        reason = "tool"
    elif reason == "stop" and refused:
        reason = "refusal"
    return Finish(reason, native, t.NAME)


def finish_word(finish: Finish, *, called: bool, refused: bool) -> str:
    """`finish_reason`. A refusal that stands in `refusal` ends with `stop`, as the API has it."""
    if finish.origin == t.NAME and finish.native in WORDS:
        return finish.native
    if finish.reason == "stop" and called:
        return "tool_calls"
    if finish.reason == "refusal" and refused:
        return "stop"
    return _WORDS[finish.reason]


def usage_of(raw: Raw | None) -> Usage | None:
    """The counts; None where there are none or they make no sense."""
    if raw is None:
        return None
    try:
        given = t.usage.decode(raw)
    except msgspec.DecodeError:
        return None
    prompt = given.prompt_tokens_details or t.CountDetails()
    completion = given.completion_tokens_details or t.CountDetails()
    cached = prompt.cached_tokens
    reasoning = completion.reasoning_tokens
    usage = Usage(
        input=_count(given.prompt_tokens),
        output=_count(given.completion_tokens),
        cached=_count(given.prompt_cache_hit_tokens if cached is None else cached),
        cache_write=_count(prompt.cache_write_tokens),
        reasoning=_count(given.reasoning_tokens if reasoning is None else reasoning),
        audio_input=_count(prompt.audio_tokens),
        audio_output=_count(completion.audio_tokens),
    )
    if usage.input is None and usage.output is None:
        return None
    usage.extras = raw.copy()
    return usage


def _count(value: float | None) -> int | None:
    return None if value is None else int(value)


def usage_fields(usage: Usage) -> dict[str, object]:
    """The `usage` object."""
    given, made = max(usage.input or 0, 0), max(usage.output or 0, 0)
    prompt: dict[str, object] = {"cached_tokens": usage.cached or 0}
    if usage.cache_write:
        prompt["cache_write_tokens"] = usage.cache_write
    if usage.audio_input:
        prompt["audio_tokens"] = usage.audio_input
    completion: dict[str, object] = {"reasoning_tokens": usage.reasoning or 0}
    if usage.audio_output:
        completion["audio_tokens"] = usage.audio_output
    return {
        "prompt_tokens": given,
        "completion_tokens": made,
        "total_tokens": given + made,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": completion,
    }
