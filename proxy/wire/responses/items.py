"""Output items as bytes, and what the client's request says about their shape."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from proxy.convo.model import Media, Opaque, Request, ToolUse
from proxy.jsonio import encode, top_level


class _Source(Struct):
    """Where a citation of another wire points to: Anthropic's, Chat Completions', Gemini's."""

    url: str | None = None
    uri: str | None = None
    title: str | None = None
    cited_text: str | None = None
    document_title: str | None = None
    start_index: int | None = None
    end_index: int | None = None
    startIndex: int | None = None  # noqa: N815  # Gemini's spelling
    endIndex: int | None = None  # noqa: N815  # Gemini's spelling
    url_citation: _Source | None = None
    web: _Source | None = None


_source: Final = msgspec.json.Decoder(_Source)


class _Input(Struct):
    """A free-form tool's input as other wires carry it."""

    input: str


_input: Final = msgspec.json.Decoder(_Input)


class Shape:
    """What the client declared: which tools are free-form."""

    def __init__(self, request: Request | None) -> None:
        tools = request.tools if request is not None else []
        self._custom = {tool.name for tool in tools if tool.kind == "custom"}

    def custom(self, call: ToolUse) -> bool:
        """Whether the client gets it as `custom_tool_call`."""
        return call.custom or call.name in self._custom

    def input_of(self, arguments: str) -> str:
        """A free-form input out of the arguments `{"input": text}` that other wires give."""
        try:
            return _input.decode(arguments).input
        except (msgspec.DecodeError, UnicodeEncodeError):
            return arguments

    def annotation(self, origin: str, raw: Raw) -> bytes | None:
        """A citation as an annotation; None where it has no address."""
        if origin == "responses":
            return bytes(raw)
        try:
            said = _source.decode(raw)
        except msgspec.DecodeError:
            return None
        said = said.url_citation or said.web or said
        url = said.url or said.uri
        if not url:
            return None
        start = said.start_index if said.start_index is not None else said.startIndex
        end = said.end_index if said.end_index is not None else said.endIndex
        return encode(
            {
                "type": "url_citation",
                "start_index": start or 0,
                "end_index": end or 0,
                "url": url,
                "title": said.title or said.document_title or "",
            }
        )


def text_part(text: str, notes: list[bytes], *, refusal: bool) -> bytes:
    """A content part of a message."""
    if refusal:
        return b'{"type":"refusal","refusal":%b}' % encode(text)
    return b'{"type":"output_text","annotations":[%b],"logprobs":[],"text":%b}' % (
        b",".join(notes),
        encode(text),
    )


def message_item(ident: bytes, part: bytes, status: str) -> bytes:
    """A message."""
    return b'{"id":"%b","type":"message","status":"%b","content":[%b],"role":"assistant"}' % (
        ident,
        status.encode(),
        part,
    )


def reasoning_item(ident: bytes, text: str, proof: str, *, raw: bool) -> bytes:
    """Reasoning: a summary or raw text, and the proof."""
    part = b""
    if text:
        word = b"reasoning_text" if raw else b"summary_text"
        part = b'{"type":"%b","text":%b}' % (word, encode(text))
    content = b',"content":[%b]' % part if raw else b""
    tail = b',"encrypted_content":' + encode(proof) if proof else b""
    summary = b"" if raw else part
    return b'{"id":"%b","type":"reasoning","summary":[%b]%b%b}' % (ident, summary, content, tail)


def call_item(ident: bytes, call: ToolUse, text: str, status: str, *, custom: bool) -> bytes:
    """A call of a function or of a free-form tool."""
    kind, word = (b"custom_tool_call", b"input") if custom else (b"function_call", b"arguments")
    return b'{"id":"%b","type":"%b","status":"%b","%b":%b,"call_id":%b,"name":%b}' % (
        ident,
        kind,
        status.encode(),
        word,
        encode(text),
        encode(call.id),
        encode(call.name),
    )


def picture_item(ident: bytes, media: Media, status: str) -> bytes:
    """A picture; it has no bytes before it is whole."""
    data = encode(media.data) if status == "completed" else b"null"
    form = media.mime.removeprefix("image/") or "png"
    return (
        b'{"id":"%b","type":"image_generation_call","status":"%b","output_format":%b,"result":%b}'
        % (
            ident,
            status.encode(),
            encode(form),
            data,
        )
    )


def opaque_item(ident: bytes, part: Opaque) -> bytes:
    """An item as its upstream spelled it; it gets an id if it has none."""
    try:
        said = top_level(bytes(part.raw))
    except msgspec.DecodeError:
        return encode({"id": ident.decode(), "type": part.type or "unknown"})
    if said.get("id") in (None, Raw(b"null")):
        return encode({"id": ident.decode(), **said})
    return bytes(part.raw)
