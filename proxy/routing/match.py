"""How a model name is read: thinking suffix, patterns with captures. Pure.

Suffix grammar: `model(value)`, `)` last. A value of digits is a budget in tokens, `-1` asks for a
dynamic one, a word is an effort. Source: routing sheet, section 9; the sign is kept here.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, get_args

from proxy.convo.model import Effort, Reasoning

if TYPE_CHECKING:
    from collections.abc import Sequence

EFFORTS: Final[dict[str, Effort]] = {word: word for word in get_args(Effort)}
_NUMBER: Final = re.compile(r"(-*)([0-9]+)")
_MOST_DIGITS: Final = 9


def cut_suffix(model: str) -> tuple[str, str]:
    """`model(value)` -> (`model`, `value`); (`model`, "") when there is no suffix or it is empty."""
    if not model.endswith(")"):
        return model, ""
    start = model.rfind("(")
    if start <= 0 or not model[start + 1 : -1].strip():
        return model, ""
    return model[:start].rstrip(), model[start + 1 : -1].strip()


def reasoning_of(value: str) -> Reasoning | None:
    """What a suffix value asks for; None for a word that is no effort."""
    number = _NUMBER.match(value)
    if number:
        if number[1]:
            return Reasoning(budget=-1)
        return Reasoning(budget=int(number[2][:_MOST_DIGITS]))
    effort = EFFORTS.get(value.lower())
    return Reasoning(effort=effort) if effort else None


class Pattern:
    """A name with `*`s; `captures` tells what each matched. Matching is linear in the name's length."""

    __slots__ = ("_fold", "_last", "_parts", "literal", "prefix", "text")

    def __init__(self, text: str, *, fold: bool = False) -> None:
        self.text = text
        self._fold = fold
        self._parts = tuple((text.lower() if fold else text).split("*"))
        self._last = self._parts[-1]
        self.prefix = self._parts[0]
        self.literal = sum(map(len, self._parts))

    def captures(self, name: str) -> tuple[str, ...] | None:
        """The text of each `*`, each the shortest that fits but the last; None = no match."""
        folded = name.lower() if self._fold else name
        parts = self._parts
        if len(parts) == 1:
            return () if folded == parts[0] else None
        end = len(folded) - len(self._last)
        if not folded.startswith(parts[0]) or not folded.endswith(self._last):
            return None
        at = len(parts[0])
        found: list[str] = []
        for part in parts[1:-1]:
            next_at = folded.find(part, at, end)
            if next_at < 0:
                return None
            found.append(name[at:next_at])
            at = next_at + len(part)
        if at > end:
            return None
        found.append(name[at:end])
        return tuple(found)


@lru_cache(maxsize=1024)
def _folded(glob: str) -> Pattern:
    return Pattern(glob, fold=True)


def may_ask(globs: Sequence[str], model: str) -> bool:
    """Whether a name is one of those that globs allow, its thinking suffix and case aside."""
    base, value = cut_suffix(model)
    name = base if value and reasoning_of(value) is not None else model
    return any(_folded(glob).captures(name) is not None for glob in globs)


def fill(to: str, captures: Sequence[str]) -> str:
    """`{1}` to `{9}` of an alias's right side, filled with what the `*`s matched."""
    for index, text in enumerate(captures, 1):
        to = to.replace(f"{{{index}}}", text)
    return to


class PatternIndex:
    """Patterns by their literal beginning, so that a name is held against few of them."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._by_prefix: dict[str, list[tuple[int, Pattern]]] = {}
        for order, pattern in enumerate(patterns):
            self._by_prefix.setdefault(pattern.prefix, []).append((order, pattern))
        self._lengths = sorted({len(prefix) for prefix in self._by_prefix}, reverse=True)

    def best(self, name: str) -> tuple[Pattern, tuple[str, ...]] | None:
        """The match with the longest literal part; the first defined among equal ones."""
        best: tuple[int, int, Pattern, tuple[str, ...]] | None = None
        for length in self._lengths:
            for order, pattern in self._by_prefix.get(name[:length], ()):
                rank = (-pattern.literal, order)
                if best is None or rank < best[:2]:
                    captures = pattern.captures(name)
                    if captures is not None:
                        best = (*rank, pattern, captures)
        return (best[2], best[3]) if best else None
