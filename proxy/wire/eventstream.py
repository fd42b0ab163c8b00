"""AWS's binary event stream (`application/vnd.amazon.eventstream`): frames of headers and a payload.

Big-endian: total length, length of the headers, CRC of both, headers, payload, CRC of all before it.
Source: kiro sheet, section 6.
"""

from __future__ import annotations

import struct
from struct import Struct as Layout
from typing import Final
from zlib import crc32

LIMIT: Final = 10 * 1024 * 1024
"""Bytes of one frame, as AWS's own readers have it."""
_PRELUDE: Final = Layout(">III")
_CRC: Final = Layout(">I")
_U16: Final = Layout(">H")
_LEAST: Final = 16
_FIXED: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Type of a header's value -> its bytes; 6 and 7 say their length."""
_TEXT: Final = 7
_SIZED: Final = (6, _TEXT)

Frame = tuple[dict[str, str], bytes]
"""(headers that are texts, payload)."""


class BadFrame(Exception):  # noqa: N818 - says what happened, as trio names its own
    """Not such a stream, or a broken one. `frames`: those that were whole before it."""

    def __init__(self, why: str, frames: list[Frame]) -> None:
        super().__init__(why)
        self.frames = frames


class FrameParser:
    """Splits a byte stream into frames. Any chunking of a stream gives the same frames."""

    __slots__ = ("_needs", "_size", "_tail")

    def __init__(self) -> None:
        self._tail: list[bytes] = []
        self._size = 0
        self._needs = _PRELUDE.size
        """Bytes from which on there is something to read: large frames come in many pieces."""

    @property
    def inside(self) -> bool:
        """A frame has begun and is not whole."""
        return self._size > 0

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that these bytes complete. Raises BadFrame."""
        if self._size or len(data) < self._needs:
            if data:
                self._tail.append(data)
                self._size += len(data)
            if self._size < self._needs:
                return []
            data = b"".join(self._tail)
        frames: list[Frame] = []
        self._needs = _PRELUDE.size
        at = 0
        while len(data) - at >= _PRELUDE.size:
            total, head, crc = _PRELUDE.unpack_from(data, at)
            if (
                not _LEAST <= total <= LIMIT
                or head > total - _LEAST
                or crc32(data[at : at + 8]) != crc
            ):
                raise BadFrame("this is no event stream", frames)
            if len(data) - at < total:
                self._needs = total
                break
            end = at + total - _CRC.size
            if crc32(data[at:end]) != _CRC.unpack_from(data, end)[0]:
                raise BadFrame("a frame was damaged on its way", frames)
            start = at + _PRELUDE.size
            try:
                headers = _headers(data[start : start + head])
            except (struct.error, IndexError, UnicodeDecodeError):
                raise BadFrame("the headers of a frame cannot be read", frames) from None
            frames.append((headers, data[start + head : end]))
            at += total
        rest = data[at:]
        self._tail, self._size = [rest] if rest else [], len(rest)
        return frames


def _headers(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        size = data[at]
        name = data[at + 1 : at + 1 + size].decode()
        at += 1 + size
        kind = data[at]
        at += 1
        if kind in _SIZED:
            (length,) = _U16.unpack_from(data, at)
            at += _U16.size
            if kind == _TEXT:
                found[name] = data[at : at + length].decode()
        elif kind in _FIXED:
            length = _FIXED[kind]
        else:
            raise IndexError
        at += length
    return found


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """The way back: one frame."""
    head = b"".join(
        bytes((len(name.encode()),))
        + name.encode()
        + bytes((_TEXT,))
        + _U16.pack(len(value.encode()))
        + value.encode()
        for name, value in headers.items()
    )
    sizes = Layout(">II").pack(_LEAST + len(head) + len(payload), len(head))
    body = sizes + _CRC.pack(crc32(sizes)) + head + payload
    return body + _CRC.pack(crc32(body))
