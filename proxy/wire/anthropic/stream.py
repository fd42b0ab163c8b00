"""A Messages event stream to events."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from proxy.convo import events as ev
from proxy.convo.model import ErrorInfo, Opaque, Part, Text, Thinking, ToolUse
from proxy.jsonio import encode, top_level
from proxy.wire.anthropic import types as t
from proxy.wire.anthropic.blocks import part_of_raw
from proxy.wire.anthropic.counts import Counter, finish_of
from proxy.wire.anthropic.errors import error_of
from proxy.wire.sse import SseOverflow, SseParser

_event = msgspec.json.Decoder(t.StreamEvent)
_citations = msgspec.json.Decoder(list[Raw])
_KNOWN: Final = frozenset(
    (
        "content_block_delta",
        "content_block_start",
        "content_block_stop",
        "message_delta",
        "message_start",
        "message_stop",
        "error",
    )
)


class _Block:
    """An open content block of the upstream."""

    __slots__ = ("given", "index", "initial", "json", "kind", "raw", "signature")

    def __init__(self, index: int, kind: str, raw: Raw) -> None:
        self.index = index
        """Number of its part; -1 while it has none (blocks that are given out whole)."""
        self.kind = kind
        self.raw = raw
        self.json: list[str] = []
        self.initial = ""
        """Arguments that the block began with."""
        self.given = False
        self.signature = ""


class Decoder:
    """`feed` gives the events that bytes complete; unknown events and deltas never end a stream."""

    def __init__(self) -> None:
        self._sse = SseParser()
        self._blocks: dict[int, _Block] = {}
        self._parts = 0
        self._started = self._ended = self._called = False
        self._usage = Counter()
        self._stop: t.StopFields | None = None

    def feed(self, data: bytes) -> list[ev.Event]:
        """The events that these bytes complete."""
        out: list[ev.Event] = []
        try:
            frames = self._sse.feed(data)
        except SseOverflow as overflow:
            self._read(overflow.events, out)
            self._fail("An event of the upstream is too large.", out)
            return out
        self._read(frames, out)
        return out

    def eof(self) -> list[ev.Event]:
        """The upstream closed: an answer without its stop reason was cut short."""
        out: list[ev.Event] = []
        self._read(self._sse.eof(), out)
        if self._ended:
            return out
        if self._stop is not None:
            self._finish(out)
        else:
            self._fail("The upstream closed the stream before the answer was finished.", out)
        return out

    def _read(self, frames: list[tuple[bytes, bytes]], out: list[ev.Event]) -> None:
        decode, blocks, append = _event.decode, self._blocks, out.append
        for _, data in frames:
            if self._ended:
                return
            try:
                event = decode(data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self._odd(data, out)
                continue
            if type(event) is t.BlockDelta:
                delta = event.delta
                block = blocks.get(event.index)
                if block is None:
                    block = self._missing_start(event, out)
                if isinstance(delta, t.TextDeltaIn):
                    append(ev.TextDelta(block.index, delta.text))
                elif isinstance(delta, t.JsonDeltaIn) and block.index >= 0:
                    if delta.partial_json:
                        block.given = True
                        append(ev.ArgumentsDelta(block.index, delta.partial_json))
                elif isinstance(delta, t.ThinkingDeltaIn):
                    append(ev.ThinkingDelta(block.index, delta.thinking))
                else:
                    self._rare_delta(block, delta, out)
            else:
                self._control(event, out)

    def _control(self, event: t.StreamEvent, out: list[ev.Event]) -> None:
        match event:
            case t.BlockStart():
                self._open(event, out)
            case t.BlockStop(index):
                self._close(index, out)
            case t.MessageStart(message):
                self._start(message, out)
            case t.MessageDelta(delta, usage):
                if delta is not None and delta.stop_reason is not None:
                    self._stop = delta
                seen = self._usage.add(usage)
                if seen is not None:
                    out.append(ev.UsageSeen(seen))
            case t.MessageStop():
                self._finish(out)
            case t.PingIn():
                out.append(ev.Ping())
            case t.ErrorIn(error):
                self._break(error_of(error), out)
            case _:
                pass

    def _start(self, message: t.MessageOut, out: list[ev.Event]) -> None:
        usage = self._usage.add(message.usage)
        if not self._started:
            self._started = True
            tier = self._usage.service_tier
            out.append(ev.Start(message.id or "", message.model or "", service_tier=tier))
        if usage is not None:
            out.append(ev.UsageSeen(usage))

    def _ensure_started(self, out: list[ev.Event]) -> None:
        if not self._started:
            self._started = True
            out.append(ev.Start())

    def _new_part(self, part: Part, out: list[ev.Event]) -> int:
        self._ensure_started(out)
        index = self._parts
        self._parts += 1
        out.append(ev.PartStart(index, part))
        return index

    def _open(self, event: t.BlockStart, out: list[ev.Event]) -> None:
        raw = event.content_block
        self._close(event.index, out)
        try:
            kind = t.peek.decode(raw).type
            known = kind in ("text", "thinking", "redacted_thinking", "tool_use")
            part = part_of_raw(raw)[0] if known else None
        except msgspec.DecodeError as error:
            self._fail(f"The upstream sent a malformed block: {error}", out)
            return
        block = self._blocks[event.index] = _Block(-1, kind, raw)
        match part:
            case Text(text=text, citations=citations):
                block.index = self._new_part(Text(""), out)
                if text:
                    out.append(ev.TextDelta(block.index, text))
                if citations:
                    out += [
                        ev.CitationDelta(block.index, t.NAME, one)
                        for one in _citations.decode(citations[1])
                    ]
            case Thinking(redacted=True):
                block.index = self._new_part(
                    Thinking("", part.signature, t.NAME, redacted=True), out
                )
            case Thinking(text=text, signature=signature):
                block.index = self._new_part(Thinking(""), out)
                block.signature = signature
                if text:
                    out.append(ev.ThinkingDelta(block.index, text))
            case ToolUse():
                self._called = True
                block.initial, part.arguments = part.arguments, ""
                block.index = self._new_part(part, out)
            case _:
                pass

    def _missing_start(self, event: t.BlockDelta, out: list[ev.Event]) -> _Block:
        """Some upstreams leave out content_block_start for text."""
        match event.delta:
            case t.TextDeltaIn():
                kind, index = "text", self._new_part(Text(""), out)
            case t.ThinkingDeltaIn() | t.SignatureDeltaIn():
                kind, index = "thinking", self._new_part(Thinking(""), out)
            case _:
                kind, index = "", -1
        block = self._blocks[event.index] = _Block(index, kind, Raw(b"{}"))
        return block

    def _rare_delta(self, block: _Block, delta: t.DeltaIn, out: list[ev.Event]) -> None:
        match delta:
            case t.SignatureDeltaIn(signature):
                block.signature += signature
            case t.JsonDeltaIn(partial_json):
                block.json.append(partial_json)
            case t.CitationsDeltaIn(citation):
                if block.kind == "text":
                    out.append(ev.CitationDelta(block.index, t.NAME, citation))
            case _:
                pass

    def _close(self, index: int, out: list[ev.Event]) -> None:
        block = self._blocks.pop(index, None)
        if block is None:
            return
        if block.index < 0:
            if block.kind:
                block.index = self._new_part(_whole(block), out)
                out.append(ev.PartEnd(block.index))
            return
        if block.kind == "tool_use" and not block.given:
            out.append(ev.ArgumentsDelta(block.index, block.initial))
        if block.kind == "thinking" and block.signature:
            out.append(ev.SignatureDelta(block.index, block.signature, t.NAME))
        out.append(ev.PartEnd(block.index))

    def _finish(self, out: list[ev.Event]) -> None:
        self._ensure_started(out)
        for index in list(self._blocks):
            self._close(index, out)
        stop = self._stop or t.StopFields()
        out.append(ev.Finished(finish_of(stop.stop_reason, stop.stop_sequence, self._called)))
        self._end(out)

    def _end(self, out: list[ev.Event]) -> None:
        self._ended = True
        out.append(ev.End())

    def _fail(self, message: str, out: list[ev.Event]) -> None:
        if not self._ended:
            self._break(ErrorInfo(message, "api_error", code="cut", origin=t.NAME), out)

    def _break(self, error: ErrorInfo, out: list[ev.Event]) -> None:
        self._ensure_started(out)
        out += [ev.PartEnd(block.index) for block in self._blocks.values() if block.index >= 0]
        self._blocks.clear()
        out.append(ev.Failed(error))
        self._end(out)

    def _odd(self, data: bytes, out: list[ev.Event]) -> None:
        """An event outside the union: unknown ones are left out, malformed ones end the answer."""
        if data.strip() == b"[DONE]":
            if self._stop is not None:
                self._finish(out)
            return
        try:
            kind = t.peek.decode(data).type
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._fail("The upstream sent an event that is not JSON.", out)
            return
        if kind in _KNOWN and not (kind == "content_block_delta" and _unknown_delta(data)):
            self._fail(f"The upstream sent a malformed {kind} event.", out)


class _AnyDelta(msgspec.Struct):
    delta: t.Peek


_any_delta = msgspec.json.Decoder(_AnyDelta)
_DELTAS: Final = frozenset(
    ("text_delta", "thinking_delta", "input_json_delta", "signature_delta", "citations_delta")
)


def _unknown_delta(data: bytes) -> bool:
    try:
        return _any_delta.decode(data).delta.type not in _DELTAS
    except msgspec.DecodeError:
        return False


def _whole(block: _Block) -> Opaque:
    """A block of another type, with the input that came in pieces put back."""
    joined = "".join(block.json)
    if joined:
        try:
            fields = top_level(bytes(block.raw))
            fields["input"] = msgspec.Raw(encode(msgspec.json.decode(joined)))
            return Opaque(t.NAME, Raw(encode(fields)), block.kind)
        except msgspec.DecodeError:
            pass
    return Opaque(t.NAME, block.raw.copy(), block.kind)
