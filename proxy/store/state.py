"""One JSON file with what a server wants to find again after a restart. Blocking; called in a thread.

The file is a convenience: one that is missing, too large or garbage is named and ignored.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from proxy.jsonio import Json, decode, encode
from proxy.store import xdg
from proxy.store.files import write

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMIT: Final = 32 * 1024 * 1024
"""Bytes; a larger file is neither read nor written."""


class StateError(Exception):
    """Why a state file could not be used; one sentence that names it."""


def place(environ: Mapping[str, str], config: str) -> Path:
    """Where a server with this configuration keeps what it knows of its accounts."""
    return xdg.folder(environ) / "accounts" / f"{xdg.name_of(config)}.json"


def load(path: Path) -> Json:
    """The file's content; None if there is no file. Raises StateError."""
    try:
        with path.open("rb") as file:
            data = file.read(LIMIT + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"{path}: {error.strerror or error}") from None
    if len(data) > LIMIT:
        raise StateError(f"{path}: larger than {LIMIT} bytes")
    try:
        return decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StateError(f"{path}: no JSON ({error})") from None


def save(path: Path, content: Json) -> None:
    """Replaces the file in one step, readable by its owner only. Raises StateError."""
    data = encode(content)
    if len(data) > LIMIT:
        raise StateError(f"{path}: would be larger than {LIMIT} bytes")
    try:
        write(path, data)
    except OSError as error:
        raise StateError(f"{path}: {error.strerror or error}") from None
