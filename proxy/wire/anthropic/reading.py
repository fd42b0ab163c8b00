"""What is read of a Messages request, for the list of what is not. See `proxy.wire.unread`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Raw, Struct

from proxy.wire.anthropic import types as t
from proxy.wire.unread import Reading, object_in, word

if TYPE_CHECKING:
    from collections.abc import Collection

    from proxy.wire.unread import Members

_SOURCES: Final = {
    "base64": ("type", "media_type", "data"),
    "text": ("type", "media_type", "data"),
    "url": ("type", "media_type", "url"),
    "file": ("type", "media_type", "file_id"),
    "content": ("type", "content"),
}
_DOCUMENT: Final = ("type", *t.DocumentBlock.__struct_fields__)


class ToolMembers(Struct):
    """An entry of `tools`."""

    name: Raw
    type: Raw
    description: Raw
    input_schema: Raw
    strict: Raw
    cache_control: Raw


class SearchResultBlock(t.SearchResult, tag_field="type", tag="search_result"):
    """A search result among the blocks; other wires get its text."""

    cache_control: Raw = t.NOTHING


def _source(members: Members) -> Collection[str] | None:
    return _SOURCES.get(word(members, "type"))


def _document(members: Members) -> Collection[str]:
    """Of one that is made of blocks, the blocks are all that is read."""
    mixed = word(object_in(members, "source"), "type") == "content"
    return ("type", "source", "cache_control") if mixed else _DOCUMENT


def _tool(members: Members) -> Collection[str] | None:
    kind = word(members, "type")
    if kind in ("", "custom"):
        return ToolMembers.__struct_fields__
    return ("type", "name", "cache_control") if kind.startswith("web_search") else None


READING: Final = Reading(
    members={
        "messages": list[t.MessageIn],
        "system": list[t.TextBlock],
        "tools": list[ToolMembers],
        "tool_choice": t.ToolChoiceIn,
        "thinking": t.ThinkingConfig,
        "output_config": t.OutputConfig,
        "output_format": t.FormatIn,
    },
    inside={
        (t.MessageIn, "content"): list[t.Block | SearchResultBlock],
        (t.ToolResultBlock, "content"): list[t.Block | SearchResultBlock],
        (t.Source, "content"): list[t.Block | SearchResultBlock],
    },
    kinds={t.Source: _source, t.DocumentBlock: _document, ToolMembers: _tool},
    kept=frozenset(("tools", SearchResultBlock)),
)
