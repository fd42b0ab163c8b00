"""Coarse deadlines: one task looks at all connections four times a second, so none sets a timer.

A connection tells only how far it got; the sweeper holds the clock and says for how long it was quiet.
A deadline is met at most one `PERIOD` late, and a read or write costs no clock and no scope.
"""

from __future__ import annotations

from typing import Final, Protocol

import trio

PERIOD: Final = 0.25


class Watched(Protocol):
    """What has a deadline."""

    def progress(self) -> int:
        """A number that changes whenever the clock shall start anew."""
        ...

    def quiet(self, seconds: float) -> None:
        """Told at every look: so long without progress. Acts if that is too long; never blocks."""
        ...


class Sweeper:
    """Watches what is in `watched`; sleeps without waking while that is empty."""

    def __init__(self) -> None:
        self._since: dict[Watched, tuple[int, float]] = {}
        self._wake = trio.Event()

    def add(self, watched: Watched) -> None:
        """From now on until `discard`."""
        if not self._since:
            self._wake.set()
        self._since[watched] = (watched.progress(), trio.current_time())

    def discard(self, watched: Watched) -> None:
        """No longer."""
        self._since.pop(watched, None)

    def watched(self) -> list[Watched]:
        """All that is watched now."""
        return list(self._since)

    def __len__(self) -> int:
        return len(self._since)

    async def wait_for_work(self) -> None:
        """Returns one PERIOD later, or when there is something to watch."""
        if not self._since:
            self._wake = trio.Event()
            await self._wake.wait()
        await trio.sleep(PERIOD)

    def sweep(self) -> None:
        """One look at all of them."""
        now = trio.current_time()
        since = self._since
        for watched, (seen, start) in list(since.items()):
            progress = watched.progress()
            if progress != seen:
                since[watched] = (progress, now)
            else:
                watched.quiet(now - start)
