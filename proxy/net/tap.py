"""Looks at an answer's bytes on their way: `Call.tap` carried out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.net.api import Call, Reply


def tapped(reply: Reply, call: Call) -> Reply:
    """The reply with the call's tap, if it has one; only good answers are looked at."""
    if call.tap is None or reply.status >= 300:
        return reply
    return TappedReply(reply, call.tap)


class TappedReply:
    """`api.Reply`. The tap gets every piece, and b"" at the end."""

    def __init__(self, reply: Reply, tap: Callable[[bytes], None]) -> None:
        self._reply = reply
        self._tap = tap
        self.status = reply.status
        self.headers = reply.headers

    @overload
    async def receive(self) -> bytes: ...
    @overload
    async def receive(self, patience: float) -> bytes | None: ...
    async def receive(self, patience: float = 0.0) -> bytes | None:
        """See `api.Reply`."""
        data = await self._reply.receive(patience)
        if data is not None:
            self._tap(data)
        return data

    async def read(self, limit: int, deadline: float = math.inf) -> bytes:
        """See `api.Reply`."""
        data = await self._reply.read(limit, deadline)
        self._tap(data)
        self._tap(b"")
        return data

    async def aclose(self) -> None:
        """See `api.Reply`."""
        await self._reply.aclose()
