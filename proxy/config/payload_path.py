"""Dotted paths of payload rules: `a.b.0.c`; a backslash keeps a dot in a key; `-1` appends to a list."""

from __future__ import annotations

from typing import Final

MOST_PARTS: Final = 32
MOST_INDEX: Final = 999
"""Largest list index: a list is padded with null up to it."""


def split(path: str) -> tuple[str, ...]:
    """The keys of a path, escapes taken out."""
    parts: list[str] = []
    current: list[str] = []
    characters = iter(path)
    for character in characters:
        if character == "\\":
            current.append(next(characters, ""))
        elif character == ".":
            parts.append("".join(current))
            current = []
        else:
            current.append(character)
    parts.append("".join(current))
    return tuple(parts)


def bad_path(path: str) -> str:
    """Why a path cannot be used; empty when it can."""
    parts = split(path)
    if not all(parts):
        return "has an empty part"
    if len(parts) > MOST_PARTS:
        return f"has more than {MOST_PARTS} parts"
    if any(part == "#" or part.startswith(("#(", "@")) or "|" in part for part in parts):
        return "asks for a query, which is not supported"
    if any(part.isdecimal() and len(part) < 10 and int(part) > MOST_INDEX for part in parts):
        return f"has an index over {MOST_INDEX}"
    return ""
