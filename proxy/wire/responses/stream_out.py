"""Conversation events -> Responses events.

Items are numbered as they open (`output_index`); neighbouring texts are content parts of one message;
an item's bytes in `output_item.done` are the very bytes of `response.completed.output`. The delta events
are put together by hand: they are nearly all of a stream.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

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
from proxy.jsonio import encode, object_of
from proxy.wire.base import AnswerContext
from proxy.wire.responses import proofs
from proxy.wire.responses.echo import Envelope, usage_body
from proxy.wire.responses.errors import failure
from proxy.wire.responses.items import (
    Shape,
    call_item,
    message_item,
    opaque_item,
    picture_item,
    reasoning_item,
    text_part,
)

_encode: Final = encode
_FIT: Final = re.compile(r"[A-Za-z0-9_-]{1,54}")
"""What may stand in an item's id: the API takes letters, digits, `_` and `-`, 64 characters in all."""
_RELAYED: Final = 1 << 20
"""First sequence number where no `Start` came: the stream so far was relayed, its numbers are unknown
and certainly smaller."""


class _Open(Struct):
    """An open part. `head`/`tail`: a delta event's bytes before and after its number and text."""

    part: Part
    item_id: bytes
    place: int
    head: bytes = b""
    middle: bytes = b""
    tail: bytes = b""
    texts: list[str] = []
    notes: list[bytes] = []
    begun: bool = False
    """Its first event was given out (thinking opens late: an empty part is no item)."""
    whole: bool = False
    """A custom tool whose input is known only at the end."""


class StreamEncoder:
    """Encodes one client stream; `final` is the response object once the stream ended."""

    def __init__(self, context: AnswerContext) -> None:
        self.final = b""
        self._id = context.id.encode()
        self._taken: set[bytes] = set()
        self._envelope = Envelope(context)
        self._shape = Shape(context.request)
        self._sequence = _RELAYED
        self._parts: dict[int, _Open] = {}
        self._message: _Open | None = None
        """The text that neighbouring texts join; it ends when another kind of part begins."""
        self._output: dict[int, bytes] = {}
        """output_index -> rendered item."""
        self._places = 0
        self._usage: Usage | None = None
        self._refused = False
        self._finish: Finish | None = None
        self._error: ErrorInfo | None = None
        self._ended = False

    def encode(self, events: list[ev.Event]) -> bytes:
        """Bytes for these events."""
        out: list[bytes] = []
        add = out.append
        parts = self._parts
        for event in events:
            if type(event) is ev.TextDelta and not event.choice:
                text = event.text
                opened = parts.get(event.index)
                if opened is not None and text:
                    opened.texts.append(text)
                    number = self._sequence
                    self._sequence = number + 1
                    add(opened.head)
                    add(b"%d" % number)
                    add(opened.middle)
                    add(_encode(text))
                    add(opened.tail)
                continue
            if type(event) is ev.PartStart and type(event.part) is ToolUse:
                self._sign_call(event, events, out)
            self._event(event, out)
        return b"".join(out)

    def _sign_call(self, call: ev.PartStart, events: list[ev.Event], out: list[bytes]) -> None:
        """A call's signature goes into a reasoning item before it, as reasoning stands before calls.

        Gemini gives call and signature in one chunk; one that came later would be lost.
        """
        for event in events:
            if (
                type(event) is ev.SignatureDelta
                and (event.index, event.choice) == (call.index, 0)
                and event.origin not in ("", "responses")
            ):
                self._end_message(out)
                self._proof(event.signature, event.origin, "call", out)

    def _event(self, event: ev.Event, out: list[bytes]) -> None:  # noqa: PLR0912  # a table
        # The protocol knows one answer: further choices have no place.
        if getattr(event, "choice", 0) or self._ended:
            return
        match event:
            case ev.ThinkingDelta() | ev.ArgumentsDelta():
                opened = self._parts.get(event.index)
                if opened is not None and event.text:
                    self._delta(opened, event.text, out)
            case ev.PartStart():
                self._part(event.index, event.part, out)
            case ev.PartEnd():
                opened = self._parts.pop(event.index, None)
                if opened is not None:
                    self._end(opened, out)
            case ev.SignatureDelta():
                self._sign(event, out)
            case ev.CitationDelta():
                self._cite(event, out)
            case ev.UsageSeen():
                self._usage = merge_usage(self._usage, event.usage)
            case ev.Start():
                self._start(event, out)
            case ev.Finished():
                self._finish = event.finish
            case ev.Failed():
                self._error = event.error
            case ev.End():
                self._close(out)
            case _:
                pass

    def _send(self, out: list[bytes], kind: bytes, members: bytes) -> None:
        """One event; `members` follow type and sequence_number."""
        out.append(
            b'event: %b\ndata: {"type":"%b","sequence_number":%d,%b}\n\n'
            % (kind, kind, self._sequence, members)
        )
        self._sequence += 1

    def _start(self, event: ev.Start, out: list[bytes]) -> None:
        self._sequence = 0
        envelope = self._envelope
        envelope.id = event.id or envelope.id
        envelope.model = event.model or envelope.model
        envelope.created = event.created or envelope.created
        envelope.tier = event.service_tier
        body = b'"response":' + envelope.render("in_progress", [])
        self._send(out, b"response.created", body)
        self._send(out, b"response.in_progress", body)

    # Parts

    def _part(self, index: int, part: Part, out: list[bytes]) -> None:
        match part:
            case Text() | Refusal():
                self._parts[index] = self._open_text(part, out)
                return
            case ToolUse():
                self._end_message(out)
                self._parts[index] = self._open_call(part, out)
                return
            case _:
                self._end_message(out)
        match part:
            case Thinking(redacted=False):
                self._parts[index] = _Open(part, b"", -1)
            case Thinking():
                self._proof(part.signature, part.origin, "redacted", out)
            case Media(kind="image", data=data) if data:
                ident = self._new_id(b"ig")
                place = self._announce(picture_item(ident, part, "in_progress"), out)
                self._finish_item(place, picture_item(ident, part, "completed"), out)
            case Media():
                self._lone_text(f"[{part.kind}]({part.url or part.name or part.mime})", out)
            case Opaque(origin="responses"):
                item = opaque_item(self._new_id(b"item"), part)
                self._finish_item(self._announce(item, out), item, out)
            case Opaque(text=text) if text:
                self._lone_text(text, out)
            case _:
                pass

    def _new_id(self, prefix: bytes, call: str = "") -> bytes:
        """An item's id: made of the call's, else of the response's, where they are fit for it."""
        if call and _FIT.fullmatch(call):
            ident = b"%b_%b" % (prefix, call.encode())
            if ident not in self._taken:
                self._taken.add(ident)
                return ident
        own = self._envelope.id
        base = own.encode() if _FIT.fullmatch(own) else self._id
        return b"%b_%b_%d" % (prefix, base, self._places)

    def _announce(self, item: bytes, out: list[bytes]) -> int:
        """Opens an item: `output_item.added`, and its place."""
        place = self._places
        self._places += 1
        members = b'"output_index":%d,"item":%b' % (place, item)
        self._send(out, b"response.output_item.added", members)
        return place

    def _finish_item(self, place: int, item: bytes, out: list[bytes]) -> None:
        """Closes an item: `output_item.done`, and a member of the final `output`."""
        self._output[place] = item
        members = b'"output_index":%d,"item":%b' % (place, item)
        self._send(out, b"response.output_item.done", members)

    def _lone_text(self, text: str, out: list[bytes]) -> None:
        self._delta(self._open_text(Text(""), out), text, out)

    def _open_text(self, part: Text | Refusal, out: list[bytes]) -> _Open:
        """The open text, or a new message: clients expect one text in one message."""
        refusal = isinstance(part, Refusal)
        message = self._message
        if message is not None and type(message.part) is type(part):
            return message
        self._end_message(out)
        self._refused |= refusal
        ident = self._new_id(b"msg")
        place = self._announce(message_item(ident, b"", "in_progress"), out)
        opened = self._message = _Open(part, ident, place)
        kind = b"response.refusal" if refusal else b"response.output_text"
        self._frame(opened, kind, b'"content_index":0,')
        if not refusal:
            opened.tail = b',"logprobs":[]}\n\n'
        self._send(
            out,
            b"response.content_part.added",
            self._at(opened, b"content_index") + b',"part":' + text_part("", [], refusal=refusal),
        )
        return opened

    def _frame(self, opened: _Open, kind: bytes, place: bytes) -> None:
        """Prepares the delta event of a part."""
        opened.head = b'event: %b.delta\ndata: {"type":"%b.delta","sequence_number":' % (kind, kind)
        opened.middle = b',"item_id":"%b","output_index":%d,%b"delta":' % (
            opened.item_id,
            opened.place,
            place,
        )
        opened.tail = b"}\n\n"

    @staticmethod
    def _at(opened: _Open, word: bytes) -> bytes:
        return b'"item_id":"%b","output_index":%d,"%b":0' % (opened.item_id, opened.place, word)

    def _open_call(self, part: ToolUse, out: list[bytes]) -> _Open:
        custom = self._shape.custom(part)
        ident = self._new_id(b"ctc" if custom else b"fc", part.id)
        if not part.id:
            part = ToolUse(f"call_{self._id.decode()}{self._places}", part.name, "", part.custom)
        place = self._announce(call_item(ident, part, "", "in_progress", custom=custom), out)
        opened = _Open(part, ident, place, begun=True, whole=custom and not part.custom)
        kind = b"response.custom_tool_call_input" if custom else b"response.function_call_arguments"
        self._frame(opened, kind, b"")
        return opened

    def _delta(self, opened: _Open, text: str, out: list[bytes]) -> None:
        if isinstance(opened.part, Thinking) and not opened.begun:
            self._begin_thinking(opened, opened.part, out)
        if not opened.texts and isinstance(opened.part, Thinking):
            word = b"content_index" if opened.part.raw else b"summary_index"
            kind = b"content_part" if opened.part.raw else b"reasoning_summary_part"
            empty = _thought_part("", raw=opened.part.raw)
            self._send(
                out, b"response.%b.added" % kind, self._at(opened, word) + b',"part":' + empty
            )
        opened.texts.append(text)
        if not opened.whole:
            number = b"%d" % self._sequence
            out += (opened.head, number, opened.middle, _encode(text), opened.tail)
            self._sequence += 1

    def _begin_thinking(self, opened: _Open, part: Thinking, out: list[bytes]) -> None:
        own = part.id if part.id.startswith("rs_") else ""
        opened.item_id = _encode(own)[1:-1] if own else self._new_id(b"rs")
        item = reasoning_item(opened.item_id, "", "", raw=False)
        opened.place = self._announce(item, out)
        opened.begun = True
        kind = b"response.reasoning_text" if part.raw else b"response.reasoning_summary_text"
        word = b'"content_index":0,' if part.raw else b'"summary_index":0,'
        self._frame(opened, kind, word)

    def _sign(self, event: ev.SignatureDelta, out: list[bytes]) -> None:
        opened = self._parts.get(event.index)
        if opened is None or not event.signature:
            return
        part = opened.part
        if isinstance(part, Thinking):
            if event.id and not part.id:
                opened.part = part = Thinking("", id=event.id, raw=part.raw)
            if not opened.begun:
                self._begin_thinking(opened, part, out)
            opened.notes = [proofs.show(event.signature, event.origin).encode()]

    def _cite(self, event: ev.CitationDelta, out: list[bytes]) -> None:
        opened = self._parts.get(event.index)
        note = self._shape.annotation(event.origin, event.raw)
        if opened is None or note is None or not isinstance(opened.part, Text):
            return
        place = self._at(opened, b"content_index")
        count = len(opened.notes)
        opened.notes.append(note)
        self._send(
            out,
            b"response.output_text.annotation.added",
            b'%b,"annotation_index":%d,"annotation":%b' % (place, count, note),
        )

    # Ends of parts

    def _end(self, opened: _Open, out: list[bytes]) -> None:
        part = opened.part
        if isinstance(part, Thinking):
            if opened.begun:
                self._end_thinking(opened, part, out)
        elif isinstance(part, ToolUse):
            self._end_call(opened, part, out)

    def _end_message(self, out: list[bytes]) -> None:
        """The open text and its message are whole."""
        opened, self._message = self._message, None
        if opened is None:
            return
        text = "".join(opened.texts)
        refusal = isinstance(opened.part, Refusal)
        place = self._at(opened, b"content_index")
        if refusal:
            self._send(out, b"response.refusal.done", place + b',"refusal":' + _encode(text))
        else:
            members = place + b',"text":' + _encode(text) + b',"logprobs":[]'
            self._send(out, b"response.output_text.done", members)
        whole = text_part(text, opened.notes, refusal=refusal)
        self._send(out, b"response.content_part.done", place + b',"part":' + whole)
        self._finish_item(opened.place, message_item(opened.item_id, whole, "completed"), out)

    def _end_thinking(self, opened: _Open, part: Thinking, out: list[bytes]) -> None:
        text = "".join(opened.texts)
        if opened.texts:
            word = b"content_index" if part.raw else b"summary_index"
            kind = b"content_part" if part.raw else b"reasoning_summary_part"
            delta = b"reasoning_text" if part.raw else b"reasoning_summary_text"
            place = self._at(opened, word)
            self._send(out, b"response.%b.done" % delta, place + b',"text":' + _encode(text))
            whole = _thought_part(text, raw=part.raw)
            self._send(out, b"response.%b.done" % kind, place + b',"part":' + whole)
        proof = opened.notes[0].decode() if opened.notes else ""
        self._finish_item(
            opened.place, reasoning_item(opened.item_id, text, proof, raw=part.raw), out
        )

    def _end_call(self, opened: _Open, part: ToolUse, out: list[bytes]) -> None:
        text = "".join(opened.texts)
        custom = self._shape.custom(part)
        if opened.whole:
            opened.whole = False
            opened.texts, text = [], self._shape.input_of(text)
            self._delta(opened, text, out)
        elif not custom and not text:
            text = "{}"
            self._delta(opened, text, out)
        word, kind = (
            (b"input", b"response.custom_tool_call_input.done")
            if custom
            else (b"arguments", b"response.function_call_arguments.done")
        )
        place = b'"item_id":"%b","output_index":%d' % (opened.item_id, opened.place)
        self._send(out, kind, b'%b,"%b":%b' % (place, word, _encode(text)))
        cut = not custom and object_of(text) is None
        status = "incomplete" if cut else "completed"
        item = call_item(opened.item_id, part, text, status, custom=custom)
        self._finish_item(opened.place, item, out)

    def _proof(self, signature: str, origin: str, place: proofs.Place, out: list[bytes]) -> None:
        if signature:
            self._reasoning(proofs.show(signature, origin, place), out)

    def _reasoning(self, proof: str, out: list[bytes]) -> None:
        """An item that holds a proof and no text."""
        ident = self._new_id(b"rs")
        place = self._announce(reasoning_item(ident, "", "", raw=False), out)
        self._finish_item(place, reasoning_item(ident, "", proof, raw=False), out)

    # End of the stream

    def _close(self, out: list[bytes]) -> None:
        self._ended = True
        for opened in self._parts.values():
            self._end(opened, out)
        self._parts.clear()
        self._end_message(out)
        output = [self._output[place] for place in sorted(self._output)]
        envelope = self._envelope
        if self._error is not None:
            usage = usage_body(self._usage) if self._usage else b"null"
            error = failure(self._error)
            self.final = envelope.render("failed", output, usage, error=error)
            kind = b"response.failed"
        else:
            reason = self._incomplete()
            status = "incomplete" if reason else "completed"
            kind = b"response.incomplete" if reason else b"response.completed"
            self.final = envelope.render(status, output, usage_body(self._usage), reason=reason)
        self._send(out, kind, b'"response":' + self.final)

    def _incomplete(self) -> str:
        """`incomplete_details.reason`; "" for an answer that is complete."""
        finish = self._finish
        if finish is None or finish.reason in ("stop", "tool", "pause"):
            return ""
        if finish.reason == "length":
            return "max_output_tokens"
        if finish.reason == "refusal" and self._refused:
            return ""
        return "content_filter"


def _thought_part(text: str, *, raw: bool) -> bytes:
    word = b"reasoning_text" if raw else b"summary_text"
    return b'{"type":"%b","text":%b}' % (word, _encode(text))


def encode_answer(events: list[ev.Event], context: AnswerContext) -> bytes:
    """The response object that a stream of these events ends with."""
    encoder = StreamEncoder(context)
    encoder.encode(events)
    return encoder.final
