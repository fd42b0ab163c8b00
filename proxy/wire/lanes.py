"""The two lanes of a stream: translated (hub) and passed through byte for byte. Pure.

Both take upstream bytes and give client bytes. What the exchange has to know on the way stands in
attributes: `useful` (output began, or the answer is over: the commit point), `spoke` (there was output),
`failed` (the upstream told an error or broke), `finished` (the wire's own terminal event was seen),
`usage`. Pings, notices, empty deltas and the mere frames of parts are neither useful nor a failure.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from msgspec import Struct

from proxy.convo import events as ev
from proxy.convo.fold import merge_usage
from proxy.convo.model import ErrorInfo, Refusal, Request, Text, Thinking, Usage
from proxy.convo.splice import Splice
from proxy.wire import names
from proxy.wire.base import AnswerContext, Wire

_FRAMES: Final = (Refusal, Text, Thinking)
_DELTAS: Final = (ev.TextDelta, ev.ThinkingDelta, ev.ArgumentsDelta)
CUT: Final = ErrorInfo(
    "the upstream closed the stream before its end", type="upstream_cut", status=502
)


GARBLED: Final = ErrorInfo(
    "the upstream sent a stream that cannot be read", type="upstream_garbled", status=502
)


class Lane:
    """One stream on its way from upstream to client."""

    __slots__ = ("between", "failed", "finished", "spoke", "started", "usage", "useful")

    def __init__(self) -> None:
        self.between = True
        """The client has whole events so far: a keep-alive would split none."""
        self.useful = False
        self.spoke = False
        self.finished = False
        self.started = False
        self.failed: ErrorInfo | None = None
        self.usage: Usage | None = None

    def feed(self, data: bytes) -> bytes:
        """Client bytes for these upstream bytes; may be empty."""
        raise NotImplementedError

    def eof(self) -> bytes:
        """The upstream closed: what the client still gets, ending in a terminal event."""
        raise NotImplementedError

    def fail(self, error: ErrorInfo) -> bytes:
        """Ends the client's stream with an error event of its protocol; b"" if it ended already."""
        raise NotImplementedError

    @property
    def resumable(self) -> bool:
        """It broke, nothing of that was told to the client, and another upstream may go on."""
        return False

    def resume(self, request: Request) -> Request:
        """The request that asks another upstream to go on. Only while `resumable`."""
        raise NotImplementedError

    def go_on(self, upstream: Wire) -> Lane:
        """The lane by which that upstream goes on with the same client stream."""
        raise NotImplementedError

    def give_up(self) -> bytes:
        """Nobody goes on: what ends a client's stream that was kept open to be resumed."""
        return b""

    def note(self, events: list[ev.Event]) -> None:
        """Reads what the exchange has to know off the events."""
        for event in events:
            if isinstance(event, _DELTAS):
                if event.text:
                    self.useful = self.spoke = True
            elif isinstance(event, ev.PartStart):
                # An empty text or thinking part is a mere frame; a call or an image is output.
                if not isinstance(event.part, _FRAMES):
                    self.useful = self.spoke = True
            elif isinstance(event, ev.Finished):
                self.useful = True
            elif isinstance(event, ev.UsageSeen):
                self.usage = merge_usage(self.usage, event.usage)
            elif isinstance(event, ev.Failed):
                self.failed = event.error
            elif isinstance(event, ev.Start):
                self.started = True
            elif isinstance(event, ev.End):
                self.finished = self.failed is None


def _garbled(started: bool) -> list[ev.Event]:
    start: list[ev.Event] = [] if started else [ev.Start()]
    return [*start, ev.Failed(GARBLED), ev.End()]


class HubLane(Lane):
    """upstream wire -> events -> client wire."""

    __slots__ = ("_client", "_context", "_decoder", "_encoder", "_names")

    def __init__(self, upstream: Wire, client: Wire, context: AnswerContext) -> None:
        super().__init__()
        self._decoder = upstream.stream_decoder()
        self._encoder = client.stream_encoder(context)
        self._client = client
        self._context = context
        self._names = names.client_names(upstream.name, context.request)

    def feed(self, data: bytes) -> bytes:
        """Decodes and encodes all events that the bytes complete."""
        if self.failed is not None:
            return b""
        try:
            events = self._decoder.feed(data)
        except UnicodeDecodeError:
            # msgspec finds broken text inside a `Raw` only when that is read.
            events = _garbled(self.started)
        if not events:
            return b""
        if not (self.useful and len(events) == 1 and type(events[0]) is ev.TextDelta):
            self.note(events)
            if self._names:
                names.restore_events(events, self._names)
        return self._encode(events)

    def _encode(self, events: list[ev.Event]) -> bytes:
        try:
            return self._encoder.encode(events)
        except (LookupError, AttributeError, UnicodeDecodeError):
            # Deltas of parts that were never opened: an upstream that does not keep its protocol.
            self.failed = GARBLED
            return self._client.stream_encoder(self._context).encode([ev.Failed(GARBLED), ev.End()])

    def eof(self) -> bytes:
        """Closes what is open; an upstream that stopped short gives an error event."""
        if self.finished or self.failed is not None:
            return b""
        try:
            events = self._decoder.eof()
        except UnicodeDecodeError:
            events = _garbled(self.started)
        self.note(events)
        names.restore_events(events, self._names)
        return self._encode(events)

    def fail(self, error: ErrorInfo) -> bytes:
        """As `Lane.fail`."""
        if self.finished or self.failed is not None:
            return b""
        whole = self._last()
        if whole:
            return self._encode(whole)
        self.failed = error
        start: list[ev.Event] = [] if self.started else [ev.Start()]
        return self._encode([*start, ev.Failed(error), ev.End()])

    def _last(self) -> list[ev.Event]:
        """The end of an answer that was whole before its stream broke: only the mark was missing."""
        if getattr(self._decoder, "open", False):
            return []  # a wire without such a mark, whose last word did not come
        try:
            events = self._decoder.eof()
        except UnicodeDecodeError:
            return []
        if any(isinstance(event, ev.Failed) for event in events):
            return []
        self.note(events)
        names.restore_events(events, self._names)
        return events


class SpliceLane(HubLane):
    """A hub lane whose client stream may outlive its upstream (`on-break = "resume"`).

    A failure is kept from the client until it is clear whether another upstream goes on. Until output
    begins, nothing of this upstream reaches the stream: should it fail first, it leaves no trace there.
    """

    __slots__ = ("_begun", "_kept", "_splice", "_spoilt")

    def __init__(self, upstream: Wire, client: Wire, context: AnswerContext) -> None:
        super().__init__(upstream, client, context)
        self._splice = Splice()
        self._spoilt = False
        self._begun = False
        self._kept: list[ev.Event] = []

    def feed(self, data: bytes) -> bytes:
        """As `HubLane.feed`; every event counts."""
        if self.failed is not None:
            return b""
        try:
            events = self._decoder.feed(data)
        except UnicodeDecodeError:
            events = _garbled(self.started)
        self.note(events)
        names.restore_events(events, self._names)
        return self._encode(events)

    def _encode(self, events: list[ev.Event]) -> bytes:
        if not self._begun:
            events = self._kept = [*self._kept, *events]
            if self.failed is not None or not (self.useful or self.finished):
                return b""
            self._begun, self._kept = True, []
        try:
            return self._encoder.encode(self._splice.take(events))
        except (LookupError, AttributeError, UnicodeDecodeError):
            self.failed, self._spoilt = GARBLED, True
            return b""

    @property
    def resumable(self) -> bool:
        """As `Lane.resumable`."""
        return self.failed is not None and not self._spoilt and self._splice.resumable

    def resume(self, request: Request) -> Request:
        """As `Lane.resume`."""
        return self._splice.so_far(request)

    def go_on(self, upstream: Wire) -> Lane:
        """As `Lane.go_on`: the client's encoder stays, the rest is new."""
        after = SpliceLane(upstream, self._client, self._context)
        after._encoder, after._splice = self._encoder, self._splice
        after.started = True
        self._splice.begin()
        return after

    def give_up(self) -> bytes:
        """As `Lane.give_up`."""
        if self.failed is None:
            return b""
        end: list[ev.Event] = [ev.Failed(self.failed), ev.End()]
        if self._spoilt:
            return self._client.stream_encoder(self._context).encode(end)
        return self._encoder.encode(self._splice.close(self.failed))


class _Signs(Struct, frozen=True):
    """Bytes that tell an event's kind without decoding it. Quoted, or at a line's start: a model's
    own text cannot hold them, since JSON escapes its quotes and line ends."""

    finish: tuple[bytes, ...]
    error: tuple[bytes, ...]
    usage: tuple[bytes, ...] = (b'"usage":{', b'"usage": {')
    reason: tuple[bytes, ...] = ()
    """The answer is whole, though the mark of the end is still to come."""
    mark: bytes = b""
    """That mark, for an upstream that leaves it out."""


_SIGNS: Final[dict[str, _Signs]] = {
    "chat": _Signs(
        (b"\ndata: [DONE]", b"\ndata:[DONE]"),
        (b'\ndata: {"error"', b'\ndata:{"error"'),
        reason=(b'"finish_reason":"', b'"finish_reason": "'),
        mark=b"data: [DONE]\n\n",
    ),
    "responses": _Signs(
        (
            b'"type":"response.completed"',
            b'"type": "response.completed"',
            b'"type":"response.incomplete"',
            b'"type": "response.incomplete"',
        ),
        (
            b"\nevent: error",
            b'\ndata: {"type":"error"',
            b'"type":"response.failed"',
            b'"type": "response.failed"',
        ),
    ),
    "anthropic": _Signs(
        (b'"type":"message_stop"', b'"type": "message_stop"'),
        (b"\nevent: error", b'\ndata: {"type":"error"', b'\ndata: {"type": "error"'),
        reason=(b'"stop_reason":"', b'"stop_reason": "'),
        mark=b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    ),
    "gemini": _Signs(
        (b'"finishReason"', b'"blockReason"'),
        (b'\ndata: {"error"', b'\ndata:{"error"'),
        (b'"usageMetadata"',),
    ),
}
_SIGNS["gemini_cli"] = _SIGNS["gemini"]  # the same in an envelope
_LONGEST_LINE: Final = 1 << 20
_LONGEST_ERROR: Final = 1 << 16
_BLANK: Final = (b"\n\n", b"\n\r\n")
"""What ends an event."""


class PassLane(Lane):
    """Same wire on both sides: bytes are relayed as they come.

    Until output begins the events are decoded (the commit point must be right); after that whole
    lines are searched for the signs of the end, of an error and of usage. From the sign of an error on
    only whole lines are given, so that what is to be hidden in them is found.
    """

    __slots__ = (
        "_context",
        "_holding",
        "_kept",
        "_line",
        "_probe",
        "_reason",
        "_signs",
        "_telling",
        "_wire",
    )

    def __init__(self, wire: Wire, context: AnswerContext) -> None:
        super().__init__()
        self._wire = wire
        self._context = context
        self._signs = _SIGNS[wire.name]
        self._probe = wire.stream_decoder()
        self._line = b"\n"
        self._reason = False
        self._telling = False
        """An error is being told, or a line that may be one."""
        self._holding = False
        """So it was, or is: something may be kept."""
        self._kept = b""
        """The begin of its line."""

    def feed(self, data: bytes) -> bytes:
        """The bytes themselves, if perhaps not yet."""
        if not self.useful and self.failed is None:
            try:
                self.note(self._probe.feed(data))
            except UnicodeDecodeError:
                self.failed = GARBLED
        seen = self._line + data
        self.between = seen.endswith(_BLANK)
        cut = seen.rfind(b"\n")
        if cut > 0:
            self._search(seen, cut)
            self._line = seen[cut:]
        else:
            self._line = seen if len(seen) < _LONGEST_LINE else b""
            if len(seen) < _LONGEST_ERROR:
                self._look_at_error(seen, 0)
        return self._whole_lines(data) if self._holding else data

    def _whole_lines(self, data: bytes) -> bytes:
        data, self._kept = self._kept + data, b""
        end = data.rfind(b"\n") + 1 if self._telling else len(data)
        if len(data) - end < _LONGEST_ERROR:
            data, self._kept = data[:end], data[end:]
        self._holding = self._telling
        return data

    def _search(self, seen: bytes, cut: int) -> None:
        signs = self._signs
        for sign in signs.finish:
            if sign in seen:
                self.finished = True
        for sign in signs.reason:
            if sign in seen:
                self._reason = True
        for sign in signs.usage:
            if sign in seen:
                self._read_usage(seen, sign)
        for sign in signs.error:
            if sign in seen:
                self._look_at_error(seen, cut)

    def _look_at_error(self, seen: bytes, cut: int) -> None:
        """`cut`: where the last line begins, which is not whole."""
        if self.failed is not None:
            return
        telling = False
        for sign in self._signs.error:
            if sign in seen:
                self._read_error(seen, seen.find(sign))
                telling |= self.failed is not None or seen.find(sign, cut) >= 0
        self._telling = telling
        self._holding |= telling

    def _read_error(self, seen: bytes, at: int) -> None:
        """The sign may be a mere `"error": null`; a line that is not whole is looked at again."""
        if seen.startswith(b"\nevent", at):
            self.failed = ErrorInfo("the upstream sent an error event", type="upstream_error")
            return
        end = seen.find(b"\n", at + 1)
        if end < 0:
            return
        start = seen.rfind(b"\n", 0, at + 1) + 1
        with suppress(UnicodeDecodeError):
            for event in self._wire.stream_decoder().feed(seen[start:end] + b"\n\n"):
                if isinstance(event, ev.Failed):
                    self.failed = event.error

    def _read_usage(self, seen: bytes, sign: bytes) -> None:
        at = seen.rfind(sign)
        start = seen.rfind(b"\n", 0, at) + 1
        end = seen.find(b"\n", at)
        if end < 0:
            return
        with suppress(UnicodeDecodeError):
            for event in self._wire.stream_decoder().feed(seen[start:end] + b"\n\n"):
                if isinstance(event, ev.UsageSeen):
                    self.usage = merge_usage(self.usage, event.usage)

    def eof(self) -> bytes:
        """Nothing more, if the upstream ended as its protocol has it; else an error event."""
        kept, self._kept = self._kept, b""
        return kept if self.finished else kept + self.fail(CUT)

    def fail(self, error: ErrorInfo) -> bytes:
        """As `Lane.fail`; ends a half-sent line first. A whole answer only lacks its mark."""
        kept, self._kept = self._kept, b""
        if self.finished or self.failed is not None:
            return kept
        if self._reason:
            self.finished = True
            return self._gap() + self._signs.mark
        self.failed = error
        encoder = self._wire.stream_encoder(self._context)
        return self._gap() + encoder.encode([ev.Failed(error), ev.End()])

    def _gap(self) -> bytes:
        return b"" if self.between else b"\n\n"


def lane(upstream: Wire, client: Wire, context: AnswerContext, *, resumes: bool = False) -> Lane:
    """The lane between two wires. `resumes`: the client's stream may outlive its upstream."""
    if resumes:
        return SpliceLane(upstream, client, context)
    # Codex takes shorter tool names than its clients have: then the answer's have to be turned back.
    renamed = upstream.name == client.name and names.client_names(upstream.name, context.request)
    if upstream.name == client.name and context.framing == "sse" and not renamed:
        # A Gemini client without `alt=sse` wants an array; upstreams are always asked for SSE.
        return PassLane(client, context)
    return HubLane(upstream, client, context)
