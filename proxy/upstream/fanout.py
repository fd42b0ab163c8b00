"""Several calls for one request at a time: races and hedges. The first answer wins, the rest are ended.

Knows neither pools nor protocols: a `Start` opens an answer or raises ProxyError, and cleans up after
itself when it is cancelled. Nothing reaches the client before a winner is returned, and a winner is
returned only when every loser has ended.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

import trio

from proxy.errors import Fault, ProxyError, Retry

_MOST_ROUTES: Final = 4096
_CLOSING: Final = 1.0
"""Seconds that the close of an answer may take: it never blocks, so this only bounds a mistake."""
_SAVED: Final = 10.0
"""Most hedges that a quiet route saves up."""
_WAITED_FOR: Final = 60.0
"""Seconds: the official SDKs wait for no longer `Retry-After`, but try again at their own pace."""


class Answer(Protocol):
    """What a start gives."""

    @property
    def empty(self) -> bool:
        """It is over and said nothing: it wins only if nobody says more."""
        ...

    async def close(self) -> None:
        """Gives back what it holds. Never blocks."""
        ...


A = TypeVar("A", bound=Answer)
Start: TypeAlias = Callable[[], Awaitable[A]]


class HedgeBudget:
    """Per route: every request earns a share of a hedge, every hedge spends a whole one."""

    def __init__(self) -> None:
        self._saved: OrderedDict[str, float] = OrderedDict()

    def earn(self, route: str, share: float) -> None:
        """One more request of this route."""
        saved = self._saved.get(route, 0.0) + share
        self._saved[route] = min(saved, max(_SAVED, share))
        self._saved.move_to_end(route)
        if len(self._saved) > _MOST_ROUTES:
            self._saved.popitem(last=False)

    def spend(self, route: str) -> bool:
        """Whether one more hedge is within the share; it counts as made."""
        saved = self._saved.get(route, 0.0)
        if saved < 1.0 - 1e-9:
            return False
        self._saved[route] = saved - 1.0
        return True


async def race(starts: Sequence[Start[A]]) -> A:
    """Starts all; the first answer wins. Raises the most telling failure."""
    return await _Contest[A]().run(starts, 0.0, len(starts), lambda: True)


async def hedge(
    starts: Sequence[Start[A]], after: float, most: int, allowed: Callable[[], bool]
) -> A:
    """Starts the next one when none answered for `after` seconds, at most `most` times and while
    `allowed`; at once where the last one failed. Raises the most telling failure."""
    return await _Contest[A]().run(starts, after, most, allowed)


class _Contest(Generic[A]):
    """One request's starts. Its nursery is its own and ends with `run`."""

    def __init__(self) -> None:
        self._winner: A | None = None
        self._spare: A | None = None
        self._failures: list[ProxyError] = []
        self._running = 0
        self._news = trio.Event()

    async def run(
        self, starts: Sequence[Start[A]], after: float, most: int, allowed: Callable[[], bool]
    ) -> A:
        """See `race` and `hedge`."""
        try:
            async with trio.open_nursery() as nursery:
                await self._begin(nursery, starts, after, most, allowed)
                nursery.cancel_scope.cancel()
        except BaseException:
            await self._drop(self._winner)
            await self._drop(self._spare)
            raise
        if self._winner is not None:
            await self._drop(self._spare)
            return self._winner
        if self._spare is not None:
            return self._spare
        raise most_telling(self._failures)

    async def _begin(
        self,
        nursery: trio.Nursery,
        starts: Sequence[Start[A]],
        after: float,
        most: int,
        allowed: Callable[[], bool],
    ) -> None:
        """Starts one after the other as it is due; returns when there is a winner or none can come."""
        waiting = list(starts)
        extra = most
        due = trio.current_time()
        while self._winner is None:
            lone = not self._running
            if lone and not self._may_go_on(waiting):
                return
            if waiting and (lone or trio.current_time() >= due):
                if lone:
                    # The first one, or the next after all failed: failover, no hedge.
                    self._start(nursery, waiting.pop(0))
                elif extra > 0 and allowed():
                    extra -= 1
                    self._start(nursery, waiting.pop(0))
                else:
                    extra = 0
                due = trio.current_time() + after if extra > 0 else math.inf
                if not after and extra > 0:
                    continue
            with trio.move_on_at(due if waiting else math.inf):
                await self._news.wait()
                self._news = trio.Event()

    def _may_go_on(self, waiting: Sequence[Start[A]]) -> bool:
        """With nothing under way: whether the next start makes sense."""
        return bool(waiting) and all(f.retry is not Retry.NEVER for f in self._failures)

    def _start(self, nursery: trio.Nursery, start: Start[A]) -> None:
        self._running += 1
        nursery.start_soon(self._one, start, nursery.cancel_scope)

    async def _one(self, start: Start[A], scope: trio.CancelScope) -> None:
        try:
            answer = await start()
        except ProxyError as failure:
            self._failures.append(failure)
        else:
            if self._winner is None and not answer.empty:
                self._winner = answer
                scope.cancel()
            elif self._winner is None and self._spare is None:
                self._spare = answer
            else:
                await answer.close()
        self._running -= 1
        self._news.set()

    async def _drop(self, answer: A | None) -> None:
        """Shielded: a client that leaves now must not keep the other answer from being dropped or used."""
        if answer is not None:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSING):
                await answer.close()


def most_telling(failures: Sequence[ProxyError]) -> ProxyError:
    """Of all failures the one that a client can do most about. Of equals the limit that ends first, else
    the last that an upstream put into words, else the last.
    """
    first = min(map(_rank, failures))
    equals = [failure for failure in failures if _rank(failure) == first]
    timed = [failure for failure in equals if failure.retry_after is not None]
    if timed:
        return min(timed, key=lambda failure: failure.retry_after or 0.0)
    worded = [failure for failure in equals if failure.body]
    return (worded or equals)[-1]


def _rank(failure: ProxyError) -> int:
    """By what a coding tool does: it mends its request, waits for a short limit, tries again at its own
    pace, and gives up at a long limit or a refused key.
    """
    if failure.retry is Retry.NEVER and failure.fault is Fault.UPSTREAM:
        return 0
    if failure.retry_after is not None:
        return 1 if failure.retry_after <= _WAITED_FOR else 4
    if failure.status >= 500 or failure.status == 408:
        return 2
    return 3 if failure.status == 429 else 5
