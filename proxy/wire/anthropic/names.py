"""Tool names and call ids that the Messages API takes: letters, digits, `_` and `-`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from proxy.convo.model import Request, ToolUse

_WORD: Final = re.compile(r"[a-zA-Z0-9_-]+")
_ODD: Final = re.compile(r"[^a-zA-Z0-9_-]")
_LONGEST: Final = 128


def fitting(name: str) -> bool:
    """Whether the API takes the name as it is: `^[a-zA-Z0-9_-]{1,128}$`."""
    return len(name) <= _LONGEST and _WORD.fullmatch(name) is not None


def upstream_names(request: Request) -> dict[str, str]:
    """Client's tool name -> name sent, for the names that have to change; {} as a rule.

    Depends on nothing but the request's tools and calls in their order, so that whoever has the
    request can turn the names of an answer back (`client_names`).
    """
    names = [tool.name for tool in request.tools]
    names += [
        part.name
        for message in request.messages
        for part in message.parts
        if isinstance(part, ToolUse)
    ]
    return _renamed(dict.fromkeys(names))


def client_names(request: Request) -> dict[str, str]:
    """Name sent -> client's tool name, the way back of `upstream_names`."""
    return {sent: name for name, sent in upstream_names(request).items()}


def _renamed(names: Iterable[str]) -> dict[str, str]:
    odd = [name for name in names if not fitting(name)]
    if not odd:
        return {}
    taken = {name for name in names if fitting(name)}
    out: dict[str, str] = {}
    for name in odd:
        out[name] = unique(_ODD.sub("_", name)[:_LONGEST] or "tool", taken)
    return out


def unique(word: str, taken: set[str]) -> str:
    """The word, or the word with a number that is free; it is taken then."""
    free, number = word, 2
    while free in taken:
        tail = f"_{number}"
        free, number = word[: _LONGEST - len(tail)] + tail, number + 1
    taken.add(free)
    return free


def call_id(id: str, taken: set[str]) -> str:
    """An id for a tool_use block, distinct from all others of the request."""
    if id and _WORD.fullmatch(id):
        if id not in taken:
            taken.add(id)
            return id
    else:
        id = _ODD.sub("_", id) or "toolu"
    return unique(id[:_LONGEST], taken)
