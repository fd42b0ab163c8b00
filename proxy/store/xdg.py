"""Where this machine keeps what Pointsman writes for itself: the XDG state folder."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from proxy import home

if TYPE_CHECKING:
    from collections.abc import Mapping


def folder(environ: Mapping[str, str]) -> Path:
    """`pointsman` in `XDG_STATE_HOME`, or in its default place; it may not exist yet. Raises NoHome."""
    state = environ.get("XDG_STATE_HOME", "")
    if state:
        return Path(state) / "pointsman"
    return home.expand(environ.get("HOME") or "~", "XDG_STATE_HOME") / ".local/state/pointsman"


def name_of(config: str) -> str:
    """What one configuration is called there: 16 hex of its absolute path."""
    return hashlib.sha256(config.encode("utf-8", "surrogateescape")).hexdigest()[:16]
