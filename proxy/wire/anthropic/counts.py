"""Usage and stop reasons, both ways."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from proxy.convo.model import Finish, FinishReason, Usage
from proxy.wire.anthropic import types as t

STOP_REASONS: Final[dict[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
    "pause_turn": "pause",
}
_WORDS: Final[dict[FinishReason, str]] = {
    "stop": "end_turn",
    "tool": "tool_use",
    "length": "max_tokens",
    "filter": "refusal",
    "refusal": "refusal",
    "pause": "pause_turn",
    "error": "end_turn",
}
_TIERS: Final = {"standard": "default"}
_TIERS_BACK: Final = {"default": "standard", "auto": "standard"}


class Counter:
    """Usage of one answer: message_start and message_delta each tell a part of it."""

    def __init__(self) -> None:
        self._told = t.UsageIn()
        self.service_tier = ""

    def add(self, raw: Raw) -> Usage | None:
        """The usage so far, once these counts are known too; None where they say nothing."""
        if t.given(raw) is None:
            return None
        try:
            new = t.usage.decode(raw)
        except msgspec.DecodeError:
            return None
        told = self._told
        for field in t.UsageIn.__struct_fields__:
            value = getattr(new, field)
            if value is not None:
                setattr(told, field, value)
        tier = told.service_tier or ""
        self.service_tier = _TIERS.get(tier, tier)
        read, written = told.cache_read_input_tokens, told.cache_creation_input_tokens
        total = None
        if told.input_tokens is not None or read or written:
            total = (told.input_tokens or 0) + (read or 0) + (written or 0)
        return Usage(total, told.output_tokens, read, written)


def usage_fields(usage: Usage | None) -> dict[str, int]:
    """The wire's counts: `input_tokens` is what neither came from nor went to the cache."""
    if usage is None:
        return {"input_tokens": 0, "output_tokens": 0}
    total = usage.input or 0
    # Some upstreams tell more cached tokens than tokens; the sum of the three is what clients show.
    read = min(usage.cached or 0, total)
    written = min(usage.cache_write or 0, total - read)
    fields = {"input_tokens": total - read - written}
    if usage.cached is not None or usage.cache_write is not None:
        fields["cache_creation_input_tokens"] = written
        fields["cache_read_input_tokens"] = read
    fields["output_tokens"] = usage.output or 0
    return fields


def finish_of(stop_reason: str | None, sequence: str | None, called: bool) -> Finish:
    """The finish that a stop reason means; without one, whether a tool was called decides."""
    if stop_reason is None:
        return Finish("tool" if called else "stop", origin=t.NAME)
    reason = STOP_REASONS.get(stop_reason, "tool" if called else "stop")
    return Finish(reason, stop_reason, t.NAME, sequence or "")


def stop_reason_of(finish: Finish | None, called: bool) -> str:
    """The wire's word. A call without `tool_use` would not be carried out by the client."""
    if finish is None:
        return "tool_use" if called else "end_turn"
    if finish.origin == t.NAME and finish.native in STOP_REASONS:
        return finish.native
    if finish.reason == "stop":
        if called:
            return "tool_use"
        return "stop_sequence" if finish.sequence else "end_turn"
    if finish.reason == "tool" and not called:
        return "end_turn"
    return _WORDS[finish.reason]


def tier_word(tier: str) -> str:
    """The wire's word for a service tier of an answer."""
    return _TIERS_BACK.get(tier, tier)
