"""Joins the answers of several upstreams into one, where the first broke after output began. Pure.

A `Splice` sees every event of one client stream. Of the first upstream it passes all but the failure;
from what it passed, the next upstream is asked to go on (`so_far`), and that one's events are fitted
in: no second start, parts numbered on, the open text continued with the overlap cut off, usage summed.

What cannot be taken back is not spliced: a call whose arguments are open, several choices, sound.
Thoughts of a continuation are left out: their proofs hold only in an answer that they began.
"""

from __future__ import annotations

from typing import Final

from msgspec import structs

from proxy.convo import events as ev
from proxy.convo.fold import merge_usage
from proxy.convo.model import (
    ErrorInfo,
    Finish,
    Message,
    Part,
    Refusal,
    Request,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Usage,
)
from proxy.jsonio import object_of

OVERLAP: Final = 2048
"""Characters of the sent text among which a repetition is looked for."""
_CHANCE: Final = 4
"""A shorter match is taken for chance, unless it is the whole text sent so far."""
GO_ON: Final = (
    "The connection broke while you were answering. The message before this one is what arrived of"
    " your answer. Go on exactly where it stops: repeat nothing, explain nothing, do not greet."
)
NOT_RUN: Final = "Not run yet: the answer that made this call is still being written."
_HELD: Final = (ev.Failed, ev.End)


class Splice:
    """The state of one client stream over all its upstreams."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        """What the client was given, by the numbers that it knows."""
        self._pieces: dict[int, list[str]] = {}
        """Texts of the open parts."""
        self._numbers: dict[int, int] = {}
        """This upstream's number of a part -> the client's; -1 for parts that are left out."""
        self._spent: Usage | None = None
        self._usage: Usage | None = None
        self._whole = False
        self._single = True
        self._hop = 0
        self._text = -1
        """The client's number of the text that a continuation may lengthen."""
        self._overlap: Overlap | None = None

    @property
    def resumable(self) -> bool:
        """Whether another upstream could go on from here."""
        if self._whole or not self._single:
            return False
        open_call = any(isinstance(self.parts[number], ToolUse) for number in self._pieces)
        return not open_call and all(_replayable(part) for part in self.parts)

    def take(self, events: list[ev.Event]) -> list[ev.Event]:
        """The client's events for these of the present upstream, without its failure."""
        failed = any(type(event) is ev.Failed for event in events)
        if failed:
            events = _before_failure(events)
        out: list[ev.Event] = []
        for event in events:
            self._take(event, out)
        if failed:
            self._overlap = None
            self._seal(out)
        return out

    def begin(self) -> None:
        """The next upstream's events follow."""
        self._hop += 1
        self._numbers.clear()
        self._spent, self._usage = summed(self._spent, self._usage), None
        texts = [n for n, part in enumerate(self.parts) if isinstance(part, Text)]
        self._overlap = Overlap("".join(self._text_of(number) for number in texts))

    def close(self, error: ErrorInfo) -> list[ev.Event]:
        """Nobody goes on: ends what is open, and the stream with it."""
        self._whole = True
        out: list[ev.Event] = []
        self._close_open(out)
        return [*out, ev.Failed(error), ev.End()]

    def so_far(self, request: Request) -> Request:
        """The request that asks the next upstream to go on."""
        said: list[Part] = []
        results: list[Part] = []
        for number, part in enumerate(self.parts):
            if isinstance(part, Text) and self._text_of(number).strip():
                said.append(structs.replace(part, text=self._text_of(number), citations=None))
            elif isinstance(part, ToolUse):
                said.append(structs.replace(part, arguments=self._text_of(number), cache=None))
                waiting: list[Part] = [Text(NOT_RUN)]
                results.append(ToolResult(part.id, waiting, name=part.name, custom=part.custom))
        if not said:
            return request
        more = [Message("assistant", said), Message("user", [*results, Text(GO_ON)])]
        return structs.replace(request, messages=[*request.messages, *more])

    # One event

    def _take(self, event: ev.Event, out: list[ev.Event]) -> None:
        if getattr(event, "choice", 0):
            self._single = False
        match event:
            case ev.PartStart():
                self._start(event, out)
            case ev.TextDelta() | ev.ThinkingDelta() | ev.ArgumentsDelta():
                self._delta(event, out)
            case ev.PartEnd(index=index):
                self._end(index, out)
            case ev.SignatureDelta() | ev.CitationDelta():
                self._note(event, out)
            case ev.UsageSeen(usage):
                # Their own raw counts would contradict a sum.
                self._usage = structs.replace(merge_usage(self._usage, usage), extras=None)
                out.append(ev.UsageSeen(summed(self._spent, self._usage) or self._usage))
            case ev.Finished():
                self._whole = True
                self._close_open(out)
                out.append(structs.replace(event, finish=self._finish(event.finish)))
            case ev.Start():
                if not self._hop:
                    out.append(event)
            case _:
                self._whole |= type(event) is ev.End
                out.append(event)

    def _start(self, event: ev.PartStart, out: list[ev.Event]) -> None:
        part = event.part
        if self._hop and isinstance(part, Thinking):
            self._numbers[event.index] = -1
            return
        if self._hop and isinstance(part, Text) and self._text in self._pieces:
            self._numbers[event.index] = self._text
            return
        if self._hop and self._text not in self._numbers.values():
            self._close_text(out)
        number = len(self.parts)
        self.parts.append(part)
        self._numbers[event.index] = number
        self._pieces[number] = []
        if isinstance(part, Text):
            self._text = number
        out.append(structs.replace(event, index=number))

    def _delta(
        self, event: ev.TextDelta | ev.ThinkingDelta | ev.ArgumentsDelta, out: list[ev.Event]
    ) -> None:
        number = self._numbers[event.index]
        if number < 0:
            return
        text = event.text
        if self._overlap is not None and type(event) is ev.TextDelta:
            text = self._overlap.feed(text)
            if not self._overlap.decided:
                return
            self._overlap = None
        if text:
            self._pieces[number].append(text)
            out.append(structs.replace(event, index=number, text=text))

    def _note(self, event: ev.SignatureDelta | ev.CitationDelta, out: list[ev.Event]) -> None:
        number = self._numbers[event.index]
        if number < 0:
            return
        self._flush(number, out)
        part = self.parts[number]
        if isinstance(event, ev.SignatureDelta) and isinstance(part, Text | ToolUse):
            signed = structs.replace(part, signature=event.signature, origin=event.origin)
            self.parts[number] = signed
        out.append(structs.replace(event, index=number))

    def _end(self, index: int, out: list[ev.Event]) -> None:
        number = self._numbers.pop(index)
        if number in self._pieces:
            self._flush(number, out)
            self._close_one(number, out)

    def _flush(self, number: int, out: list[ev.Event]) -> None:
        """What an undecided overlap holds of this text, now that no more of it comes."""
        if self._overlap is None or number != self._text or not self._overlap.held:
            return
        text = self._overlap.rest()
        self._overlap = None
        if text:
            self._pieces[number].append(text)
            out.append(ev.TextDelta(number, text))

    def _finish(self, finish: Finish) -> Finish:
        called = any(isinstance(part, ToolUse) for part in self.parts)
        if self._hop and called and finish.reason == "stop":
            return Finish("tool")
        return finish

    # Parts that are open

    def _close_one(self, number: int, out: list[ev.Event]) -> None:
        text = "".join(self._pieces.pop(number, ()))
        part = self.parts[number]
        if isinstance(part, Text | Thinking | Refusal):
            self.parts[number] = structs.replace(part, text=part.text + text)
        elif isinstance(part, ToolUse):
            self.parts[number] = structs.replace(part, arguments=part.arguments + text)
        out.append(ev.PartEnd(number))

    def _close_text(self, out: list[ev.Event]) -> None:
        for number in list(self._pieces):
            if not isinstance(self.parts[number], ToolUse):
                self._flush(number, out)
                self._close_one(number, out)

    def _close_open(self, out: list[ev.Event]) -> None:
        self._close_text(out)
        for number in list(self._pieces):
            self._close_one(number, out)

    def _seal(self, out: list[ev.Event]) -> None:
        """After a break: thoughts are over, and so is a call whose arguments are whole."""
        for number in list(self._pieces):
            part = self.parts[number]
            whole = isinstance(part, ToolUse) and object_of(self._text_of(number)) is not None
            if whole or isinstance(part, Thinking):
                self._close_one(number, out)

    def _text_of(self, number: int) -> str:
        part = self.parts[number]
        said = part.arguments if isinstance(part, ToolUse) else getattr(part, "text", "")
        return said + "".join(self._pieces.get(number, ()))


class Overlap:
    """Holds a continuation back until it is clear how much of it repeats the end of `sent`."""

    def __init__(self, sent: str) -> None:
        self._tail = sent[-OVERLAP:]
        self.held = ""
        self.decided = False

    def feed(self, text: str) -> str:
        """What is new, once that is `decided`; "" until then."""
        self.held += text
        at = self._tail.find(self.held)
        if 0 <= at < len(self._tail) - len(self.held):
            # All of it stands inside the tail: the repetition may go on.
            return ""
        return self.rest()

    def rest(self) -> str:
        """What is new of all that came."""
        self.decided = True
        held, tail = self.held, self._tail
        for size in range(min(len(held), len(tail)), 0, -1):
            if tail.endswith(held[:size]) and (size >= _CHANCE or size == len(tail)):
                return held[size:]
        return held


def _replayable(part: Part) -> bool:
    """Whether the next upstream can be shown this part, or does without it."""
    if isinstance(part, ToolUse):
        # A call that ended with half its arguments is refused everywhere.
        return part.custom or not part.arguments or object_of(part.arguments) is not None
    return isinstance(part, Text | Thinking)


def _before_failure(events: list[ev.Event]) -> list[ev.Event]:
    """The events without the failure, without the ends that it gave to open parts, and without calls
    that began in vain: nothing of them is sent yet."""
    kept: list[ev.Event] = [event for event in events if not isinstance(event, _HELD)]
    while kept and type(kept[-1]) is ev.PartEnd:
        kept.pop()
    text: dict[int, str] = {}
    ended = {event.index for event in kept if type(event) is ev.PartEnd}
    last = -1
    for event in kept:
        if isinstance(event, ev.PartStart):
            last = event.index
            if isinstance(event.part, ToolUse) and event.index not in ended:
                text[last] = event.part.arguments
        elif isinstance(event, ev.ArgumentsDelta) and event.index in text:
            text[event.index] += event.text
    vain = text.get(last)
    if vain is None or object_of(vain) is not None:
        return kept
    return [event for event in kept if getattr(event, "index", -1) != last]


def summed(one: Usage | None, other: Usage | None) -> Usage | None:
    """Counts of two upstreams together."""
    if one is None or other is None:
        return one or other
    both = structs.replace(one, extras=None)
    for name in Usage.__struct_fields__:
        count = getattr(other, name)
        if isinstance(count, int):
            setattr(both, name, (getattr(one, name) or 0) + count)
    return both
