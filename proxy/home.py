"""The home folder of whoever runs this, who may have none: a user of a container without an entry in
its list of users, say.
"""

from __future__ import annotations

from pathlib import Path


class NoHome(Exception):  # noqa: N818  # reads as what happened
    """A path begins with `~` and there is no such home folder; one sentence that says what to set."""


def expand(path: str, instead: str) -> Path:
    """The path with a `~` or `~user` at its begin resolved.

    Raises NoHome, which names `instead`: what else may be set than HOME.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        message = f"there is no home folder for '{path}': set HOME, or {instead}"
        raise NoHome(message) from None
