"""Deadlines that the sweeper holds for a client connection."""

from __future__ import annotations

import trio
import trio.testing

from proxy.config.model import Settings
from proxy.net.sweep import Sweeper
from proxy.surface.fastlane import HEAD_SECONDS, WRITE_SECONDS, FastConnection
from proxy.surface.server import Stop, serve


class App:
    def is_fast(self, _method, _path):
        return True


class Stuck:
    """A client that sends something malformed and reads nothing."""

    def __init__(self) -> None:
        self.writing, self.moved = False, 0
        self.aborted = trio.Event()
        self.sent = b"GET /v1/models HTTP/1.1\r\nhost: x\r\nno header\r\n\r\n"

    async def receive(self, *, wait=False):
        await trio.lowlevel.checkpoint()
        data, self.sent = self.sent, b""
        return data

    async def send(self, _data):
        self.writing = True
        await self.aborted.wait()

    def abort(self):
        self.aborted.set()


async def test_who_does_not_read_a_refusal_is_cut(autojump_clock):
    connection = FastConnection(App(), Stuck(), peer="", body_limit=1, on_error=print)
    sweeper = Sweeper()
    sweeper.add(connection)

    async def sweep():
        while True:
            await sweeper.wait_for_work()
            sweeper.sweep()

    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sweep)
        with trio.fail_after(10 * WRITE_SECONDS):
            await connection.run()
        nursery.cancel_scope.cancel()
    assert connection.stream.writing
    assert WRITE_SECONDS <= trio.current_time() - begun < WRITE_SECONDS + 5


async def test_a_stop_does_not_wait_for_connections_that_sent_nothing(autojump_clock):
    """Clients connect ahead of need."""
    settings, stop = Settings(port=0), Stop()
    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        sockets = await nursery.start(serve, settings, App(), stop)
        address = ("127.0.0.1", sockets[0].getsockname()[1])
        unused = await trio.open_tcp_stream(*address)
        begins = await trio.open_tcp_stream(*address)
        await begins.send_all(b"POST /v1/messages HT")
        await trio.testing.wait_all_tasks_blocked(0.05)
        stop.set(30.0)
        assert await unused.receive_some() == b""
        assert trio.current_time() - begun < 1.0
        assert b" 408 " in await begins.receive_some()
        await unused.aclose()
        await begins.aclose()
    assert HEAD_SECONDS <= trio.current_time() - begun < HEAD_SECONDS + 2.0
