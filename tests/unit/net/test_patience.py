"""Waiting for an upstream with patience: None when it is over, and nothing of the stream is lost."""

from __future__ import annotations

import socket
import ssl
import zlib
from contextlib import suppress

import pytest
import trio
from msgspec.structs import replace

from proxy.net.api import Call, UpstreamBroken
from proxy.net.connection import Connection, PooledReply
from proxy.net.origin import Origin, address_of
from proxy.net.sock import PlainStream, TlsStream, start_tls
from proxy.net.sweep import PERIOD, Sweeper
from proxy.net.transport import Transport
from tests.certificates import certificate

URL = "http://upstream.test/v1"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"
CALL = Call(method=b"POST", url=URL, headers=[], body=b"{}", idle_timeout=60.0)


async def sweep(sweeper, connection):
    sweeper.add(connection)
    while True:
        await sweeper.wait_for_work()
        sweeper.sweep()


async def opened(stream, peer):
    """A connection whose answer's head is read, and that answer."""
    connection = Connection(Origin(host="upstream.test", port=80, tls=False), stream)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.exchange, CALL, address_of(URL))
        await peer(HEAD)
    return connection, PooledReply(connection, lambda *_: None)


async def first_piece(reply):
    while (piece := await reply.receive(7.0)) is None:
        pass
    return piece


def sender(sock):
    async def send(data):
        sock.send(data)

    return send


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


async def test_patience_ends_again_and_again_and_data_comes_through(pair, autojump_clock):
    ours, theirs = pair

    send = sender(theirs)
    connection, reply = await opened(PlainStream(ours), send)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sweep, Sweeper(), connection)
        for _ in range(3):
            start = trio.current_time()
            assert await reply.receive(5.0) is None
            assert 4.9 - PERIOD <= trio.current_time() - start <= 5.1 + PERIOD
        theirs.send(b"01234")
        assert await reply.receive(5.0) == b"01234"
        assert await reply.receive(1.0) is None
        theirs.send(b"56789")
        assert await reply.receive(5.0) == b"56789"
        assert await reply.receive(5.0) == b""
        nursery.cancel_scope.cancel()


async def test_patience_does_not_stretch_the_idle_limit(pair, autojump_clock):
    ours, theirs = pair

    send = sender(theirs)
    connection, reply = await opened(PlainStream(ours), send)
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sweep, Sweeper(), connection)
        with pytest.raises(UpstreamBroken) as broken:
            await first_piece(reply)
        nursery.cancel_scope.cancel()
    assert broken.value.kind == "timeout"
    assert 60.0 <= trio.current_time() - start <= 60.0 + 2 * PERIOD


async def test_an_upstream_is_not_idle_while_nobody_reads(pair, autojump_clock):
    """A client that takes its time is no silence of the upstream's."""
    ours, theirs = pair

    connection, reply = await opened(PlainStream(ours), sender(theirs))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sweep, Sweeper(), connection)
        theirs.send(b"01234")
        assert await reply.receive() == b"01234"
        await trio.sleep(25)
        theirs.send(b"56")
        await trio.sleep(75)
        theirs.send(b"789")
        assert await reply.receive() == b"56789"
        assert await reply.receive() == b""
        nursery.cancel_scope.cancel()


async def test_a_connection_in_the_pool_is_idle(pair, autojump_clock):
    ours, theirs = pair

    connection, reply = await opened(PlainStream(ours), sender(theirs))
    transport = Transport()
    reply._give_back = transport._give_back
    async with trio.open_nursery() as nursery:
        transport._sweeper.add(connection)
        await nursery.start(transport.run)
        theirs.send(b"0123456789")
        assert await reply.receive() == b"0123456789"
        await reply.aclose()
        assert transport.idle_connections == 1
        await trio.sleep(60)
        assert transport.idle_connections == 0
        nursery.cancel_scope.cancel()


async def test_a_reader_without_patience_is_left_alone(pair, autojump_clock):
    ours, theirs = pair

    send = sender(theirs)
    connection, reply = await opened(PlainStream(ours), send)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sweep, Sweeper(), connection)
        assert await reply.receive(2.0) is None
        with trio.move_on_after(30) as scope:
            await reply.receive()
        assert scope.cancelled_caught
        nursery.cancel_scope.cancel()


async def test_patience_over_tls(pair, tmp_path, autojump_clock):
    path = certificate(tmp_path, "upstream.test")
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(path)
    client = ssl.create_default_context(cafile=str(path))
    ours, theirs = (trio.SocketStream(trio.socket.from_stdlib_socket(s)) for s in pair)

    ends = {}

    async def handshake(stream, context, hostname):
        ends[hostname] = await start_tls(stream, context, hostname=hostname)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(handshake, ours, client, "upstream.test")
        nursery.start_soon(handshake, theirs, server, None)
    peer = ends[None]
    connection, reply = await opened(TlsStream(ends["upstream.test"]), peer.send_all)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sweep, Sweeper(), connection)
        assert await reply.receive(5.0) is None
        assert await reply.receive(5.0) is None
        await peer.send_all(b"01234")
        assert await reply.receive(5.0) == b"01234"
        await peer.send_all(b"56789")
        assert await reply.receive(5.0) == b"56789"
        nursery.cancel_scope.cancel()


def packed(text: bytes) -> bytes:
    pack = zlib.compressobj(wbits=31)
    return pack.compress(text) + pack.flush()


@pytest.mark.parametrize("coding", ["identity", "gzip"])
async def test_patience_through_a_proxy(coding):
    """Over httpx, whose own reads must not be cancelled: the wait ends, the stream goes on."""
    body = packed(b"0123456789") if coding == "gzip" else b"0123456789"
    go_on = trio.Event()

    async def serve(stream):
        await stream.receive_some()
        head = "HTTP/1.1 200 OK\r\ncontent-encoding: %s\r\ncontent-length: %d\r\n\r\n"
        await stream.send_all((head % (coding, len(body))).encode() + body[:5])
        await go_on.wait()
        await stream.send_all(body[5:])

    transport, got = Transport(), b""
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            await nursery.start(transport.run)
            listeners = await nursery.start(trio.serve_tcp, serve, 0)
            proxy = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
            reply = await transport.send(replace(CALL, proxy=proxy))
            while (data := await reply.receive(0.01)) is not None:
                got += data
            assert await reply.receive(0.01) is None
            go_on.set()
            while data := await reply.receive(4.0):
                got += data
            await reply.aclose()
            nursery.cancel_scope.cancel()
    await transport.aclose()
    assert got == b"0123456789"


async def drips(peer, *pieces):
    for piece in pieces:
        await trio.sleep(50)
        with suppress(BrokenPipeError):
            peer.send(piece)


async def test_a_head_that_drips_has_a_deadline(pair, autojump_clock):
    """Every byte starts the idle limit anew, so that alone would let it drip on."""
    ours, theirs = pair
    connection = Connection(Origin(host="upstream.test", port=80, tls=False), PlainStream(ours))
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sweep, Sweeper(), connection)
        nursery.start_soon(drips, theirs, *(HEAD[at : at + 1] for at in range(30)))
        with pytest.raises(UpstreamBroken) as broken:
            await connection.exchange(replace(CALL, first_timeout=120.0), address_of(URL))
        nursery.cancel_scope.cancel()
    assert broken.value.kind == "timeout"
    assert trio.current_time() - start <= 240.0


async def test_a_whole_answer_that_drips_has_a_deadline(pair, autojump_clock):
    ours, theirs = pair
    connection, reply = await opened(PlainStream(ours), sender(theirs))
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sweep, Sweeper(), connection)
        nursery.start_soon(drips, theirs, *(b"%d" % digit for digit in range(10)))
        with pytest.raises(UpstreamBroken) as broken:
            await reply.read(1000, start + 120.0)
        nursery.cancel_scope.cancel()
    assert broken.value.kind == "timeout"
    assert trio.current_time() - start == pytest.approx(150.0, abs=1.0)


async def test_a_whole_answer_in_one_piece_is_never_late(pair):
    ours, theirs = pair
    _, reply = await opened(PlainStream(ours), sender(theirs))
    theirs.send(b"0123456789")
    assert await reply.read(1000, trio.current_time() - 1.0) == b"0123456789"


async def ask_whole(transport, call, seconds):
    reply = await transport.send(call)
    return await reply.read(1000, trio.current_time() + seconds)


@pytest.mark.parametrize("part", ["head", "body"])
async def test_what_drips_through_a_proxy_has_a_deadline(part):
    """Over httpx, whose own limits are for single reads."""

    async def serve(stream):
        await stream.receive_some()
        whole = HEAD + b"0123456789"
        at = 3 if part == "head" else len(HEAD) + 1
        await stream.send_all(whole[:at])
        with suppress(trio.BrokenResourceError):
            for byte in range(at, len(whole)):
                await trio.sleep(0.15)
                await stream.send_all(whole[byte : byte + 1])

    transport = Transport()
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            await nursery.start(transport.run)
            listeners = await nursery.start(trio.serve_tcp, serve, 0)
            proxy = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
            call = replace(CALL, proxy=proxy, connect_timeout=0.25, first_timeout=0.25)
            with pytest.raises(UpstreamBroken) as broken:
                await ask_whole(transport, call, 0.3)
            nursery.cancel_scope.cancel()
    await transport.aclose()
    assert broken.value.kind == "timeout"
