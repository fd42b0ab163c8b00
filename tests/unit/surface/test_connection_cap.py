"""More clients than the server has room for: each is told so, also over TLS, at a bounded cost."""

from __future__ import annotations

import ssl

import pytest
import trio
import trio.testing

from proxy.config.model import Settings, Tls
from proxy.surface import server
from proxy.surface.router import App
from tests.certificates import certificate
from tests.scripted import HostTransport, chain, live_of

GET = b"GET /v1/nothing HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"), "localhost")


def settings(pem=None) -> Settings:
    tls = Tls(cert=str(pem), key=str(pem)) if pem else None
    return Settings(port=0, connections=1, tls=tls)


def trusting(*protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(list(protocols))
    return context


async def read_all(stream) -> bytes:
    out = b""
    async for piece in stream:
        out += piece
    await stream.aclose()
    return out


class Full:
    """A server whose one place is taken by a client that says nothing."""

    def __init__(self, wanted: Settings) -> None:
        self.wanted = wanted

    async def __aenter__(self):
        self.nursery = trio.open_nursery()
        nursery = await self.nursery.__aenter__()
        live = live_of(HostTransport(), chain("a"), self.wanted)
        sockets = await nursery.start(server.serve, self.wanted, App(live))
        self.port = sockets[0].getsockname()[1]
        self.first = await trio.open_tcp_stream("127.0.0.1", self.port)
        await trio.testing.wait_all_tasks_blocked(0.02)
        self.scope = nursery.cancel_scope
        return self

    async def __aexit__(self, *error):
        await self.first.aclose()
        self.scope.cancel()
        return await self.nursery.__aexit__(*error)

    async def secure(self, *protocols: str):
        plain = await trio.open_tcp_stream("127.0.0.1", self.port)
        context = trusting(*protocols)
        stream = trio.SSLStream(plain, context, server_hostname="x", https_compatible=True)
        await stream.do_handshake()
        return stream


async def test_one_too_many_is_told() -> None:
    async with Full(settings()) as full:
        client = await trio.open_tcp_stream("127.0.0.1", full.port)
        answer = await read_all(client)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: 1\r\n" in answer
    assert b"Too many connections" in answer


@pytest.mark.parametrize("protocols", [("http/1.1",), ("h2", "http/1.1"), ("h2",)])
async def test_one_too_many_is_told_over_tls(pem, protocols) -> None:
    async with Full(settings(pem)) as full:
        client = await full.secure(*protocols)
        assert client.selected_alpn_protocol() in ("http/1.1", None)
        await client.send_all(GET)
        answer = await read_all(client)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"Too many connections" in answer


async def test_a_place_that_comes_free_is_given_again(pem) -> None:
    async with Full(settings(pem)) as full:
        client = await full.secure("http/1.1")
        await client.send_all(GET)
        assert (await read_all(client)).startswith(b"HTTP/1.1 503 ")
        await full.first.aclose()
        await trio.testing.wait_all_tasks_blocked(0.02)
        client = await full.secure("http/1.1")
        await client.send_all(GET)
        assert (await client.receive_some()).startswith(b"HTTP/1.1 404 ")
        await client.aclose()


async def test_few_are_told_at_a_time_and_none_for_long(pem, monkeypatch) -> None:
    monkeypatch.setattr(server, "_EXCUSES", 2)
    monkeypatch.setattr(server, "_EXCUSE_SECONDS", 0.6)
    async with Full(settings(pem)) as full:
        mute = [await trio.open_tcp_stream("127.0.0.1", full.port) for _ in range(3)]
        with trio.fail_after(0.5):
            assert await read_all(mute.pop()) == b""
        with trio.fail_after(2):
            assert [await read_all(one) for one in mute] == [b"", b""]
        client = await full.secure("http/1.1")
        await client.send_all(GET)
        assert (await read_all(client)).startswith(b"HTTP/1.1 503 ")
