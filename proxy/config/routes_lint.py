"""Entries of routes.d that are no mistakes but can never have an effect: each is a warning with its place.

Only what is certain is told: a name that is hidden for every request, a rule that an earlier one covers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from proxy.config.diagnose import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from proxy.config.declared import Alias, Declared, Prefix, Rule, When
    from proxy.config.model import Warning_

SUFFIX: Final = re.compile(r"\s*\([^()]*\)\Z")
"""A thinking suffix at the end of a name."""
_MOST_RULES: Final = 300
"""Rules that are held against each other; their comparison is quadratic."""
_DAY: Final = 24 * 60


def findings(declared: Declared) -> Iterator[Warning_]:
    """All findings, in the order of aliases, then rules."""
    yield from _aliases(declared)
    rules = declared.rules[:_MOST_RULES]
    for index, rule in enumerate(rules):
        for number, earlier in enumerate(rules[:index], 1):
            if covers(earlier.when, rule.when):
                yield _unreachable(rule, number, earlier)
                break


def _unreachable(rule: Rule, number: int, earlier: Rule) -> Warning_:
    message = f"this rule can never match: rule {number} holds whenever it does"
    hint = "the first rule that matches wins: put the narrower one before it"
    return rule.place.warning("unreachable", message, hint=hint, also=str(earlier.place))


def _aliases(declared: Declared) -> Iterator[Warning_]:
    routes = {route.id: route.place for route in declared.routes}
    wide = [prefix for prefix in declared.prefixes if prefix.any_model]
    shapes: dict[str, Alias] = {}
    for alias in declared.aliases:
        hidden = routes.get(alias.name)
        if hidden is not None:
            message = f"alias {quoted(alias.name)} is hidden by the model of that name"
            yield alias.place.warning("shadowed", message, also=str(hidden))
            continue
        prefix = _hiding(alias, wide)
        if prefix is not None:
            message = f"alias {quoted(alias.name)} is hidden by prefix {quoted(prefix.text)}"
            yield alias.place.warning("shadowed", message, also=str(prefix.place))
            continue
        first = shapes.setdefault(re.sub(r"\*+", "*", alias.name), alias)
        if first is not alias:
            message = f"alias {quoted(alias.name)} is hidden by {quoted(first.name)}"
            yield alias.place.warning("shadowed", message, also=str(first.place))


def _hiding(alias: Alias, prefixes: Iterable[Prefix]) -> Prefix | None:
    """A prefix that takes every name of the alias; the bare prefix is no name of it."""
    literal, _, _ = alias.name.partition("*")
    for prefix in prefixes:
        # `local-*` also matches the bare `local-`, which the prefix leaves to it.
        if literal.startswith(prefix.text) and (len(literal) > len(prefix.text)):
            return prefix
    return None


def covers(wide: When, narrow: When) -> bool:
    """Whether `wide` holds for every request that `narrow` holds for (as far as can be told)."""
    return (
        _words(wide.client, narrow.client)
        and _words(wide.surface, narrow.surface)
        and _words(wide.key, narrow.key)
        and _globs(wide.model, narrow.model, always="*")
        and _globs(wide.tool, narrow.tool)
        and _headers(wide, narrow)
        and _flag(wide.stream, narrow.stream)
        and _flag(wide.thinking, narrow.thinking)
        and _flag(wide.images, narrow.images)
        and (_flag(wide.tools, narrow.tools) or (wide.tools is True and bool(narrow.tool)))
        and _over(wide.tokens_over, narrow.tokens_over)
        and _hours(wide.time_of_day, narrow.time_of_day)
    )


def _words(wide: tuple[str, ...], narrow: tuple[str, ...]) -> bool:
    return not wide or (bool(narrow) and set(narrow) <= set(wide))


def _globs(wide: tuple[str, ...], narrow: tuple[str, ...], *, always: str = "") -> bool:
    if not wide or (always and always in wide):
        return True
    return bool(narrow) and all(any(_glob_covers(w, n) for w in wide) for n in narrow)


def _glob_covers(wide: str, narrow: str) -> bool:
    """A star of `narrow` is a character that only a star of `wide` can stand for."""
    text = re.sub(r"\*+", "*", narrow.lower())
    first, *middle = wide.lower().split("*")
    if not middle:
        return text == first
    last = middle.pop()
    end = len(text) - len(last)
    at = len(first)
    if at > end or not text.startswith(first) or not text.endswith(last):
        return False
    for part in middle:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def _headers(wide: When, narrow: When) -> bool:
    given = dict(narrow.header)
    return all(name in given and _globs(globs, given[name]) for name, globs in wide.header)


def _flag(wide: bool | None, narrow: bool | None) -> bool:
    return wide is None or wide is narrow


def _over(wide: int | None, narrow: int | None) -> bool:
    return wide is None or (narrow is not None and narrow >= wide)


def _hours(wide: tuple[int, int] | None, narrow: tuple[int, int] | None) -> bool:
    if wide is None:
        return True
    if narrow is None:
        return False
    length, inner = ((end - start) % _DAY or _DAY for start, end in (wide, narrow))
    return length == _DAY or (narrow[0] - wide[0]) % _DAY + inner <= length
