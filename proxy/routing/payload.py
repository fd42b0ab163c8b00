"""Payload rules: edits of the upstream body. Pure: the body that is given is not changed.

Source: configuration sheet, section `payload`. Defaults run first, and only where the client's own
request (translated) says nothing; the first rule of a path wins. Overrides always apply, the last one
wins. Removals come last.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from proxy.config.payload_path import MOST_INDEX, split
from proxy.routing.match import Pattern

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.config.model import Credential, PayloadRule
    from proxy.jsonio import Json

_MISSING: Final = object()
_ROOTS: Final = {"gemini_cli": "request"}
"""Wires with an envelope, and where the body is that paths are of."""
_PROTOCOLS: Final = {"gemini-cli": "gemini", "antigravity": "antigravity"}
"""Providers whose bodies rules name otherwise than by their wire."""
_split = lru_cache(maxsize=1024)(split)
_pattern = lru_cache(maxsize=1024)(Pattern)


def protocol_of(credential: Credential) -> str:
    """By which a rule names the bodies of a credential."""
    return _PROTOCOLS.get(credential.provider, credential.wire)


def matching(
    rules: Sequence[PayloadRule], names: Sequence[str], wire: str
) -> tuple[PayloadRule, ...]:
    """The rules for a request: any of its names (upstream, alias) fits a pattern, on this wire (see
    `protocol_of`)."""
    return tuple(
        rule
        for rule in rules
        if any(
            limit in ("", wire) and any(_pattern(glob).captures(name) is not None for name in names)
            for glob, limit in rule.models
        )
    )


def apply(
    rules: Sequence[PayloadRule], body: dict[str, Json], original: dict[str, Json], wire: str = ""
) -> dict[str, Json]:
    """The body after the rules (see `matching`). `original`: the translated client request, to which
    nothing was added yet; a default is set only where it has no value. `wire`: the body's.
    """
    root = _ROOTS.get(wire)
    if root is not None:
        return {**body, root: apply(rules, body.get(root, {}), original.get(root, {}))}
    done: set[str] = set()
    for rule in rules:
        if rule.action == "default":
            for path, value in rule.params:
                if path not in done and _get(original, _split(path)) is _MISSING:
                    done.add(path)
                    body = _set(body, _split(path), value)
    for rule in rules:
        if rule.action == "override":
            for path, value in rule.params:
                body = _set(body, _split(path), value)
    for rule in rules:
        if rule.action == "remove":
            for path, _ in rule.params:
                body = _remove(body, _split(path))
    return body


def _get(value: Json, parts: tuple[str, ...]) -> Json:
    for part in parts:
        if isinstance(value, dict):
            value = value.get(part, _MISSING)
        elif isinstance(value, list):
            index = _index(part, len(value))
            value = value[index] if index is not None and index < len(value) else _MISSING
        else:
            return _MISSING
    return value


def _set(value: Json, parts: tuple[str, ...], new: object) -> Json:
    """A copy of `value` with `new` at the path; what stands in the way is replaced."""
    if not parts:
        return new
    part, rest = parts[0], parts[1:]
    if isinstance(value, list):
        index = len(value) if part == "-1" else _index(part, MOST_INDEX + 1)
        if index is None or index > max(MOST_INDEX, len(value)):
            return value
        items = [*value, *[None] * (index + 1 - len(value))]
        items[index] = _set(items[index], rest, new)
        return items
    if not isinstance(value, dict):
        if part == "-1" or _index(part, MOST_INDEX + 1) is not None:
            return _set([], parts, new)
        value = {}
    return {**value, part: _set(value.get(part), rest, new)}


def _remove(value: Json, parts: tuple[str, ...]) -> Json:
    part, rest = parts[0], parts[1:]
    if isinstance(value, dict) and part in value:
        if not rest:
            return {key: item for key, item in value.items() if key != part}
        return {**value, part: _remove(value[part], rest)}
    if isinstance(value, list):
        index = len(value) - 1 if part == "-1" else _index(part, len(value))
        if index is None or not 0 <= index < len(value):
            return value
        if not rest:
            return value[:index] + value[index + 1 :]
        return [*value[:index], _remove(value[index], rest), *value[index + 1 :]]
    return value


def _index(part: str, below: int) -> int | None:
    if not (part.isascii() and part.isdecimal()) or len(part) > 9:
        return None
    index = int(part)
    return index if index < below else None
