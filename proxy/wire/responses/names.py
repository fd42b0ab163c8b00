"""Tool names as the API takes them: letters, digits, `_` and `-`, at most 64 (API reference, `tools`).

A name that does not fit is replaced by a readable beginning and a digest of the whole, so that the same
name is the same everywhere and two names never fall together.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from proxy.convo.model import Request, ToolUse

LIMIT: Final = 64
_DIGEST: Final = 8
_fits: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}").fullmatch
_odd: Final = re.compile(r"[^a-zA-Z0-9_-]")


def short(name: str) -> str:
    """The name as the upstream gets it; itself where it fits."""
    if not name or _fits(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    return _odd.sub("_", name)[: LIMIT - _DIGEST - 1] + "_" + digest


def client_names(request: Request) -> dict[str, str]:
    """Name sent -> the client's tool name, for the names that had to change; {} as a rule."""
    names = [tool.name for tool in request.tools if tool.kind != "server"]
    names += [
        part.name
        for message in request.messages
        for part in message.parts
        if isinstance(part, ToolUse)
    ]
    return {sent: name for name in names if (sent := short(name)) != name}


def call_id(ident: str) -> str:
    """A call id as the API takes it: at most 64 characters."""
    if len(ident) <= LIMIT:
        return ident
    return "call_" + hashlib.sha256(ident.encode("utf-8", "surrogatepass")).hexdigest()[:40]
