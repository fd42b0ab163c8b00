"""Values of routes.d that stand elsewhere: `env:NAME`, and `file:PATH` for the first line of a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from proxy import home
from proxy.config.diagnose import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST: Final = 65_536
"""Bytes."""


def value_of(word: str, folder: Path, environ: Mapping[str, str]) -> str:
    """What stands behind a word; any other is itself. Raises LookupError, which says why there is nothing.

    `folder`: where a path begins that is not absolute.
    """
    kind, colon, name = word.partition(":")
    if not colon or kind not in ("env", "file"):
        return word
    if kind == "env":
        found = environ.get(name, "")
        if not found:
            raise LookupError(f"environment variable {quoted(name)} is not set")
        return found
    try:
        with (folder / home.expand(name, "write the path in full")).open("rb") as file:
            line = file.readline(_LONGEST).decode().strip()
    except home.NoHome as error:
        raise LookupError(str(error)) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        raise LookupError(f"file {quoted(name)} cannot be read: {reason}") from None
    if not line:
        raise LookupError(f"file {quoted(name)} has an empty first line")
    return line
