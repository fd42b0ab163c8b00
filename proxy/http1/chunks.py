"""Chunked request bodies, strict: hex size, optional extension, CRLF, data, CRLF, trailers dropped."""

from __future__ import annotations

from typing import Final

from proxy.http1 import limits
from proxy.http1.fields import Malformed, clean_lines, fields_of
from proxy.http1.limits import BadRequest

_HEX: Final = b"0123456789abcdefABCDEF"
_SIZE, _DATA, _DATA_END, _TRAILER, _DONE = range(5)


class ChunkedBody:
    """One body. `feed` bytes, then `body()`; after it is whole, `unread` is what came behind it."""

    __slots__ = ("_buffer", "_framing", "_got", "_left", "_limit", "_parts", "_state", "_trailers")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._parts: list[bytes] = []
        self._got = 0
        self._left = 0
        self._framing = 0
        self._trailers = 0
        self._state = _SIZE

    @property
    def unread(self) -> bytes:
        """Bytes behind the body."""
        return bytes(self._buffer)

    def feed(self, data: bytes) -> None:
        """More bytes; nothing is checked before `body()`."""
        self._buffer += data

    def body(self) -> bytes | None:
        """The decoded body, or None while it is incomplete. Raises BadRequest (400, 413, 431)."""
        while self._state != _DONE:
            if not (self._read_data() if self._state == _DATA else self._read_line()):
                return None
        return b"".join(self._parts)

    def _read_data(self) -> bool:
        piece = bytes(self._buffer[: self._left])
        if not piece:
            return False
        del self._buffer[: len(piece)]
        self._parts.append(piece)
        self._got += len(piece)
        self._left -= len(piece)
        if not self._left:
            self._state = _DATA_END
        return True

    def _read_line(self) -> bool:
        end = self._buffer.find(b"\n", 0, limits.CHUNK_LINE + 2)
        if self._state == _DATA_END and self._buffer and not b"\r\n".startswith(self._buffer[:2]):
            raise BadRequest(400, "A chunk is longer than its size.")
        if end < 0:
            if len(self._buffer) > limits.CHUNK_LINE + 1:
                raise BadRequest(400, "A chunk-size line is too long.")
            return False
        line = bytes(self._buffer[: end + 1])
        if line[-2:] != b"\r\n":
            raise BadRequest(400, "A chunk line ends in a bare line feed.")
        del self._buffer[: end + 1]
        self._framing += len(line)
        if self._framing > limits.CHUNK_SLACK + 8 * self._got:
            raise BadRequest(400, "Too much chunk framing for its data.")
        self._take_line(line[:-2])
        return True

    def _take_line(self, line: bytes) -> None:
        if self._state == _SIZE:
            self._start_chunk(line)
        elif self._state == _DATA_END:
            self._state = _SIZE
        elif not line:
            self._state = _DONE
        else:
            self._trailers += 1
            if self._trailers > limits.FIELDS:
                raise BadRequest(431, "Too many trailer fields.")
            _checked(line)

    def _start_chunk(self, line: bytes) -> None:
        digits, semicolon, _ = line.partition(b";")
        if semicolon:
            _clean(line)
            digits = digits.rstrip(b" \t")
        if not digits or len(digits) > limits.CHUNK_DIGITS or digits.translate(None, _HEX):
            raise BadRequest(400, "A chunk size is malformed.")
        self._left = int(digits, 16)
        if self._got + self._left > self._limit:
            raise BadRequest(413, "The request body is too large.")
        self._state = _DATA if self._left else _TRAILER


def _clean(line: bytes) -> None:
    try:
        clean_lines(line)
    except Malformed as wrong:
        raise BadRequest(400, f"Malformed chunk extension: {wrong}.") from None


def _checked(line: bytes) -> None:
    try:
        fields_of(clean_lines(line))
    except Malformed as wrong:
        raise BadRequest(400, f"Malformed trailer: {wrong}.") from None
