"""Notices that the configuration changed: looks at its files twice a second, compares contents.

A look asks for inode, times and size, so it sees a rename over the file, a write in place, a swapped
symbolic link and a bind-mounted single file alike, which file events do not. What looks new is read
when it was still for a moment, and counts only if its contents differ.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Final, TypeAlias

import trio
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

PERIOD: Final = 0.5
"""Seconds between two looks."""
_BUSY_PERIOD: Final = 0.1
"""Between two looks while something changes."""
STILL: Final = 0.2
"""How long files must not change before they are read."""
_LATEST: Final = 1.0
"""After so long of changes they are read all the same."""
_SLOW: Final = 0.02
"""A look that took longer (a network disk, thousands of files) is done in a thread from then on."""
_SIZE: Final = 8 * 1024 * 1024 + 1

Seen: TypeAlias = tuple[int, int, int, int, int]
"""Device, inode, modification and change time, size."""
Look: TypeAlias = "dict[str, Seen]"

ROUTE_SUFFIXES: Final = (".toml", ".yaml", ".yml")


class Places(Struct, frozen=True, kw_only=True):
    """What is looked at. `files` count by whatever name; of `folders`, the files of routes. A folder may
    also be a single file.
    """

    files: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()


def look(places: Places) -> Look:
    """One look, by path. What does not exist is left out."""
    found: Look = {}
    for path in places.files:
        _see(path, found)
    for folder in places.folders:
        try:
            with os.scandir(folder) as entries:
                names = [entry.name for entry in entries]
        except NotADirectoryError:
            _see(folder, found)
            continue
        except OSError:
            continue
        for name in sorted(names):
            if counts(name):
                _see(os.path.join(folder, name), found)  # noqa: PTH118  # twice a second, for each file
    return found


def counts(name: str) -> bool:
    """Whether a file of a folder is one of its own: not an editor's draft, lock or backup."""
    return name.endswith(ROUTE_SUFFIXES) and not name.startswith((".", "#", "~"))


def _see(path: str, found: Look) -> None:
    try:
        stat = os.stat(path)  # noqa: PTH116  # the same
    except OSError:
        return
    if not (stat.st_mode & 0o170000) == 0o100000:  # noqa: SIM201  # reads as: is a regular file
        return
    found[path] = (stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size)


def contents(paths: Iterable[str]) -> dict[str, bytes]:
    """The bytes of the files that can be read."""
    found: dict[str, bytes] = {}
    for path in paths:
        try:
            with open(path, "rb") as file:  # noqa: PTH123  # one of thousands
                found[path] = file.read(_SIZE)
        except OSError:
            continue
    return found


def digest(texts: Mapping[str, bytes]) -> str:
    """One digest over names and contents; their order does not count."""
    total = hashlib.sha256()
    for path in sorted(texts):
        name = path.encode("utf-8", "surrogateescape")
        total.update(b"%d %b %d " % (len(name), name, len(texts[path])))
        total.update(texts[path])
    return total.hexdigest()


class Stillness:
    """Tells from looks when what changed is worth reading. Pure: the caller brings looks and time."""

    def __init__(self, first: Look) -> None:
        self._last = first
        self._since: float | None = None
        self._began = 0.0

    @property
    def busy(self) -> bool:
        """Whether a change is being waited out."""
        return self._since is not None

    def ready(self, seen: Look, now: float) -> bool:
        """Takes one look; true once per change, when the files are still, or change for too long."""
        if seen != self._last:
            self._last = seen
            if self._since is None:
                self._began = now
            self._since = now
        if self._since is None:
            return False
        if now - self._since < STILL and now - self._began < _LATEST:
            return False
        self._since = None
        return True


class Watch:
    """Watches some places, from `known` on: the digest of what was read at the start."""

    def __init__(self, places: Callable[[], Places], known: str | None = None) -> None:
        self._places = places
        self._known = known
        self._slow = False

    async def run(
        self,
        changed: Callable[[], Awaitable[None]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Calls `changed` after each change of contents, until cancelled."""
        first = await self._look()
        stillness = Stillness(first)
        # What changed between the reading at the start and the first look must not be missed.
        if await self._is_new(first) and self._known is not None:
            stillness = Stillness({})
        task_status.started()
        while True:
            await trio.sleep(_BUSY_PERIOD if stillness.busy else PERIOD)
            seen = await self._look()
            if stillness.ready(seen, trio.current_time()) and await self._is_new(seen, keep=True):
                await changed()

    async def _look(self) -> Look:
        places = self._places()
        if self._slow:
            return await trio.to_thread.run_sync(look, places)
        start = trio.lowlevel.current_clock().current_time()
        found = look(places)
        self._slow = trio.lowlevel.current_clock().current_time() - start > _SLOW
        return found

    async def _is_new(self, seen: Look, *, keep: bool = False) -> bool:
        """Whether contents differ from the last known ones, which `keep` replaces."""
        now = await trio.to_thread.run_sync(_digest_of, tuple(seen))
        new = now != self._known
        if keep or self._known is None:
            self._known = now
        return new


def _digest_of(paths: tuple[str, ...]) -> str:
    return digest(contents(paths))
