"""Names of tools: Kiro takes at most 64 characters."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proxy.convo.model import Request

_LONGEST: Final = 64
_KEPT: Final = 55


def sent(name: str) -> str:
    """A tool's name as Kiro gets it: a long one is cut, and a digest keeps it apart from others."""
    if len(name) <= _LONGEST:
        return name
    return f"{name[:_KEPT]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def client_names(request: Request) -> dict[str, str]:
    """Name sent -> the client's."""
    return {sent(tool.name): tool.name for tool in request.tools if len(tool.name) > _LONGEST}
