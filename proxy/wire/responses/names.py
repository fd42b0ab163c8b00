"""Tool names as the API takes them: letters, digits, `_` and `-`, at most 64 (API reference, `tools`).

A long MCP name (`mcp__server__tool`) keeps its prefix and its last part, any other long name its beginning.
Where that would make two names one, the later ones end in a digest of the whole name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Final

from proxy.convo.model import Request, ToolUse

LIMIT: Final = 64
_DIGEST: Final = 8
_MCP: Final = "mcp__"
_fits: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}").fullmatch
_odd: Final = re.compile(r"[^a-zA-Z0-9_-]")


def sent_names(names: Iterable[str]) -> dict[str, str]:
    """Client's name -> name sent, for those of the names that have to change; {} as a rule."""
    distinct = dict.fromkeys(name for name in names if name)
    changing = [name for name in distinct if not _fits(name)]
    if not changing:
        return {}
    taken = set(distinct).difference(changing)
    out: dict[str, str] = {}
    for name in changing:
        short = _short(name)
        out[name] = short if short not in taken else _digested(name)
        taken.add(out[name])
    return out


def _short(name: str) -> str:
    if _odd.search(name):
        return _digested(name)
    if name.startswith(_MCP):
        return (_MCP + name[len(_MCP) :].rpartition("__")[2])[:LIMIT]
    return name[:LIMIT]


def _digested(name: str) -> str:
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    return _odd.sub("_", name)[: LIMIT - _DIGEST - 1] + "_" + digest


def upstream_names(request: Request) -> dict[str, str]:
    """`sent_names` of a request's tools and calls, in their order."""
    names = [tool.name for tool in request.tools if tool.kind != "server"]
    names += [
        part.name
        for message in request.messages
        for part in message.parts
        if isinstance(part, ToolUse)
    ]
    return sent_names(names)


def client_names(request: Request) -> dict[str, str]:
    """Name sent -> the client's tool name, the way back of `upstream_names`."""
    return {sent: name for name, sent in upstream_names(request).items()}


def call_id(ident: str) -> str:
    """A call id as the API takes it: at most 64 characters."""
    if len(ident) <= LIMIT:
        return ident
    return "call_" + hashlib.sha256(ident.encode("utf-8", "surrogatepass")).hexdigest()[:40]
