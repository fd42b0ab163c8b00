"""What a server hands to the application: a request, and a way to answer it."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

Headers = list[tuple[bytes, bytes]]


class HttpRequest(Struct, kw_only=True, gc=False):
    """A whole request. HEAD comes as GET: the responder leaves the body out.

    `path` is raw and without the query. `body` is already decompressed. `peer` is an address
    without port. `http_version`: b"1.0", b"1.1" or b"2".
    """

    method: bytes
    path: bytes
    query: bytes
    headers: Headers
    """Names in lower case, in order."""
    table: dict[bytes, bytes]
    """First value by name."""
    body: bytes
    peer: str
    http_version: bytes = b"1.1"

    def header(self, name: bytes) -> bytes | None:
        """The first value of a lower-case name."""
        return self.table.get(name)


class Responder(Protocol):
    """One answer: either `whole`, or `start`, `send`s and `end`.

    Error handling: when the client is gone or does not read, the handler is cancelled; no method
    raises for that.
    """

    started: bool
    """Something was sent: status and headers cannot change any more."""
    client_gone: bool
    extra_headers: Headers
    """Added to every answer, before its own."""

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Head and body in one write. Content-Length is added."""
        ...

    def wait_for(self, headers: Headers, keepalive: bytes, seconds: float) -> None:
        """A stream is coming, maybe not soon: a client that heard nothing for so many seconds gets a
        head of status 200 and then `keepalive`, again and again, until `start` or `whole`.

        Once that began, `started` is set: the head of `start` is left out, `whole` is no longer allowed.
        """
        ...

    def start(self, status: int, headers: Headers) -> None:
        """Sets the head of a stream; it leaves with the first `send`, or with `end`."""
        ...

    async def send(self, data: bytes) -> None:
        """One write with the pending head and the framing. Empty data sends nothing."""
        ...

    async def end(self) -> None:
        """Ends the stream."""
        ...


class App(Protocol):
    """What the server serves."""

    def is_ready(self) -> bool:
        """Whether requests can be served now, for probes."""
        ...

    def is_fast(self, method: bytes, path: bytes) -> bool:
        """Whether `handle` answers this; everything else is the other lane's. HEAD asks as GET."""
        ...

    async def handle(self, request: HttpRequest, responder: Responder) -> None:
        """Answers. Cancelled when the client goes away."""
        ...
