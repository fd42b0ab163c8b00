"""Rules: the first one whose conditions all hold says which model is asked for. Pure.

Conditions are tried from the cheapest to the dearest, so that a body is looked into only where the rest
of a rule holds already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from proxy.routing.match import Pattern, cut_suffix, reasoning_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from proxy.config import declared
    from proxy.config.declared import Place, When
    from proxy.convo.model import Reasoning
    from proxy.routing.facts import Facts

    Test: TypeAlias = Callable[[Facts, str, Reasoning | None], bool]
"""Whether a condition holds for a request: its facts, the model's name, the suffix's reasoning."""


class Rule:
    """A rule made ready. `name`, `reasoning`: what `use` says, its thinking suffix cut off."""

    __slots__ = ("_tests", "name", "number", "place", "reasoning", "use")

    def __init__(self, number: int, rule: declared.Rule) -> None:
        self.number = number
        self.use = rule.use
        self.place: Place = rule.place
        base, value = cut_suffix(rule.use)
        self.reasoning = reasoning_of(value) if value else None
        self.name = base if self.reasoning is not None else rule.use
        self._tests: tuple[tuple[str, Test], ...] = tuple(_tests(rule.when))

    def failing(self, facts: Facts, model: str, reasoning: Reasoning | None) -> str:
        """The first condition that does not hold; empty when all do."""
        for word, test in self._tests:
            if not test(facts, model, reasoning):
                return word
        return ""


def reason(word: str, facts: Facts, model: str) -> str:
    """Why a condition does not hold, for people: the value that was found, where one word can say it."""
    match word:
        case "client":
            return f"client is {facts.client or 'unknown'}"
        case "surface":
            return f"surface is {facts.surface}"
        case "key":
            return f"client key is {facts.key or 'without a name'}"
        case "stream":
            return "a stream is wanted" if facts.stream else "no stream is wanted"
        case "model":
            return f"model is {model[:100]}"
        case "time-of-day":
            hour, minute = divmod(facts.minute(), 60)
            return f"time of day is {hour:02}:{minute:02}"
        case "tools":
            return f"{len(facts.tools())} tools are on offer"
        case "images":
            return "there are images" if facts.images() else "there are no images"
        case "tokens-over":
            return f"about {facts.tokens()} tokens"
        case _:
            return f"{word} does not fit"


def asks(reasoning: Reasoning) -> bool:
    """Whether it wants any thinking at all."""
    if reasoning.budget is not None:
        return reasoning.budget != 0
    return reasoning.effort not in (None, "none")


def within(minute: int, start: int, end: int) -> bool:
    """Whether a minute of the day lies in a span that may wrap midnight."""
    return start <= minute < end if start < end else minute >= start or minute < end


def _tests(when: When) -> Iterator[tuple[str, Test]]:
    yield from _cheap(when)
    if when.time_of_day is not None:
        start, end = when.time_of_day
        yield "time-of-day", lambda facts, *_: within(facts.minute(), start, end)
    if when.thinking is not None:
        wanted = when.thinking
        yield "thinking", lambda facts, _, said: _thinks(facts, said) is wanted
    if when.tools is not None:
        some = when.tools
        yield "tools", lambda facts, *_: bool(facts.tools()) is some
    if when.tool:
        tool = tuple(Pattern(glob, fold=True) for glob in when.tool)
        yield "tool", lambda facts, *_: any(_fits(tool, name) for name in facts.tools())
    if when.images is not None:
        shown = when.images
        yield "images", lambda facts, *_: facts.images() is shown
    if when.tokens_over is not None:
        most = when.tokens_over
        yield "tokens-over", lambda facts, *_: facts.size > most and facts.tokens() > most


def _cheap(when: When) -> Iterator[tuple[str, Test]]:
    """What the head of a request tells."""
    if when.client:
        clients = frozenset(when.client)
        yield "client", lambda facts, *_: facts.client in clients
    if when.surface:
        surfaces = frozenset(when.surface)
        yield "surface", lambda facts, *_: facts.surface in surfaces
    if when.key:
        keys = frozenset(when.key)
        yield "key", lambda facts, *_: facts.key in keys
    if when.stream is not None:
        stream = when.stream
        yield "stream", lambda facts, *_: facts.stream is stream
    if when.model:
        models = tuple(Pattern(glob, fold=True) for glob in when.model)
        yield "model", lambda _, model, __: _fits(models, model)
    for name, globs in when.header:
        yield "header", _header_test(name, globs)


def _header_test(name: str, globs: tuple[str, ...]) -> Test:
    raw = name.encode("latin-1", "replace")
    patterns = tuple(Pattern(glob, fold=True) for glob in globs)

    def holds(facts: Facts, _: str, __: Reasoning | None) -> bool:
        return any(
            given == raw and _fits(patterns, value.decode("latin-1"))
            for given, value in facts.headers
        )

    return holds


def _thinks(facts: Facts, said: Reasoning | None) -> bool:
    return facts.thinking() if said is None else asks(said)


def _fits(patterns: tuple[Pattern, ...], name: str) -> bool:
    return any(pattern.captures(name) is not None for pattern in patterns)
