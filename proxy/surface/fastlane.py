"""Model traffic over HTTP/1.1: one task per connection, one write per piece, strict framing.

No deadline costs a timer here: the server's sweeper asks each connection for its phase (see
`proxy/net/sweep.py`) and cuts the one that is too slow.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import trio

from proxy.http1.encodings import decode_body
from proxy.http1.limits import BadRequest
from proxy.http1.request import Head, RequestParser
from proxy.jsonio import encode
from proxy.net.sock import Stream, StreamBroken
from proxy.surface.http import Headers, HttpRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.surface.http import App

HEAD_SECONDS: Final = 10.0
BODY_SECONDS: Final = 30.0
IDLE_SECONDS: Final = 75.0
WRITE_SECONDS: Final = 30.0
LINGER_SECONDS: Final = 1.0
"""How long a refused client may go on sending: closing at once would destroy the answer (RST)."""
LINGER_BYTES: Final = 4 * 1024 * 1024

HTTP2_START: Final = b"PRI * HTTP/2.0\r\n\r\n"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_STATUS: Final[dict[int, bytes]] = {
    s.value: b"HTTP/1.1 %d %b\r\n" % (s.value, s.phrase.encode()) for s in HTTPStatus
}
_KINDS: Final = {408: "timeout_error", 503: "overloaded_error", 500: "server_error"}
_SENT: Final = b"sent"
"""In place of a head that a keep-alive is taking along."""
IDLE, HEAD, BODY, BUSY, OTHER = range(5)
_BY_PIECE: Final = frozenset({BODY, BUSY})
_WRITES: Final = frozenset({BUSY, OTHER})
_PATIENCE: Final = (IDLE_SECONDS, HEAD_SECONDS, BODY_SECONDS, 0.0, 0.0)


def error_body(status: int, message: str) -> bytes:
    """What a protocol error says, in the shape that all client protocols understand."""
    kind = _KINDS.get(status, "invalid_request_error")
    return encode({"error": {"message": message, "type": kind}})


def error_answer(status: int, message: str, more: bytes = b"") -> bytes:
    """A whole answer that ends its connection. `more`: further header lines."""
    body = error_body(status, message)
    head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
    return _status_line(status) + more + head % len(body) + body


def _status_line(status: int) -> bytes:
    return _STATUS.get(status) or b"HTTP/1.1 %d Status\r\n" % status


def _lines(headers: Headers) -> bytes:
    block = b"".join([b"%b: %b\r\n" % pair for pair in headers])
    count = len(headers)
    if block.count(b"\n") != count or block.count(b"\r") != count:
        raise ValueError("a response header holds a line break")
    return block


class FastResponder:
    """`http.Responder` of one request."""

    __slots__ = (
        "_bodiless",
        "_calming",
        "_chunked",
        "_connection",
        "_head",
        "_waits",
        "client_gone",
        "extra_headers",
        "keep_alive",
        "started",
        "whole_sent",
    )

    def __init__(self, connection: FastConnection, head: Head, *, keep_alive: bool) -> None:
        self._connection = connection
        self._bodiless = head.method == b"HEAD"
        self._chunked = head.minor == 1
        self._head = b""
        self._waits: tuple[Headers, bytes, float] | None = None
        self._calming: trio.Event | None = None
        self.keep_alive = keep_alive
        self.started = False
        self.whole_sent = False
        self.client_gone = False
        self.extra_headers: Headers = []

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """See `http.Responder`."""
        self._waits = None
        head = _status_line(status) + self._lines(headers) + self._ending()
        if status not in {204, 304}:
            head += b"content-length: %d\r\n" % len(body)
        elif body:
            raise ValueError(f"an answer of status {status} has no body")
        self.started = True
        data = head + b"\r\n" if self._bodiless else b"%b\r\n%b" % (head, body)
        try:
            await self._connection.stream.send(data)
        except StreamBroken:
            await self._lost()
        self.whole_sent = True

    def wait_for(self, headers: Headers, keepalive: bytes, seconds: float) -> None:
        """See `http.Responder`. Costs nothing until the sweeper finds the connection quiet."""
        self._waits = (headers, keepalive, seconds)

    def is_impatient(self, seconds: float) -> bool:
        """Whether a client that heard nothing for so long is to be calmed."""
        return self._waits is not None and self._calming is None and seconds >= self._waits[2]

    async def calm(self) -> None:
        """Sends what `wait_for` said, in a task beside the handler's; `send` waits for it."""
        if self._waits is None:
            return
        headers, data, _ = self._waits
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if not self.started:
            data = self._head_of(200, headers) + data
            self.started = True
        self._calming = done = trio.Event()
        try:
            await self._write(data)
        finally:
            self._calming = None
            done.set()

    def start(self, status: int, headers: Headers) -> None:
        """See `http.Responder`."""
        self._waits = None
        if self.started:
            self._head = _SENT if self._calming is not None else b""
        else:
            self._head = self._head_of(status, headers)

    def _head_of(self, status: int, headers: Headers) -> bytes:
        framing = b"transfer-encoding: chunked\r\n" if self._chunked else b""
        if not self._chunked:
            self.keep_alive = False
        lines = self._lines(headers)
        return b"%b%b%b%b\r\n" % (_status_line(status), lines, self._ending(), framing)

    def _lines(self, headers: Headers) -> bytes:
        """The header lines. Answers that take the same way have the same list, which is written once."""
        connection = self._connection
        if headers is not connection.written:
            connection.lines, connection.written = _lines(headers), headers
        return connection.lines + _lines(self.extra_headers)

    async def send(self, data: bytes) -> None:
        """See `http.Responder`."""
        if not data:
            return
        if self._bodiless:
            data = b""
        elif self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if self._head:
            data = await self._take_head() + data
            self.started = True
        # Not through _write: this is the path of every streamed event.
        try:
            await self._connection.stream.send(data)
        except StreamBroken:
            await self._lost()

    async def end(self) -> None:
        """See `http.Responder`."""
        last = b"0\r\n\r\n" if self._chunked and not self._bodiless else b""
        data = await self._take_head() + last
        self.started = True
        if data:
            await self._write(data)
        self.whole_sent = True

    async def _take_head(self) -> bytes:
        """What is to be sent of the head; a keep-alive that is on its way goes first."""
        head, self._head = self._head, b""
        if head is not _SENT:
            return head
        if self._calming is not None:
            await self._calming.wait()
        return b""

    def _ending(self) -> bytes:
        if not self.keep_alive:
            return b"connection: close\r\n"
        return b"" if self._chunked else b"connection: keep-alive\r\n"

    async def _write(self, data: bytes) -> None:
        try:
            await self._connection.stream.send(data)
        except StreamBroken:
            await self._lost()

    async def _lost(self) -> None:
        self.client_gone = True
        self._connection.scope.cancel()
        await trio.lowlevel.checkpoint()


class HandOver(Exception):  # noqa: N818 - no error
    """This connection belongs to the other lane; `unread` is what was read of it."""

    def __init__(self, unread: bytes) -> None:
        super().__init__()
        self.unread = unread


class FastConnection:
    """One client connection, from its first byte to its end or its hand-over."""

    __slots__ = (
        "_app",
        "_body_limit",
        "_late",
        "_on_error",
        "_parser",
        "_serial",
        "closing",
        "impatient",
        "lines",
        "peer",
        "phase",
        "responder",
        "scope",
        "stream",
        "written",
    )

    def __init__(
        self,
        app: App,
        stream: Stream,
        *,
        peer: str,
        body_limit: int,
        on_error: Callable[[BaseException], None],
    ) -> None:
        self._app = app
        self._body_limit = body_limit
        self._on_error = on_error
        self._parser = RequestParser(body_limit)
        self._serial = 0
        self._late = ""
        self.stream = stream
        self.peer = peer
        self.phase = HEAD
        self.closing = False
        self.impatient = False
        """The client waits for an answer that is not there yet, and is to be calmed."""
        self.scope = trio.CancelScope()
        self.responder: FastResponder | None = None
        self.written: Headers | None = None
        """The headers of the last answer, which are not changed any more, and their lines."""
        self.lines = b""

    # What the sweeper asks.

    def progress(self) -> int:
        """See sweep.Watched. A head's clock runs from its start, a body's from its last piece."""
        if self.phase in _BY_PIECE:
            return (self._serial << 40) + self.stream.moved
        return self._serial

    def quiet(self, seconds: float) -> None:
        """See sweep.Watched."""
        patience = _PATIENCE[self.phase]
        if self.phase in _WRITES and self.stream.writing:
            patience = WRITE_SECONDS
        if 0 < patience <= seconds:
            self._expire()
        elif self.responder is not None and self.responder.is_impatient(seconds):
            self.impatient = True

    async def calm(self) -> None:
        """Lets an impatient client know that its answer is on the way."""
        self.impatient = False
        if self.responder is not None:
            await self.responder.calm()

    def _expire(self) -> None:
        if self.phase == IDLE:
            self.stream.abort()
            return
        if self.phase == HEAD:
            self._late = "The request head did not arrive in time."
        elif self.phase == BODY:
            self._late = "The request body stopped arriving."
        else:
            self.stream.abort()
        self.scope.cancel()

    def lose(self) -> None:
        """The client is gone: ends the handler, and with it the upstream call."""
        if self.responder is not None:
            self.responder.client_gone = True
        self.stream.abort()
        self.scope.cancel()

    def drain(self, *, patient: bool) -> None:
        """The server stops: this request is the last, and an idle connection ends (`patient`: unless
        one more comes).
        """
        self.closing = True
        unused = self.phase == HEAD and not self.stream.moved
        if (self.phase == IDLE or unused) and not patient:
            self.stream.abort()

    async def run(self) -> None:
        """Serves until the end.

        Raises:
            HandOver: the next request is not ours.
        """
        with self.scope:
            try:
                while await self._one_request():
                    pass
            except BadRequest as bad:
                self.phase = OTHER
                await self._refuse(bad)
            except StreamBroken:
                pass
        if self._late:
            self.stream.send_now(error_answer(408, self._late))

    async def _one_request(self) -> bool:
        head = await self._next_head()
        if head is None:
            return False
        body = self._parser.body()
        if body is None:
            body = await self._rest_of_body(head)
            if body is None:
                return False
        coding = head.table.get(b"content-encoding")
        if coding is not None:
            body = decode_body(coding, body, self._body_limit)
        self._enter(BUSY)
        await self._answer(head, body)
        responder = self.responder
        self.responder = None
        return responder is not None and responder.whole_sent and responder.keep_alive

    def _enter(self, phase: int) -> None:
        self.phase = phase
        self._serial += 1

    async def _next_head(self) -> Head | None:
        parser, stream = self._parser, self.stream
        if self._serial:
            self._enter(HEAD if parser.unread else IDLE)
            if self.closing and self.phase == IDLE:
                return None
        wait = True
        while True:
            unread = parser.unread if self.phase == HEAD else b""
            if unread:
                if unread.startswith(HTTP2_START):
                    raise HandOver(unread)
                head = parser.peek()
                if head is not None:
                    break
            data = await stream.receive(wait=wait)
            if not data:
                return None
            wait = False
            parser.feed(data)
            if self.phase == IDLE:
                self._enter(HEAD)
        method = b"GET" if head.method == b"HEAD" else head.method
        if not self._app.is_fast(method, head.path):
            raise HandOver(parser.unread)
        parser.consume(head)
        return head

    async def _rest_of_body(self, head: Head) -> bytes | None:
        self._enter(BODY)
        parser, stream = self._parser, self.stream
        if head.expects:
            await stream.send(_CONTINUE)
        while True:
            data = await stream.receive()
            if not data:
                return None
            parser.feed(data)
            body = parser.body()
            if body is not None:
                return body

    async def _answer(self, head: Head, body: bytes) -> None:
        request = HttpRequest(
            method=b"GET" if head.method == b"HEAD" else head.method,
            path=head.path,
            query=head.query,
            headers=head.fields,
            table=head.table,
            body=body,
            peer=self.peer,
            http_version=b"1.1" if head.minor else b"1.0",
        )
        keep_alive = head.keep_alive and not self.closing
        responder = FastResponder(self, head, keep_alive=keep_alive)
        self.responder = responder
        try:
            await self._app.handle(request, responder)
        except Exception as error:  # noqa: BLE001 - one request's fault must not end the server
            self._on_error(error)
            if not responder.started:
                responder.keep_alive = False
                body = error_body(500, "Internal error.")
                await responder.whole(500, [(b"content-type", b"application/json")], body)

    async def _refuse(self, bad: BadRequest) -> None:
        """Says what is wrong, and reads on for a moment so that the client can read it too."""
        await self.stream.send(error_answer(bad.status, bad.message))
        with trio.move_on_after(LINGER_SECONDS):
            for _ in range(LINGER_BYTES // 65536):
                if not await self.stream.receive():
                    return
