"""Events to a Chat Completions chunk stream.

Chunks are put together from bytes: what is the same in all of them is made once, a text delta costs one
JSON string. The reason of the end waits for `End`, so that the counts can stand in its chunk; clients
that asked with `stream_options.include_usage` get them in a chunk of their own, as the API documents it.
"""

from __future__ import annotations

from typing import Final

from proxy.convo import events as ev
from proxy.convo.fold import merge_usage
from proxy.convo.model import (
    ErrorInfo,
    Finish,
    Media,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolUse,
    Usage,
)
from proxy.jsonio import encode
from proxy.wire.base import AnswerContext
from proxy.wire.chat.citations import annotations_of
from proxy.wire.chat.client_tools import ClientTools
from proxy.wire.chat.counts import finish_word, usage_fields
from proxy.wire.chat.errors import encode_info
from proxy.wire.chat.media import answer_image
from proxy.wire.chat.proofs import call_extra, client_entry
from proxy.wire.sse import frame

KEEPALIVE: Final = b": keep-alive\n\n"
_DONE: Final = b"data: [DONE]\n\n"
_OPEN_END: Final = b'},"finish_reason":null}]}\n\n'
_ROLE: Final = b'"role":"assistant","content":""'


class _Choice:
    """State of one choice."""

    __slots__ = ("calls", "finish", "held", "next_call", "parts", "refused", "texts", "thoughts")

    def __init__(self) -> None:
        self.parts: dict[int, Part] = {}
        self.calls: dict[int, int] = {}
        """Part number -> index in `tool_calls`."""
        self.held: dict[int, list[str]] = {}
        """Arguments of calls that are rewritten when they are whole."""
        self.next_call = 0
        self.thoughts = 0
        self.texts: dict[int, int] = {}
        """Characters of thinking parts."""
        self.refused = False
        self.finish: Finish | None = None


class Encoder:
    """One client stream."""

    def __init__(self, context: AnswerContext) -> None:
        self._context = context
        request = context.request
        self._tools = ClientTools(request)
        self._own_usage = bool(request and request.include_usage)
        self._choices: dict[int, _Choice] = {}
        self._usage: Usage | None = None
        self._failed: ErrorInfo | None = None
        self._ended = False
        self._head = b""
        self._text_key: tuple[int, int] = (-1, -1)
        """(choice, part) whose text prefix `_text_prefix` is."""
        self._text_prefix = b""

    def encode(self, events: list[ev.Event]) -> bytes:
        """Bytes for these events; may be empty."""
        out: list[bytes] = []
        for event in events:
            if type(event) is ev.TextDelta and (event.choice, event.index) == self._text_key:
                out += (self._text_prefix, encode(event.text), _OPEN_END)
            elif not self._ended:
                self._other(event, out)
        return b"".join(out)

    def _other(self, event: ev.Event, out: list[bytes]) -> None:
        match event:
            case ev.TextDelta(text=text):
                self._delta(event.choice, self._text_field(event), encode(text), out)
            case ev.ThinkingDelta(text=text):
                if text:
                    state = self._choices[event.choice]
                    state.texts[event.index] = state.texts.get(event.index, 0) + len(text)
                    self._delta(event.choice, b"reasoning_content", encode(text), out)
            case ev.ArgumentsDelta():
                self._arguments(event, out)
            case ev.PartStart():
                self._part_start(event, out)
            case ev.PartEnd():
                self._part_end(event, out)
            case ev.SignatureDelta():
                self._signature(event, out)
            case ev.CitationDelta(origin=origin, raw=raw):
                found = annotations_of(origin, raw)
                if found:
                    self._delta(event.choice, b"annotations", encode(found), out)
            case _:
                self._frame(event, out)

    def _frame(self, event: ev.Event, out: list[bytes]) -> None:
        match event:
            case ev.UsageSeen(usage):
                self._usage = merge_usage(self._usage, usage)
            case ev.Finished(finish, choice):
                self._state(choice, out).finish = finish
            case ev.Failed(error):
                self._failed = error
            case ev.Start():
                self._start(event)
                self._state(0, out)
            case ev.End():
                self._end(out)
            case ev.Ping():
                out.append(KEEPALIVE)

    def _start(self, start: ev.Start) -> None:
        if self._head:
            return
        context = self._context
        fields: dict[str, object] = {
            "id": start.id or f"chatcmpl-{context.id}",
            "object": "chat.completion.chunk",
            "created": start.created or context.now,
            "model": start.model or context.model,
        }
        if start.service_tier:
            fields["service_tier"] = start.service_tier
        self._head = b"data: " + encode(fields)[:-1] + b',"choices":['

    def _prefix(self, choice: int) -> bytes:
        return self._head + b'{"index":%d,"delta":{' % choice

    def _delta(self, choice: int, field: bytes, value: bytes, out: list[bytes]) -> None:
        out += (self._prefix(choice), b'"', field, b'":', value, _OPEN_END)

    def _state(self, choice: int, out: list[bytes]) -> _Choice:
        """The choice; its first chunk tells the role."""
        state = self._choices.get(choice)
        if state is None:
            if not self._head:
                self._start(ev.Start())
            state = self._choices[choice] = _Choice()
            out += (self._prefix(choice), _ROLE, _OPEN_END)
        return state

    def _text_field(self, event: ev.TextDelta) -> bytes:
        part = self._choices[event.choice].parts.get(event.index)
        return b"refusal" if isinstance(part, Refusal) else b"content"

    def _part_start(self, event: ev.PartStart, out: list[bytes]) -> None:
        state = self._state(event.choice, out)
        part = event.part
        state.parts[event.index] = part
        match part:
            case Text():
                self._text_key = (event.choice, event.index)
                self._text_prefix = self._prefix(event.choice) + b'"content":'
            case Refusal():
                state.refused = True
            case Thinking(redacted=True):
                entry = client_entry(part, state.thoughts)
                state.thoughts += 1
                self._delta(event.choice, b"reasoning_details", encode([entry]), out)
            case ToolUse():
                self._call_start(event, part, state, out)
            case Media():
                self._delta(event.choice, *_media(part), out)
            case Opaque(text=text):
                if text:
                    self._delta(event.choice, b"content", encode(text), out)
            case _:
                pass

    def _call_start(
        self, event: ev.PartStart, part: ToolUse, state: _Choice, out: list[bytes]
    ) -> None:
        number = state.calls[event.index] = state.next_call
        state.next_call += 1
        name = self._tools.name(part.name)
        head = {"index": number, "id": part.id or f"call_{self._context.id}_{number}"}
        if part.custom or self._tools.custom(name):
            call = {**head, "type": "custom", "custom": {"name": name, "input": ""}}
            if not part.custom:
                state.held[event.index] = []
        else:
            call = {**head, "type": "function", "function": {"name": name, "arguments": ""}}
        self._delta(event.choice, b"tool_calls", encode([call]), out)

    def _arguments(self, event: ev.ArgumentsDelta, out: list[bytes]) -> None:
        state = self._choices[event.choice]
        held = state.held.get(event.index)
        if held is not None:
            held.append(event.text)
        elif event.text:
            part = state.parts[event.index]
            self._fragment(
                event.choice,
                state.calls[event.index],
                event.text,
                out,
                custom=isinstance(part, ToolUse) and part.custom,
            )

    def _fragment(
        self, choice: int, number: int, text: str, out: list[bytes], *, custom: bool
    ) -> None:
        form = (
            b'[{"index":%d,"custom":{"input":%b}}]'
            if custom
            else b'[{"index":%d,"function":{"arguments":%b}}]'
        )
        self._delta(choice, b"tool_calls", form % (number, encode(text)), out)

    def _part_end(self, event: ev.PartEnd, out: list[bytes]) -> None:
        state = self._choices[event.choice]
        held = state.held.pop(event.index, None)
        if held is not None:
            text = self._tools.free_form("".join(held))
            self._fragment(event.choice, state.calls[event.index], text, out, custom=True)
        part = state.parts.get(event.index)
        if isinstance(part, Thinking) and not part.redacted:
            state.thoughts += 1

    def _signature(self, event: ev.SignatureDelta, out: list[bytes]) -> None:
        state = self._choices[event.choice]
        part = state.parts.get(event.index)
        if isinstance(part, ToolUse):
            extra = call_extra(event.signature, event.origin)
            # AI SDK clients refuse a fragment without `function`.
            call = {
                "index": state.calls[event.index],
                "function": {"arguments": ""},
                "extra_content": extra,
            }
            self._delta(event.choice, b"tool_calls", encode([call]), out)
        elif isinstance(part, Thinking):
            signed = Thinking("", event.signature, event.origin, event.id)
            entry = client_entry(signed, state.thoughts)
            entry["chars"] = state.texts.get(event.index, 0)
            self._delta(event.choice, b"reasoning_details", encode([entry]), out)

    def _end(self, out: list[bytes]) -> None:
        self._ended = True
        self._text_key = (-1, -1)
        if self._failed is not None:
            out.append(frame(encode_info(self._failed)))
            return
        states = sorted(self._choices.items())
        for position, (choice, state) in enumerate(states):
            finish = state.finish or Finish("stop")
            word = finish_word(finish, called=bool(state.calls), refused=state.refused)
            last = self._head + b'{"index":%d,"delta":{},"finish_reason":"%b"' % (
                choice,
                word.encode(),
            )
            if finish.native and finish.native != word:
                last += b',"native_finish_reason":' + encode(finish.native)
            last += b"}]"
            if self._usage is not None and not self._own_usage and position == len(states) - 1:
                last += b',"usage":' + encode(usage_fields(self._usage))
            out.append(last + b"}\n\n")
        if self._usage is not None and self._own_usage:
            out.append(self._head + b'],"usage":' + encode(usage_fields(self._usage)) + b"}\n\n")
        out.append(_DONE)


def _media(part: Media) -> tuple[bytes, bytes]:
    """(field, value) of a delta for a medium."""
    if part.kind == "image":
        return b"images", encode([{"index": 0, **answer_image(part)}])
    if part.kind == "audio" and part.data:
        return b"audio", encode({"data": part.data})
    address = part.url or f"data:{part.mime};base64,{part.data}"
    return b"content", encode(f"[{part.name or part.kind}]({address})")
