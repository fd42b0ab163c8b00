"""What is read of a Responses request, for the list of what is not. See `proxy.wire.unread`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.wire.responses import types as t
from proxy.wire.unread import Reading, word

if TYPE_CHECKING:
    from collections.abc import Collection

    from proxy.wire.unread import Members

_OUTPUT: Final = ("type", "call_id", "id", "output")
_ITEMS: Final = {
    "message": ("type", "role", "content"),
    "reasoning": ("type", "id", "summary", "content", "encrypted_content"),
    "function_call": ("type", "call_id", "id", "name", "arguments"),
    "custom_tool_call": ("type", "call_id", "id", "name", "input"),
    "local_shell_call": ("type", "call_id", "id", "action"),
    "function_call_output": _OUTPUT,
    "custom_tool_call_output": _OUTPUT,
    "local_shell_call_output": _OUTPUT,
}
_TEXT: Final = ("type", "text", "annotations")
_IMAGE: Final = ("type", "image_url", "detail", "file_id")
_CONTENTS: Final = {
    "": _TEXT,
    "text": _TEXT,
    "input_text": _TEXT,
    "output_text": _TEXT,
    "summary_text": _TEXT,
    "reasoning_text": _TEXT,
    "refusal": ("type", "refusal"),
    "input_image": _IMAGE,
    "image_url": _IMAGE,
    "input_file": ("type", "file_id", "filename", "file_data", "file_url"),
    "input_audio": ("type", "input_audio"),
}
_FUNCTION: Final = ("type", "name", "description", "parameters", "strict")


def _item(members: Members) -> Collection[str] | None:
    kind = word(members, "type") or ("message" if "role" in members else "")
    return _ITEMS.get(kind)


def _content(members: Members) -> Collection[str] | None:
    found = _CONTENTS.get(word(members, "type"))
    if found is _TEXT and "text" not in members:
        return None
    return found


def _tool(members: Members) -> Collection[str] | None:
    kind = word(members, "type")
    if kind in ("function", ""):
        return ("type", "function") if "function" in members else _FUNCTION
    if kind == "custom":
        return ("type", "name", "description", "format")
    return ("type",) if kind.startswith("web_search") else None


READING: Final = Reading(
    members={
        "input": list[t.Item],
        "instructions": list[t.Item],
        "tools": list[t.ToolSpec],
        "tool_choice": t.Choice,
        "reasoning": t.ReasoningSettings,
        "text": t.TextSettings,
    },
    inside={
        (t.Item, "content"): list[t.Content],
        (t.Item, "output"): list[t.Content],
    },
    kinds={t.Item: _item, t.Content: _content, t.ToolSpec: _tool},
)
