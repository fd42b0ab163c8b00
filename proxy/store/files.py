"""Files that must never be found half-written, and secrets that only their owner may read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

PRIVATE = 0o600
"""The mode of every file that holds a secret or says something about its owner."""


def write(path: Path, data: bytes, mode: int = PRIVATE) -> None:
    """Replaces a file in one step: a draft beside it, flushed to the disk, then renamed over it.

    Makes missing folders (0700). A symbolic link keeps being one: its target is replaced.
    Blocking; on the event loop's side call it in a thread. Raises OSError; the old file is then
    untouched and no draft is left.
    """
    path = path.resolve() if path.is_symlink() else path
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def rewrite(path: Path, data: bytes) -> None:
    """Replaces a file of the user's, who may have reasons for its mode. A file that is mounted by
    itself cannot be replaced in one step and is written in place. Blocking; raises OSError.
    """
    try:
        mode = path.stat().st_mode & 0o777
    except OSError:
        mode = PRIVATE
    try:
        write(path, data, mode)
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.EXDEV):
            raise
        path.write_bytes(data)


def _sync_folder(folder: Path) -> None:
    """The rename itself reaches the disk; not every system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        return
    finally:
        os.close(descriptor)
