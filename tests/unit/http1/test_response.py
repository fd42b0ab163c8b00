"""Answers of upstreams: h11 is the oracle, and no cut of the bytes changes anything."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.http1.limits import BadResponse
from proxy.http1.response import ResponseParser

FIRST = st.sampled_from(
    [b"HTTP/1.1 200 OK"] * 3
    + [
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1 204 No Content",
        b"HTTP/1.1 429 ",
        b"HTTP/1.1 500",
        b"HTTP/2 200",
    ]
)
LINES = st.sampled_from(
    [
        b"content-length: 4",
        b"Content-Length: 4",
        b"content-length: 4, 4",
        b"content-length: 3",
        b"content-length: -1",
        b"transfer-encoding: chunked",
        b"transfer-encoding: gzip",
        b"connection: close",
        b"x: y",
        b"x: a\rb",
        b"x: a\x00",
        b" folded",
        b"x y: z",
    ]
)
CHUNKS = st.sampled_from(
    [
        b"4\r\nbody\r\n0\r\n\r\n",
        b"1\r\nb\r\n3;x=y\r\nody\r\n0\r\nx-t: 1\r\n\r\n",
        b"4\r\nbodyX\r\n0\r\n\r\n",
        b"g\r\nbody\r\n0\r\n\r\n",
        b"4\r\nbo",
    ]
)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    lines = draw(st.lists(LINES, max_size=3))
    body = draw(CHUNKS) if b"transfer-encoding: chunked" in lines else b"body"
    interim = draw(st.sampled_from([b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n"]))
    return interim + b"\r\n".join([draw(FIRST), *lines, b"", body])


def ours(pieces: list[bytes]) -> tuple[int, list, bytes, bool] | None:
    """(status, fields, body, reusable) of a whole answer; None where it is refused or cut."""
    parser = ResponseParser()
    parser.begin(b"POST")
    body = b""
    try:
        for piece in [*pieces, b""]:
            if parser.done and not piece:
                break
            parser.feed(piece)
            body += parser.take()
    except BadResponse:
        return None
    return parser.status, parser.headers, body, parser.reusable


def oracle(data: bytes) -> tuple[int, list, bytes] | None:
    connection = h11.Connection(h11.CLIENT)
    connection.send(
        h11.Request(method="POST", target="/", headers=[("host", "x"), ("content-length", "0")])
    )
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    connection.receive_data(b"")
    status, fields, body = 0, [], b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
                fields = [(bytes(n), bytes(v)) for n, v in event.headers]
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return status, fields, body
            elif not isinstance(event, h11.InformationalResponse):
                return None
    except h11.RemoteProtocolError:
        return None


def others(fields: list) -> list:
    """h11 tells a repeated length once."""
    return [pair for pair in fields if pair[0] != b"content-length"]


@settings(max_examples=300, deadline=None)
@given(answers())
def test_what_we_accept_h11_reads_in_the_same_way(data):
    found = ours([data])
    if found is not None:
        read = oracle(data)
        assert read is not None
        assert (found[0], found[2]) == (read[0], read[2])
        assert others(found[1]) == others(read[1])


@settings(max_examples=300, deadline=None)
@given(answers(), st.data())
def test_any_cut_gives_the_same_answer(data, draw):
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=6)))
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    assert ours([piece for piece in pieces if piece]) == ours([data])


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody",
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
            b"3;x=y\r\nbod\r\n1\r\ny\r\n0\r\nx-t: 1\r\n\r\n"
        ),
        b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nbody",
    ],
)
def test_every_cut_of_one_answer(data):
    whole = ours([data])
    assert whole is not None
    assert (whole[0], whole[2]) == (200, b"body")
    for at in range(1, len(data)):
        assert ours([data[:at], data[at:]]) == whole, at
    assert ours([bytes([byte]) for byte in data]) == whole


def test_bytes_behind_an_answer_end_the_connection():
    found = ours([b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbodyHTTP/1.1 200 OK\r\n"])
    assert found is not None
    assert found[2:] == (b"body", False)
