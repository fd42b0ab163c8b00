"""A transport that answers the `demo` upstream itself and hands every other call on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import trio

from proxy.jsonio import top_level
from proxy.upstream import demo

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from proxy.net.api import Call, Headers, Reply, Transport

SCHEME: Final = "demo:"
"""Base URL of demo credentials; no socket is ever opened for it."""


class OfflineReply:
    """A `Reply` from memory; pieces come at the demo model's pace."""

    def __init__(self, status: int, headers: Headers, pieces: list[tuple[float, bytes]]) -> None:
        self.status = status
        self.headers = headers
        self._pieces = pieces
        self._next = 0

    async def receive(self, patience: float = 0.0) -> bytes:  # noqa: ARG002  # pieces are never late
        """The next piece, after its delay."""
        if self._next >= len(self._pieces):
            await trio.lowlevel.checkpoint()
            return b""
        delay, data = self._pieces[self._next]
        await trio.sleep(delay)
        self._next += 1
        return data

    async def read(self, limit: int, deadline: float = math.inf) -> bytes:  # noqa: ARG002  # our own short text
        """All pieces at once."""
        await trio.lowlevel.checkpoint()
        rest = self._pieces[self._next :]
        self._next = len(self._pieces)
        return b"".join(data for _, data in rest)

    async def aclose(self) -> None:
        """Nothing to give back."""
        self._next = len(self._pieces)
        await trio.lowlevel.checkpoint()


class WithDemo:
    """The transport of a server: demo answers from here, all else from `inner`."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner

    def send(self, call: Call) -> Awaitable[Reply]:
        """As `Transport.send`."""
        if call.url.startswith(SCHEME):
            return self._answer(call)
        return self._inner.send(call)

    async def _answer(self, call: Call) -> Reply:
        body = top_level(call.body)
        status, headers, data = demo.answer(body)
        if status == 200 and bytes(memoryview(body.get("stream", b"false"))) == b"true":  # type: ignore[arg-type]  # values of top_level are Raw
            pieces = demo.chunks(body)
            return OfflineReply(200, [(b"content-type", b"text/event-stream")], pieces)
        return OfflineReply(status, headers, [(0.0, data)])
