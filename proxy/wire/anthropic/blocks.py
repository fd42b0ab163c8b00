"""Content blocks to parts. Requests and answers have the same blocks; both decoders read them here."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from proxy.convo.model import (
    Media,
    MediaKind,
    Opaque,
    Part,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
)
from proxy.convo.signature import unseal
from proxy.jsonio import text_of
from proxy.wire.anthropic import types as t
from proxy.wire.anthropic.names import read_id

_content = msgspec.json.Decoder(str | list[Raw])
_loose_result = msgspec.json.Decoder(t.LooseToolResult)


def _is_list(raw: Raw) -> bool:
    """Whether it is a list that holds something; some servers send other things as citations."""
    text = bytes(raw)
    return text[:1] == b"[" and text != b"[]"


def parts_of_raw(blocks: list[Raw]) -> list[Part]:
    """The parts of any blocks, unknown ones as `Opaque`. Raises msgspec.DecodeError for malformed ones."""
    out: list[Part] = []
    for raw in blocks:
        out += part_of_raw(raw)
    return out


def part_of_raw(raw: Raw) -> list[Part]:
    """One block of any type: usually one part; a document made of mixed content gives several."""
    kind = t.peek.decode(raw).type
    match kind:
        case "text" | "tool_use" | "thinking" | "image" | "redacted_thinking":
            return [part_of(t.block.decode(raw))]
        case "document":
            return _document(raw)
        case "tool_result":
            return [_tool_result(raw)]
        case "search_result":
            return [Opaque(t.NAME, raw, kind, _search_text(raw))]
        case _:
            return [Opaque(t.NAME, raw, kind)]


def parts_of(blocks: list[t.Block]) -> list[Part]:
    """The parts of blocks of known types (documents of nested content are not among them)."""
    return [part_of(block) for block in blocks]


def part_of(block: t.Block) -> Part:
    """The part of one block of a known type."""
    # Two thirds of all blocks of long conversations are these two; a match costs 1 us a block.
    if type(block) is t.TextBlock:
        part = Text(block.text)
        if block.cache_control:
            part.cache = t.given(block.cache_control)
        if block.citations and _is_list(block.citations):
            part.citations = (t.NAME, block.citations)
        return part
    if type(block) is t.ToolUseBlock:
        text = text_of(block.input) if block.input else "{}"
        id, signature = read_id(block.id)
        call = ToolUse(id, block.name, text, cache=_hint(block.cache_control))
        if signature:
            call.signature, call.origin = signature, "gemini"
        return call
    return _rarer_part(block)


def _rarer_part(block: t.Block) -> Part:
    match block:
        case t.ToolResultBlock(id, content, is_error, cache):
            inner: list[Part] = []
            if isinstance(content, str):
                inner.append(Text(content))
            elif content is not None:
                inner += [part_of(item) for item in content]
            return ToolResult(read_id(id)[0], inner, is_error=bool(is_error), cache=_hint(cache))
        case t.ThinkingBlock(thinking, signature):
            proof, origin = unseal(signature or "", t.NAME)
            return Thinking(thinking, proof, origin)
        case t.RedactedBlock(data):
            proof, origin = unseal(data, t.NAME)
            return Thinking("", proof, origin, redacted=True)
        case t.ImageBlock(source, cache):
            return _media("image", source, cache)
        case t.DocumentBlock():
            media = _media("file", block.source, block.cache_control)
            media.name, media.context = block.title or "", block.context or ""
            media.citations = t.given(block.citations)
            return media
        case _:
            raise msgspec.ValidationError("A block of an unexpected type")


def _hint(cache: Raw) -> Raw | None:
    return t.given(cache) if cache else None


def _media(kind: MediaKind, source: t.Source, hint: Raw) -> Media:
    mime, cache = source.media_type or "", _hint(hint)
    match source.type:
        case "base64":
            return Media(kind, mime, source.data or "", cache=cache)
        case "text":
            return Media(kind, mime or "text/plain", text=source.data or "", cache=cache)
        case "url":
            return Media(kind, mime, url=source.url or "", cache=cache)
        case "file":
            return Media(kind, mime, file_id=source.file_id or "", cache=cache)
        case _:
            raise msgspec.ValidationError(f"Invalid source type '{source.type}'")


def _document(raw: Raw) -> list[Part]:
    block = t.block.decode(raw)
    if not isinstance(block, t.DocumentBlock) or block.source.type != "content":
        return [part_of(block)]
    content = block.source.content
    inner = _content.decode(content) if t.given(content) is not None else ""
    parts = [Text(inner)] if isinstance(inner, str) else parts_of_raw(inner)
    texts = [part.text for part in parts if isinstance(part, Text)]
    if len(texts) == len(parts):
        return [Opaque(t.NAME, raw, "document", "\n".join(texts))]
    # Images inside would be lost to other wires if the document stayed in one piece.
    return list(parts)


def _tool_result(raw: Raw) -> ToolResult:
    """A result; slower and tolerant where its content holds a block of an unknown type."""
    try:
        part = part_of(t.block.decode(raw))
    except msgspec.ValidationError:
        part = None
    if isinstance(part, ToolResult):
        return part
    loose = _loose_result.decode(raw)
    content = parts_of_raw(loose.content)
    return ToolResult(
        read_id(loose.tool_use_id)[0],
        content,
        is_error=bool(loose.is_error),
        cache=_hint(loose.cache_control),
    )


def _search_text(raw: Raw) -> str:
    try:
        found = t.search_result.decode(raw)
    except msgspec.ValidationError:
        return ""
    head = [word for word in (found.title, found.source) if word]
    return "\n".join(head + [block.text for block in found.content])
