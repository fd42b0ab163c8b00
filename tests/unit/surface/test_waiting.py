"""Clients that wait for a first event are calmed in their own protocol; the answer follows untouched."""

from __future__ import annotations

import msgspec
import pytest
import trio
from h2.connection import H2Connection

from proxy.config.model import Settings
from proxy.surface.asgi import AsgiResponder
from proxy.surface.router import App
from proxy.surface.server import serve
from tests.scripted import STREAM, FakeReply, HostTransport, chain, chunk, live_of

SSE = [(b"content-type", b"text/event-stream")]
CHAT = ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}], "stream": True})
CLAUDE = ("/v1/messages", {**CHAT[1], "max_tokens": 9})
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


async def ask(transport, path: str, body: dict, http: str = "1.1", **settings) -> bytes:
    """Everything that a client reads of one answer, over a real socket."""
    wanted = Settings(port=0, keepalive=10.0, **settings)
    live = live_of(transport, chain("a", sticky="none"), wanted)
    raw = msgspec.json.encode({"model": "m", **body})
    head = f"POST {path} HTTP/{http}\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(raw)}"
    out = b""
    async with trio.open_nursery() as nursery:
        sockets = await nursery.start(serve, wanted, App(live))
        port = sockets[0].getsockname()[1]
        client = await trio.open_tcp_stream("127.0.0.1", port)
        await client.send_all(head.encode() + b"\r\n\r\n" + raw)
        async for piece in client:
            out += piece
        await client.aclose()
        nursery.cancel_scope.cancel()
    return out


def parts(answer: bytes) -> tuple[bytes, bytes]:
    """Head and body, chunks joined."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        body, rest = body + rest[:length], rest[length + 2 :]
    return head, body


def slow(seconds: float, *pieces) -> HostTransport:
    return HostTransport(a=(seconds, FakeReply(200, list(pieces or STREAM), SSE)))


async def test_a_silent_upstream_before_the_first_event(autojump_clock) -> None:
    head, body = parts(await ask(slow(35.0), *CHAT))
    assert head.startswith(b"HTTP/1.1 200")
    assert head.count(b"content-type") == 1
    assert b"x-request-id" in head
    assert body == b": keep-alive\n\n" * 3 + b"".join(STREAM)


async def test_a_quick_upstream_is_not_preceded_by_anything(autojump_clock) -> None:
    head, body = parts(await ask(slow(5.0), *CHAT))
    assert body == b"".join(STREAM)
    assert b"x-pointsman-target: a" in head


async def test_pings_in_the_form_of_the_messages_protocol(autojump_clock) -> None:
    _, body = parts(await ask(slow(15.0), *CLAUDE))
    assert body.startswith(b"event: ping\ndata: ")
    assert body.count(b"event: ping") == 1
    assert body.count(b"event: message_start") == 1
    assert b"event: message_stop" in body


async def test_a_json_array_gets_white_space(autojump_clock) -> None:
    path = "/v1beta/models/m:streamGenerateContent"
    _, body = parts(await ask(slow(25.0), path, GEMINI))
    assert body.startswith(b"\n\n[")
    assert isinstance(msgspec.json.decode(body), list)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        CHAT,
        CLAUDE,
        ("/v1/completions", {"prompt": "hi", "stream": True}),
        ("/v1/responses", {"input": "hi", "stream": True}),
        ("/v1beta/models/m:streamGenerateContent?alt=sse", GEMINI),
        ("/v1beta/models/m:streamGenerateContent", GEMINI),
    ],
)
async def test_a_failure_after_a_keep_alive_is_told_in_the_stream(
    autojump_clock, path: str, body: dict
) -> None:
    refusal = FakeReply(503, [b'{"error":{"message":"down for good"}}'], [])
    head, said = parts(await ask(HostTransport(a=(15.0, refusal)), path, body))
    assert head.startswith(b"HTTP/1.1 200")
    assert b"down for good" in said
    assert b'"error"' in said


async def test_a_failure_in_time_keeps_its_status(autojump_clock) -> None:
    refusal = FakeReply(503, [b'{"error":{"message":"down for good"}}'], [])
    answer = await ask(HostTransport(a=(5.0, refusal)), *CHAT)
    assert answer.startswith(b"HTTP/1.1 503")


async def test_an_http_1_0_client_gets_no_chunks(autojump_clock) -> None:
    answer = await ask(slow(15.0), *CHAT, http="1.0")
    _, _, body = answer.partition(b"\r\n\r\n")
    assert body == b": keep-alive\n\n" + b"".join(STREAM)


async def test_whole_answers_are_waited_for_in_silence(autojump_clock) -> None:
    reply = FakeReply(200, [b'{"choices":[]}'], [(b"content-type", b"application/json")])
    body = {**CHAT[1], "stream": False}
    answer = await ask(HostTransport(a=(60.0, reply)), CHAT[0], body)
    assert answer.endswith(b'{"choices":[]}')
    assert b"keep-alive\n" not in answer


async def test_the_other_lane_calms_its_clients_too(autojump_clock) -> None:
    sent = []

    async def send(message) -> None:
        sent.append(message)

    async with trio.open_nursery() as nursery:
        out = AsgiResponder(send, nursery, bodiless=False)
        out.wait_for(SSE, b": keep-alive\n\n", 10.0)
        await trio.sleep(25.0)
        out.start(200, [*SSE, (b"x-late", b"1")])
        await out.send(b"data: 1\n\n")
        await out.end()
        await trio.sleep(25.0)
        nursery.cancel_scope.cancel()
    assert [message["type"] for message in sent].count("http.response.start") == 1
    assert [message.get("body") for message in sent[1:]] == [
        b": keep-alive\n\n",
        b": keep-alive\n\n",
        b"data: 1\n\n",
        b"",
    ]


async def test_a_second_wait_of_one_answer_is_one_task(autojump_clock) -> None:
    """An answer that is resumed waits again, while the first wait's task still sleeps."""
    sent = []

    async def send(message) -> None:
        sent.append(message)

    async with trio.open_nursery() as nursery:
        out = AsgiResponder(send, nursery, bodiless=False)
        out.wait_for(SSE, b": keep-alive\n\n", 10.0)
        await trio.sleep(2.0)
        out.start(200, SSE)
        await out.send(b"data: 1\n\n")
        out.wait_for([], b": keep-alive\n\n", 10.0)
        await trio.sleep(25.0)
        out.start(200, [])
        await out.end()
        nursery.cancel_scope.cancel()
    bodies = [message["body"] for message in sent if message["type"] == "http.response.body"]
    assert bodies == [b"data: 1\n\n", *[b": keep-alive\n\n"] * 2, b""]


async def test_an_http_2_client_that_does_not_read_is_cut(autojump_clock) -> None:
    """Its flow control stays shut: nothing would ever end this but a deadline."""
    text = chunk(content="x" * 60_000)
    transport = slow(0.1, text, text, text, *STREAM)
    wanted = Settings(port=0)
    live = live_of(transport, chain("a", sticky="none"), wanted)
    raw = msgspec.json.encode({"model": "m", **CHAT[1]})
    client = H2Connection()
    client.initiate_connection()
    client.send_headers(
        1,
        [(":method", "POST"), (":path", CHAT[0]), (":scheme", "http"), (":authority", "x")],
    )
    client.send_data(1, raw, end_stream=True)
    async with trio.open_nursery() as nursery:
        sockets = await nursery.start(serve, wanted, App(live))
        stream = await trio.open_tcp_stream("127.0.0.1", sockets[0].getsockname()[1])
        await stream.send_all(client.data_to_send())
        got = b""
        while b"xxxx" not in got:
            got += await stream.receive_some()
        assert live.pool.in_flight == {"a": 1}
        await trio.sleep(70.0)
        assert live.pool.in_flight == {}
        assert transport.given[0].closed
        await stream.aclose()
        nursery.cancel_scope.cancel()
