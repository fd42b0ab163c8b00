"""What is read of a Chat Completions request, for the list of what is not. See `proxy.wire.unread`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from proxy.wire.chat import effort, proofs
from proxy.wire.chat import types as t
from proxy.wire.unread import Reading, word

if TYPE_CHECKING:
    from collections.abc import Collection

    from proxy.wire.unread import Members

_PARTS: Final = {
    "text": "text",
    "input_text": "text",
    "output_text": "text",
    "refusal": "refusal",
    "image_url": "image_url",
    "input_image": "image_url",
    "video_url": "video_url",
    "input_audio": "input_audio",
    "file": "file",
}
"""Type of a content part -> the member that it is read for."""
_ASSISTANT: Final = frozenset(t.MessageIn.__struct_fields__) - {"tool_call_id"}
_MESSAGES: Final = {
    "assistant": _ASSISTANT,
    "tool": ("role", "content", "tool_call_id"),
    "function": ("role", "content", "tool_call_id", "name"),
}
_OTHER_MESSAGE: Final = ("role", "content", "name")
_FLAT: Final = ("type", "name", "description", "parameters", "strict", "cache_control")
_SEARCHES: Final = ("google_search", "googleSearch", "google_search_retrieval")


class Settings(Struct):
    """An object whose settings are all left out: those of a web search."""


class ToolMembers(t.ToolIn):
    """An entry of `tools`, Gemini's spelling of a web search among them."""

    google_search: Settings | None = None
    googleSearch: Settings | None = None  # noqa: N815 - the API's spelling
    google_search_retrieval: Settings | None = None


def _message(members: Members) -> Collection[str]:
    return _MESSAGES.get(word(members, "role"), _OTHER_MESSAGE)


def _part(members: Members) -> Collection[str] | None:
    holds = _PARTS.get(word(members, "type"), "")
    return ("type", holds, "cache_control") if holds in members else None


def _tool(members: Members) -> Collection[str] | None:
    kind = word(members, "type")
    if "function" in members:
        return ("type", "function", "cache_control")
    if kind == "custom" and "custom" in members:
        return ("type", "custom", "cache_control")
    if kind == "function":
        return _FLAT
    if kind.startswith("web_search"):
        return ("type", "cache_control")
    # Without a type, its name is the first member.
    found = next((key for key in _SEARCHES if key in members), None)
    return (found, "cache_control") if found and not kind else None


def _detail(members: Members) -> Collection[str] | None:
    """An entry that proves something is one value; encoders list it."""
    proves = "signature" in members or "data" in members
    return None if proves else t.Detail.__struct_fields__


READING: Final = Reading(
    members={
        "messages": list[t.MessageIn],
        "tools": list[ToolMembers],
        "functions": list[t.FunctionDef],
        "tool_choice": t.ToolChoiceIn,
        "function_call": t.ToolChoiceIn,
        "response_format": t.FormatIn,
        "stream_options": t.StreamOptions,
        "reasoning": t.ReasoningIn,
        "thinking": t.ReasoningIn,
        "google": effort.Google,
        "extra_body": effort.Extra,
        "web_search_options": Settings,
    },
    inside={
        (t.MessageIn, "content"): list[t.PartIn] | t.PartIn,
        (t.MessageIn, "reasoning_details"): list[t.Detail],
        (t.Call, "extra_content"): proofs.Extra,
    },
    kinds={
        t.MessageIn: _message,
        t.PartIn: _part,
        ToolMembers: _tool,
        t.Detail: _detail,
    },
)
