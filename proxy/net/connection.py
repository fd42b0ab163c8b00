"""One connection to an upstream: an exchange at a time, its reply, its way back to the pool."""

from __future__ import annotations

import math
import select
from collections.abc import Callable
from typing import Final, overload

import trio

from proxy.http1.encodings import BadCoding, Decoder, UnknownCoding, decoder_for
from proxy.http1.limits import BadResponse
from proxy.http1.response import ResponseParser
from proxy.net.api import Call, Headers, UpstreamBroken, endless, stopped
from proxy.net.origin import Address, Origin
from proxy.net.sock import Nudged, Stream, StreamBroken

_JOIN: Final = 32 * 1024
"""Bodies up to this size leave in one write with their head; copying more costs more than a call."""
_BODILESS: Final = frozenset({b"GET", b"HEAD"})
_OURS: Final = frozenset({b"host", b"content-length", b"connection", b"transfer-encoding"})


class Connection:
    """Owned by one exchange at a time, or idle in the pool."""

    __slots__ = (
        "_head",
        "_nudges",
        "_poll",
        "expired",
        "limit",
        "nudge_after",
        "origin",
        "parser",
        "pooled",
        "stopped",
        "stream",
        "used",
    )

    def __init__(self, origin: Origin, stream: Stream) -> None:
        self.origin = origin
        self.stream = stream
        self.parser = ResponseParser()
        self.used = False
        self.limit = 0.0
        self.nudge_after = 0.0
        self._head: tuple[Address, bytes, Headers, bytes] | None = None
        """The last call's address, method and headers, and what they were written as."""
        self._nudges = 0
        self.expired = False
        self.pooled = False
        self.stopped = False
        self._poll = select.poll()
        self._poll.register(stream.fd, select.POLLIN)

    def is_quiet(self) -> bool:
        """Whether nothing came while it was idle: neither an end nor bytes that nobody asked for."""
        return not self._poll.poll(0)

    def progress(self) -> int:
        """See sweep.Watched."""
        return self.stream.moved

    def quiet(self, seconds: float) -> None:
        """See sweep.Watched: nudges a reader who asked for it, ends what outlived its time."""
        stream = self.stream
        # While a slow client keeps us from reading, the upstream is not idle.
        waits = stream.reading or stream.writing or self.pooled
        if waits and 0 < self.limit <= seconds:
            self.expired = True
            stream.abort()
        elif self.nudge_after > 0 and stream.reading:
            if seconds < self.nudge_after:
                self._nudges = 0
            elif seconds >= self.nudge_after * (self._nudges + 1):
                self._nudges += 1
                stream.nudge()

    async def exchange(self, call: Call, address: Address) -> None:
        """Writes the call and reads the answer's head into `parser`.

        Raises:
            NothingSent: it was closed before it took a byte.
            UpstreamBroken: anything else.
        """
        self.parser.begin(call.method)
        self.limit = call.first_timeout
        self.nudge_after = 0.0
        head = self._head_of(call, address)
        stream, parser = self.stream, self.parser
        begun = False
        try:
            if len(call.body) <= _JOIN:
                await stream.send(head + call.body)
            else:
                await stream.send(head)
                begun = True
                await stream.send(call.body)
        except StreamBroken as broken:
            if self.stopped:
                raise stopped() from None
            if self.expired:
                raise self._timeout("first byte") from None
            if not begun and not broken.begun:
                raise NothingSent from None
            await self._last_words()
        data = b""
        try:
            data = await stream.receive(wait=True)
            parser.feed(data)
            deadline = 0.0 if parser.status else trio.current_time() + (self.limit or math.inf)
            while not parser.status:
                data = await stream.receive()
                parser.feed(data)
                if trio.current_time() > deadline:
                    raise self._timeout("no whole head in time")
        except (StreamBroken, BadResponse) as error:
            raise self.broken(error, "no answer in time") from None
        self.used = True
        self.limit = call.idle_timeout

    def _head_of(self, call: Call, address: Address) -> bytes:
        """`request_head`; what was the same in the last call is not made again."""
        method, headers = call.method, call.headers
        last = self._head
        if last is None or last[0] is not address or last[1] != method or last[2] != headers:
            self._head = last = (address, method, headers, request_head(call, address))
        if call.body or method not in _BODILESS:
            return b"%bcontent-length: %d\r\n\r\n" % (last[3], len(call.body))
        return last[3] + b"\r\n"

    async def _last_words(self) -> None:
        """The upstream closed its ear, maybe after an answer (413, 401): go on and read it."""
        await trio.lowlevel.checkpoint()

    def broken(self, error: StreamBroken | BadResponse, late: str) -> UpstreamBroken:
        """What to tell of a failure while reading."""
        if self.stopped:
            return stopped()
        if self.expired:
            return self._timeout(late)
        if isinstance(error, BadResponse):
            return UpstreamBroken(error.kind, error.message)
        return UpstreamBroken("closed", "the connection was reset")

    def _timeout(self, late: str) -> UpstreamBroken:
        return UpstreamBroken("timeout", late)


class NothingSent(Exception):  # noqa: N818 - reads as what happened
    """The connection was dead before it took a byte of the request: another one may be tried."""


def request_head(call: Call, address: Address) -> bytes:
    """The head but for Content-Length and the last blank line. Raises UpstreamBroken for a header that
    would break out of it."""
    lines = [
        b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (call.method, address.target, address.host),
    ]
    encoding = False
    for name, value in call.headers:
        lower = name.lower()
        if lower in _OURS:
            continue
        if lower == b"accept-encoding":
            encoding = True
        lines.append(b"%b: %b\r\n" % (name, value))
    if not encoding:
        lines.append(b"accept-encoding: identity\r\n")
    head = b"".join(lines)
    breaks = len(lines) + 1
    if head.count(b"\n") != breaks or head.count(b"\r") != breaks or b"\0" in head:
        raise UpstreamBroken("protocol", "a request header holds a line break")
    return head


class PooledReply:
    """`api.Reply` of a direct call. `give_back` is called once, with whether it may be reused."""

    __slots__ = ("_connection", "_decoder", "_give_back", "_parser", "_stream", "headers", "status")

    def __init__(
        self, connection: Connection, give_back: Callable[[Connection, bool], None]
    ) -> None:
        self._connection: Connection | None = connection
        self._give_back = give_back
        self._parser = parser = connection.parser
        self._stream = connection.stream
        self.status = parser.status
        self.headers: Headers = parser.headers
        self._decoder: Decoder | None = None
        for name, value in parser.headers:
            if name == b"content-encoding":
                self._decode(value)

    def _decode(self, coding: bytes) -> None:
        try:
            self._decoder = decoder_for(coding)
        except UnknownCoding as unknown:
            self._release(reusable=False)
            raise UpstreamBroken("protocol", f"unknown content-encoding {unknown}") from None
        framing = {b"content-encoding", b"content-length"}
        self.headers = [pair for pair in self._parser.headers if pair[0] not in framing]

    @overload
    async def receive(self) -> bytes: ...
    @overload
    async def receive(self, patience: float) -> bytes | None: ...
    async def receive(self, patience: float = 0.0) -> bytes | None:
        """See `api.Reply`."""
        connection = self._connection
        if connection is not None:
            # The sweeper ends the wait: a cancel scope of each read would cost as much as the read.
            connection.nudge_after = patience
        try:
            if self._decoder is not None:
                return await self._receive_decoded(self._decoder)
            return await self._receive_plain()
        except Nudged:
            return None

    async def _receive_plain(self) -> bytes:
        parser = self._parser
        data = parser.take()
        if data:
            return data
        connection = self._connection
        if connection is None:
            return b""
        try:
            while not parser.done:
                parser.feed(await self._stream.receive())
                data = parser.take()
                if data:
                    return data
        except (StreamBroken, BadResponse) as error:
            broken = connection.broken(error, "the answer paused for too long")
            self._release(reusable=False)
            raise broken from None
        return b""

    async def _receive_decoded(self, decoder: Decoder) -> bytes:
        try:
            data = decoder.step(b"")
            while not data:
                raw = await self._receive_plain()
                if not raw:
                    if not decoder.finished():
                        raise UpstreamBroken("closed", "the compressed answer ended early")
                    return b""
                data = decoder.step(raw)
        except BadCoding as wrong:
            self._release(reusable=False)
            raise UpstreamBroken("protocol", str(wrong)) from None
        return data

    async def read(self, limit: int, deadline: float = math.inf) -> bytes:
        """See `api.Reply`."""
        parser = self._parser
        if parser.done and self._decoder is None and self._connection is not None:
            # It came whole with its head, as most do: nothing to wait for.
            data = parser.take()
            if len(data) <= limit:
                return data
            self._release(reusable=False)
            raise UpstreamBroken("too_large", "the answer is too large")
        parts: list[bytes] = []
        size = 0
        while data := await self.receive():
            size += len(data)
            if size > limit:
                self._release(reusable=False)
                raise UpstreamBroken("too_large", "the answer is too large")
            if parts and trio.current_time() > deadline:
                self._release(reusable=False)
                raise endless()
            parts.append(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def aclose(self) -> None:
        """See `api.Reply`."""
        self._release(reusable=self._parser.done and self._parser.reusable)

    def _release(self, *, reusable: bool) -> None:
        connection = self._connection
        if connection is not None:
            self._connection = None
            self._give_back(connection, reusable)
