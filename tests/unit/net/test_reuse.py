"""One connection, several calls: nothing of a call stays in the next one, nor of an answer."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager

import pytest
import trio

from proxy.net.api import Call, UpstreamBroken
from proxy.net.connection import Connection, NothingSent
from proxy.net.origin import address_of
from proxy.net.sock import StreamBroken
from proxy.net.transport import Transport

ANSWERS = [
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-a: 1\r\n\r\nab",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-a: 1\r\n\r\ncd",
    b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n3\r\nefg\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-a: 1\r\n\r\nhi",
]


async def serve(heads: list[bytes], *, task_status=trio.TASK_STATUS_IGNORED) -> None:
    """Answers in order on every connection; notes each request."""

    async def talk(stream: trio.SocketStream) -> None:
        for answer in ANSWERS:
            request = b""
            while b"\r\n\r\n" not in request or not request.endswith((b"}", b"\r\n\r\n")):
                data = await stream.receive_some()
                if not data:
                    return
                request += data
            heads.append(request)
            await stream.send_all(answer)

    await trio.serve_tcp(talk, 0, host="127.0.0.1", task_status=task_status)


@asynccontextmanager
async def world():
    """A transport, the base URL of a server, and the requests that it got."""
    heads: list[bytes] = []
    transport = Transport()
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(serve, heads)
            port = listeners[0].socket.getsockname()[1]
            yield transport, f"http://127.0.0.1:{port}", heads
            await transport.aclose()
            nursery.cancel_scope.cancel()


def call(url: str, *, key: bytes = b"one", method: bytes = b"POST", body: bytes = b"{}") -> Call:
    return Call(method=method, url=url, headers=[(b"x-key", key)], body=body)


async def read(transport: Transport, asked: Call) -> tuple[int, bytes]:
    reply = await transport.send(asked)
    try:
        return reply.status, await reply.read(100)
    finally:
        await reply.aclose()


async def test_heads_are_those_of_each_call():
    async with world() as (transport, base, heads):
        assert await read(transport, call(f"{base}/v1")) == (200, b"ab")
        assert await read(transport, call(f"{base}/v1", body=b'{"a":1}')) == (200, b"cd")
        assert await read(transport, call(f"{base}/v2", key=b"two")) == (201, b"efg")
        assert await read(transport, call(f"{base}/v2", method=b"GET", body=b"")) == (200, b"hi")
        assert transport.idle_connections == 1
    assert [head.split(b"\r\n", 1)[0] for head in heads] == [
        b"POST /v1 HTTP/1.1",
        b"POST /v1 HTTP/1.1",
        b"POST /v2 HTTP/1.1",
        b"GET /v2 HTTP/1.1",
    ]
    for head, size in zip(heads, (2, 7, 2), strict=False):
        assert b"content-length: %d\r\n" % size in head
    assert b"content-length" not in heads[3]
    assert [head.count(b"x-key: one\r\n") for head in heads] == [1, 1, 0, 1]
    assert heads[2].count(b"x-key: two\r\n") == 1


async def test_a_whole_answer_over_the_limit():
    async with world() as (transport, base, _):
        reply = await transport.send(call(f"{base}/v1"))
        with pytest.raises(UpstreamBroken) as broken:
            await reply.read(1)
        assert broken.value.kind == "too_large"
        await reply.aclose()
        assert (transport.idle_connections, transport.open_calls) == (0, 0)


class Deaf:
    """A peer that closes its ear; what it had said before can be read."""

    reading = writing = False
    moved = 0

    def __init__(self, *, begun: bool) -> None:
        self.ends = socket.socketpair()
        self.fd = self.ends[0].fileno()
        self.begun = begun

    def close(self) -> None:
        for end in self.ends:
            end.close()

    async def send(self, data: bytes) -> None:
        raise StreamBroken("reset", begun=self.begun)

    async def receive(self, *, wait: bool = False) -> bytes:
        return b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


@pytest.mark.parametrize("begun", [True, False])
async def test_a_call_that_was_begun_is_not_sent_again_but_its_answer_read(begun):
    asked = call("http://127.0.0.1:1/v1")
    address = address_of(asked.url)
    deaf = Deaf(begun=begun)
    connection = Connection(address.origin, deaf)
    try:
        if begun:
            await connection.exchange(asked, address)
            assert connection.parser.status == 413
        else:
            with pytest.raises(NothingSent):
                await connection.exchange(asked, address)
    finally:
        deaf.close()
