"""Keeps something's state in a file: back at the start, saved while it changes, saved at the stop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import trio

from proxy.jsonio import Json
from proxy.store.state import StateError, load, save

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.clock import Clock

EVERY: Final = 5.0
"""Seconds between looks; a crash loses at most so much."""
_LAST: Final = 5.0
"""Seconds that the save at the stop may take."""


class Kept(Protocol):
    """What can be kept. `version` changes with everything that `snapshot` holds."""

    version: int

    def snapshot(self, now: float, wall: float) -> Json:
        """What outlives a restart, as JSON values."""
        ...

    def restore(self, data: Json, now: float, wall: float) -> None:
        """Takes a snapshot back; ValueError if it is none."""
        ...


async def restore(kept: Kept, path: Path, clock: Clock, complain: Callable[[str], None]) -> None:
    """Takes back what is in the file: once, at the start of a process.

    Args:
        kept: the state.
        path: its file.
        clock: for wall-clock times.
        complain: told in one sentence what is wrong with the file; the server goes on without it.
    """
    try:
        data = await trio.to_thread.run_sync(load, path)
        if data is not None:
            kept.restore(data, trio.current_time(), clock.now())
    except StateError as error:
        complain(f"{error}; starting without it")
    except ValueError as error:
        complain(f"{path}: {error}; starting without it")


async def run(
    kept: Kept,
    path: Path,
    clock: Clock,
    complain: Callable[[str], None],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Saves until it is cancelled. Arguments as of `restore`."""
    saved = kept.version
    task_status.started()
    try:
        while True:
            await trio.sleep(EVERY)
            if kept.version != saved:
                saved = await _save(kept, path, clock, complain)
    finally:
        if kept.version != saved:
            with trio.CancelScope(deadline=trio.current_time() + _LAST, shield=True):
                await _save(kept, path, clock, complain)


async def _save(kept: Kept, path: Path, clock: Clock, complain: Callable[[str], None]) -> int:
    """Writes a snapshot; the version that it is of, even if the disk refused it."""
    version = kept.version
    content = kept.snapshot(trio.current_time(), clock.now())
    try:
        await trio.to_thread.run_sync(save, path, content, abandon_on_cancel=True)
    except StateError as error:
        complain(str(error))
    return version
