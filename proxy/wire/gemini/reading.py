"""What is read of a `generateContent` request, for the list of what is not. See `proxy.wire.unread`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from proxy.wire.gemini import types as t
from proxy.wire.unread import Reading, camel

if TYPE_CHECKING:
    from collections.abc import Collection

    from proxy.wire.unread import Members

_BESIDE: Final = frozenset(
    (
        *("thought", "thoughtSignature", "thought_signature"),
        *("videoMetadata", "video_metadata"),
    )
)
_PART: Final = frozenset(t.Part.__struct_fields__)
_KINDS: Final = _PART - _BESIDE


class SystemPart(Struct):
    """A part of `systemInstruction`: only text is read."""

    text: str


class SystemContent(Struct):
    """`systemInstruction`."""

    role: str
    parts: list[SystemPart]


class Settings(Struct):
    """An object whose settings are all left out: those of a web search."""


class ToolMembers(Struct, rename="camel"):
    """An entry of `tools`; further members are tools of the provider, which encoders list."""

    function_declarations: list[t.FunctionDeclaration]
    google_search: Settings
    google_search_retrieval: Settings


class ToolConfig(Struct, rename="camel"):
    """`toolConfig`."""

    function_calling_config: t.FunctionCallingConfig


def _part(members: Members) -> Collection[str] | None:
    """A part of a kind that nobody knows stays as it is."""
    return _PART if members.keys() & _KINDS else None


def _tool(members: Members) -> Collection[str]:
    return {camel(name) for name in members}


MEMBERS: Final = {
    "contents": list[t.Content] | t.Content,
    "systemInstruction": SystemContent | list[SystemPart],
    "tools": list[ToolMembers] | ToolMembers,
    "toolConfig": ToolConfig,
    "generationConfig": t.GenerationConfig,
}
INSIDE: Final[dict[tuple[type, str], object]] = {
    (t.GenerationConfig, "thinkingConfig"): t.ThinkingConfig,
    (t.FunctionResponse, "parts"): list[t.Part],
}
READING: Final = Reading(
    members=MEMBERS,
    inside=INSIDE,
    kinds={t.Part: _part, ToolMembers: _tool},
    camel=frozenset(
        (t.GenerationConfig, t.ThinkingConfig, t.FunctionCallingConfig, ToolMembers, ToolConfig)
    ),
    kept=frozenset(
        (
            *("tools", "toolConfig", "generationConfig"),
            *(t.ExecutableCode, t.CodeExecutionResult),
        )
    ),
)
