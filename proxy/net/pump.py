"""Reads a reply ahead by one piece, so that waiting for it can be given up and taken up again.

Needed where a cancelled read would end the stream (httpx). Its task belongs to the caller's nursery.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

import trio

from proxy.net.api import UpstreamBroken

if TYPE_CHECKING:
    from proxy.net.api import Reply


class Pump:
    """`receive` as `api.Reply` has it, patience included."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._give, self._take = trio.open_memory_channel[bytes | UpstreamBroken](1)

    async def run(self) -> None:
        """Reads until the end; started by the caller."""
        async with self._give:
            try:
                while data := await self._reply.receive():
                    await self._give.send(data)
            except UpstreamBroken as broken:
                await self._give.send(broken)

    @overload
    async def receive(self) -> bytes: ...
    @overload
    async def receive(self, patience: float) -> bytes | None: ...
    async def receive(self, patience: float = 0.0) -> bytes | None:
        """See `api.Reply`."""
        with trio.move_on_after(patience or float("inf")):
            try:
                piece = await self._take.receive()
            except trio.EndOfChannel:
                return b""
            if isinstance(piece, UpstreamBroken):
                raise piece
            return piece
        return None
