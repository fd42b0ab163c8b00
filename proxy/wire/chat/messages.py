"""Turns of a conversation as the messages that the Chat Completions API takes.

Its rules: results (`tool` messages) stand right behind the assistant message with their calls, one for
each; they hold text only; an assistant message has content or calls.
"""

from __future__ import annotations

import hashlib
from typing import Final

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
from proxy.jsonio import encode, text_of
from proxy.wire import unsaid
from proxy.wire.base import Target
from proxy.wire.chat import types as t
from proxy.wire.chat.media import answer_image, content_part
from proxy.wire.chat.proofs import OPAQUE, upstream_entry

Node = dict[str, object]

_LONGEST_ID: Final = 40
_AUDIO: Final = "assistant_audio"
_REFUSERS: Final = (t.NAME, "responses")
"""Wires that tell refusals apart from text."""


class Messages:
    """Collects the messages of one request. `lost` takes what the API has no place for."""

    def __init__(self, request: Request, target: Target, lost: list[Lost]) -> None:
        self._request = request
        self._lost = lost
        self._own = request.origin == t.NAME
        self._gemini = "gemini" in target.model.lower()
        self._ids: dict[str, list[str]] = {}
        """Client's call id -> ids sent, those without a result yet; ids come twice in some histories."""
        self._taken: set[str] = set()
        self._out: list[Node] = []
        self._waiting: list[Node] = []
        """Parts of a user turn that stand behind the results of their turn."""

    def build(self) -> list[Node]:
        """The `messages` field."""
        if self._request.system:
            texts = self._texts(self._request.system, "system")
            self._out.append({"role": "system", "content": texts})
        for number, message in enumerate(self._request.messages):
            path = f"messages[{number}]"
            if message.role == "assistant":
                self._flush()
                self._assistant(message, path)
            elif message.role == "system":
                self._flush()
                texts = self._texts(message.parts, path)
                self._out.append(self._named({"role": "system", "content": texts}, message))
            else:
                self._user(message, path)
        self._flush()
        return self._out

    def _named(self, node: Node, message: Message) -> Node:
        if message.name:
            node["name"] = message.name
        return node

    def _lose(self, path: str, why: str) -> None:
        self._lost.append(Lost(path, why))

    def _flush(self) -> None:
        """Writes what had to wait for the results of the turn."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._out.append({"role": "user", "content": waiting})

    def _texts(self, parts: list[Part], path: str) -> object:
        nodes = []
        for index, part in enumerate(parts):
            if isinstance(part, Text):
                nodes.append(self._text(part))
            else:
                self._lose(f"{path}.parts[{index}]", "only text can be system content")
        if len(nodes) == 1 and len(nodes[0]) == 2:
            return nodes[0]["text"]
        return nodes

    def _text(self, part: Text) -> Node:
        node: Node = {"type": "text", "text": part.text}
        if part.cache is not None and self._own:
            node["cache_control"] = part.cache
        return node

    def _note(self, part: Text, path: str) -> None:
        if part.citations is not None or part.signature:
            unsaid.of_text(part, path, t.NAME, self._lost)

    def _user(self, message: Message, path: str) -> None:
        content: list[Node] = []
        results = False
        for index, part in enumerate(message.parts):
            if isinstance(part, ToolResult):
                results = True
                self._result(part, f"{path}.parts[{index}]", content)
            else:
                node = self._content(part, f"{path}.parts[{index}]")
                if node is not None:
                    content.append(node)
        if results:
            self._waiting += content
            return
        if not content and message.parts:
            return
        if self._waiting:
            self._waiting += content
            return
        self._out.append(self._named({"role": "user", "content": _plain(content)}, message))

    def _content(self, part: Part, path: str) -> Node | None:
        match part:
            case Text():
                self._note(part, path)
                return self._text(part)
            case Refusal(text=text):
                return {"type": "text", "text": text}
            case Media():
                node = content_part(part)
                if node is None:
                    self._lose(path, f"{part.kind} {part.mime or part.file_id}: no form for it")
                    return None
                unsaid.of_media(part, path, t.NAME, self._lost)
                if part.cache is not None and self._own:
                    node["cache_control"] = part.cache
                return node
            case Opaque():
                return self._opaque(part, path)
            case _:
                self._lose(path, "not content of a user's message")
                return None

    def _opaque(self, part: Opaque, path: str) -> Node | None:
        if part.origin == t.NAME and part.type != _AUDIO:
            return dict.fromkeys(()) | _raw_node(part)
        if part.text:
            return {"type": "text", "text": part.text}
        self._lose(path, f"{part.type or 'a part'} of the {part.origin} wire")
        return None

    def _result(self, part: ToolResult, path: str, behind: list[Node]) -> None:
        """A `tool` message; images go into a user message behind the results of the turn."""
        text, rest = self._result_content(part, path)
        waiting = self._ids.get(part.id)
        if not waiting:
            self._lose(path, "a tool result without its call; sent as text")
            behind += [{"type": "text", "text": text}, *rest] if text or not rest else rest
            return
        if part.is_error and not text.lower().startswith("error"):
            text = f"Error: {text}" if text else "Error"
        self._out.append({"role": "tool", "tool_call_id": waiting.pop(0), "content": text})
        behind += rest

    def _result_content(self, part: ToolResult, path: str) -> tuple[str, list[Node]]:
        if not part.content and part.value is not None:
            return text_of(part.value), []
        texts: list[str] = []
        rest: list[Node] = []
        for index, inner in enumerate(part.content):
            node = self._content(inner, f"{path}.content[{index}]")
            if node is None:
                continue
            if node.get("type") == "text":
                texts.append(str(node["text"]))
            else:
                rest.append(node)
        return "\n".join(texts), rest

    def _assistant(self, message: Message, path: str) -> None:
        turn = _Assistant()
        for index, part in enumerate(message.parts):
            self._assistant_part(turn, part, f"{path}.parts[{index}]")
        node = turn.node(own=self._own)
        if node is not None:
            self._out.append(self._named(node, message))

    def _assistant_part(self, turn: _Assistant, part: Part, path: str) -> None:
        match part:
            case Text():
                self._note(part, path)
                turn.content.append(self._text(part))
            case Refusal(text=text):
                if self._request.origin in _REFUSERS:
                    turn.refusal += text
                else:
                    turn.content.append({"type": "text", "text": text})
            case Thinking():
                self._thinking(turn, part, path)
            case ToolUse():
                turn.calls.append(self._call(part))
                if part.signature and "extra_content" not in turn.calls[-1]:
                    unsaid.of_call(part, path, self._lost)
            case Opaque():
                self._assistant_opaque(turn, part, path)
            case Media():
                if part.kind == "image" and (part.data or part.url):
                    turn.images.append(answer_image(part))
                    unsaid.of_media(part, path, t.NAME, self._lost)
                else:
                    self._lose(path, f"{part.kind} in an assistant message")
            case ToolResult():
                self._lose(path, "a tool result in an assistant message")

    def _assistant_opaque(self, turn: _Assistant, part: Opaque, path: str) -> None:
        if part.origin == t.NAME and part.type == _AUDIO:
            turn.audio = part.raw
            return
        node = self._opaque(part, path)
        if node is not None:
            turn.content.append(node)

    def _thinking(self, turn: _Assistant, part: Thinking, path: str) -> None:
        turn.thoughts.append(part.text)
        if not part.signature:
            return
        if part.origin != t.NAME:
            self._lose(path, f"a signature of the {part.origin} wire")
            return
        entry = upstream_entry(part)
        kind = entry.get("type")
        if isinstance(kind, str) or kind is None or OPAQUE not in text_of(kind):  # type: ignore[arg-type]  # the members of a decoded entry are Raw
            turn.details.append(entry)
        else:
            turn.opaque = entry.get("data")

    def _call(self, part: ToolUse) -> Node:
        ident = self._new_id(part.id)
        node: Node = {"id": ident}
        if part.custom and self._own:
            node["type"] = "custom"
            node["custom"] = {"name": part.name, "input": part.arguments}
            return node
        arguments = part.arguments
        if part.custom:
            arguments = encode({"input": arguments}).decode()
        node["type"] = "function"
        node["function"] = {"name": part.name, "arguments": arguments or "{}"}
        if part.signature and part.origin == "gemini" and self._gemini:
            node["extra_content"] = {"google": {"thought_signature": part.signature}}
        return node

    def _new_id(self, given: str) -> str:
        """An id as the API takes it: 40 characters at most, distinct from all others."""
        ident = given or "call"
        if len(ident) > _LONGEST_ID or ident in self._taken:
            seed = f"{given}/{len(self._taken)}" if ident in self._taken else given
            digest = hashlib.sha256(seed.encode("utf-8", "surrogatepass")).hexdigest()
            ident = f"call_{digest[:24]}"
        self._taken.add(ident)
        self._ids.setdefault(given, []).append(ident)
        return ident


class _Assistant:
    """An assistant message while its parts come in."""

    def __init__(self) -> None:
        self.content: list[Node] = []
        self.calls: list[Node] = []
        self.thoughts: list[str] = []
        self.details: list[dict[str, object]] = []
        self.images: list[Node] = []
        self.opaque: object = None
        self.audio: object = None
        self.refusal = ""

    def node(self, *, own: bool) -> Node | None:
        """The message; None if there is nothing in it that could be sent."""
        out: Node = {"role": "assistant"}
        if self.content:
            out["content"] = _plain(self.content)
        elif self.calls or self.refusal or self.audio is not None:
            out["content"] = None
        elif own or any(self.thoughts) or self.images:
            out["content"] = ""
        else:
            return None
        thought = "".join(self.thoughts)
        if thought:
            out["reasoning_content"] = thought
        if self.details:
            out["reasoning_details"] = self.details
        if self.opaque is not None:
            out["reasoning_opaque"] = self.opaque
        if self.refusal:
            out["refusal"] = self.refusal
        if self.images:
            out["images"] = self.images
        if self.audio is not None:
            out["audio"] = self.audio
        if self.calls:
            out["tool_calls"] = self.calls
        return out


def _plain(content: list[Node]) -> object:
    """A single plain text is sent as a string, which every server takes."""
    if len(content) == 1 and content[0].get("type") == "text" and len(content[0]) == 2:
        return content[0]["text"]
    return content


def _raw_node(part: Opaque) -> Node:
    """A part of this wire as it was."""
    from proxy.jsonio import top_level

    return top_level(bytes(part.raw))
