"""Which requests belong together. Pure."""

from __future__ import annotations

from proxy.config.model import Sticky
from proxy.jsonio import Body
from proxy.net.api import Headers


def session_of(wire: str, headers: Headers, top: Body, key: str, sticky: Sticky) -> str:  # noqa: ARG001
    """A name of the conversation that a request belongs to, "" if nothing tells."""
    return key if sticky == "key" else ""
