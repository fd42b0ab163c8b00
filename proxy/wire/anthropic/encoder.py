"""Events to a Messages event stream.

The protocol has one open block at a time, numbered as they come; events may overlap (parallel calls).
The lowest part that is not ended is the one being written, its deltas leave at once; events of later
parts wait. Blocks without content (an empty text) are not opened: clients send them back, and the
API refuses empty text.
"""

from __future__ import annotations

from typing import Final

from msgspec import Raw

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
from proxy.convo.signature import seal
from proxy.jsonio import encode
from proxy.wire.anthropic import types as t
from proxy.wire.anthropic.citations import citations_of
from proxy.wire.anthropic.counts import stop_reason_of, tier_word, usage_fields
from proxy.wire.anthropic.errors import encode_info
from proxy.wire.anthropic.names import signed_id
from proxy.wire.anthropic.picture import picture_text
from proxy.wire.base import AnswerContext
from proxy.wire.sse import frame

PING: Final = b'event: ping\ndata: {"type": "ping"}\n\n'
_DELTA: Final = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":'
)
_STOP: Final = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
_START: Final = (
    b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,"content_block":'
)
_MESSAGE_STOP: Final = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_CLOSE: Final = b"}}\n\n"


class Encoder:
    """One client stream. Of several choices the first is written: the protocol has one answer."""

    def __init__(self, context: AnswerContext) -> None:
        self._context = context
        self._usage: Usage | None = None
        self._finish: Finish | None = None
        self._failed: ErrorInfo | None = None
        self._started = self._ended = self._called = False
        self._turn = 0
        """The part that is being written."""
        self._held: dict[int, list[ev.Event]] = {}
        self._block = 0
        """Number of the next block."""
        self._part: Part | None = None
        """Skeleton of the part being written, None between parts."""
        self._opened = False
        self._text_prefix = b""
        self._call_id = ""

    def encode(self, events: list[ev.Event]) -> bytes:
        """Bytes for these events; may be empty."""
        out: list[bytes] = []
        for number, event in enumerate(events):
            if (
                type(event) is ev.TextDelta
                and event.index == self._turn
                and self._opened
                and not event.choice
            ):
                out += (self._text_prefix, encode(event.text), _CLOSE)
            elif isinstance(event, _OF_PART):
                if not event.choice:
                    self._of_part(event, events, number, out)
            elif not self._ended:
                self._of_answer(event, events, number, out)
        return b"".join(out)

    def _of_answer(
        self, event: ev.Event, events: list[ev.Event], number: int, out: list[bytes]
    ) -> None:
        match event:
            case ev.Start():
                self._start(event, events[number + 1 :], out)
            case ev.UsageSeen(usage):
                self._usage = merge_usage(self._usage, usage)
            case ev.Finished(finish, choice):
                if not choice:
                    self._finish = finish
            case ev.Failed(error):
                self._failed = error
            case ev.Ping():
                out.append(PING)
            case ev.End():
                self._end(out)
            case _:
                pass

    def _start(self, start: ev.Start, coming: list[ev.Event], out: list[bytes]) -> None:
        if self._started:
            return
        self._started = True
        usage = self._usage
        for event in coming:
            if isinstance(event, ev.UsageSeen):
                usage = merge_usage(usage, event.usage)
            elif not isinstance(event, ev.Ping):
                break
        fields: dict[str, object] = {**usage_fields(usage)}
        if start.service_tier:
            fields["service_tier"] = tier_word(start.service_tier)
        message: dict[str, object] = {
            "id": message_id(start.id, self._context),
            "type": "message",
            "role": "assistant",
            "model": start.model or self._context.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": fields,
        }
        data = encode({"type": "message_start", "message": message})
        out.append(frame(data, b"message_start"))

    def _of_part(
        self, event: PartEvent, events: list[ev.Event], number: int, out: list[bytes]
    ) -> None:
        if not self._started:
            self._start(ev.Start(), [], out)
        if event.index != self._turn:
            if event.index > self._turn:
                self._held.setdefault(event.index, []).append(event)
            return
        self._write(event, events[number + 1 :] if type(event) is ev.PartStart else [], out)
        while self._part is None and self._turn in self._held:
            waiting = self._held.pop(self._turn)
            turn = self._turn
            for index, held in enumerate(waiting):
                coming = waiting[index + 1 :] if index == 0 else []
                self._write(held, coming, out)  # type: ignore[arg-type]  # only events of parts are held
            if turn == self._turn:
                return

    def _write(self, event: PartEvent, coming: list[ev.Event], out: list[bytes]) -> None:
        match event:
            case ev.TextDelta(text=text):
                if text:
                    self._open_block(out)
                    out += (self._text_prefix, encode(text), _CLOSE)
            case ev.ThinkingDelta(text=text):
                if text:
                    self._open_block(out)
                    self._delta(b'{"type":"thinking_delta","thinking":', encode(text), out)
            case ev.ArgumentsDelta(text=text):
                self._arguments(text, out)
            case ev.PartStart(part=part):
                self._part_start(part, coming, out)
            case ev.PartEnd():
                self._part_end(out)
            case ev.SignatureDelta(signature=signature, origin=origin):
                self._signature(signature, origin, out)
            case ev.CitationDelta(origin=origin, raw=raw):
                for one in citations_of(origin, raw):
                    self._open_block(out)
                    self._delta(b'{"type":"citations_delta","citation":', one, out)

    def _delta(self, head: bytes, value: bytes, out: list[bytes]) -> None:
        out += (_DELTA % self._block, head, value, _CLOSE)

    def _part_start(self, part: Part, coming: list[ev.Event], out: list[bytes]) -> None:
        self._part = part
        match part:
            case ToolUse():
                self._called = True
                self._sign_call(part, coming)
                self._open_block(out)
                if part.custom:
                    self._delta(
                        b'{"type":"input_json_delta","partial_json":', b'"{\\"input\\":\\""', out
                    )
                if part.arguments:
                    self._arguments(part.arguments, out)
            case Text(text=text) | Refusal(text=text):
                self._text_prefix = _DELTA % self._block + b'{"type":"text_delta","text":'
                if text:
                    self._open_block(out)
                    out += (self._text_prefix, encode(text), _CLOSE)
            case Thinking(redacted=True) | Media() | Opaque():
                self._whole(part, out)
            case _:
                pass

    def _sign_call(self, part: ToolUse, coming: list[ev.Event]) -> None:
        """Puts a call's own signature into its id, if it is known by now (`names.signed_id`)."""
        signature, origin = part.signature, part.origin
        for event in coming:
            if isinstance(event, ev.SignatureDelta) and event.index == self._turn:
                signature, origin = event.signature, event.origin
                break
        self._call_id = signed_id(self._new_id(part.id), signature, origin)

    def _new_id(self, id: str) -> str:
        return id or f"toolu_{self._context.id}{self._block}"

    def _signature(self, signature: str, origin: str, out: list[bytes]) -> None:
        """Of thinking. A call's is in its id; Gemini's of plain text may be left out (its guide says)."""
        if isinstance(self._part, Thinking):
            self._open_block(out)
            sealed = encode(seal(signature, origin, t.NAME))
            self._delta(b'{"type":"signature_delta","signature":', sealed, out)

    def _arguments(self, text: str, out: list[bytes]) -> None:
        part = self._part
        if isinstance(part, ToolUse) and part.custom:
            # Free-form input travels as {"input": "..."}; its text is a JSON string in JSON.
            text = encode(text)[1:-1].decode()
        if text:
            self._delta(b'{"type":"input_json_delta","partial_json":', encode(text), out)

    def _whole(self, part: Part, out: list[bytes]) -> None:
        block = whole_block(part)
        if block is not None:
            self._start_block(block, out)
            self._stop_block(out)

    def _open_block(self, out: list[bytes]) -> None:
        if self._opened:
            return
        block: dict[str, object]
        match self._part:
            case ToolUse(name=name):
                block = {"type": "tool_use", "id": self._call_id, "name": name, "input": {}}
            case Thinking():
                block = {"type": "thinking", "thinking": "", "signature": ""}
            case _:
                block = {"type": "text", "text": ""}
                self._text_prefix = _DELTA % self._block + b'{"type":"text_delta","text":'
        self._start_block(block, out)
        self._opened = True

    def _start_block(self, block: dict[str, object] | Raw, out: list[bytes]) -> None:
        out.append(_START % self._block + encode(block) + b"}\n\n")

    def _stop_block(self, out: list[bytes]) -> None:
        out.append(_STOP % self._block)
        self._block += 1

    def _part_end(self, out: list[bytes]) -> None:
        part = self._part
        if isinstance(part, ToolUse) and part.custom:
            self._delta(b'{"type":"input_json_delta","partial_json":', b'"\\"}"', out)
        if self._opened:
            self._stop_block(out)
        self._opened, self._part = False, None
        self._turn += 1

    def _end(self, out: list[bytes]) -> None:
        self._ended = True
        if self._failed is not None:
            out.append(frame(encode_info(self._failed), b"error"))
            return
        if not self._started:
            self._start(ev.Start(), [], out)
        if self._opened:
            self._part_end(out)
        finish = self._finish
        delta = {
            "stop_reason": stop_reason_of(finish, self._called),
            "stop_sequence": (finish.sequence or None) if finish else None,
        }
        usage = usage_fields(self._usage)
        data = encode({"type": "message_delta", "delta": delta, "usage": usage})
        out += (frame(data, b"message_delta"), _MESSAGE_STOP)


PartEvent = (
    ev.PartStart
    | ev.TextDelta
    | ev.ThinkingDelta
    | ev.ArgumentsDelta
    | ev.SignatureDelta
    | ev.CitationDelta
    | ev.PartEnd
)
_OF_PART: Final = (
    ev.TextDelta,
    ev.ArgumentsDelta,
    ev.ThinkingDelta,
    ev.PartStart,
    ev.PartEnd,
    ev.SignatureDelta,
    ev.CitationDelta,
)


def message_id(id: str, context: AnswerContext) -> str:
    """The upstream's id, so that an answer can be found there; one of our own where it gave none."""
    return id or f"msg_{context.id}"


def whole_block(part: Part) -> dict[str, object] | Raw | None:
    """The block of a part that has no deltas; None where nothing of it can be shown."""
    match part:
        case Thinking(signature=signature, origin=origin):
            return {"type": "redacted_thinking", "data": seal(signature, origin, t.NAME)}
        case Media():
            text = picture_text(part)
        case Opaque(origin=origin, raw=raw, text=text):
            if origin == t.NAME:
                return raw
        case _:
            return None
    return {"type": "text", "text": text} if text else None
