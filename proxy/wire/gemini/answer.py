"""Events and whole answers to the bytes of a Gemini client.

A text delta is the frequent event: its bytes are put together from prepared pieces. Calls are held
until they are whole, for the wire has no argument deltas; `finishReason` and the usage stand on the
last chunk only.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from proxy import jsonio
from proxy.convo import events as ev
from proxy.convo.fold import merge_usage
from proxy.convo.model import (
    Answer,
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
from proxy.wire.gemini import parts as parts_of
from proxy.wire.gemini import signatures, types
from proxy.wire.gemini.errors import encode_info

if TYPE_CHECKING:
    from msgspec import Raw

    from proxy.convo.events import Event
    from proxy.wire.base import AnswerContext
    from proxy.wire.gemini.parts import WirePart

_WORDS: Final = {
    "stop": "STOP",
    "tool": "STOP",
    "pause": "STOP",
    "length": "MAX_TOKENS",
    "filter": "SAFETY",
    "refusal": "SAFETY",
    "error": "OTHER",
}
_encode = jsonio.encode
_LAST_SECOND: Final = 253_402_300_799


class _Call:
    """A call until it is whole."""

    __slots__ = ("done", "pieces", "signature", "use")

    def __init__(self, use: ToolUse) -> None:
        self.use = use
        self.pieces: list[str] = []
        self.signature = ""
        self.done = False


class Encoder:
    """One client stream. `before`, `after`: what stands around each chunk (Code Assist)."""

    def __init__(self, context: AnswerContext, *, before: bytes = b"", after: bytes = b"") -> None:
        self._context = context
        self._json = context.framing == "json"
        self._before, self._after = before, after
        self._first = True
        self._calls: dict[int, dict[int, _Call]] = {}
        self._thoughts: set[tuple[int, int]] = set()
        self._finishes: dict[int, Finish] = {}
        self._cited: dict[int, list[tuple[str, Raw]]] = {}
        self._usage: Usage | None = None
        self._over = False
        self._tail = b""
        self._text_open = b""
        self._text_close = b""
        self._thought_close = b""
        self._head(ev.Start())

    def encode(self, events: list[Event]) -> bytes:
        """Bytes for these events."""
        out: list[bytes] = []
        prepared = not self._json
        for event in events:
            if self._over:
                break
            if type(event) is ev.TextDelta and prepared and not event.choice:
                if event.text:
                    out += (self._text_open, _encode(event.text), self._text_close)
            elif type(event) is ev.ThinkingDelta and prepared and not event.choice:
                if event.text:
                    out += (self._text_open, _encode(event.text), self._thought_close)
            else:
                self._other(event, out)
        return b"".join(out)

    def _head(self, start: ev.Start) -> None:
        tail = {
            "createTime": _timestamp(start.created or self._context.now),
            "modelVersion": start.model or self._context.model,
            "responseId": start.id or self._context.id,
        }
        self._tail = b"," + _encode(tail)[1:]
        opening = b'{"candidates":[{"content":{"parts":[{"text":'
        self._text_open = b"data: " + self._before + opening
        closing = b'}],"role":"model"},"index":0}]'
        self._text_close = closing + self._tail + self._after + b"\n\n"
        self._thought_close = b',"thought":true' + self._text_close

    def _other(self, event: Event, out: list[bytes]) -> None:
        match event:
            case ev.TextDelta() | ev.ThinkingDelta() | ev.ArgumentsDelta():
                self._delta(event, out)
            case ev.PartStart():
                self._start(event, out)
            case ev.SignatureDelta():
                self._signature(event, out)
            case ev.PartEnd():
                self._end(event, out)
            case ev.Start():
                self._head(event)
            case ev.Failed():
                self._fail(event, out)
            case ev.End():
                self._close(out)
            case _:
                self._note(event)

    def _note(self, event: Event) -> None:
        """Keeps what the last chunk says."""
        match event:
            case ev.UsageSeen():
                self._usage = merge_usage(self._usage, event.usage)
            case ev.CitationDelta():
                self._cited.setdefault(event.choice, []).append((event.origin, event.raw))
            case ev.Finished():
                self._finishes[event.choice] = event.finish
            case _:
                pass

    # -- parts

    def _delta(
        self, event: ev.TextDelta | ev.ThinkingDelta | ev.ArgumentsDelta, out: list[bytes]
    ) -> None:
        text, choice = event.text, event.choice
        if isinstance(event, ev.ArgumentsDelta):
            call = self._calls.get(choice, {}).get(event.index)
            if call is not None:
                call.pieces.append(text)
        elif text:
            thought = isinstance(event, ev.ThinkingDelta)
            whole = parts_of.thought_part(text) if thought else parts_of.text_part(text)
            out.append(self._part(whole, choice))

    def _start(self, event: ev.PartStart, out: list[bytes]) -> None:
        part, choice = event.part, event.choice
        if isinstance(part, ToolUse):
            self._calls.setdefault(choice, {})[event.index] = _Call(part)
            return
        if isinstance(part, Thinking):
            self._thoughts.add((choice, event.index))
        out += [self._part(whole, choice) for whole in whole_parts(part)]

    def _signature(self, event: ev.SignatureDelta, out: list[bytes]) -> None:
        value = signatures.show(event.signature, event.origin)
        call = self._calls.get(event.choice, {}).get(event.index)
        if call is not None:
            call.signature = value
        elif (event.choice, event.index) in self._thoughts:
            out.append(self._part(parts_of.thought_part("", value), event.choice))
        else:
            out.append(self._part(parts_of.text_part("", value), event.choice))

    def _end(self, event: ev.PartEnd, out: list[bytes]) -> None:
        calls = self._calls.get(event.choice)
        if not calls or event.index not in calls:
            return
        calls[event.index].done = True
        # Calls that overlap go out in the order in which they began.
        for index in list(calls):
            call = calls[index]
            if not call.done:
                break
            del calls[index]
            whole = ToolUse(
                call.use.id,
                call.use.name,
                call.use.arguments + "".join(call.pieces),
                custom=call.use.custom,
            )
            part = parts_of.call_part(whole, whole.name, call.signature)
            out.append(self._part(part, event.choice))

    # -- chunks

    def _part(self, part: WirePart, choice: int) -> bytes:
        candidate = {"content": {"parts": [part], "role": "model"}, "index": choice}
        return self._chunk([candidate])

    def _chunk(self, candidates: list[dict[str, object]], usage: object = None) -> bytes:
        body: dict[str, object] = {"candidates": candidates}
        if usage is not None:
            body["usageMetadata"] = usage
        return self._frame(_encode(body)[:-1] + self._tail)

    def _frame(self, chunk: bytes, *, wrap: bool = True) -> bytes:
        if wrap:
            chunk = self._before + chunk + self._after
        if not self._json:
            return b"data: " + chunk + b"\n\n"
        mark = b"[" if self._first else b",\r\n"
        self._first = False
        return mark + chunk

    def _fail(self, event: ev.Failed, out: list[bytes]) -> None:
        """What was counted so far is told before the error, which has no place for it."""
        self._finishes.clear()
        counted = usage_metadata(self._usage)
        if counted is not None:
            out.append(self._frame(_encode({"usageMetadata": counted})[:-1] + self._tail))
        out.append(self._frame(encode_info(event.error), wrap=False))

    def _close(self, out: list[bytes]) -> None:
        self._over = True
        if self._finishes:
            candidates = [
                _last(finish, number, self._cited.get(number, []))
                for number, finish in sorted(self._finishes.items())
            ]
            out.append(self._chunk(candidates, usage_metadata(self._usage)))
        if self._json:
            out.append(b"[]" if self._first else b"]")


def _last(finish: Finish, number: int, cited: list[tuple[str, Raw]]) -> dict[str, object]:
    out: dict[str, object] = {
        "content": {"parts": [{"text": ""}], "role": "model"},
        "finishReason": finish_word(finish),
        "index": number,
    }
    out.update(citations(cited))
    return out


def finish_word(finish: Finish) -> str:
    """`finishReason`: the upstream's own word where it is one of this wire."""
    if finish.origin == "gemini" and finish.native:
        return finish.native
    return _WORDS[finish.reason]


def whole_parts(part: Part) -> list[WirePart]:
    """The parts of the wire for one whole part; none for an empty one."""
    match part:
        case Text(text=text):
            value = signatures.show(part.signature, part.origin)
            return [parts_of.text_part(text, value)] if text or value else []
        case Thinking(text=text):
            value = signatures.show(part.signature, part.origin, redacted=part.redacted)
            return [parts_of.thought_part(text, value)] if text or value else []
        case Refusal(text=text):
            return [parts_of.text_part(text)] if text else []
        case ToolUse():
            value = signatures.show(part.signature, part.origin)
            return [parts_of.call_part(part, part.name, value)]
        case Media():
            found = parts_of.media_part(part)
            return [found] if found is not None else []
        case Opaque():
            if part.origin == "gemini":
                value_of = jsonio.decode(part.raw)
                return [value_of] if isinstance(value_of, dict) else []
            return [parts_of.text_part(part.text)] if part.text else []
    return []


def usage_metadata(usage: Usage | None) -> object:
    """`usageMetadata`; an upstream of this wire has its own object passed on."""
    if usage is None:
        return None
    if usage.extras is not None and _is_own(usage.extras):
        return usage.extras
    total = (usage.input or 0) + (usage.output or 0)
    thoughts = usage.reasoning or 0
    out = {
        "promptTokenCount": usage.input or 0,
        "candidatesTokenCount": max((usage.output or 0) - thoughts, 0),
        "totalTokenCount": total,
    }
    if thoughts:
        out["thoughtsTokenCount"] = thoughts
    if usage.cached:
        out["cachedContentTokenCount"] = usage.cached
    return out


def _is_own(extras: Raw) -> bool:
    try:
        fields = types.raw_object.decode(extras)
    except msgspec.MsgspecError:
        return False
    return "promptTokenCount" in fields or "totalTokenCount" in fields


def citations(cited: list[tuple[str, Raw]]) -> dict[str, object]:
    """Members of a candidate for what was cited: Gemini's own as they were, others as sources."""
    out: dict[str, object] = {}
    sources: list[object] = []
    for origin, raw in cited:
        value = jsonio.decode(raw)
        if origin == "gemini" and isinstance(value, dict):
            out.update(value)
        elif isinstance(value, dict):
            inner = value.get("url_citation", value)
            address = inner.get("url") if isinstance(inner, dict) else None
            if isinstance(address, str):
                sources.append(_source(address, inner))
    if sources:
        out.setdefault("citationMetadata", {"citationSources": sources})
    return out


def _source(address: str, inner: dict[str, object]) -> dict[str, object]:
    out: dict[str, object] = {"uri": address}
    for mine, theirs in (("startIndex", "start_index"), ("endIndex", "end_index")):
        if isinstance(inner.get(theirs), int):
            out[mine] = inner[theirs]
    if inner.get("title"):
        out["title"] = inner["title"]
    return out


def _timestamp(seconds: int) -> str:
    """As protobuf spells times, which end with the year 9999 whatever an upstream says."""
    bounded = min(max(seconds, 0), _LAST_SECOND)
    return datetime.fromtimestamp(bounded, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def encode_answer(answer: Answer, context: AnswerContext) -> bytes:
    """A whole answer."""
    candidates: list[dict[str, object]] = []
    for number, choice in enumerate(answer.choices):
        parts = [whole for part in choice.parts for whole in whole_parts(part)]
        candidate: dict[str, object] = {
            "content": {"parts": parts or [{"text": ""}], "role": "model"},
            "finishReason": finish_word(choice.finish or Finish("stop")),
            "index": number,
        }
        cited = [
            (part.citations[0], raw)
            for part in choice.parts
            if isinstance(part, Text) and part.citations
            for raw in types.raw_list.decode(part.citations[1])
        ]
        candidate.update(citations(cited))
        candidates.append(candidate)
    body: dict[str, object] = {"candidates": candidates}
    usage = usage_metadata(answer.usage)
    if usage is not None:
        body["usageMetadata"] = usage
    body["createTime"] = _timestamp(answer.created or context.now)
    body["modelVersion"] = answer.model or context.model
    body["responseId"] = answer.id or context.id
    return _encode(body)


def encode_count(tokens: int) -> bytes:
    """The answer of `countTokens`."""
    details = [{"modality": "TEXT", "tokenCount": tokens}]
    return _encode({"totalTokens": tokens, "promptTokensDetails": details})
