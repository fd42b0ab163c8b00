"""AWS's event stream: framing in any chunking, and every way in which a stream can be none."""

from __future__ import annotations

import struct
import time
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.eventstream import LIMIT, BadFrame, FrameParser, frame

FRAMES = [
    ({":event-type": "assistantResponseEvent"}, b'{"content":"hi"}'),
    ({}, b""),
    ({":message-type": "event", "é": "ü"}, b"\x00\xff" * 100),
]
STREAM = b"".join(frame(*one) for one in FRAMES)


def test_frames_come_out_as_they_went_in():
    parser = FrameParser()
    assert parser.feed(STREAM) == FRAMES
    assert not parser.inside


@given(st.lists(st.integers(0, len(STREAM))))
def test_any_chunking_gives_the_same_frames(cuts):
    parser, found, at = FrameParser(), [], 0
    for cut in [*sorted(cuts), len(STREAM)]:
        found += parser.feed(STREAM[at:cut])
        at = cut
    assert found == FRAMES


def test_a_large_frame_in_small_pieces_is_put_together_once():
    payload = b"x" * (4 * 1024 * 1024)
    data = frame({}, payload)
    parser, began = FrameParser(), time.process_time()
    found = [one for at in range(0, len(data), 64) for one in parser.feed(data[at : at + 64])]
    assert found == [({}, payload)]
    assert time.process_time() - began < 2.0
    assert not parser.inside


def test_a_frame_that_has_begun_is_told():
    parser = FrameParser()
    parser.feed(STREAM[:20])
    assert parser.inside


@pytest.mark.parametrize("at", [0, 5, 9, 14, 40, len(frame(*FRAMES[0])) - 1])
def test_a_damaged_byte_is_found(at):
    good = frame(*FRAMES[0])
    bad = bytearray(good)
    bad[at] ^= 1
    with pytest.raises(BadFrame) as caught:
        FrameParser().feed(good + bytes(bad))
    assert caught.value.frames == FRAMES[:1]


def built(head: bytes, payload: bytes = b"", total: int = 0) -> bytes:
    sizes = struct.pack(">II", total or 16 + len(head) + len(payload), len(head))
    body = sizes + struct.pack(">I", crc32(sizes)) + head + payload
    return body + struct.pack(">I", crc32(body))


def test_headers_of_every_type_are_skipped_but_texts():
    values = [
        *((0, b""), (1, b""), (2, b"1"), (3, b"12"), (4, b"1234"), (5, b"12345678")),
        *((6, b"\x00\x02xy"), (7, b"\x00\x02ab"), (8, b"12345678"), (9, b"1" * 16)),
    ]
    head = b"".join(bytes((2, 104, 48 + n, kind)) + v for n, (kind, v) in enumerate(values))
    ((headers, payload),) = FrameParser().feed(built(head, b"p"))
    assert (headers, payload) == ({"h7": "ab"}, b"p")


@pytest.mark.parametrize(
    "data",
    [
        b'{"message":"no event stream"}',
        built(b"", total=LIMIT + 1),
        built(b"\x02h0\x63"),
        built(b"\x02h0"),
        built(b"\x02h0\x07\x00"),
        built(b"\x02h0\x07\x00\x01\xff"),
    ],
)
def test_what_is_no_event_stream(data):
    with pytest.raises(BadFrame):
        FrameParser().feed(data)
