"""The other lane: hypercorn and quart-trio for everything that is not model traffic over HTTP/1.1.

A connection comes here once, with the bytes already read, and stays. Model requests that arrive on
it (HTTP/2, or behind a page on the same connection) reach the same `App.handle`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from quart import Response
from quart_trio import QuartTrio

from proxy.http1 import limits
from proxy.http1.encodings import decode_body
from proxy.http1.limits import BadRequest
from proxy.jsonio import encode
from proxy.net.sock import Stream, StreamBroken
from proxy.surface.fastlane import BODY_SECONDS, IDLE_SECONDS, WRITE_SECONDS, error_body
from proxy.surface.http import Headers, HttpRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypercorn.typing import (
        ASGIReceiveCallable,
        ASGISendCallable,
        ASGISendEvent,
        HTTPResponseBodyEvent,
        HTTPScope,
        Scope,
    )

    from proxy.config.model import Settings
    from proxy.surface.http import App

_JSON: Final = [(b"content-type", b"application/json")]
_AT_ONCE: Final = 64 * 1024
"""Bytes that a client has the write deadline for."""
_ENDPOINTS: Final = ["POST /v1/chat/completions", "POST /v1/completions", "GET /v1/models"]


class ReplayStream:
    """A stream as hypercorn wants it: what was already read comes first."""

    def __init__(self, stream: Stream, unread: bytes) -> None:
        self._stream = stream
        self._unread = unread
        self.socket = stream.socket

    async def receive_some(self, _most: int | None = None) -> bytes:
        """As of a ReceiveStream."""
        if self._unread:
            data, self._unread = self._unread, b""
            return data
        try:
            return await self._stream.receive()
        except StreamBroken:
            raise trio.BrokenResourceError from None

    async def send_all(self, data: bytes) -> None:
        """As of a SendStream, with a deadline: hypercorn shields its writes and would wait for ever."""
        with trio.move_on_after(WRITE_SECONDS) as scope:
            try:
                await self._stream.send(bytes(data))
            except StreamBroken:
                raise trio.BrokenResourceError from None
        if scope.cancelled_caught:
            self._stream.abort()
            raise trio.BrokenResourceError

    async def send_eof(self) -> None:
        """Nothing: `aclose` follows at once."""

    async def aclose(self) -> None:
        """Closes the socket."""
        self._stream.close()


class TlsReplayStream(ReplayStream):
    """The same with the attributes by which hypercorn knows TLS; the handshake is over."""

    def __init__(self, stream: Stream, unread: bytes) -> None:
        super().__init__(stream, unread)
        self.transport_stream = self

    async def do_handshake(self) -> None:
        """Nothing."""

    def selected_alpn_protocol(self) -> str:
        """`h2` or `http/1.1`."""
        return self._stream.alpn or "http/1.1"


class OtherLane:
    """Serves handed-over connections. `draining` set: the server stops."""

    def __init__(self, app: App, settings: Settings, draining: trio.Event) -> None:
        self._app = app
        self._settings = settings
        self._draining = draining
        self._config = _config(settings)
        self._context = WorkerContext(None)
        self._pages = make_pages(lambda: app.is_ready() and not draining.is_set())

    async def serve(self, stream: Stream, unread: bytes) -> None:
        """One connection, to its end."""
        replay = (TlsReplayStream if stream.alpn is not None else ReplayStream)(stream, unread)
        server = TCPServer(
            ASGIWrapper(self._asgi),
            self._config,
            self._context,
            ConnectionState({}),
            replay,  # type: ignore[arg-type]  # it uses no more than we have
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_end)
            await server.run()
            nursery.cancel_scope.cancel()

    async def _watch_end(self) -> None:
        await self._draining.wait()
        await self._context.terminated.set()

    async def _asgi(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        if scope["type"] == "http":
            method = scope["method"].encode()
            path = scope["raw_path"].partition(b"?")[0]
            if self._app.is_fast(b"GET" if method == b"HEAD" else method, path):
                await self._model(scope, path, receive, send)
                return
        await self._pages(scope, receive, send)

    async def _model(
        self, scope: HTTPScope, path: bytes, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """A model request: the fast lane's handler behind ASGI's names."""
        bodiless = scope["method"] == "HEAD"
        try:
            request = await self._request(scope, path, receive)
        except BadRequest as bad:
            async with trio.open_nursery() as nursery:
                responder = AsgiResponder(send, nursery, bodiless=bodiless)
                await responder.whole(bad.status, _JSON, error_body(bad.status, bad.message))
            return
        if request is None:
            return
        async with trio.open_nursery() as nursery:
            responder = AsgiResponder(send, nursery, bodiless=bodiless)
            nursery.start_soon(_cancel_when_gone, receive, responder, nursery.cancel_scope)
            await self._app.handle(request, responder)
            nursery.cancel_scope.cancel()

    async def _request(
        self, scope: HTTPScope, path: bytes, receive: ASGIReceiveCallable
    ) -> HttpRequest | None:
        headers = [(bytes(name).lower(), bytes(value)) for name, value in scope["headers"]]
        if len(headers) > limits.FIELDS:
            raise BadRequest(431, "Too many header fields.")
        table = dict(reversed(headers))
        limit = self._settings.body_limit
        body = await _body(receive, limit)
        if body is None:
            return None
        if b"content-encoding" in table:
            body = decode_body(table[b"content-encoding"], body, limit)
        client = scope["client"]
        return HttpRequest(
            method=b"GET" if scope["method"] == "HEAD" else scope["method"].encode(),
            path=path,
            query=scope["query_string"],
            headers=headers,
            table=table,
            body=body,
            peer=client[0] if client else "",
            http_version=scope["http_version"].encode(),
        )


async def _body(receive: ASGIReceiveCallable, limit: int) -> bytes | None:
    """The whole body, None if the client left. Raises BadRequest (408, 413)."""
    parts: list[bytes] = []
    size = 0
    while True:
        with trio.move_on_after(BODY_SECONDS) as scope:
            event = await receive()
        if scope.cancelled_caught:
            raise BadRequest(408, "The request body stopped arriving.")
        if event["type"] != "http.request":
            return None
        parts.append(event["body"])
        size += len(event["body"])
        if size > limit:
            raise BadRequest(413, "The request body is too large.")
        if not event["more_body"]:
            return b"".join(parts)


async def _cancel_when_gone(
    receive: ASGIReceiveCallable, responder: AsgiResponder, scope: trio.CancelScope
) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    responder.client_gone = True
    scope.cancel()


class AsgiResponder:
    """`http.Responder` over ASGI. Keep-alives before the answer are a task in the request's nursery."""

    def __init__(self, send: ASGISendCallable, nursery: trio.Nursery, *, bodiless: bool) -> None:
        self._send = send
        self._nursery = nursery
        self._turn = trio.Lock()
        self._waits = 0
        """Number of the wait that is on; 0 while there is none."""
        self._last_wait = 0
        self._bodiless = bodiless
        self._head: tuple[int, Headers] | None = None
        self.started = False
        self.client_gone = False
        self.extra_headers: Headers = []

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """See `http.Responder`."""
        self._waits = 0
        if status not in {204, 304}:
            headers = [*headers, (b"content-length", b"%d" % len(body))]
        await self._begin(status, headers)
        await self._piece(b"" if self._bodiless else body, more=False)

    def wait_for(self, headers: Headers, keepalive: bytes, seconds: float) -> None:
        """See `http.Responder`."""
        self._last_wait += 1
        self._waits = self._last_wait
        self._nursery.start_soon(self._calm, self._waits, headers, keepalive, seconds)

    async def _calm(self, wait: int, headers: Headers, keepalive: bytes, seconds: float) -> None:
        while True:
            await trio.sleep(seconds)
            async with self._turn:
                if self._waits != wait:
                    return
                if not self.started:
                    await self._begin(200, headers)
                if not self._bodiless:
                    await self._piece(keepalive, more=True)

    def start(self, status: int, headers: Headers) -> None:
        """See `http.Responder`."""
        self._waits = 0
        if not self.started:
            self._head = (status, headers)

    async def send(self, data: bytes) -> None:
        """See `http.Responder`."""
        if not data:
            return
        async with self._turn:
            if self._head is not None:
                await self._begin(*self._head)
            if not self._bodiless:
                await self._piece(data, more=True)

    async def end(self) -> None:
        """See `http.Responder`."""
        async with self._turn:
            if self._head is not None:
                await self._begin(*self._head)
            await self._piece(b"", more=False)

    async def _begin(self, status: int, headers: Headers) -> None:
        self._head = None
        self.started = True
        await self._in_time(
            {
                "type": "http.response.start",
                "status": status,
                "headers": self.extra_headers + headers,
                "trailers": False,
            }
        )

    async def _piece(self, data: bytes, *, more: bool) -> None:
        at = 0
        while len(data) - at > _AT_ONCE:
            await self._in_time(_body_event(data[at : at + _AT_ONCE], more=True))
            at += _AT_ONCE
        await self._in_time(_body_event(data[at:] if at else data, more=more))

    async def _in_time(self, event: ASGISendEvent) -> None:
        """Sends one event. A client whose flow control stays shut would be waited for without end."""
        with trio.move_on_after(WRITE_SECONDS) as scope:
            await self._send(event)
        if scope.cancelled_caught:
            self.client_gone = True
            self._nursery.cancel_scope.cancel()
            await trio.lowlevel.checkpoint()


def _body_event(data: bytes, *, more: bool) -> HTTPResponseBodyEvent:
    return {"type": "http.response.body", "body": data, "more_body": more}


def make_pages(is_ready: Callable[[], bool]) -> QuartTrio:
    """Pages for people and probes. Source: http-api sheet, section 2.

    `/healthz`: the process answers. `/readyz`: it can serve some model, and the accounts are read.
    """
    pages = QuartTrio("pointsman")

    async def front() -> Response:
        body = encode({"message": "Pointsman API Server", "endpoints": _ENDPOINTS})
        return Response(body, content_type="application/json")

    async def healthz() -> Response:
        return Response(b'{"status":"ok"}', content_type="application/json")

    async def readyz() -> Response:
        ready = is_ready()
        body = b'{"status":"ready"}' if ready else b'{"status":"not ready"}'
        return Response(body, status=200 if ready else 503, content_type="application/json")

    async def unknown(_error: Exception) -> Response:
        return Response("404 page not found", status=404, content_type="text/plain")

    pages.add_url_rule("/", "front", front)
    pages.add_url_rule("/healthz", "healthz", healthz)
    pages.add_url_rule("/readyz", "readyz", readyz)
    pages.register_error_handler(404, unknown)
    pages.register_error_handler(405, unknown)
    return pages


def _config(settings: Settings) -> Config:
    config = Config()
    config.keep_alive_timeout = IDLE_SECONDS
    config.h11_max_incomplete_size = limits.HEAD
    config.h2_max_header_list_size = limits.HEAD
    config.include_server_header = False
    config.graceful_timeout = settings.shutdown_grace
    config.read_timeout = None
    return config
