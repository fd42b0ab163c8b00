"""What the data path asks of the network. `proxy/net/transport.py` implements it on trio + httptools."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Protocol, overload

from msgspec import Struct

Headers = list[tuple[bytes, bytes]]


class Call(Struct, kw_only=True):
    """One upstream request, ready to be written.

    `headers`: complete but for Host, Content-Length, Connection and Accept-Encoding, which the
    transport adds. Timeouts in seconds; 0 = none. `proxy`: URL or "".
    """

    method: bytes
    url: str
    """Absolute, already escaped."""
    headers: Headers
    body: bytes
    proxy: str = ""
    http2: bool = False
    connect_timeout: float = 10.0
    first_timeout: float = 300.0
    idle_timeout: float = 300.0
    tap: Callable[[bytes], None] | None = None
    """Sees every piece of a good answer's body, and b"" at its end. It may not raise."""


class Reply(Protocol):
    """An upstream's answer: head read, body as it comes, content-encoding undone."""

    status: int
    headers: Headers
    """Names in lower case, in order."""

    @overload
    async def receive(self) -> bytes: ...
    @overload
    async def receive(self, patience: float) -> bytes | None: ...
    async def receive(self, patience: float = 0.0) -> bytes | None:
        """The next bytes of the body (at most 64 KiB decoded a piece); b"" at its end.

        None if `patience` is above 0 and nothing came for so many seconds; the body goes on.

        Raises:
            UpstreamBroken: the body ended early, timed out or was malformed.
        """
        ...

    async def read(self, limit: int, deadline: float = math.inf) -> bytes:
        """The whole rest of the body; UpstreamBroken past `limit` bytes, or if it is not over at
        `deadline` (monotonic; looked at before every further piece, so silence is for the idle limit).
        """
        ...

    async def aclose(self) -> None:
        """Gives the connection back if the body was read to its end, else closes it. Never blocks."""
        ...


class Transport(Protocol):
    """Sends calls over pooled connections."""

    def send(self, call: Call) -> Awaitable[Reply]:
        """Writes the call and reads the answer's head.

        Raises:
            UpstreamBroken: nothing usable came back.
        """
        ...


class UpstreamBroken(Exception):  # noqa: N818  # reads as what happened: `except UpstreamBroken`
    """The upstream failed below HTTP. `reason` is short and holds no URL and no secret.

    kinds: connect, tls, proxy, timeout, closed, protocol, too_large, stopped.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


def endless() -> UpstreamBroken:
    """Something kept coming, and was not over in time."""
    return UpstreamBroken("timeout", "the answer was not over in time")


def stopped() -> UpstreamBroken:
    """This server ends, and with it the call."""
    return UpstreamBroken("stopped", "this server is being stopped")
