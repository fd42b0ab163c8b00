"""The one port: listeners, TLS, which lane a connection takes, and an end that lets requests finish."""

from __future__ import annotations

import errno
import logging
import select
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import trio

from proxy.net.sock import PlainStream, StreamBroken, TlsStream, start_tls
from proxy.net.sweep import Sweeper
from proxy.surface.fastlane import BUSY, OTHER, FastConnection, HandOver, error_answer

if TYPE_CHECKING:
    from proxy.config.model import Settings
    from proxy.net.sock import Stream
    from proxy.surface.asgi import OtherLane
    from proxy.surface.http import App

_BACKLOG: Final = 1024
_ACCEPTS: Final = 64
"""Connections accepted before others get their turn."""
_HANDSHAKE_SECONDS: Final = 10.0
_EXCUSES: Final = 16
"""Most clients at a time that are told over TLS that there is no room: a handshake costs a millisecond."""
_EXCUSE_SECONDS: Final = 2.0
_FULL_SECONDS: Final = 0.1
"""Pause when the process is out of descriptors: they come back as requests end."""
_FULL: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_GONE: Final[int] = getattr(select, "POLLRDHUP", 0)
"""Linux says when the peer closed although unread bytes are waiting; elsewhere we peek."""
_NO_ROOM: Final = error_answer(503, "Too many connections; try again later.", b"retry-after: 1\r\n")
_log = logging.getLogger("pointsman.server")


class Stop:
    """When to end. `event` is set at once; what is under way has until the grace is over.

    `patient`: a successor serves the port, so idle connections may send one more request before they
    end: none is lost between a client that sends and a server that closes.
    """

    def __init__(self) -> None:
        self.event = trio.Event()
        self.patient = False
        self.signals = 0
        self._grace = trio.CancelScope()

    def set(self, grace: float, *, patient: bool = False) -> None:
        """Ends; a shorter grace replaces a longer one."""
        self.patient = patient
        self.event.set()
        self._grace.deadline = min(self._grace.deadline, trio.current_time() + grace)

    async def grace(self) -> None:
        """Returns when the grace is over."""
        await self.event.wait()
        with self._grace:
            await trio.sleep_forever()


async def serve(
    settings: Settings,
    app: App,
    stop: Stop | None = None,
    sockets: list[socket.socket] | None = None,
    *,
    task_status: trio.TaskStatus[list[socket.socket]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves until `stop` is set and the requests in flight ended.

    Reports its listening sockets by `task_status`: `sockets`, or newly opened ones. Cancelling it
    ends everything at once.

    Resource handling: the sockets are closed here, as soon as `stop` is set.
    Error handling: OSError if the port cannot be opened, ssl.SSLError or OSError for a bad
    certificate; nothing that a client does leaves here.
    """
    server = Server(settings, app)
    sockets = sockets or await _listeners(settings.host, settings.port)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.sweep)
            async with trio.open_nursery() as connections:
                async with trio.open_nursery() as accepting:
                    for sock in sockets:
                        accepting.start_soon(server.accept, sock, connections)
                    task_status.started(sockets)
                    stop = stop or Stop()
                    await stop.event.wait()
                    accepting.cancel_scope.cancel()
                for sock in sockets:
                    sock.close()
                server.drain(patient=stop.patient)
            nursery.cancel_scope.cancel()
    finally:
        for sock in sockets:
            sock.close()


class Server:
    """The connections of one `serve`."""

    def __init__(self, settings: Settings, app: App) -> None:
        self._settings = settings
        self._app = app
        self._tls = _server_context(settings, "h2", "http/1.1") if settings.tls else None
        # Who is turned away is told so in the words of HTTP/1.1.
        self._plainer = _server_context(settings, "http/1.1") if settings.tls else None
        self._open = 0
        self._excused = 0
        self._sweeper = Sweeper()
        self._connections: set[FastConnection] = set()
        self._other: OtherLane | None = None
        self._draining = trio.Event()

    async def accept(self, listener: socket.socket, nursery: trio.Nursery) -> None:
        """Accepts for ever. Does not close the listener."""
        while True:
            await trio.lowlevel.wait_readable(listener)
            for _ in range(_ACCEPTS):
                try:
                    sock, address = listener.accept()
                except BlockingIOError:
                    break
                except OSError as error:
                    if error.errno in _FULL:
                        await trio.sleep(_FULL_SECONDS)
                    break
                if self._open >= self._settings.connections:
                    self._turn_away(sock, nursery)
                    continue
                self._open += 1
                nursery.start_soon(self._serve, sock, str(address[0]) if address else "")

    async def sweep(self) -> None:
        """Holds deadlines, finds clients that are gone, calms those that wait."""
        async with trio.open_nursery() as nursery:
            while True:
                await self._sweeper.wait_for_work()
                self._sweeper.sweep()
                busy = {c.stream.fd: c for c in self._connections if c.phase == BUSY}
                for fd in _gone(busy):
                    busy[fd].lose()
                for connection in busy.values():
                    if connection.impatient:
                        nursery.start_soon(connection.calm)

    def drain(self, *, patient: bool) -> None:
        """Busy connections end after their answer; idle ones now, or (`patient`) after one more."""
        self._draining.set()
        for connection in self._connections:
            connection.drain(patient=patient)

    async def _serve(self, sock: socket.socket, peer: str) -> None:
        stream: Stream | None = None
        try:
            sock.setblocking(False)
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is None:
                stream = PlainStream(sock)
            else:
                stream = await self._handshake(sock, self._tls)
                if stream.alpn == "h2":
                    await self._hand_over(stream, b"")
                    return
            await self._fast(stream, peer)
        except (OSError, StreamBroken, trio.TooSlowError):
            pass
        except Exception as error:  # noqa: BLE001 - one connection's fault must not end the server
            _report(error)
        finally:
            self._open -= 1
            if stream is not None:
                stream.close()
            sock.close()

    def _turn_away(self, sock: socket.socket, nursery: trio.Nursery) -> None:
        """Closes it; with a word, where that takes neither waiting nor one more of many handshakes."""
        if self._plainer is None:
            with sock, suppress(OSError):
                sock.setblocking(False)
                sock.send(_NO_ROOM)
                sock.shutdown(socket.SHUT_WR)
        elif self._excused < _EXCUSES:
            self._excused += 1
            nursery.start_soon(self._excuse, sock, self._plainer)
        else:
            sock.close()

    async def _excuse(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        """Reads on after the answer: an end with unread bytes would take it back."""
        try:
            with trio.move_on_after(_EXCUSE_SECONDS), suppress(OSError, StreamBroken):
                sock.setblocking(False)
                stream = await self._handshake(sock, context)
                await stream.receive()
                await stream.send(_NO_ROOM)
                sock.shutdown(socket.SHUT_WR)
                while await stream.receive():
                    pass
        finally:
            self._excused -= 1
            sock.close()

    async def _handshake(self, sock: socket.socket, context: ssl.SSLContext) -> TlsStream:
        with trio.fail_after(_HANDSHAKE_SECONDS):
            plain = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
            return TlsStream(await start_tls(plain, context, hostname=None))

    async def _fast(self, stream: Stream, peer: str) -> None:
        connection = FastConnection(
            self._app,
            stream,
            peer=peer,
            body_limit=self._settings.body_limit,
            on_error=_report,
        )
        connection.closing = self._draining.is_set()
        self._connections.add(connection)
        self._sweeper.add(connection)
        unread = None
        try:
            await connection.run()
        except HandOver as other:
            unread = other.unread
        finally:
            self._connections.discard(connection)
            self._sweeper.discard(connection)
        if unread is not None:
            connection.phase = OTHER
            await self._hand_over(stream, unread)

    async def _hand_over(self, stream: Stream, unread: bytes) -> None:
        if self._other is None:
            from proxy.surface.asgi import OtherLane  # 25 MB that an idle server does not need

            self._other = OtherLane(self._app, self._settings, self._draining)
        await self._other.serve(stream, unread)


def _gone(busy: dict[int, FastConnection]) -> list[int]:
    """Descriptors whose peer closed. Pipelined bytes are no close."""
    if not busy:
        return []
    poll = select.poll()
    for fd in busy:
        poll.register(fd, _GONE or select.POLLIN)
    found = poll.poll(0)
    if _GONE:
        return [fd for fd, _ in found]
    return [fd for fd, _ in found if _at_end(fd)]


def _at_end(fd: int) -> bool:
    with socket.socket(fileno=fd) as sock:
        try:
            return not sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            sock.detach()


def _report(error: BaseException) -> None:
    _log.error("a request failed", exc_info=error)


def _server_context(settings: Settings, *protocols: str) -> ssl.SSLContext:
    assert settings.tls is not None  # noqa: S101 - the caller looked
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.tls.cert, settings.tls.key)
    context.set_alpn_protocols(protocols)
    return context


async def _listeners(host: str, port: int) -> list[socket.socket]:
    """One listening socket per address; with port 0 all get the first one's port."""
    flags = socket.AI_PASSIVE
    found = await trio.socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=flags)
    sockets: list[socket.socket] = []
    try:
        for family, kind, proto, _, address in found:
            try:
                sock = socket.socket(family, kind, proto)
            except OSError:
                continue  # the machine has no IPv6
            sockets.append(sock)
            if hasattr(socket, "SO_REUSEADDR"):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            chosen = port if port or len(sockets) == 1 else sockets[0].getsockname()[1]
            sock.bind((address[0], chosen, *address[2:]))
            sock.listen(_BACKLOG)
            sock.setblocking(False)
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    if not sockets:
        raise OSError(f"no address to listen on for {host!r}")
    return sockets
