"""A byte stream that asks the kernel first and the scheduler only when it has to wait.

trio's own SocketStream makes a scheduler trip for every read and write (2.7 us and a system call).
Here the usual operation is one system call; fairness is kept by a checkpoint every `BURST` operations
that did not wait. TLS goes through trio.SSLStream behind the same interface.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import Final, Protocol

import trio
from trio.lowlevel import checkpoint, notify_closing, wait_readable, wait_writable

READ: Final = 64 * 1024
SHORT: Final = 4 * 1024
"""A read that had to wait and brought less says that the peer is slower than we are: the next one
waits at once, without a call that the kernel would refuse."""
BURST: Final = 32
"""Operations without a wait before others get their turn: under 1 ms of one task."""


class StreamBroken(Exception):  # noqa: N818 - reads as what happened
    """The peer is gone or the stream was closed under us. `begun`: it took a part of what was being sent."""

    def __init__(self, why: str, *, begun: bool = False) -> None:
        super().__init__(why)
        self.begun = begun


class Nudged(Exception):  # noqa: N818 - no error
    """The read was woken by `nudge` before anything came."""


class Stream(Protocol):
    """What both lanes and the upstream side read and write. One task at a time uses a stream, but
    `abort` may be called from any."""

    fd: int
    socket: socket.socket | trio.socket.SocketType
    alpn: str | None
    """The protocol agreed in the TLS handshake, "" if none; None without TLS."""
    moved: int
    """Rises when bytes moved, so that a sweeper sees progress without a clock on the path."""
    reading: bool
    """A read is waiting for the peer to write."""
    writing: bool
    """A write is waiting for the peer to read."""

    async def receive(self, *, wait: bool = False) -> bytes:
        """What is there, at most READ bytes; b"" at the end. Waits while there is nothing.

        Args:
            wait: nothing can be there yet, so do not ask the kernel first.

        Raises:
            StreamBroken: reset, or aborted.
            Nudged: woken; the stream is as it was.
        """
        ...

    async def send(self, data: bytes) -> None:
        """All of `data`. Raises StreamBroken."""
        ...

    def send_now(self, data: bytes) -> None:
        """As much of `data` as fits without waiting; for last words. Never raises."""
        ...

    def nudge(self) -> None:
        """Wakes a waiting read, which raises Nudged."""
        ...

    def abort(self) -> None:
        """Shuts the connection down both ways: whoever waits on it wakes up and sees its end."""
        ...

    def close(self) -> None:
        """Closes at once. Safe to call twice."""
        ...


class _Woken:
    """What both streams have: a descriptor that a waiting read can be woken from."""

    __slots__ = ("_nudged", "fd", "moved", "reading", "socket", "writing")

    def __init__(self, sock: socket.socket | trio.socket.SocketType) -> None:
        self.socket = sock
        self.fd = sock.fileno()
        self.moved = 0
        self.reading = False
        self.writing = False
        self._nudged = False

    def nudge(self) -> None:
        """See Stream."""
        if self.reading and not self._nudged:
            self._nudged = True
            # Wakes whoever waits on the descriptor, which stays open and may be waited on again.
            notify_closing(self.fd)

    def abort(self) -> None:
        """See Stream."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


class PlainStream(_Woken):
    """A TCP (or any stream) socket. Takes the socket over; it must be connected."""

    __slots__ = ("_burst", "_closed", "_recv", "_send", "_slow", "alpn")

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        super().__init__(sock)
        self.alpn: str | None = None
        self._recv = sock.recv
        self._send = sock.send
        self._burst = 0
        self._slow = False
        self._closed = False

    async def receive(self, *, wait: bool = False) -> bytes:
        """See Stream."""
        if not wait and not self._slow:
            self._burst += 1
            if self._burst > BURST:
                self._burst = 0
                await checkpoint()
            try:
                data = self._recv(READ)
            except BlockingIOError:
                self._slow = True
            except OSError as error:
                raise StreamBroken(str(error)) from None
            else:
                self.moved += 1
                return data
        self._burst = 0
        self.reading = True
        try:
            while True:
                await wait_readable(self.fd)
                try:
                    data = self._recv(READ)
                except BlockingIOError:
                    continue
                self.moved += 1
                self._slow = len(data) < SHORT
                return data
        except (OSError, ValueError, trio.ClosedResourceError) as error:
            if self._nudged:
                raise Nudged from None
            raise StreamBroken(str(error)) from None
        finally:
            self.reading = self._nudged = False

    async def send(self, data: bytes) -> None:
        """See Stream."""
        self.moved += 1
        self._burst += 1
        if self._burst > BURST:
            self._burst = 0
            await checkpoint()
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise StreamBroken(str(error)) from None
        if sent != len(data):
            await self._send_rest(data, sent)

    async def _send_rest(self, data: bytes, sent: int) -> None:
        self.writing = True
        try:
            with memoryview(data) as view:
                while sent < len(data):
                    self._burst = 0
                    await wait_writable(self.fd)
                    try:
                        sent += self._send(view[sent:])
                    except BlockingIOError:
                        continue
                    self.moved += 1
        except (OSError, ValueError, trio.ClosedResourceError) as error:
            raise StreamBroken(str(error), begun=sent > 0) from None
        finally:
            self.writing = False

    def send_now(self, data: bytes) -> None:
        """See Stream."""
        with suppress(OSError):
            self._send(data)

    def close(self) -> None:
        """See Stream."""
        if not self._closed:
            self._closed = True
            notify_closing(self.fd)
            self.socket.close()


class TlsStream(_Woken):
    """TLS over a socket, after its handshake. `plain` is only used to look at and to close."""

    __slots__ = ("_stream", "alpn")

    def __init__(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        super().__init__(stream.transport_stream.socket)
        self._stream = stream
        self.alpn: str | None = stream.selected_alpn_protocol() or ""

    async def receive(self, *, wait: bool = False) -> bytes:  # noqa: ARG002 - the records decide
        """See Stream."""
        self.reading = True
        try:
            data = bytes(await self._stream.receive_some(READ))
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
            if self._nudged:
                raise Nudged from None
            raise StreamBroken(str(error)) from None
        finally:
            self.reading = self._nudged = False
        self.moved += 1
        return data

    async def send(self, data: bytes) -> None:
        """See Stream."""
        self.moved += 1
        self.writing = True
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
            raise StreamBroken(str(error)) from None
        finally:
            self.writing = False

    def send_now(self, data: bytes) -> None:
        """Nothing: a record cannot be written without waiting."""

    def close(self) -> None:
        """See Stream."""
        # No close_notify: both sides know the length of every message.
        self.socket.close()


def take_over(stream: trio.SocketStream) -> PlainStream:
    """A trio stream's socket, without trio's wrapper."""
    return PlainStream(socket.socket(fileno=stream.socket.detach()))


async def start_tls(
    stream: trio.SocketStream, context: ssl.SSLContext, *, hostname: str | None
) -> trio.SSLStream[trio.SocketStream]:
    """TLS after its handshake; `hostname` None on the server's side. No deadline of its own.

    Raises:
        StreamBroken, ssl.SSLError: the handshake failed. The socket is closed then.
    """
    tls = trio.SSLStream(
        stream,
        context,
        server_hostname=hostname,
        server_side=hostname is None,
        https_compatible=True,
    )
    try:
        await tls.do_handshake()
    except trio.BrokenResourceError as error:
        stream.socket.close()
        cause = error.__cause__
        raise (cause if isinstance(cause, ssl.SSLError) else StreamBroken(str(error))) from None
    except BaseException:
        stream.socket.close()
        raise
    return tls
