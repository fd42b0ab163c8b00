"""When the transport stops, whoever waits for an upstream is told at once."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from proxy.net.api import Call, UpstreamBroken
from proxy.net.transport import Transport

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Upstream:
    """Answers a head and one chunk, or nothing, and then is silent."""

    def __init__(self, *, silent: bool) -> None:
        self.silent = silent
        self.asked = trio.Event()

    async def serve(self, stream) -> None:
        await stream.receive_some()
        self.asked.set()
        if not self.silent:
            await stream.send_all(HEAD + b"3\r\nabc\r\n")
        try:
            while await stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass


async def stopped(*, silent: bool, by_proxy: bool = False) -> str:
    """What a call is told when the transport stops in the middle of it."""
    upstream = Upstream(silent=silent)
    transport = Transport()
    kinds = []

    async def ask(port) -> None:
        own = f"http://127.0.0.1:{port}"
        call = Call(
            method=b"POST",
            url="http://upstream.test/v1" if by_proxy else f"{own}/v1",
            headers=[],
            body=b"{}",
            proxy=own if by_proxy else "",
        )
        try:
            reply = await transport.send(call)
            assert await reply.receive() == b"abc"
            upstream.asked.set()
            try:
                await reply.receive()
            finally:
                await reply.aclose()
        except UpstreamBroken as broken:
            kinds.append(broken.kind)

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            await nursery.start(transport.run)
            listeners = await nursery.start(trio.serve_tcp, upstream.serve, 0)
            port = listeners[0].socket.getsockname()[1]
            async with trio.open_nursery() as asking:
                asking.start_soon(ask, port)
                await upstream.asked.wait()
                await trio.testing.wait_all_tasks_blocked(0.05)
                transport.stop()
            with pytest.raises(UpstreamBroken, match="being stopped"):
                await transport.send(
                    Call(method=b"GET", url="http://a.test/", headers=[], body=b"")
                )
            nursery.cancel_scope.cancel()
    await transport.aclose()
    return kinds[0]


@pytest.mark.parametrize("silent", [True, False])
async def test_a_call_that_waits_is_told(silent):
    assert await stopped(silent=silent) == "stopped"


async def test_a_body_through_a_proxy_is_told_too():
    assert await stopped(silent=False, by_proxy=True) == "stopped"
