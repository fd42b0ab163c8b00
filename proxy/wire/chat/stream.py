"""A Chat Completions chunk stream to events.

The wire has no part borders: text and thinking parts end when the kind changes, calls when their choice
ends (deltas of parallel calls may interleave), or as soon as something follows them and their arguments
are whole, so that encoders of wires with one open block need not hold back what follows.
"""

from __future__ import annotations

from typing import Final

import msgspec

from proxy.convo import events as ev
from proxy.convo.model import ErrorInfo, Media, Part, Refusal, Text, Thinking, ToolUse
from proxy.jsonio import object_of
from proxy.wire.chat import proofs
from proxy.wire.chat import types as t
from proxy.wire.chat.counts import finish_of, usage_of
from proxy.wire.chat.errors import error_of
from proxy.wire.chat.loose import mend
from proxy.wire.chat.media import audio_of, image_of
from proxy.wire.sse import SseOverflow, SseParser

_decode = t.chunk.decode
_NONE: Final = -1
_MOST_CHOICES: Final = 128
"""The API's own limit of `n`; an index beyond it is garbage."""
_CUT: Final = "The upstream closed the stream before the answer was finished."


class _Call:
    """A call while its fragments come in."""

    __slots__ = ("arguments", "closed", "custom", "id", "index", "name", "part")

    def __init__(self, index: int) -> None:
        self.index = index
        self.part = _NONE
        self.id = ""
        self.name = ""
        self.custom = False
        self.closed = False
        self.arguments: list[str] = []


class _Choice:
    """State of one choice."""

    __slots__ = ("calls", "finish", "kind", "last", "number", "open", "parts", "proofs", "refused")

    def __init__(self, number: int) -> None:
        self.number = number
        self.parts = 0
        self.kind = ""
        """Kind of the open text part: text, thinking, refusal or nothing."""
        self.open = _NONE
        self.calls: dict[int, _Call] = {}
        self.last: _Call | None = None
        self.finish: str | None = None
        self.refused = False
        self.proofs: list[tuple[t.Detail, str, str]] = []


class Decoder:
    """`feed` gives the events that bytes complete. Garbage gives `Failed`, never an exception."""

    def __init__(self) -> None:
        self._sse = SseParser()
        self._choices: dict[int, _Choice] = {}
        self._started = self._ended = False

    def feed(self, data: bytes) -> list[ev.Event]:
        """The events that these bytes complete."""
        out: list[ev.Event] = []
        try:
            frames = self._sse.feed(data)
        except SseOverflow as overflow:
            self._read(overflow.events, out)
            self._fail(ErrorInfo("An event of the upstream is too large.", "upstream_error"), out)
            return out
        self._read(frames, out)
        return out

    def eof(self) -> list[ev.Event]:
        """The upstream closed. All choices had their reasons: some upstreams send no `[DONE]`."""
        out: list[ev.Event] = []
        self._read(self._sse.eof(), out)
        if self._ended:
            return out
        if self._choices and all(c.finish is not None for c in self._choices.values()):
            self._end(out)
        else:
            self._fail(ErrorInfo(_CUT, "upstream_cut", "cut", 502), out)
        return out

    def _read(self, frames: list[tuple[bytes, bytes]], out: list[ev.Event]) -> None:
        append = out.append
        for event, data in frames:
            if self._ended:
                return
            try:
                chunk = _decode(data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self._odd(data, out)
                continue
            choices = chunk.choices
            if choices and len(choices) == 1 and t.given(chunk.usage) is None and self._started:
                given = choices[0]
                delta = given.delta
                state = self._choices.get(given.index)
                if (
                    state is not None
                    and delta is not None
                    and delta.content
                    and state.kind == "text"
                    and given.finish_reason is None
                    and delta.tool_calls is None
                    and delta.reasoning_content is None
                    and delta.reasoning is None
                    and delta.refusal is None
                    and delta.annotations is None
                ):
                    append(ev.TextDelta(state.open, delta.content, given.index))
                    continue
            self._chunk(chunk, out, event)

    def _odd(self, data: bytes, out: list[ev.Event]) -> None:
        word = data.strip()
        if word == b"[DONE]":
            self._done(out)
            return
        if not word:
            return
        chunk = mend(data)
        if chunk is not None:
            self._chunk(chunk, out)
        elif b"\n" in data:
            # Lines without the blank line between them: one event by the standard, several in fact.
            self._read([(b"", line) for line in data.split(b"\n")], out)
        else:
            self._fail(
                ErrorInfo("The upstream sent a chunk that is not JSON.", "upstream_error"), out
            )

    def _done(self, out: list[ev.Event]) -> None:
        if not self._started:
            self._fail(ErrorInfo("The upstream sent an empty stream.", "upstream_cut", "cut"), out)
            return
        self._end(out)

    def _chunk(self, chunk: t.Chunk, out: list[ev.Event], event: bytes = b"") -> None:
        if t.given(chunk.error) is not None:
            self._fail(error_of(chunk.error), out)
            return
        if chunk.choices is None and not chunk.usage and event == b"error":
            self._fail(ErrorInfo("The upstream sent an error event.", "upstream_error"), out)
            return
        if not self._started and (chunk.choices or t.given(chunk.usage) is not None):
            self._start(chunk, out)
        for given in chunk.choices or ():
            self._choice(given, out)
        usage = usage_of(t.given(chunk.usage))
        if usage is not None:
            out.append(ev.UsageSeen(usage))

    def _start(self, chunk: t.Chunk | None, out: list[ev.Event]) -> None:
        self._started = True
        if chunk is None:
            out.append(ev.Start())
            return
        created = int(chunk.created or 0)
        out.append(ev.Start(chunk.id or "", chunk.model or "", created, chunk.service_tier or ""))

    def _choice(self, given: t.ChunkChoice, out: list[ev.Event]) -> None:
        number = given.index
        state = self._choices.get(number)
        if state is None:
            if not 0 <= number < _MOST_CHOICES:
                return
            state = self._choices[number] = _Choice(number)
        delta = given.delta
        if delta is None and given.message is not None and not state.parts:
            delta = given.message
        if delta is not None:
            self._delta(state, delta, out)
        if given.finish_reason and state.finish is None:
            state.finish = given.finish_reason
            _close_all(state, out)

    def _delta(self, state: _Choice, delta: t.Delta, out: list[ev.Event]) -> None:
        if state.finish is not None and not delta.content:
            return
        thought = delta.reasoning_content or delta.reasoning or delta.reasoning_text
        if delta.reasoning_details or delta.reasoning_opaque:
            thought = self._details(state, delta, thought or "", out)
        if thought:
            index = _open(state, "thinking", out)
            out.append(ev.ThinkingDelta(index, thought, state.number))
        if delta.content:
            index = _open(state, "text", out)
            out.append(ev.TextDelta(index, delta.content, state.number))
        if delta.refusal:
            state.refused = True
            index = _open(state, "refusal", out)
            out.append(ev.TextDelta(index, delta.refusal, state.number))
        if delta.function_call is not None:
            self._call(state, t.Call(index=0, function=delta.function_call), out)
        for call in delta.tool_calls or ():
            self._call(state, call, out)
        if delta.images or t.given(delta.audio) is not None or delta.annotations:
            _rare(state, delta, out)

    def _details(self, state: _Choice, delta: t.Delta, thought: str, out: list[ev.Event]) -> str:
        """Text of the entries where there is no other; their proofs are kept for the part's end."""
        text = ""
        for entry, raw in proofs.details(delta.reasoning_details):
            text += entry.text or entry.summary or ""
            signature, origin = proofs.entry_proof(entry, raw)
            if not signature:
                continue
            if entry.data:
                _close_text(state, out)
                part = Thinking("", signature, origin, redacted=True)
                _whole(state, part, out)
            else:
                state.proofs.append((entry, signature, origin))
                _open(state, "thinking", out)
        if delta.reasoning_opaque:
            state.proofs.append((t.Detail(), proofs.opaque_proof(delta.reasoning_opaque), t.NAME))
            _open(state, "thinking", out)
        return thought or text

    def _call(self, state: _Choice, given: t.Call, out: list[ev.Event]) -> None:
        call = _find_call(state, given)
        custom = given.custom
        name = (custom.name if custom else given.function.name if given.function else "") or ""
        text = (
            custom.input if custom else given.function.arguments if given.function else ""
        ) or ""
        call.custom = call.custom or custom is not None
        call.id = call.id or given.id or ""
        call.name = call.name or name
        number = state.number
        if call.part == _NONE and call.name:
            _close_text(state, out)
            _close_whole_calls(state, out, call)
            call.part = state.parts
            state.parts += 1
            ident = call.id or f"call_{number}_{call.part}"
            out.append(
                ev.PartStart(call.part, ToolUse(ident, call.name, "", custom=call.custom), number)
            )
            out += [ev.ArgumentsDelta(call.part, waiting, number) for waiting in call.arguments]
        if text and not call.closed:
            call.arguments.append(text)
            if call.part != _NONE:
                out.append(ev.ArgumentsDelta(call.part, text, number))
        signature, origin = proofs.call_signature(t.given(given.extra_content))
        if signature and call.part != _NONE and not call.closed:
            out.append(ev.SignatureDelta(call.part, signature, origin, number))

    def _end(self, out: list[ev.Event]) -> None:
        """`[DONE]`: a choice without its reason ended all the same."""
        for state in sorted(self._choices.values(), key=lambda one: one.number):
            _close_all(state, out)
            finish = finish_of(state.finish or "", called=bool(state.calls), refused=state.refused)
            out.append(ev.Finished(finish, state.number))
        self._ended = True
        out.append(ev.End())

    def _fail(self, error: ErrorInfo, out: list[ev.Event]) -> None:
        if self._ended:
            return
        if not self._started:
            self._start(None, out)
        for state in self._choices.values():
            _close_all(state, out)
        self._ended = True
        out.append(ev.Failed(error))
        out.append(ev.End())


_SKELETONS: Final[dict[str, type[Text | Thinking | Refusal]]] = {
    "text": Text,
    "thinking": Thinking,
    "refusal": Refusal,
}


def _open(state: _Choice, kind: str, out: list[ev.Event]) -> int:
    """The number of the open part of this kind; opens it if need be."""
    if state.kind != kind:
        _close_text(state, out)
        _close_whole_calls(state, out)
        state.kind, state.open = kind, state.parts
        state.parts += 1
        out.append(ev.PartStart(state.open, _SKELETONS[kind](""), state.number))
    return state.open


def _close_text(state: _Choice, out: list[ev.Event]) -> None:
    if not state.kind:
        return
    if state.kind == "thinking" and state.proofs:
        entry, signature, origin = state.proofs[-1]
        ident = entry.id or "" if origin != t.NAME else ""
        out.append(ev.SignatureDelta(state.open, signature, origin, state.number, ident))
        state.proofs.clear()
    out.append(ev.PartEnd(state.open, state.number))
    state.kind, state.open = "", _NONE


def _close_whole_calls(state: _Choice, out: list[ev.Event], but: _Call | None = None) -> None:
    for call in state.calls.values():
        if call is but or call.closed or call.part == _NONE:
            continue
        if object_of("".join(call.arguments)) is not None:
            call.closed = True
            out.append(ev.PartEnd(call.part, state.number))


def _close_all(state: _Choice, out: list[ev.Event]) -> None:
    _close_text(state, out)
    for call in state.calls.values():
        if call.part != _NONE and not call.closed:
            call.closed = True
            out.append(ev.PartEnd(call.part, state.number))


def _find_call(state: _Choice, given: t.Call) -> _Call:
    """The call a fragment belongs to: by index; a new id with a name opens another one.

    Some upstreams leave out `index`, or number every call 0.
    """
    call = state.last if given.index is None else state.calls.get(given.index)
    name = (given.function.name if given.function else None) or (
        given.custom.name if given.custom else None
    )
    fresh = call is not None and given.id and call.id and given.id != call.id and name
    if call is None or fresh:
        key = given.index
        if key is None or key in state.calls:
            key = max(state.calls, default=-1) + 1
            if fresh and call is not None and given.index is not None:
                # Later fragments of this index are the new call's.
                state.calls[key] = call
                key = given.index
        call = state.calls[key] = _Call(key)
    state.last = call
    return call


def _whole(state: _Choice, part: Part, out: list[ev.Event]) -> None:
    index = state.parts
    state.parts += 1
    out.append(ev.PartStart(index, part, state.number))
    out.append(ev.PartEnd(index, state.number))


def _rare(state: _Choice, delta: t.Delta, out: list[ev.Event]) -> None:
    """Images, sound and annotations."""
    if delta.annotations:
        index = _open(state, "text", out)
        out += [
            ev.CitationDelta(index, t.NAME, raw.copy(), state.number) for raw in delta.annotations
        ]
    found: list[Media] = [image for raw in delta.images or () if (image := image_of(raw))]
    if t.given(delta.audio) is not None:
        sound, transcript = audio_of(delta.audio)
        if transcript:
            index = _open(state, "text", out)
            out.append(ev.TextDelta(index, transcript, state.number))
        if sound is not None:
            found.append(sound)
    for media in found:
        _close_text(state, out)
        _whole(state, media, out)
