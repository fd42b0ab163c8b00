"""Function names that the API takes: a letter or `_`, then letters, digits, `_`, `.`, `:`, `-`; 64 at most."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from proxy.convo.model import Request, ToolUse

_LIMIT: Final = 64
_TAKEN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}")
_ODD: Final = re.compile(r"[^A-Za-z0-9_.:-]+")


def fit(name: str) -> str:
    """The name itself where the API takes it, else a name made from it: the same one every time.

    Eight digits of its hash keep names apart that differ only in what was changed.
    """
    if _TAKEN.fullmatch(name):
        return name
    mark = "_" + hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]
    clean = _ODD.sub("_", name)
    if not clean or not (clean[0].isalpha() or clean[0] == "_"):
        clean = "_" + clean
    return clean[: _LIMIT - len(mark)] + mark


def client_names(request: Request) -> dict[str, str]:
    """Name sent -> the client's tool name, for the names that had to change; {} as a rule."""
    if request.origin == "gemini":
        return {}
    names = [tool.name for tool in request.tools if tool.kind != "server"]
    names += [
        part.name
        for message in request.messages
        for part in message.parts
        if isinstance(part, ToolUse)
    ]
    return {fit(name): name for name in names if not _TAKEN.fullmatch(name)}
