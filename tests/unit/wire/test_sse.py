"""proxy.wire.sse: framing rules and independence of chunking."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.sse import SseOverflow, SseParser, comment, frame, looks_like_sse


def parse(*chunks: bytes, limit: int = 1 << 20) -> list[tuple[bytes, bytes]]:
    parser = SseParser(limit)
    out = [event for chunk in chunks for event in parser.feed(chunk)]
    return out + parser.eof()


@pytest.mark.parametrize(
    ("text", "events"),
    [
        (b'data: {"a":1}\n\n', [(b"", b'{"a":1}')]),
        (b"event: x\ndata: y\n\n", [(b"x", b"y")]),
        (b"event:x\ndata:y\n\n", [(b"x", b"y")]),
        (b"data: y\nevent: x\n\n", [(b"x", b"y")]),
        (b"data:  two\n\n", [(b"", b" two")]),
        (b"data: a\ndata: b\n\n", [(b"", b"a\nb")]),
        (b"data: a\r\n\r\ndata: b\r\rdata: c\n\n", [(b"", b"a"), (b"", b"b"), (b"", b"c")]),
        (b": hello\n\ndata: a\n: c\n\n", [(b"", b"a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [(b"", b"a")]),
        (b"data: a", [(b"", b"a")]),
        (b"data: a\n", [(b"", b"a")]),
        (b"event: ping\n\ndata: a\n\n", [(b"", b"a")]),
        (b"data:\n\n", [(b"", b"")]),
        (b"data\n\n", [(b"", b"")]),
        (b"id: 1\nretry: 5\ndata: a\n\n", [(b"", b"a")]),
        (b"\n\n\ndata: a\n\n\n\ndata: b\n\n", [(b"", b"a"), (b"", b"b")]),
        (b"", []),
        (b"\xef\xbb\xbf", []),
    ],
)
def test_events_of_a_text(text: bytes, events: list[tuple[bytes, bytes]]) -> None:
    assert parse(text) == events


PIECES = st.lists(
    st.sampled_from(
        b"data: |data:|event: |x|{}|\n|\r|\r\n|\n\n|:| |\xef\xbb\xbf|\xe4|id: 1".split(b"|")
    ),
    max_size=40,
).map(b"".join)


@given(PIECES, st.lists(st.integers(1, 7), max_size=200))
def test_chunking_changes_nothing(text: bytes, sizes: list[int]) -> None:
    chunks, at = [], 0
    for size in sizes:
        chunks.append(text[at : at + size])
        at += size
    assert parse(*chunks, text[at:]) == parse(text)


@given(PIECES)
def test_byte_by_byte(text: bytes) -> None:
    assert parse(*(text[i : i + 1] for i in range(len(text)))) == parse(text)


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_an_event_over_the_limit_raises_and_gives_what_came_before(size: int) -> None:
    text = b"data: a\n\ndata: " + b"b" * 100 + b"\n\n"
    parser, seen = SseParser(64), []

    def feed_all() -> None:
        for at in range(0, len(text), size):
            seen.extend(parser.feed(text[at : at + size]))

    with pytest.raises(SseOverflow) as caught:
        feed_all()
    assert seen + caught.value.events == [(b"", b"a")]


def test_an_event_at_the_limit_passes_in_any_chunking() -> None:
    text = b"data: " + b"b" * 58 + b"\n\n"
    assert parse(text, limit=64) == parse(*(text[i : i + 1] for i in range(len(text))), limit=64)


def test_frames_are_read_back() -> None:
    text = frame(b"{}") + comment(b"keep-alive") + frame(b"[]", b"x")
    assert parse(text) == [(b"", b"{}"), (b"x", b"[]")]


def test_a_body_that_is_a_stream_is_known() -> None:
    assert looks_like_sse(b"\n event: x\ndata: {}\n\n")
    assert looks_like_sse(b"data: {}\n\n")
    assert not looks_like_sse(b'{"data":1}')
