"""Deadlines that the sweeper holds for a client connection."""

from __future__ import annotations

import trio

from proxy.net.sweep import Sweeper
from proxy.surface.fastlane import WRITE_SECONDS, FastConnection


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
