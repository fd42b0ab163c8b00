"""Tool names and call ids that the Messages API takes: letters, digits, `_` and `-`.

A call's id also carries the signature of another wire's call (Gemini's `thoughtSignature`, which has to
come back with the call): a tool_use block has no field for it, and clients return ids as they are.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Final

from proxy.convo.model import Request, ToolUse

_WORD: Final = re.compile(r"[a-zA-Z0-9_-]+")
_ODD: Final = re.compile(r"[^a-zA-Z0-9_-]")
_LONGEST: Final = 128
_SIGNED: Final = re.compile(r"(.*)-pointsman-([gx])-([a-zA-Z0-9_-]+)", re.DOTALL)
_BASE64: Final = re.compile(r"[a-zA-Z0-9+/]+={0,2}")
_TO_URL: Final = str.maketrans("+/", "-_", "=")
_FROM_URL: Final = str.maketrans("-_", "+/")


def fitting(name: str) -> bool:
    """Whether the API takes the name as it is: `^[a-zA-Z0-9_-]{1,128}$`."""
    return len(name) <= _LONGEST and _WORD.fullmatch(name) is not None


def upstream_names(request: Request) -> dict[str, str]:
    """Client's tool name -> name sent, for the names that have to change; {} as a rule.

    Depends on nothing but the request's tools and calls in their order, so that whoever has the
    request can turn the names of an answer back (`client_names`).
    """
    names = [tool.name for tool in request.tools if tool.kind != "server"]
    names += [
        part.name
        for message in request.messages
        for part in message.parts
        if isinstance(part, ToolUse)
    ]
    return _renamed(dict.fromkeys(name for name in names if name))


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


def signed_id(id: str, signature: str, origin: str) -> str:
    """The id with the signature of a Gemini call behind it, in characters that ids may have."""
    if not signature or origin != "gemini":
        return id
    if len(signature) % 4 == 0 and _BASE64.fullmatch(signature):
        return f"{id}-pointsman-g-{signature.translate(_TO_URL)}"
    packed = base64.urlsafe_b64encode(signature.encode("utf-8", "surrogatepass")).decode()
    return f"{id}-pointsman-x-{packed.rstrip('=')}"


def read_id(value: str) -> tuple[str, str]:
    """(id, signature of a Gemini call or "") of an id that a client sent back."""
    if "-pointsman-" not in value:
        return value, ""
    found = _SIGNED.fullmatch(value)
    if found is None:
        return value, ""
    id, kind, packed = found.groups()
    packed += "=" * (-len(packed) % 4)
    if kind == "g":
        return id, packed.translate(_FROM_URL)
    try:
        return id, base64.urlsafe_b64decode(packed).decode("utf-8", "surrogatepass")
    except (binascii.Error, UnicodeDecodeError):
        return value, ""
