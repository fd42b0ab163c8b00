"""Upstream bytes to events: SSE (`alt=sse`) and a JSON array, with or without the Code Assist envelope.

The wire has no part borders: a part ends where the kind changes, and calls come whole. It has no end
mark either, and some models say `finishReason` on more than one chunk, so finishes are told at the end
of the stream only.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw

from proxy import jsonio
from proxy.convo import events as ev
from proxy.convo.fold import fold
from proxy.convo.model import (
    Answer,
    ErrorInfo,
    Finish,
    FinishReason,
    Media,
    Opaque,
    Text,
    Thinking,
    ToolUse,
    Usage,
)
from proxy.errors import Fault, ProxyError, Retry
from proxy.wire.gemini import parts as parts_of
from proxy.wire.gemini import types
from proxy.wire.gemini.errors import info_of
from proxy.wire.gemini.json_array import ArrayOverflowError, ArrayParser
from proxy.wire.sse import Frame, SseOverflow, SseParser

if TYPE_CHECKING:
    from proxy.convo.events import Event

_REASONS: Final[dict[str, FinishReason]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "filter",
    "RECITATION": "filter",
    "LANGUAGE": "filter",
    "BLOCKLIST": "filter",
    "PROHIBITED_CONTENT": "filter",
    "SPII": "filter",
    "IMAGE_SAFETY": "filter",
    "IMAGE_PROHIBITED_CONTENT": "filter",
    "IMAGE_RECITATION": "filter",
    "MODEL_ARMOR": "filter",
}
TextDelta, ThinkingDelta = ev.TextDelta, ev.ThinkingDelta
_CHOICES: Final = 64
"""More candidates than any model gives; larger indexes are garbage."""
_ODD: Final = re.compile(r"[^A-Za-z0-9_-]+")
_UNREADABLE: Final = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)


class _Choice:
    """One candidate while it is streamed."""

    __slots__ = ("called", "finish", "index", "number", "parts", "thinking")

    def __init__(self, number: int) -> None:
        self.number = number
        self.parts = 0
        """Parts opened so far."""
        self.index = -1
        """The open text or thinking part; -1 = none."""
        self.thinking = False
        """What kind the open part is."""
        self.called = False
        self.finish = ""


class Decoder:
    """One upstream stream. `unwrap`: chunks stand in `response` (Code Assist)."""

    def __init__(self, *, unwrap: bool = False) -> None:
        self._unwrap = unwrap
        self._sse: SseParser | None = None
        self._array: ArrayParser | None = None
        self._head = b""
        self._choices: dict[int, _Choice] = {}
        self._started = False
        self._over = False
        self._broken = False
        self._id = ""
        self._calls = 0
        self._usage = types.ABSENT
        self._told_usage = types.ABSENT
        self._blocked = ""

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete."""
        out: list[Event] = []
        if self._over:
            return out
        if self._sse is None and self._array is None:
            data = self._sniff(data)
            if not data:
                return out
        try:
            if self._sse is not None:
                self._frames(self._sse.feed(data), out)
            elif self._array is not None:
                for payload in self._array.feed(data):
                    self._take(payload, out)
        except SseOverflow as overflow:
            self._overflow([payload for _, payload in overflow.events], out)
        except ArrayOverflowError as overflow:
            self._overflow(overflow.objects, out)
        return out

    def eof(self) -> list[Event]:
        """The upstream closed; ends with `End`."""
        out: list[Event] = []
        if self._sse is not None:
            for _, payload in self._sse.eof():
                self._take(payload, out, last=True)
        if self._over:
            return out
        finished = self._blocked or any(choice.finish for choice in self._choices.values())
        if not finished or self._broken or (self._array is not None and self._array.inside):
            message = "The upstream closed the stream before the answer was complete."
            self._fail(ErrorInfo(message, type="cut", status=502), out)
            return out
        self._close_all(out)
        choices = self._choices or {0: _Choice(0)}
        for number, choice in sorted(choices.items()):
            out.append(ev.Finished(self._finish(choice), number))
        out.append(ev.End())
        self._over = True
        return out

    def _frames(self, frames: list[Frame], out: list[Event]) -> None:
        """The loop of the data path: one more piece of the open text is told here, all else below."""
        if self._unwrap:
            for _, payload in frames:
                self._take(payload, out)
            return
        decode, choices = types.chunk.decode, self._choices
        for _, payload in frames:
            try:
                chunk = decode(payload)
                (candidate,) = chunk.candidates  # type: ignore[misc]  # None: see below
                (part,) = candidate.content.parts  # type: ignore[misc,union-attr]  # as above
            except (TypeError, ValueError, AttributeError, RecursionError):
                # Several or none of them, or no JSON (a DecodeError is a ValueError).
                self._take(payload, out)
                continue
            choice = choices.get(candidate.index or 0)
            if (
                choice is None
                or choice.index < 0
                or not part.text
                or choice.thinking is not (part.thought is True)
                or part.functionCall is not None
                or part.thoughtSignature is not None
                or part.thought_signature is not None
                or candidate.finishReason is not None
                or candidate.finish_reason is not None
                or candidate.groundingMetadata
                or candidate.citationMetadata
                or chunk.error
                or chunk.promptFeedback is not None
                or self._over
            ):
                self._chunk(chunk, payload, out)
                continue
            delta = ThinkingDelta if choice.thinking else TextDelta
            out.append(delta(choice.index, part.text, choice.number))
            if chunk.usageMetadata:
                self._usage = chunk.usageMetadata

    # -- framing

    def _sniff(self, data: bytes) -> bytes:
        """The first bytes tell the framing; what was held is returned with them."""
        self._head += data
        seen = self._head.removeprefix(b"\xef\xbb\xbf").lstrip()
        if not seen or len(self._head) < 3:
            self._head = self._head[-3:] if not seen else self._head
            return b""
        if seen[:1] in (b"{", b"["):
            self._array = ArrayParser()
        else:
            self._sse = SseParser()
        data, self._head = self._head, b""
        return data

    def _overflow(self, payloads: list[bytes], out: list[Event]) -> None:
        for payload in payloads:
            self._take(payload, out)
        if not self._over:
            self._fail(ErrorInfo("A chunk of the upstream is too large.", type="api_error"), out)

    # -- chunks

    def _take(self, payload: bytes, out: list[Event], *, last: bool = False) -> None:
        """One chunk. `last`: the stream ended inside its event, so that it may be half a chunk."""
        if self._over:
            return
        try:
            chunk = self._read(payload)
        except _UNREADABLE:
            if last:
                self._broken = True
            elif payload.strip() not in (b"", b"[DONE]"):
                message = "The upstream sent a chunk that cannot be read."
                self._fail(ErrorInfo(message, type="api_error", status=502), out)
            return
        self._chunk(chunk, payload, out)

    def _chunk(self, chunk: types.Chunk, payload: bytes, out: list[Event]) -> None:
        if self._over:
            return
        if not self._started:
            self._start(chunk, out)
        if chunk.candidates:
            for place, candidate in enumerate(chunk.candidates):
                self._candidate(candidate, place, payload, out)
        counted = chunk.usageMetadata or chunk.usage_metadata
        if counted:
            self._usage = counted
            if not self._told_usage:
                self._tell_usage(out)
        feedback = chunk.promptFeedback or chunk.prompt_feedback
        if feedback is not None:
            self._blocked = feedback.blockReason or feedback.block_reason or self._blocked
        if chunk.error and types.given(chunk.error):
            self._fail(info_of(chunk.error), out)

    def _read(self, payload: bytes) -> types.Chunk:
        if self._unwrap:
            outer = types.envelope.decode(payload)
            if types.given(outer.response):
                return types.chunk.decode(outer.response)
        return types.chunk.decode(payload)

    def _start(self, chunk: types.Chunk, out: list[Event]) -> None:
        self._started = True
        self._id = chunk.responseId or chunk.response_id or ""
        model = chunk.modelVersion or chunk.model_version or ""
        out.append(ev.Start(self._id, model, _seconds(chunk.createTime)))

    def _candidate(
        self, candidate: types.Candidate, place: int, payload: bytes, out: list[Event]
    ) -> None:
        number = candidate.index
        if number is None or not 0 <= number < _CHOICES:
            number = min(place, _CHOICES - 1)
        choice = self._choices.get(number)
        if choice is None:
            choice = self._choices[number] = _Choice(number)
        content = candidate.content
        if content is not None and content.parts:
            for order, part in enumerate(content.parts):
                text = part.text
                if text is not None and part.functionCall is None:
                    self._text(choice, part, text, out)
                else:
                    self._other(choice, part, (payload, place, order), out)
        if candidate.groundingMetadata or candidate.citationMetadata:
            self._cite(choice, candidate, out)
        reason = candidate.finishReason or candidate.finish_reason
        if reason and reason != "FINISH_REASON_UNSPECIFIED":
            choice.finish = reason

    # -- parts

    def _text(self, choice: _Choice, part: types.Part, text: str, out: list[Event]) -> None:
        signature = part.thoughtSignature or part.thought_signature
        if not text and not signature:
            return
        thinking = part.thought is True
        index = choice.index
        if index < 0 or choice.thinking is not thinking:
            index = self._open(choice, out, thinking=thinking)
        if text:
            delta = ev.ThinkingDelta if thinking else ev.TextDelta
            out.append(delta(index, text, choice.number))
        if signature:
            out.append(ev.SignatureDelta(index, signature, "gemini", choice.number))
            # Parts with a signature and parts without are not to be joined (Thought Signatures guide).
            _close(choice, out)

    def _open(self, choice: _Choice, out: list[Event], *, thinking: bool) -> int:
        _close(choice, out)
        index = choice.parts
        choice.parts = index + 1
        choice.index = index
        choice.thinking = thinking
        out.append(ev.PartStart(index, Thinking("") if thinking else Text(""), choice.number))
        return index

    def _other(
        self, choice: _Choice, part: types.Part, place: tuple[bytes, int, int], out: list[Event]
    ) -> None:
        call = part.functionCall or part.function_call
        if call is not None:
            self._call(choice, call, parts_of.signature_of(part), out)
            return
        raw = types.ABSENT if parts_of.known(part) else self._raw_part(*place)
        whole = parts_of.plain(part, raw)
        if isinstance(whole, Media | Opaque):
            _close(choice, out)
            out.append(ev.PartStart(choice.parts, whole, choice.number))
            out.append(ev.PartEnd(choice.parts, choice.number))
            choice.parts += 1
        elif isinstance(whole, Thinking | Text):
            self._text(choice, part, whole.text, out)

    def _raw_part(self, payload: bytes, place: int, order: int) -> Raw:
        """The bytes of a part of a kind that `types.Part` does not know."""
        if self._unwrap:
            outer = types.envelope.decode(payload)
            payload = bytes(outer.response) if types.given(outer.response) else payload
        try:
            candidate = (types.raw_chunk.decode(payload).candidates or [])[place]
            return (candidate.content.parts or [])[order] if candidate.content else types.ABSENT
        except (IndexError, *_UNREADABLE):
            return types.ABSENT

    def _call(
        self, choice: _Choice, call: types.FunctionCall, signature: str, out: list[Event]
    ) -> None:
        _close(choice, out)
        index, number = choice.parts, choice.number
        choice.parts += 1
        choice.called = True
        self._calls += 1
        identity = call.id or ""
        if not identity and self._id:
            # Made of the answer's own id, so that no two answers of a conversation share one.
            identity = f"{parts_of.SYNTHETIC}{_ODD.sub('', self._id)}_{self._calls}"
        out.append(ev.PartStart(index, ToolUse(identity, call.name or "", ""), number))
        args = jsonio.text_of(call.args) if types.given(call.args) else "{}"
        out.append(ev.ArgumentsDelta(index, args, number))
        if signature:
            out.append(ev.SignatureDelta(index, signature, "gemini", number))
        out.append(ev.PartEnd(index, number))

    def _cite(self, choice: _Choice, candidate: types.Candidate, out: list[Event]) -> None:
        index = choice.index
        if index < 0 or choice.thinking:
            index = self._open(choice, out, thinking=False)
        for name in ("groundingMetadata", "citationMetadata", "urlContextMetadata"):
            raw: Raw = getattr(candidate, name)
            if types.given(raw):
                whole = jsonio.raw_of({name: raw})
                out.append(ev.CitationDelta(index, "gemini", whole, choice.number))

    # -- ends

    def _tell_usage(self, out: list[Event]) -> None:
        if self._usage and bytes(self._usage) != bytes(self._told_usage):
            self._told_usage = self._usage
            usage = usage_of(self._usage)
            if usage is not None:
                out.append(ev.UsageSeen(usage))

    def _close_all(self, out: list[Event]) -> None:
        for choice in self._choices.values():
            _close(choice, out)
        self._tell_usage(out)

    def _fail(self, error: ErrorInfo, out: list[Event]) -> None:
        if not self._started:
            self._started = True
            out.append(ev.Start())
        self._close_all(out)
        out += [ev.Failed(error), ev.End()]
        self._over = True

    def _finish(self, choice: _Choice) -> Finish:
        native = choice.finish or self._blocked or "STOP"
        if native == self._blocked:
            return Finish("filter", native, "gemini")
        reason = _REASONS.get(native, "error")
        if reason == "stop" and choice.called:
            reason = "tool"
        return Finish(reason, native, "gemini")


def _close(choice: _Choice, out: list[Event]) -> None:
    if choice.index >= 0:
        out.append(ev.PartEnd(choice.index, choice.number))
        choice.index = -1


def usage_of(raw: Raw) -> Usage | None:
    """`usageMetadata` in words of the conversation; None where it cannot be read."""
    try:
        said = types.usage.decode(raw)
    except _UNREADABLE:
        return None
    prompt, answer, thoughts = (
        said.promptTokenCount,
        said.candidatesTokenCount,
        said.thoughtsTokenCount,
    )
    if said.toolUsePromptTokenCount:
        prompt = (prompt or 0) + said.toolUsePromptTokenCount
    output = None if answer is None and thoughts is None else (answer or 0) + (thoughts or 0)
    return Usage(
        input=prompt,
        output=output,
        cached=said.cachedContentTokenCount,
        reasoning=thoughts,
        extras=raw,
    )


def decode_answer(body: bytes, *, unwrap: bool = False) -> Answer:
    """A whole answer; SSE and arrays are folded. Raises ProxyError (502) for a body that is none."""
    decoder = Decoder(unwrap=unwrap)
    events = decoder.feed(body)
    seen = bool(events)
    events += decoder.eof()
    answer = fold(events)
    error = answer.error
    if error is not None and error.type == "cut" and seen:
        # A whole body that names no finish reason is complete all the same.
        answer.error = None
    elif error is not None and error.origin != "gemini":
        raise ProxyError(
            "The upstream's answer cannot be read.",
            fault=Fault.UPSTREAM,
            status=502,
            kind="bad_upstream_answer",
            retry=Retry.CREDENTIAL,
            body=body,
        )
    return answer


def _seconds(time: str | None) -> int:
    """A protobuf timestamp as seconds; 0 where there is none that can be read."""
    try:
        found = datetime.fromisoformat(time or "")
    except ValueError:
        return 0
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
