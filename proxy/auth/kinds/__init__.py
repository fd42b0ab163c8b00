"""Kinds of accounts by the `type` of their files. Modules are imported when a file first needs them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from proxy.auth.kind import Kind

_MODULES: Final = {
    "copilot": "copilot",
    "claude": "claude",
    "codex": "codex",
    "qwen": "qwen",
    "iflow": "iflow",
    "kiro": "kiro",
    "gemini": "gemini_cli",
    "gemini-cli": "gemini_cli",
    "antigravity": "antigravity",
    "vertex": "vertex",
}
_loaded: dict[str, Kind] = {}


def get(type_: str) -> Kind | None:
    """The kind of files of this type; None for one that is not served (yet)."""
    found = _loaded.get(type_)
    if found is None and type_ in _MODULES:
        module = import_module(f"proxy.auth.kinds.{_MODULES[type_]}")
        found = _loaded[type_] = cast("Kind", module.KIND)
    return found


def loaded() -> tuple[Kind, ...]:
    """Those that some file needed."""
    return tuple(dict.fromkeys(_loaded.values()))
