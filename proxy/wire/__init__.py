"""The registry: name -> codec. Codecs are imported when they are first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from proxy.wire.base import Wire

NAMES = ("chat", "completions", "responses", "anthropic", "gemini", "gemini_cli", "kiro")
"""The last one is spoken by an upstream only: it has no client's side."""

_loaded: dict[str, Wire] = {}


def get(name: str) -> Wire:
    """The codec of a wire: the module `proxy.wire.<name>` exports it as `WIRE`. KeyError if unknown."""
    wire = _loaded.get(name)
    if wire is None:
        if name not in NAMES:
            raise KeyError(name)
        wire = _loaded[name] = cast("Wire", import_module(f"proxy.wire.{name}").WIRE)
    return wire
