"""Providers by key: one module each for URL, headers and dialect. No translation, no selection.

Modules are imported when a credential first needs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from proxy.upstream.base import Provider

_MODULES = {
    "openai-compat": ("openai_compat", "PROVIDER"),
    "claude": ("claude", "PROVIDER"),
    "codex": ("codex", "PROVIDER"),
    "gemini": ("gemini", "PROVIDER"),
    "vertex": ("gemini", "VERTEX"),
    "copilot": ("copilot", "PROVIDER"),
    "qwen": ("qwen", "PROVIDER"),
    "iflow": ("iflow", "PROVIDER"),
    "kiro": ("kiro", "PROVIDER"),
    "gemini-cli": ("code_assist", "GEMINI_CLI"),
    "antigravity": ("antigravity", "PROVIDER"),
    "demo": ("openai_compat", "PROVIDER"),
}
_loaded: dict[str, Provider] = {}


def get(provider: str) -> Provider:
    """The module of a provider key."""
    found = _loaded.get(provider)
    if found is None:
        module, name = _MODULES[provider]
        imported = import_module(f"proxy.upstream.{module}")
        found = _loaded[provider] = cast("Provider", getattr(imported, name))
    return found
