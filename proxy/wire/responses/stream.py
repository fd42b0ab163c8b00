"""Responses events -> conversation events.

An item opens one part (a call, reasoning) or one per content part (a message). What only a `done` event
tells (whole texts without deltas, citations, proofs) is taken from there, so that servers that leave
events out lose nothing. Unknown events are ignored: a new one never ends a stream.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from proxy.convo import events as ev
from proxy.convo.model import (
    ErrorInfo,
    Media,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolUse,
)
from proxy.jsonio import encode
from proxy.wire import sse
from proxy.wire.responses import stream_types as st
from proxy.wire.responses import types
from proxy.wire.responses.answer import (
    call_of,
    failure_of,
    finish_of,
    parts_of_item,
    thinking_text,
    usage_of,
)
from proxy.wire.responses.content import part_of
from proxy.wire.responses.errors import info_of

_CUT: Final = ErrorInfo("the upstream closed the stream before its end", type="cut", status=502)
_CALLS: Final = ("function_call", "custom_tool_call")


class _Slot(Struct):
    """An open part: its number, how many characters of it were given out, how many summaries began."""

    index: int
    part: Part
    sent: int = 0
    summary: int = -1
    citations: int = 0


class StreamDecoder:
    """Decodes one upstream stream."""

    def __init__(self) -> None:
        self._sse = sse.SseParser()
        self._open: dict[tuple[int, int], _Slot] = {}
        """(output_index, content_index) -> slot; -1 where an item is one part."""
        self._items: dict[int, types.Item] = {}
        self._closed: set[tuple[int, int]] = set()
        self._seen: list[Part] = []
        """The parts so far, for the finish reason."""
        self._next = 0
        self._started = False
        self._ended = False
        self._hot: _Slot | None = None
        """The open part of the last text delta, and its place: most deltas go there again."""
        self._hot_item = self._hot_content = -1

    def feed(self, data: bytes) -> list[ev.Event]:
        """The events that these bytes complete."""
        out: list[ev.Event] = []
        if self._ended:
            return out
        try:
            frames = self._sse.feed(data)
        except sse.SseOverflow as over:
            self._frames(over.events, out)
            self._fail(ErrorInfo("an event of the upstream is too large", type="garbage"), out)
            return out
        self._frames(frames, out)
        return out

    def eof(self) -> list[ev.Event]:
        """Closes what is open; a stream without its terminal event failed."""
        out: list[ev.Event] = []
        if not self._ended:
            self._frames(self._sse.eof(), out)
        if not self._ended:
            self._fail(_CUT, out)
        return out

    def _frames(self, frames: list[sse.Frame], out: list[ev.Event]) -> None:
        decode = st.event.decode
        for name, data in frames:
            if self._ended:
                return
            try:
                event = decode(data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self._odd(name, data, out)
                continue
            if type(event) is st.TextDelta:
                text = event.delta
                slot = self._hot
                if (
                    slot is not None
                    and event.content_index == self._hot_content
                    and event.output_index == self._hot_item
                ):
                    if text:
                        slot.sent += len(text)
                        out.append(ev.TextDelta(slot.index, text))
                    continue
                self._text(event, text, Text(""), out)
                self._hot_item, self._hot_content = event.output_index, event.content_index
                self._hot = self._open.get((event.output_index, event.content_index))
                continue
            try:
                self._event(event, out)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self._fail(ErrorInfo("an event of the upstream is malformed", type="garbage"), out)

    def _odd(self, name: bytes, data: bytes, out: list[ev.Event]) -> None:
        """An unknown event is skipped; one that should be known, or is no JSON, is an error."""
        if data == b"[DONE]":
            return
        try:
            kind = st.kind.decode(data).type
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            kind = name.decode("utf-8", "replace") or "?"
            if kind.startswith("response.") and kind not in st.KINDS:
                return
            self._fail(ErrorInfo("the upstream sent no JSON", type="garbage"), out)
            return
        if kind in st.KINDS:
            self._fail(ErrorInfo(f"the upstream's {kind} is malformed", type="garbage"), out)
        elif not kind and b'"error"' in data:
            self._fail(info_of(Raw(data)), out)

    def _event(self, event: st.StreamEvent, out: list[ev.Event]) -> None:  # noqa: PLR0912  # a table
        self._begin(event, out)
        match event:
            case st.ArgumentsDelta() | st.InputDelta():
                self._arguments(event.output_index, event.delta, out, whole=False)
            case st.ArgumentsDone(arguments=text) | st.InputDone(input=text):
                self._arguments(event.output_index, text, out, whole=True)
            case st.SummaryDelta():
                self._thought(event.output_index, event.delta, out, event.summary_index)
            case st.ReasoningDelta():
                self._thought(event.output_index, event.delta, out, None)
            case st.SummaryDone():
                self._thought_done(event.output_index, event.text, event.summary_index, out)
            case st.ReasoningDone():
                self._thought_done(event.output_index, event.text, None, out)
            case st.RefusalDelta():
                self._text(event, event.delta, Refusal(""), out)
            case st.TextDone():
                self._rest(event, event.text, Text(""), out)
            case st.RefusalDone():
                self._rest(event, event.refusal, Refusal(""), out)
            case st.PartAdded() | st.PartDone():
                self._content_part(event, out)
            case st.Annotation():
                self._cite(event, out)
            case st.ItemAdded():
                self._added(event.output_index, event.item, out)
            case st.ItemDone():
                self._done(event.output_index, event.item, out)
            case st.Completed() | st.Done() | st.Incomplete() | st.Failed() | st.Cancelled():
                self._terminal(event, out)
            case st.Error():
                self._error(event, out)
            case st.Keepalive():
                out.append(ev.Ping())
            case _:
                pass

    def _begin(self, event: st.StreamEvent, out: list[ev.Event]) -> None:
        if self._started or isinstance(event, st.Keepalive):
            return
        self._started = True
        said = getattr(event, "response", None)
        if isinstance(said, types.ResponseBody):
            created = int(said.created_at or 0)
            out.append(ev.Start(said.id or "", said.model or "", created, said.service_tier or ""))
        else:
            out.append(ev.Start())

    # Parts

    def _slot(self, key: tuple[int, int], part: Part, out: list[ev.Event]) -> _Slot | None:
        """The open part of this place, opened now if need be; None when it is over already."""
        slot = self._open.get(key)
        if slot is not None or key in self._closed:
            return slot
        if not isinstance(part, ToolUse):
            self._close_texts(out)
        slot = self._open[key] = _Slot(self._next, part)
        self._next += 1
        self._seen.append(part)
        out.append(ev.PartStart(slot.index, part))
        return slot

    def _close_texts(self, out: list[ev.Event]) -> None:
        """Text and thinking parts never overlap."""
        for key, slot in list(self._open.items()):
            if not isinstance(slot.part, ToolUse):
                self._close(key, out)

    def _close(self, key: tuple[int, int], out: list[ev.Event]) -> None:
        slot = self._open.pop(key, None)
        self._closed.add(key)
        if slot is self._hot:
            self._hot = None
        if slot is not None:
            out.append(ev.PartEnd(slot.index))

    def _text(
        self,
        event: st.TextDelta | st.RefusalDelta | st.TextDone | st.RefusalDone,
        text: str,
        part: Part,
        out: list[ev.Event],
    ) -> None:
        self._begin(event, out)
        slot = self._slot((event.output_index, event.content_index), part, out)
        if slot is not None and text:
            slot.sent += len(text)
            out.append(ev.TextDelta(slot.index, text))

    def _rest(
        self, event: st.TextDone | st.RefusalDone, text: str, part: Part, out: list[ev.Event]
    ) -> None:
        """What the deltas did not say of a whole text."""
        slot = self._open.get((event.output_index, event.content_index))
        sent = slot.sent if slot is not None else 0
        if len(text) > sent:
            self._text(event, text[sent:], part, out)

    def _content_part(self, event: st.PartAdded | st.PartDone, out: list[ev.Event]) -> None:
        part = part_of(event.part)
        key = (event.output_index, event.content_index)
        if not isinstance(part, Text | Refusal) or self._is_thinking(event):
            return
        empty: Part = Text("") if isinstance(part, Text) else Refusal("")
        slot = self._slot(key, empty, out)
        if slot is None:
            return
        if len(part.text) > slot.sent:
            out.append(ev.TextDelta(slot.index, part.text[slot.sent :]))
            slot.sent = len(part.text)
        if isinstance(event, st.PartDone):
            self._citations(slot, part, out)
            self._close(key, out)

    def _is_thinking(self, event: st.PartAdded | st.PartDone) -> bool:
        item = self._items.get(event.output_index)
        return item is not None and item.type == "reasoning"

    def _cite(self, event: st.Annotation, out: list[ev.Event]) -> None:
        slot = self._open.get((event.output_index, event.content_index))
        if slot is not None:
            slot.citations += 1
            out.append(ev.CitationDelta(slot.index, "responses", event.annotation))

    def _citations(self, slot: _Slot, part: Part, out: list[ev.Event]) -> None:
        """Those that a whole part has and no event told."""
        if isinstance(part, Text) and part.citations:
            listed = types.raws.decode(part.citations[1])[slot.citations :]
            slot.citations += len(listed)
            out += [ev.CitationDelta(slot.index, "responses", raw) for raw in listed]

    def _arguments(self, place: int, text: str, out: list[ev.Event], *, whole: bool) -> None:
        slot = self._open.get((place, -1))
        if slot is None:
            return
        if whole:
            text = text[slot.sent :]
        if text:
            slot.sent += len(text)
            out.append(ev.ArgumentsDelta(slot.index, text))

    def _thought(self, place: int, text: str, out: list[ev.Event], summary: int | None) -> None:
        item = self._items.get(place)
        skeleton = Thinking("", id=(item.id if item else "") or "", raw=summary is None)
        slot = self._slot((place, -1), skeleton, out)
        if slot is None or not text:
            return
        number = 0 if summary is None else summary + 1
        if slot.sent and number != slot.summary:
            text = "\n\n" + text
        slot.summary = number
        slot.sent += len(text)
        out.append(ev.ThinkingDelta(slot.index, text))

    def _thought_done(
        self, place: int, text: str, summary: int | None, out: list[ev.Event]
    ) -> None:
        slot = self._open.get((place, -1))
        number = 0 if summary is None else summary + 1
        if slot is None or slot.summary != number:
            self._thought(place, text, out, summary)

    # Items

    def _added(self, place: int, raw: Raw, out: list[ev.Event]) -> None:
        item = types.item.decode(raw)
        self._items[place] = item
        if item.type in _CALLS:
            self._slot((place, -1), call_of(item, whole=False), out)

    def _done(self, place: int, raw: Raw, out: list[ev.Event]) -> None:
        item = types.item.decode(raw)
        self._items[place] = item
        key = (place, -1)
        if item.type in _CALLS:
            call = call_of(item, whole=True)
            self._slot(key, call_of(item, whole=False), out)
            self._arguments(place, call.arguments, out, whole=True)
            self._close(key, out)
        elif item.type == "reasoning":
            self._reasoning_done(key, item, out)
        elif item.type == "message":
            self._message_done(place, raw, out)
        elif key not in self._closed:
            self._whole(parts_of_item(raw), out)
            self._closed.add(key)

    def _reasoning_done(self, key: tuple[int, int], item: types.Item, out: list[ev.Event]) -> None:
        if key in self._closed:
            return
        text = thinking_text(item)
        slot = self._open.get(key)
        if slot is None and text:
            self._thought(key[0], text, out, 0 if item.summary else None)
        if item.encrypted_content:
            skeleton = Thinking("", id=item.id or "")
            slot = self._slot(key, skeleton, out)
            if slot is not None:
                proof = item.encrypted_content
                out.append(ev.SignatureDelta(slot.index, proof, "responses", id=item.id or ""))
        self._close(key, out)

    def _message_done(self, place: int, raw: Raw, out: list[ev.Event]) -> None:
        for number, part in enumerate(parts_of_item(raw)):
            key = (place, number)
            if key in self._closed:
                continue
            if isinstance(part, Text | Refusal):
                empty: Part = Text("") if isinstance(part, Text) else Refusal("")
                slot = self._slot(key, empty, out)
                if slot is not None:
                    if len(part.text) > slot.sent:
                        out.append(ev.TextDelta(slot.index, part.text[slot.sent :]))
                    self._citations(slot, part, out)
            else:
                self._whole([part], out)
            self._close(key, out)
        for key in [key for key in self._open if key[0] == place]:
            self._close(key, out)

    def _whole(self, parts: list[Part], out: list[ev.Event]) -> None:
        """Parts that come in one piece."""
        for part in parts:
            if isinstance(part, Media | Opaque):
                self._close_texts(out)
                out += [ev.PartStart(self._next, part), ev.PartEnd(self._next)]
                self._seen.append(part)
                self._next += 1

    # Ends

    def _terminal(self, event: st.Terminal, out: list[ev.Event]) -> None:
        said = event.response or types.ResponseBody()
        if said.status is None or said.status in ("in_progress", "queued"):
            word = {st.Incomplete: "incomplete", st.Failed: "failed", st.Cancelled: "cancelled"}
            said.status = word.get(type(event), "completed")
        if not self._items and not self._next:
            # A server that streams nothing but the end.
            for place, raw in enumerate(said.output or ()):
                self._done(place, raw, out)
        usage = usage_of(said.usage)
        if usage is not None:
            out.append(ev.UsageSeen(usage))
        failure = failure_of(said)
        if failure is not None:
            self._fail(failure, out)
            return
        self._close_all(out)
        out += [ev.Finished(finish_of(said, self._seen)), ev.End()]
        self._ended = True

    def _error(self, event: st.Error, out: list[ev.Event]) -> None:
        if types.given(event.error):
            self._fail(info_of(event.error), out)
            return
        flat = Raw(encode({"message": event.message, "code": event.code}))
        self._fail(info_of(flat), out)

    def _close_all(self, out: list[ev.Event]) -> None:
        for key in list(self._open):
            self._close(key, out)

    def _fail(self, error: ErrorInfo, out: list[ev.Event]) -> None:
        if not self._started:
            self._started = True
            out.append(ev.Start())
        self._close_all(out)
        out += [ev.Failed(error), ev.End()]
        self._ended = True
