"""Calls that go through a proxy or over HTTP/2: httpx's own transport, one client per way.

The environment's proxy variables are not looked at: a call names its proxy or has none.
"""

from __future__ import annotations

import math
import ssl
from typing import Final, overload
from weakref import WeakSet

import httpx
import trio

from proxy.http1.encodings import BadCoding, Decoder, UnknownCoding, decoder_for
from proxy.net.api import Call, Headers, UpstreamBroken, endless, stopped
from proxy.net.tls import client_context

_LIMITS: Final = httpx.Limits(
    max_connections=None, max_keepalive_connections=64, keepalive_expiry=55
)
_MOST_WAYS: Final = 256
"""Proxies by configuration are few; this only bounds the map."""
_CLOSE_SECONDS: Final = 1.0


class HttpxLane:
    """Sends calls by httpx; bodies are read by tasks in `nursery`. One transport per (proxy, http2), made on first use."""

    def __init__(self, nursery: trio.Nursery, context: ssl.SSLContext | None = None) -> None:
        self._nursery = nursery
        self._context = context
        self._ways: dict[tuple[str, bool], httpx.AsyncHTTPTransport] = {}
        self._replies: WeakSet[HttpxReply] = WeakSet()

    async def send(self, call: Call) -> HttpxReply:
        """See `api.Transport`."""
        timeouts = {
            "connect": call.connect_timeout or None,
            "read": call.first_timeout or None,
            "write": call.first_timeout or None,
            "pool": call.connect_timeout or None,
        }
        try:
            request = httpx.Request(
                call.method.decode("ascii"),
                call.url,
                headers=_headers(call),
                content=call.body,
                extensions={"timeout": timeouts},
            )
            way = self._way(call.proxy, call.http2)
            # httpx's own limits are for single reads and writes.
            first = call.first_timeout or math.inf
            with trio.fail_after(call.connect_timeout + first):
                response = await way.handle_async_request(request)
        except trio.TooSlowError:
            raise UpstreamBroken("timeout", "no answer in time") from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
            raise _broken(error) from None
        # httpcore reads this table anew when the body begins.
        timeouts["read"] = call.idle_timeout or None
        try:
            reply = HttpxReply(response, self._nursery)
        except UnknownCoding as unknown:
            await _close(response)
            raise UpstreamBroken("protocol", f"unknown content-encoding {unknown}") from None
        self._replies.add(reply)
        return reply

    def stop(self) -> None:
        """Breaks off all bodies that are being read."""
        for reply in list(self._replies):
            reply.stop()

    async def aclose(self) -> None:
        """Closes all connections."""
        for way in self._ways.values():
            await way.aclose()
        self._ways.clear()

    def _way(self, proxy: str, http2: bool) -> httpx.AsyncHTTPTransport:
        way = self._ways.get((proxy, http2))
        if way is None:
            if len(self._ways) >= _MOST_WAYS:
                raise UpstreamBroken("proxy", "too many different proxies")
            context = self._context or client_context()
            if http2:
                # ALPN is a property of a context, and the shared one offers HTTP/1.1 only.
                context = client_context(http2=True) if self._context is None else self._context
            url = proxy.replace("socks5h://", "socks5://", 1) if proxy else None
            way = httpx.AsyncHTTPTransport(
                verify=context,
                trust_env=False,
                http2=http2,
                proxy=url,
                limits=_LIMITS,
            )
            self._ways[proxy, http2] = way
        return way


def _headers(call: Call) -> Headers:
    headers = [h for h in call.headers if h[0].lower() not in {b"content-length", b"connection"}]
    if not any(name.lower() == b"accept-encoding" for name, _ in headers):
        headers.append((b"accept-encoding", b"identity"))
    return headers


class HttpxReply:
    """`api.Reply` over an httpx response."""

    def __init__(self, response: httpx.Response, nursery: trio.Nursery) -> None:
        self._response = response
        self._nursery = nursery
        self._pump: Pump | None = None
        self._ended = False
        self._decoder: Decoder | None = None
        self.status = response.status_code
        headers = [(name.lower(), value) for name, value in response.headers.raw]
        for name, value in headers:
            if name == b"content-encoding":
                self._decoder = decoder_for(value)
        if self._decoder is not None:
            framing = {b"content-encoding", b"content-length"}
            headers = [pair for pair in headers if pair[0] not in framing]
        self.headers: Headers = headers

    @overload
    async def receive(self) -> bytes: ...
    @overload
    async def receive(self, patience: float) -> bytes | None: ...
    async def receive(self, patience: float = 0.0) -> bytes | None:
        """See `api.Reply`."""
        if patience <= 0:
            return await self._receive()
        with trio.move_on_after(patience):
            return await self._receive()
        return None

    async def _receive(self) -> bytes:
        decoder = self._decoder
        if decoder is None:
            return await self._receive_raw()
        try:
            data = decoder.step(b"")
            while not data:
                raw = await self._receive_raw()
                if not raw:
                    if not decoder.finished():
                        raise UpstreamBroken("closed", "the compressed answer ended early")
                    return b""
                data = decoder.step(raw)
        except BadCoding as wrong:
            raise UpstreamBroken("protocol", str(wrong)) from None
        return data

    async def _receive_raw(self) -> bytes:
        """The next raw piece. Cancelling it loses nothing: the pump holds the read, not we."""
        if self._ended:
            return b""
        if self._pump is None:
            self._pump = Pump(self._response)
            self._nursery.start_soon(self._pump.run)
        piece = await self._pump.next()
        if piece is None:
            self._ended = True
            raise stopped()
        if isinstance(piece, Exception):
            self._ended = True
            raise _broken(piece) from None
        self._ended = not piece
        return piece

    async def read(self, limit: int, deadline: float = math.inf) -> bytes:
        """See `api.Reply`."""
        parts: list[bytes] = []
        size = 0
        while data := await self.receive():
            size += len(data)
            if size > limit:
                raise UpstreamBroken("too_large", "the answer is too large")
            if parts and trio.current_time() > deadline:
                raise endless()
            parts.append(data)
        return b"".join(parts)

    def stop(self) -> None:
        """Breaks the body off; who waits for it gets UpstreamBroken."""
        if self._pump is not None:
            self._pump.stop()

    async def aclose(self) -> None:
        """See `api.Reply`."""
        self._ended = True
        if self._pump is None:
            await _close(self._response)
        else:
            self._pump.stop()


class Pump:
    """Reads one body ahead by one piece, in a task of its own: a read that httpcore began must not be
    cancelled, or the connection is lost with it."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._scope = trio.CancelScope()
        self._give, self._take = trio.open_memory_channel[bytes | Exception](0)

    async def run(self) -> None:
        """To the end of the body, or until `stop`; then closes the response."""
        with self._scope:
            try:
                async for piece in _stream_of(self._response):
                    if piece:
                        await self._give.send(piece)
                await self._give.send(b"")
            except (httpx.HTTPError, OSError) as error:
                await self._give.send(error)
        self._give.close()
        await _close(self._response)

    async def next(self) -> bytes | Exception | None:
        """The next piece, b"" at the end, what broke it; None after `stop`."""
        try:
            return await self._take.receive()
        except trio.EndOfChannel:
            return None

    def stop(self) -> None:
        """Nobody reads on."""
        self._scope.cancel()


def _stream_of(response: httpx.Response) -> httpx.AsyncByteStream:
    stream = response.stream
    assert isinstance(stream, httpx.AsyncByteStream)  # noqa: S101 - an async transport gives no other
    return stream


async def _close(response: httpx.Response) -> None:
    with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_SECONDS):
        await _stream_of(response).aclose()


def _broken(error: Exception) -> UpstreamBroken:
    """Httpx's words hold addresses, so only the class speaks."""
    if isinstance(error, httpx.TimeoutException):
        return UpstreamBroken("timeout", "no answer in time")
    if isinstance(error, httpx.ProxyError):
        return UpstreamBroken("proxy", "the proxy refused the connection")
    if isinstance(error, httpx.ConnectError):
        tls = isinstance(error.__cause__, ssl.SSLError) or "SSL" in str(error)
        return UpstreamBroken("tls" if tls else "connect", "cannot connect")
    if isinstance(error, (httpx.InvalidURL, httpx.UnsupportedProtocol)):
        return UpstreamBroken("protocol", "the URL is malformed")
    if isinstance(error, (httpx.NetworkError, httpx.RemoteProtocolError, OSError)):
        return UpstreamBroken("closed", "the connection was closed")
    if isinstance(error, ValueError):
        return UpstreamBroken("proxy", "the proxy URL is malformed")
    return UpstreamBroken("protocol", type(error).__name__)
