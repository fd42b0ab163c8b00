"""The upstream side: pooled HTTP/1.1 connections on trio; proxies and HTTP/2 through httpx.

Run `run()` in a nursery while calls are sent: it holds the deadlines and closes idle connections.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections import deque
from typing import TYPE_CHECKING, Final

import trio

from proxy.net.api import Call, Reply, UpstreamBroken, stopped
from proxy.net.connection import Connection, NothingSent, PooledReply
from proxy.net.origin import Origin, address_of
from proxy.net.sock import StreamBroken, TlsStream, start_tls, take_over
from proxy.net.sweep import Sweeper
from proxy.net.tap import tapped
from proxy.net.tls import client_context

if TYPE_CHECKING:
    from proxy.net.httpx_lane import HttpxLane

IDLE_PER_ORIGIN: Final = 64
IDLE_TOTAL: Final = 512
IDLE_SECONDS: Final = 55.0
"""Below the 60 s at which most load balancers drop an idle connection."""


class Transport:
    """`api.Transport`. Idle connections are kept last in, first out, so that few stay warm.

    Resource handling: `send` returns a reply that owns its connection until `aclose`; a cancelled
    `send` closes its connection. `aclose` closes what is idle.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self._idle: dict[Origin, deque[Connection]] = {}
        self._idle_count = 0
        self._sweeper = Sweeper()
        self._nursery: trio.Nursery | None = None
        self._httpx: HttpxLane | None = None
        self._stopped = False

    @property
    def open_calls(self) -> int:
        """Calls whose reply is not closed yet."""
        return len(self._sweeper) - self._idle_count

    @property
    def idle_connections(self) -> int:
        """Connections that wait for the next call."""
        return self._idle_count

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Holds deadlines, and the readers of httpx's answers, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                task_status.started()
                while True:
                    await self._sweeper.wait_for_work()
                    self._sweeper.sweep()
                    self._drop_idle()
            finally:
                self._nursery = None

    async def aclose(self) -> None:
        """Closes what is idle."""
        self._drop_idle(everything=True)
        if self._httpx is not None:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await self._httpx.aclose()

    def stop(self) -> None:
        """Breaks off all calls, and refuses further ones, as UpstreamBroken of the kind `stopped`:
        whoever waits for one has time for its last words.
        """
        self._stopped = True
        self._drop_idle(everything=True)
        for connection in self._sweeper.watched():
            if isinstance(connection, Connection):
                connection.stopped = True
                connection.stream.abort()
        if self._httpx is not None:
            self._httpx.stop()

    async def send(self, call: Call) -> Reply:
        """See `api.Transport`."""
        if self._stopped:
            await trio.lowlevel.checkpoint()
            raise stopped()
        if call.proxy or call.http2:
            return await self._by_httpx(call)
        address = address_of(call.url)
        while True:
            connection = self._take_idle(address.origin)
            if connection is None:
                connection = await self._new(address.origin, call.connect_timeout)
            try:
                await connection.exchange(call, address)
            except NothingSent:
                self._give_back(connection, reusable=False)
                if not connection.used:
                    raise UpstreamBroken("closed", "the connection was closed at once") from None
            except BaseException:
                self._give_back(connection, reusable=False)
                raise
            else:
                return tapped(PooledReply(connection, self._give_back), call)

    async def _new(self, origin: Origin, seconds: float) -> Connection:
        connection = await self._connect(origin, seconds)
        if self._stopped:  # while it was connecting
            connection.stream.close()
            raise stopped()
        self._sweeper.add(connection)
        return connection

    async def _by_httpx(self, call: Call) -> Reply:
        if self._httpx is None:
            from proxy.net.httpx_lane import HttpxLane  # 60 ms to import; few need it

            if self._nursery is None:
                raise RuntimeError("Transport.run() is not running")
            self._httpx = HttpxLane(self._nursery, self._context)
        return tapped(await self._httpx.send(call), call)

    def _take_idle(self, origin: Origin) -> Connection | None:
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            self._idle_count -= 1
            if connection.is_quiet():
                connection.pooled = False
                return connection
            self._close(connection)
        return None

    def _give_back(self, connection: Connection, reusable: bool) -> None:
        if not reusable or self._idle_count >= IDLE_TOTAL:
            self._close(connection)
            return
        idle = self._idle.get(connection.origin)
        if idle is None:
            idle = self._idle[connection.origin] = deque()
        if len(idle) >= IDLE_PER_ORIGIN:
            self._close(connection)
            return
        connection.pooled = True
        connection.limit = IDLE_SECONDS
        connection.nudge_after = 0.0
        idle.append(connection)
        self._idle_count += 1

    def _close(self, connection: Connection) -> None:
        self._sweeper.discard(connection)
        connection.stream.close()

    def _drop_idle(self, *, everything: bool = False) -> None:
        """Closes idle connections whose time is over (the sweeper marked them)."""
        for origin, idle in list(self._idle.items()):
            for connection in list(idle):
                if everything or connection.expired:
                    idle.remove(connection)
                    self._idle_count -= 1
                    self._close(connection)
            if not idle:
                del self._idle[origin]

    async def _connect(self, origin: Origin, seconds: float) -> Connection:
        stream: trio.SocketStream | None = None
        deadline = trio.current_time() + seconds if seconds else float("inf")
        try:
            with trio.CancelScope(deadline=deadline) as scope:
                stream = await trio.open_tcp_stream(origin.host, origin.port)
                if not origin.tls:
                    return Connection(origin, take_over(stream))
                if self._context is None:
                    self._context = client_context()
                tls = await start_tls(stream, self._context, hostname=origin.host)
                return Connection(origin, TlsStream(tls))
        except ssl.SSLError as error:
            raise UpstreamBroken("tls", _tls_reason(error)) from None
        except (OSError, StreamBroken, UnicodeError) as error:
            kind = "tls" if stream is not None else "connect"
            reason = "the TLS handshake was broken off" if stream else _connect_reason(error)
            raise UpstreamBroken(kind, reason) from None
        assert scope.cancelled_caught  # noqa: S101 - the only other way out of the block
        raise UpstreamBroken("timeout", "no connection in time")


def _tls_reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {error.verify_message}"
    return f"the TLS handshake failed: {error.reason or 'unknown reason'}"


def _connect_reason(error: BaseException) -> str:
    cause: BaseException | None = error.__cause__
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    last = cause or error
    if isinstance(last, OSError) and last.errno and not isinstance(last, socket.gaierror):
        # Not its own words: trio puts the address into them.
        return f"cannot connect: {os.strerror(last.errno)}"
    return f"cannot connect: {getattr(last, 'strerror', None) or type(last).__name__}"
