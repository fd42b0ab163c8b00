"""Kiro's event stream to events.

Thoughts come as events of their own, or in the text between `<thinking>` and `</thinking>`. A stream has no
terminal event: it ends where the upstream closes it between two frames.
"""

from __future__ import annotations

from math import isfinite
from typing import Final

import msgspec
from msgspec import Struct

from proxy.convo import events as ev
from proxy.convo.model import ErrorInfo, Finish, FinishReason, Text, Thinking, ToolUse, Usage
from proxy.jsonio import Json, decode, encode, object_of
from proxy.wire.eventstream import BadFrame, Frame, FrameParser
from proxy.wire.kiro.errors import error_of

_CUT: Final = "The upstream closed the stream before the answer was finished."
_REASONS: Final[dict[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool",
    "max_tokens": "length",
    "content_filtered": "filter",
}
_FAULTS: Final = frozenset({"error", "exception", "internalServerException"})
_LAST: Final = frozenset(
    {
        "meteringEvent",
        "messageMetadataEvent",
        "metadataEvent",
        "messageStopEvent",
        "contextUsageEvent",
    }
)
"""What comes behind the output."""
_WINDOW: Final = 200_000
"""Tokens of the context window that percentages are of."""


class _Tokens(Struct, rename="camel"):
    output_tokens: float | None = None
    uncached_input_tokens: float | None = None
    cache_read_input_tokens: float | None = None


class _Event(Struct, rename="camel"):
    content: str | None = None
    text: str | None = None
    tool_use_id: str | None = None
    name: str | None = None
    input: str | dict[str, Json] | None = None
    stop: bool | None = None
    stop_reason: str | None = None
    token_usage: _Tokens | None = None
    context_usage_percentage: float | None = None
    tool_uses: list[_Event] | None = None


class Decoder:
    """`feed` gives the events that bytes complete. Garbage gives `Failed`, never an exception."""

    def __init__(self) -> None:
        self._frames = FrameParser()
        self._started = self._ended = False
        self._parts = 0
        self._kind = ""
        """Kind of the open part: text, thinking, call or nothing."""
        self._held = ""
        """The end of a text that may be the begin of a tag."""
        self._tagged = False
        """Text is a thought: its tag was opened."""
        self._trims = False
        """Blank lines are dropped: they part a thought in tags from what follows."""
        self._call = ""
        self._arguments: list[str] = []
        self._called: set[str] = set()
        self._reason = ""
        self._percent = 0.0
        self._counted = self._last = False

    @property
    def open(self) -> bool:
        """The upstream has not said what it says behind its output."""
        return not self._last

    def feed(self, data: bytes) -> list[ev.Event]:
        """The events that these bytes complete."""
        out: list[ev.Event] = []
        if self._ended:
            return out
        try:
            frames = self._frames.feed(data)
        except BadFrame as bad:
            self._read(bad.frames, out)
            self._fail(
                _plain_error(data) or ErrorInfo(f"The upstream: {bad}.", "upstream_error"), out
            )
            return out
        self._read(frames, out)
        return out

    def eof(self) -> list[ev.Event]:
        """The upstream closed: the end, unless it is inside a frame or nothing came."""
        out: list[ev.Event] = []
        if self._ended:
            return out
        if self._frames.inside or not self._started:
            self._fail(ErrorInfo(_CUT, "upstream_cut", "cut", 502), out)
            return out
        self._say(self._held, out)
        self._held = ""
        self._close(out)
        if self._percent and not self._counted:
            out.append(ev.UsageSeen(Usage(input=round(self._percent * _WINDOW / 100))))
        reason = self._reason or ("tool_use" if self._called else "end_turn")
        finish = Finish(_REASONS.get(reason, "stop"), reason, "kiro")
        out += [ev.Finished(finish), ev.End()]
        self._ended = True
        return out

    def _read(self, frames: list[Frame], out: list[ev.Event]) -> None:
        for headers, payload in frames:
            if self._ended:
                return
            kind = headers.get(":event-type", "")
            fault = headers.get(":exception-type") or headers.get(":error-code") or ""
            if headers.get(":message-type") in ("exception", "error") or kind in _FAULTS:
                self._fail(error_of(payload, fault), out)
                return
            found = _event_of(kind, payload)
            if found is not None:
                self._last = self._last or kind in _LAST
                self._take(kind, found, out)

    def _take(self, kind: str, found: _Event, out: list[ev.Event]) -> None:
        if not self._started:
            self._started = True
            out.append(ev.Start())
        if kind == "toolUseEvent":
            self._tool(found, out)
        elif kind == "reasoningContentEvent":
            if found.text:
                self._flush(out)
                self._think(found.text, out)
        elif found.content and kind == "assistantResponseEvent":
            self._split(found.content, out)
        for call in found.tool_uses or ():
            self._tool(call, out)
            self._end_call(out)
        self._reason = found.stop_reason or self._reason
        self._percent = _finite(found.context_usage_percentage) or self._percent
        if found.token_usage is not None:
            self._counted = True
            out.append(ev.UsageSeen(_usage(found.token_usage)))

    def _split(self, text: str, out: list[ev.Event]) -> None:
        """Text with thoughts in tags; what may be the begin of a tag waits for the rest."""
        text = self._held + text
        self._held = ""
        while text:
            tag = "</thinking>" if self._tagged else "<thinking>"
            before, found, after = text.partition(tag)
            if found:
                self._say(before, out)
                self._close(out)
                self._tagged = not self._tagged
                self._trims = not self._tagged
                text = after
                continue
            keep = next((n for n in range(len(tag) - 1, 0, -1) if text.endswith(tag[:n])), 0)
            self._say(text[: len(text) - keep], out)
            self._held = text[len(text) - keep :]
            return

    def _say(self, text: str, out: list[ev.Event]) -> None:
        """As text, or as the thought that is open."""
        if self._trims:
            text = text.lstrip("\n")
        if not text:
            return
        self._trims = False
        if self._tagged:
            self._think(text, out)
            return
        self._open("text", out)
        out.append(ev.TextDelta(self._parts - 1, text))

    def _think(self, text: str, out: list[ev.Event]) -> None:
        self._open("thinking", out)
        out.append(ev.ThinkingDelta(self._parts - 1, text))

    def _flush(self, out: list[ev.Event]) -> None:
        held, self._held = self._held, ""
        self._say(held, out)

    def _open(self, kind: str, out: list[ev.Event]) -> None:
        if self._kind == kind:
            return
        self._close(out)
        self._kind = kind
        out.append(ev.PartStart(self._parts, Text("") if kind == "text" else Thinking("")))
        self._parts += 1

    def _close(self, out: list[ev.Event]) -> None:
        if self._kind == "call":
            self._end_call(out)
        elif self._kind:
            out.append(ev.PartEnd(self._parts - 1))
        self._kind = ""

    def _tool(self, found: _Event, out: list[ev.Event]) -> None:
        id = found.tool_use_id or self._call
        if not id or (id in self._called and id != self._call):
            return
        if id != self._call:
            self._flush(out)
            self._close(out)
            self._kind, self._call = "call", id
            self._called.add(id)
            out.append(ev.PartStart(self._parts, ToolUse(id, found.name or "", "")))
            self._parts += 1
        if isinstance(found.input, str):
            self._arguments.append(found.input)
        elif found.input:
            self._arguments = [encode(found.input).decode()]
        if found.stop:
            self._end_call(out)

    def _end_call(self, out: list[ev.Event]) -> None:
        """A call's arguments go out when they are whole: those that are none can still be mended."""
        if self._kind != "call":
            return
        text = "".join(self._arguments)
        self._arguments = []
        if text and object_of(text) is None:
            text = _mended(text)
        out += [ev.ArgumentsDelta(self._parts - 1, text or "{}"), ev.PartEnd(self._parts - 1)]
        self._kind = self._call = ""

    def _fail(self, error: ErrorInfo, out: list[ev.Event]) -> None:
        if not self._started:
            out.append(ev.Start())
        if self._kind:
            out.append(ev.PartEnd(self._parts - 1))
        self._kind, self._started, self._ended = "", True, True
        out += [ev.Failed(error), ev.End()]


def _event_of(kind: str, payload: bytes) -> _Event | None:
    """An event's payload, also where it stands under its own name; None where it is none."""
    try:
        found: Json = decode(payload or b"{}")
        inner = found.get(kind, found) if isinstance(found, dict) else None
        return msgspec.convert(inner, _Event, strict=False) if isinstance(inner, dict) else None
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def _finite(number: float | None) -> float:
    """Numbers that stand in texts can be none."""
    return number if number is not None and isfinite(number) else 0.0


def _usage(found: _Tokens) -> Usage:
    cached = round(_finite(found.cache_read_input_tokens))
    fresh, said = found.uncached_input_tokens, found.output_tokens
    return Usage(
        input=None if fresh is None else round(_finite(fresh)) + cached,
        output=None if said is None else round(_finite(said)),
        cached=cached,
    )


def _mended(text: str) -> str:
    """Arguments with bare control characters in their texts, or without their end; `{}` if nothing helps."""
    escaped = "".join(_ESCAPES.get(c, c) for c in text)
    for candidate in (escaped, escaped + "}", escaped + '"}', escaped + "]}", escaped + '"]}'):
        if object_of(candidate) is not None:
            return candidate
    return "{}"


_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _plain_error(data: bytes) -> ErrorInfo | None:
    """An error told in JSON, where a stream was due."""
    return error_of(data) if data.lstrip()[:1] == b"{" else None
