"""Upstream answers off the wire, sans I/O. Chunked bodies are cut by httptools, the rest here."""

from __future__ import annotations

from typing import Final

import httptools
from msgspec import Struct

from proxy.http1 import limits
from proxy.http1.fields import (
    DIGITS,
    Fields,
    Malformed,
    clean_lines,
    fields_of,
    has_bare_newline,
    tokens,
)
from proxy.http1.limits import BadResponse

_CHUNKED_HEAD: Final = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
_HEAD, _FIXED, _CHUNKED, _UNTIL_CLOSE = range(4)


class ResponseHead(Struct, frozen=True, gc=False):
    """A head, checked. `length`: Content-Length, None without one."""

    status: int
    fields: Fields
    chunked: bool
    length: int | None
    keep_alive: bool


class _Dechunker:
    """httptools on a stand-in head: it sees nothing but chunks. Callbacks are bound C methods, so a
    chunk costs no Python frame."""

    __slots__ = (
        "extra",
        "feed",
        "framing",
        "on_body",
        "on_message_begin",
        "on_message_complete",
        "parts",
        "whole",
    )

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.whole = False
        self.extra = False
        self.framing = 0
        self.on_body = self.parts.append
        self.on_message_complete = self._complete
        self.on_message_begin = self._begin
        parser = httptools.HttpResponseParser(self)
        parser.feed_data(_CHUNKED_HEAD)
        self.feed = parser.feed_data

    def _begin(self) -> None:
        # Called once for the stand-in head, and again for bytes behind the last chunk.
        self.extra = self.whole

    def _complete(self) -> None:
        self.whole = True


class ResponseParser:
    """One connection's answers. `begin(method)`, then `feed` what was read until `done`.

    `status` is 0 until the head is read. `take()` gives the body so far and forgets it. After
    `done`, `reusable` says whether the connection may carry another exchange.

    Raises (from feed): BadResponse.
    """

    __slots__ = (
        "_body",
        "_buffer",
        "_dechunker",
        "_head_bytes",
        "_interim",
        "_last",
        "_last_raw",
        "_left",
        "_mode",
        "_no_body",
        "done",
        "headers",
        "reusable",
        "status",
    )

    def __init__(self) -> None:
        self._last_raw = b""
        self._last = ResponseHead(0, [], False, None, False)
        self.begin(b"GET")

    def begin(self, method: bytes) -> None:
        """Forgets the last answer and expects one to `method`."""
        self.status = 0
        self.headers: Fields = []
        self.done = False
        self.reusable = False
        self._no_body = method == b"HEAD"
        self._mode = _HEAD
        self._buffer: bytes | bytearray = b""
        self._body: list[bytes] = []
        self._left = 0
        self._head_bytes = 0
        self._interim = 0
        self._dechunker: _Dechunker | None = None

    def feed(self, data: bytes) -> None:
        """Bytes as they were read, b"" when the peer closed."""
        mode = self._mode
        if not data:
            self._closed()
        elif self.done:
            self.reusable = False
        elif mode == _CHUNKED:
            self._feed_chunks(data)
        elif mode == _FIXED:
            self._feed_fixed(data)
        elif mode == _UNTIL_CLOSE:
            self._body.append(data)
        else:
            self._feed_head(data)

    def take(self) -> bytes:
        """Body bytes since the last call, b"" if none."""
        parts = self._body
        if not parts:
            return b""
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        return data

    def _closed(self) -> None:
        if self.done:
            self.reusable = False
        elif self._mode == _UNTIL_CLOSE:
            self.done = True
        elif self._mode == _HEAD and not self._buffer and not self._interim:
            raise BadResponse("closed", "the connection was closed without an answer")
        else:
            raise BadResponse("closed", "the answer ended early")

    def _feed_fixed(self, data: bytes) -> None:
        size = len(data)
        left = self._left
        if size > left:
            self.reusable = False
            data = data[:left]
            size = left
        self._body.append(data)
        self._left = left = left - size
        if not left:
            self.done = True

    def _feed_chunks(self, data: bytes) -> None:
        dechunker = self._dechunker
        assert dechunker is not None  # noqa: S101 - _frame() made it with the mode
        body = self._body
        before = len(body)
        try:
            dechunker.feed(data)
        except httptools.HttpParserError:
            if not dechunker.whole:
                raise BadResponse("protocol", "the chunked body is malformed") from None
            # Garbage behind the last chunk: the answer stands, the connection does not.
            dechunker.extra = True
        if len(body) == before:
            dechunker.framing += len(data)
            if dechunker.framing > limits.CHUNK_SLACK:
                raise BadResponse("protocol", "too much chunk framing for its data")
        if dechunker.whole:
            self.done = True
            if dechunker.extra:
                self.reusable = False

    def _feed_head(self, data: bytes) -> None:
        if self._buffer:
            if not isinstance(self._buffer, bytearray):
                self._buffer = bytearray(self._buffer)
            self._buffer += data
            buffer: bytes | bytearray = self._buffer
        else:
            buffer = data
        while True:
            end = buffer.find(b"\r\n\r\n", 0, limits.HEAD)
            if end < 0:
                self._buffer = buffer
                if has_bare_newline(buffer):
                    raise BadResponse("protocol", "a line of the head ends in a bare line feed")
                if len(buffer) >= limits.HEAD:
                    raise BadResponse("too_large", "the head of the answer is too large")
                return
            raw = bytes(buffer[:end])
            buffer = bytes(buffer[end + 4 :])
            if raw != self._last_raw:
                self._last = parse_head(raw)
                self._last_raw = raw
            head = self._last
            if head.status >= 200:
                break
            self._interim += 1
            if head.status == 101 or self._interim > limits.INTERIM:
                raise BadResponse("protocol", "an interim answer that was not asked for")
        self._buffer = b""
        self._frame(head)
        if buffer:
            self.feed(buffer)

    def _frame(self, head: ResponseHead) -> None:
        """Decides how the body ends (RFC 9112, section 6.3)."""
        length = head.length
        self.reusable = head.keep_alive
        if self._no_body or head.status in {204, 304}:
            self.done = True
        elif head.chunked:
            self._mode = _CHUNKED
            dechunker = _Dechunker()
            self._dechunker = dechunker
            self._body = dechunker.parts
            if length is not None:
                self.reusable = False
        elif length is None:
            self._mode = _UNTIL_CLOSE
            self.reusable = False
        elif length:
            self._mode = _FIXED
            self._left = length
        else:
            self.done = True
        self.headers = head.fields
        self.status = head.status


def parse_head(block: bytes) -> ResponseHead:
    """A head without its blank line. Raises BadResponse."""
    try:
        lines = clean_lines(block)
        first = lines[0]
        if len(lines) - 1 > limits.FIELDS or len(first) > limits.REQUEST_LINE:
            raise BadResponse("too_large", "the head of the answer is too large")
        fields = fields_of(lines[1:])
    except Malformed as wrong:
        raise BadResponse("protocol", f"malformed head: {wrong}") from None
    version, _, rest = first.partition(b" ")
    status = rest[:3]
    if (
        version not in {b"HTTP/1.1", b"HTTP/1.0"}
        or len(status) != 3
        or status.translate(None, DIGITS)
        or rest[3:4] not in {b"", b" "}
        or status < b"100"
    ):
        raise BadResponse("protocol", "malformed status line")
    chunked, length, keep_alive = _framing(fields, 0 if version == b"HTTP/1.0" else 1)
    return ResponseHead(int(status), fields, chunked, length, keep_alive)


def _framing(fields: Fields, minor: int) -> tuple[bool, int | None, bool]:
    """(chunked, Content-Length, keep the connection)."""
    chunked = False
    length: bytes | None = None
    wishes: list[bytes] = []
    for name, value in fields:
        if name == b"content-length":
            same = {part.strip(b" \t") for part in value.split(b",")}
            if length is not None:
                same.add(length)
            if len(same) != 1:
                raise BadResponse("protocol", "conflicting lengths")
            length = same.pop()
            if not length or len(length) > 19 or length.translate(None, DIGITS):
                raise BadResponse("protocol", "malformed length")
        elif name == b"transfer-encoding":
            if chunked or value.lower() != b"chunked":
                raise BadResponse("protocol", "unknown transfer-encoding")
            chunked = True
        elif name == b"connection":
            wishes += tokens(value)
    keep = b"close" not in wishes and (minor == 1 or b"keep-alive" in wishes)
    return chunked, None if length is None else int(length), keep
