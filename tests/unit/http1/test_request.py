"""Requests: h11 is the oracle of what is accepted, and no cut of the bytes changes anything."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.http1 import limits
from proxy.http1.limits import BadRequest
from proxy.http1.request import RequestParser

LIMIT = 1 << 20
METHODS = st.sampled_from([b"GET", b"POST", b"OPTIONS", b"M-SEARCH", b"G ET", b"", b"GE\x00T"])
TARGETS = st.sampled_from(
    [b"/", b"/v1/messages?beta=true", b"*", b"/a b", b"", b"/\xc3\xa9", b"/\t"]
)
VERSIONS = st.sampled_from(
    [b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.1 ", b"HTP"]
)
LINES = st.sampled_from(
    [
        b"host: x",
        b"Host: x",
        b"content-length: 4",
        b"Content-Length: 4",
        b"content-length: 4, 4",
        b"content-length: +4",
        b"content-length: 0x4",
        b"content-length: 18446744073709551620",
        b"transfer-encoding: chunked",
        b"Transfer-Encoding: Chunked",
        b"transfer-encoding: gzip, chunked",
        b"transfer-encoding: identity",
        b"connection: close",
        b"connection: keep-alive, x",
        b"expect: 100-continue",
        b"x-y:  spaced\t",
        b"x-empty:",
        b"x: a\rb",
        b"x: a\nb",
        b"x: a\x00b",
        b"x : y",
        b" folded",
        b"no colon",
        b": no name",
        b"x: \xff\xfe",
    ]
)
GOOD = st.lists(st.sampled_from([b"x-a: 1", b"accept: */*", b"cookie: a=b; c=d"]), max_size=3)
CHUNKS = st.sampled_from(
    [
        b"4\r\nbody\r\n0\r\n\r\n",
        b"1\r\nb\r\n3;x=y\r\nody\r\n0\r\nx-t: 1\r\n\r\n",
        b"4\r\nbody0\r\n\r\n",
        b"g\r\n",
        b"-4\r\nbody\r\n0\r\n\r\n",
        b"0x4\r\nbody\r\n0\r\n\r\n",
        b"4\nbody\r\n0\r\n\r\n",
        b"00000000000000000004\r\nbody\r\n0\r\n\r\n",
        b"ffffffffffffffff\r\n",
    ]
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Mostly lawful requests, with the faults that smuggle and crash."""
    lawful = draw(st.booleans())
    if lawful:
        framing = draw(st.sampled_from([b"content-length: 4", b"transfer-encoding: chunked"]))
        lines = [b"host: x", framing, *draw(GOOD)]
        first = b"POST /v1/messages HTTP/1.1"
    else:
        lines = draw(st.lists(LINES, max_size=5))
        first = b" ".join([draw(METHODS), draw(TARGETS), draw(VERSIONS)])
    body = draw(CHUNKS) if any(b"hunked" in line for line in lines) else b"body"
    more = draw(st.sampled_from([b"", b"GET / HTTP/1.1\r\nhost: y\r\n\r\n"]))
    return b"\r\n".join([first, *lines, b"", body]) + more


def others(fields: list) -> list:
    """All but the framing, which h11 rewrites."""
    return [pair for pair in fields if pair[0] not in (b"content-length", b"transfer-encoding")]


def ours(pieces: list[bytes]) -> tuple[list, bool]:
    """The requests that are whole, and whether one was refused."""
    parser = RequestParser(LIMIT)
    found: list = []
    head = None
    try:
        for piece in pieces:
            parser.feed(piece)
            while True:
                head = head or parser.head()
                if head is None:
                    break
                body = parser.body()
                if body is None:
                    break
                found.append((head.method, head.target, others(head.fields), body))
                head = None
                if not parser.unread:
                    break
    except BadRequest:
        return found, True
    return found, False


def oracle(data: bytes) -> tuple[list, bool]:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.HEAD)
    connection.receive_data(data)
    found: list = []
    request, body = None, b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                request, body = event, b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                fields = [(bytes(n), bytes(v)) for n, v in request.headers]
                found.append((bytes(request.method), bytes(request.target), others(fields), body))
                connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is h11.MUST_CLOSE:
                    return found, False
                connection.start_next_cycle()
            else:
                return found, False
    except h11.RemoteProtocolError:
        return found, True


@settings(max_examples=300, deadline=None)
@given(requests())
def test_what_we_accept_h11_reads_in_the_same_way(data):
    found, _ = ours([data])
    accepted, _ = oracle(data)
    # h11 stops where the connection closes; we leave that to the server.
    assert found[: len(accepted)] == accepted[: len(found)]
    assert bool(accepted) >= bool(found)


@settings(max_examples=300, deadline=None)
@given(requests(), st.data())
def test_any_cut_gives_the_same_requests(data, draw):
    whole = ours([data])
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=6)))
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    assert ours([piece for piece in pieces if piece]) == whole


@pytest.mark.parametrize("framing", [b"content-length: 4", b"transfer-encoding: chunked"])
def test_every_cut_of_one_request(framing):
    body = b"body" if b"length" in framing else b"3;x=y\r\nbod\r\n1\r\ny\r\n0\r\nx-t: 1\r\n\r\n"
    data = b"POST /v1 HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n%b" % (framing, body)
    whole = ours([data])
    assert len(whole[0]) == 1
    assert whole[0][0][3] == b"body"
    assert not whole[1]
    for at in range(1, len(data)):
        assert ours([data[:at], data[at:]]) == whole, at
    assert ours([bytes([byte]) for byte in data]) == whole


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /%b HTTP/1.1\r\nhost: x" % (b"a" * limits.REQUEST_LINE), 414),
        (b"GET / HTTP/1.1\r\nhost: x\r\nx: %b" % (b"a" * limits.HEAD), 431),
        (b"GET / HTTP/1.1\r\nhost: x" + b"\r\nx: y" * limits.FIELDS, 431),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d" % (LIMIT + 1), 413),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 1", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip", 501),
        (b"GET / HTTP/1.1\r\nhost: x\r\nx: a\r\n b", 400),
        (b"GET / HTTP/1.1\nhost: x", 400),
        (b"GET / HTTP/1.1", 400),
        (b"GET / HTTP/3.0\r\nhost: x", 505),
        (b"GET / HTTP/1.1\r\nhost: x\r\nexpect: tea", 417),
    ],
)
def test_what_is_refused_and_how(head, status):
    parser = RequestParser(LIMIT)
    parser.feed(head + b"\r\n\r\n")
    with pytest.raises(BadRequest) as refused:
        parser.head()
    assert refused.value.status == status


@pytest.mark.parametrize("size", [b"fffffffff\r\n", b"g\r\n", b"4\nbody", b"4 4\r\n"])
def test_bad_chunks_are_refused(size):
    parser = RequestParser(LIMIT)
    parser.feed(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + size)
    assert parser.head() is not None
    with pytest.raises(BadRequest):
        parser.body()
