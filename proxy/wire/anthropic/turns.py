"""Messages of a conversation as the turns that the Messages API takes.

Its rules (https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/implement-tool-use): the results
of all calls of an assistant turn stand first in the user turn right after it; ids are unique; text
blocks are not blank; thinking blocks come back only with the signature that Anthropic gave them.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from msgspec import Raw

from proxy.convo.model import (
    Lost,
    Media,
    Message,
    Opaque,
    Part,
    Refusal,
    Request,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
)
from proxy.jsonio import object_of, text_of
from proxy.wire import unsaid
from proxy.wire.anthropic import names
from proxy.wire.anthropic import types as t

Block = Raw | dict[str, object]
Turn = tuple[str, list[Block]]

_NO_RESULT: Final = "No result: the call was not carried out."
_ONGOING: Final = "Go on."
_MAGIC: Final = (
    ("iVBORw", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
)
_TEXTUAL: Final = ("application/json", "application/xml", "application/yaml", "application/x-yaml")


class Turns:
    """Collects the turns of one request. `lost` takes what the API has no place for."""

    def __init__(self, request: Request, lost: list[Lost], renamed: dict[str, str]) -> None:
        self._request = request
        self._lost = lost
        self._renamed = renamed
        self._ids: set[str] = set()
        self._results, self._orphans = _pair(request.messages)
        self._order = _order(request.messages)
        self._turns: list[Turn] = []
        self._open: list[tuple[str, ToolResult | None]] = []
        """Calls of the assistant turn that is being written, with their results."""

    def build(self) -> list[dict[str, object]]:
        """The `messages` field: roles alternate and the first one is the user's."""
        for number, message in enumerate(self._request.messages):
            if message.role == "system":
                continue
            path = f"messages[{number}]"
            role = "assistant" if message.role == "assistant" else "user"
            if message.name:
                unsaid.of_message(message, path, t.NAME, self._lost)
            for index, part in enumerate(message.parts):
                self._add(role, part, f"{path}.parts[{index}]")
        self._answer_calls()
        self._trim_prefill()
        if self._turns and self._turns[0][0] == "assistant":
            self._turns.insert(0, ("user", [{"type": "text", "text": _ONGOING}]))
        return [{"role": role, "content": blocks} for role, blocks in self._turns]

    def _add(self, role: str, part: Part, path: str) -> None:
        match part:
            case Text() | Refusal() | Opaque():
                self._add_text(role, part, path)
            case ToolUse():
                self._put("assistant", self._call(part))
                if part.signature:
                    unsaid.of_call(part, path, self._lost)
            case ToolResult():
                self._add_result(part, path)
            case Thinking():
                if part.origin == t.NAME and part.signature and role == "assistant":
                    self._put(role, _thinking(part))
                else:
                    self._lose(path, "thinking that Anthropic did not sign")
            case Media():
                self._add_media(role, part, path)

    def _add_text(self, role: str, part: Text | Refusal | Opaque, path: str) -> None:
        """Blank texts are left out: the API refuses them."""
        if isinstance(part, Opaque) and part.origin == t.NAME:
            self._put(role, part.raw)
        elif part.text.strip():
            plain = part if isinstance(part, Text) else Text(part.text)
            self._put(role, text_block(plain))
            if plain.citations is not None or plain.signature:
                unsaid.of_text(plain, path, t.NAME, self._lost)
        elif isinstance(part, Opaque):
            self._lose(path, f"{part.type or 'a part'} of the {part.origin} wire")

    def _put(self, role: str, block: Block) -> None:
        if role == "user":
            self._answer_calls()
        if self._turns and self._turns[-1][0] == role:
            self._turns[-1][1].append(block)
        else:
            self._turns.append((role, [block]))

    def _lose(self, path: str, why: str) -> None:
        self._lost.append(Lost(path, why))

    def _call(self, part: ToolUse) -> Block:
        sent_id = names.call_id(part.id, self._ids)
        self._open.append((sent_id, self._results.get(id(part))))
        name = self._renamed.get(part.name, part.name) or "tool"
        block: dict[str, object] = {"type": "tool_use", "id": sent_id, "name": name}
        block["input"] = _arguments(part)
        if part.cache is not None:
            block["cache_control"] = part.cache
        return block

    def _add_result(self, part: ToolResult, path: str) -> None:
        """A result that belongs to a call stands behind it, wherever the client put it."""
        if id(part) not in self._orphans:
            self._answer_calls()
            return
        self._lose(path, "a tool result without its call; sent as text")
        for inner in _result_parts(part):
            self._add("user", inner, path)

    def _answer_calls(self) -> None:
        if not self._open:
            return
        # In the client's order; calls without a result come first.
        calls = sorted(self._open, key=lambda call: self._order.get(id(call[1]), -1))
        self._open = []
        blocks = [self._result(call_id, result) for call_id, result in calls]
        self._turns.append(("user", blocks))

    def _result(self, call_id: str, part: ToolResult | None) -> Block:
        block: dict[str, object] = {"type": "tool_result", "tool_use_id": call_id}
        if part is None:
            return {**block, "content": _NO_RESULT, "is_error": True}
        if part.cache is not None:
            block["cache_control"] = part.cache
        parts = _result_parts(part)
        if len(parts) == 1 and isinstance(parts[0], Text) and parts[0].cache is None:
            block["content"] = parts[0].text
        elif parts:
            block["content"] = self._result_blocks(parts, call_id)
        if part.is_error:
            block["is_error"] = True
        return block

    def _result_blocks(self, parts: list[Part], call_id: str) -> list[Block]:
        inner = Turns(Request("", [], t.NAME), self._lost, {})
        for index, part in enumerate(parts):
            inner._add("user", part, f"tool_result[{call_id}].content[{index}]")
        return inner._turns[0][1] if inner._turns else []

    def _add_media(self, role: str, part: Media, path: str) -> None:
        if role == "assistant":
            self._lose(path, f"{part.kind} in an assistant turn")
            return
        block = _image(part) if part.kind == "image" else _document(part)
        if block is None:
            self._lose(
                path, f"{part.kind} {part.mime or part.file_id}: the API has no such content"
            )
            return
        unsaid.of_media(part, path, t.NAME, self._lost)
        if part.cache is not None:
            block["cache_control"] = part.cache
        self._put(role, block)

    def _trim_prefill(self) -> None:
        """The API refuses a last assistant turn that ends in white space."""
        if not self._turns or self._turns[-1][0] != "assistant":
            return
        last = self._turns[-1][1][-1]
        if isinstance(last, dict) and last.get("type") == "text":
            last["text"] = str(last["text"]).rstrip()


def _pair(messages: list[Message]) -> tuple[dict[int, ToolResult], set[int]]:
    """Calls and results by id, the nth call of an id with its nth result.

    Returns (result by Python id of its call, Python ids of results that no call claims).
    """
    waiting: dict[str, list[ToolResult]] = {}
    for message in messages:
        for part in message.parts:
            if isinstance(part, ToolResult):
                waiting.setdefault(part.id, []).append(part)
    found: dict[int, ToolResult] = {}
    for message in messages:
        for part in message.parts:
            if isinstance(part, ToolUse) and waiting.get(part.id):
                found[id(part)] = waiting[part.id].pop(0)
    return found, {id(part) for rest in waiting.values() for part in rest}


def _order(messages: list[Message]) -> dict[int, int]:
    """Python id of a tool result -> its place among the results."""
    results = (p for m in messages for p in m.parts if isinstance(p, ToolResult))
    return {id(part): place for place, part in enumerate(results)}


def _result_parts(part: ToolResult) -> list[Part]:
    if part.content or part.value is None:
        return part.content
    return [Text(text_of(part.value))]


def text_block(part: Text) -> dict[str, object]:
    """A text block; citations only where Anthropic wrote them."""
    block: dict[str, object] = {"type": "text", "text": part.text}
    if part.cache is not None:
        block["cache_control"] = part.cache
    citations = part.citations
    if citations is not None and citations[0] == t.NAME and _sendable(citations[1]):
        block["citations"] = citations[1]
    return block


def _sendable(citations: Raw) -> bool:
    """Citations that this program made out of another wire's have an empty index; the API refuses it."""
    return b'"encrypted_index":""' not in bytes(citations)


def _thinking(part: Thinking) -> Block:
    if part.redacted:
        return {"type": "redacted_thinking", "data": part.signature}
    return {"type": "thinking", "thinking": part.text, "signature": part.signature}


def _arguments(part: ToolUse) -> object:
    """`input` has to be an object: free text and broken JSON go under `input`, as in custom tools."""
    if part.custom:
        return {"input": part.arguments}
    if not part.arguments.strip():
        return {}
    value = object_of(part.arguments)
    return {"input": part.arguments} if value is None else value


def _image(part: Media) -> dict[str, object] | None:
    if part.data:
        return {"type": "image", "source": _base64(_image_mime(part), part.data)}
    return _reference("image", part)


def _image_mime(part: Media) -> str:
    if part.mime.startswith("image/"):
        return "image/jpeg" if part.mime == "image/jpg" else part.mime
    found = (mime for head, mime in _MAGIC if part.data.startswith(head))
    return next(found, part.mime or "image/png")


def _base64(mime: str, data: str) -> dict[str, object]:
    return {"type": "base64", "media_type": mime, "data": data}


def _reference(kind: str, part: Media) -> dict[str, object] | None:
    if part.url.startswith(("http://", "https://")):
        return {"type": kind, "source": {"type": "url", "url": part.url}}
    if part.file_id.startswith("file_"):
        # Ids of the Files API; other providers' ids mean nothing there.
        return {"type": kind, "source": {"type": "file", "file_id": part.file_id}}
    return None


def _document(part: Media) -> dict[str, object] | None:
    if part.kind != "file":
        return None
    block = _document_source(part)
    if block is None or block["type"] == "image":
        return block
    if part.name:
        block["title"] = part.name
    if part.context:
        block["context"] = part.context
    if part.citations is not None:
        block["citations"] = part.citations
    return block


def _document_source(part: Media) -> dict[str, object] | None:
    if part.mime.startswith("image/"):
        return _image(part)
    text = part.text
    if not text and part.data and (part.mime.startswith("text/") or part.mime in _TEXTUAL):
        text = _decoded(part.data)
    if text:
        source = {"type": "text", "media_type": "text/plain", "data": text}
        return {"type": "document", "source": source}
    if part.data:
        mime = part.mime or ("application/pdf" if part.data.startswith("JVBER") else "")
        if mime != "application/pdf":
            return None
        return {"type": "document", "source": _base64(mime, part.data)}
    return _reference("document", part)


def _decoded(data: str) -> str:
    try:
        return base64.b64decode(data).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""
