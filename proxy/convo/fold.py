"""Events to a whole answer, and a whole answer to events. The only place that knows both."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Raw

from proxy.convo import events as ev
from proxy.convo.model import (
    Answer,
    Choice,
    Finish,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolUse,
    Usage,
)

_raws = msgspec.json.Decoder(list[Raw])


class Fold:
    """Collects a stream's events into an `Answer`; `answer` may be read at any time."""

    def __init__(self) -> None:
        self.answer = Answer(choices=[])
        self._text: dict[tuple[int, int], list[str]] = {}

    def add(self, events: Iterable[ev.Event]) -> None:
        """Takes the next events in order."""
        for event in events:
            match event:
                case ev.TextDelta() | ev.ThinkingDelta() | ev.ArgumentsDelta():
                    self._text.setdefault((event.choice, event.index), []).append(event.text)
                case ev.PartStart():
                    self._choice(event.choice).parts.append(event.part)
                case ev.PartEnd():
                    self._close(event.choice, event.index)
                case ev.SignatureDelta():
                    self._sign(event)
                case ev.CitationDelta():
                    self._cite(event)
                case ev.Finished():
                    self._choice(event.choice).finish = event.finish
                case _:
                    self._about(event)

    def _about(self, event: ev.Event) -> None:
        answer = self.answer
        match event:
            case ev.Start():
                answer.id, answer.model = event.id, event.model
                answer.created, answer.service_tier = event.created, event.service_tier
            case ev.UsageSeen():
                answer.usage = merge_usage(answer.usage, event.usage)
            case ev.Failed():
                answer.error = event.error
            case _:
                pass

    def _sign(self, event: ev.SignatureDelta) -> None:
        part = self._choice(event.choice).parts[event.index]
        if isinstance(part, Text | Thinking | ToolUse):
            part.signature, part.origin = event.signature, event.origin
            if isinstance(part, Thinking) and event.id:
                part.id = event.id

    def _choice(self, index: int) -> Choice:
        choices = self.answer.choices
        while len(choices) <= index:
            choices.append(Choice(parts=[]))
        return choices[index]

    def _close(self, choice: int, index: int) -> None:
        text = "".join(self._text.pop((choice, index), ()))
        part = self._choice(choice).parts[index]
        match part:
            case Text() | Thinking() | Refusal():
                part.text += text
            case ToolUse():
                part.arguments += text
            case _:
                pass

    def _cite(self, event: ev.CitationDelta) -> None:
        part = self._choice(event.choice).parts[event.index]
        if isinstance(part, Text):
            inner = bytes(event.raw)
            if part.citations and part.citations[0] == event.origin:
                inner = bytes(part.citations[1])[1:-1] + b"," + inner
            part.citations = (event.origin, type(event.raw)(b"[" + inner + b"]"))


def merge_usage(old: Usage | None, new: Usage) -> Usage:
    """Later counts replace earlier ones, field by field."""
    if old is None:
        return new
    return Usage(
        **{
            name: getattr(old, name) if getattr(new, name) is None else getattr(new, name)
            for name in Usage.__struct_fields__
        }
    )


def fold(events: Iterable[ev.Event]) -> Answer:
    """All events of a finished stream as one answer."""
    folder = Fold()
    folder.add(events)
    return folder.answer


def unfold(answer: Answer) -> list[ev.Event]:
    """A whole answer as the events of a stream (a client asked to stream, the upstream did not)."""
    out: list[ev.Event] = [ev.Start(answer.id, answer.model, answer.created, answer.service_tier)]
    for number, choice in enumerate(answer.choices):
        for index, part in enumerate(choice.parts):
            out += _unfold_part(part, index, number)
    if answer.usage is not None:
        out.append(ev.UsageSeen(answer.usage))
    if answer.error is not None:
        out.append(ev.Failed(answer.error))
    else:
        out += [
            ev.Finished(choice.finish or Finish("stop"), number)
            for number, choice in enumerate(answer.choices)
        ]
    out.append(ev.End())
    return out


def _unfold_part(part: Part, index: int, choice: int) -> list[ev.Event]:
    out: list[ev.Event]
    match part:
        case Text(text=text):
            out = [ev.PartStart(index, Text(""), choice), ev.TextDelta(index, text, choice)]
            if part.citations:
                origin, listed = part.citations
                out += [
                    ev.CitationDelta(index, origin, raw, choice) for raw in _raws.decode(listed)
                ]
            if part.signature:
                out.append(ev.SignatureDelta(index, part.signature, part.origin, choice))
        case Refusal(text=text):
            out = [ev.PartStart(index, Refusal(""), choice), ev.TextDelta(index, text, choice)]
        case Thinking(text=text, redacted=False):
            skeleton = Thinking("", id=part.id, raw=part.raw)
            out = [ev.PartStart(index, skeleton, choice)]
            if text:
                out.append(ev.ThinkingDelta(index, text, choice))
            if part.signature:
                out.append(ev.SignatureDelta(index, part.signature, part.origin, choice, part.id))
        case ToolUse():
            skeleton_call = ToolUse(part.id, part.name, "", custom=part.custom)
            out = [ev.PartStart(index, skeleton_call, choice)]
            if part.arguments:
                out.append(ev.ArgumentsDelta(index, part.arguments, choice))
            if part.signature:
                out.append(ev.SignatureDelta(index, part.signature, part.origin, choice))
        case _:
            out = [ev.PartStart(index, part, choice)]
    out.append(ev.PartEnd(index, choice))
    return out
