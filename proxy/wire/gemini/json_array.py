"""The other framing of a Gemini stream: one JSON array, an object at a time (no `alt=sse`)."""

from __future__ import annotations

import re
from typing import Final

LIMIT: Final = 32 * 1024 * 1024
"""Bytes of one object; the largest lawful ones hold a base64 image."""

_MARKS: Final = re.compile(rb'["{}\[\]]')
_IN_TEXT: Final = re.compile(rb'["\\]')


class ArrayOverflowError(Exception):
    """An object outgrew its limit. `objects`: those that the same call completed before it."""

    def __init__(self, objects: list[bytes]) -> None:
        super().__init__("an object of the array is too large")
        self.objects = objects


class ArrayParser:
    """Cuts the objects out of `[{...}, {...}]` or of bare objects. Any chunking gives the same."""

    __slots__ = ("_at", "_buffer", "_depth", "_limit", "_text")

    def __init__(self, limit: int = LIMIT) -> None:
        self._buffer = bytearray()
        self._at = 0
        """Bytes of the buffer that were looked at."""
        self._depth = 0
        """Open braces and brackets of the current object; the outer array does not count."""
        self._text = False
        self._limit = limit

    @property
    def inside(self) -> bool:
        """Whether an object has begun and not ended."""
        return self._depth > 0

    def feed(self, data: bytes) -> list[bytes]:
        """The objects that these bytes complete. Raises ArrayOverflowError."""
        self._buffer += data
        out: list[bytes] = []
        while self._step(out):
            pass
        if not self._depth:
            self._buffer.clear()
            self._at = 0
        elif len(self._buffer) > self._limit:
            raise ArrayOverflowError(out)
        return out

    def _step(self, out: list[bytes]) -> bool:
        """Goes to the next mark; False when the bytes are used up."""
        found = (_IN_TEXT if self._text else _MARKS).search(self._buffer, self._at)
        if found is None:
            self._at = max(self._at, len(self._buffer))
            return False
        self._at = found.end()
        match found[0]:
            case b'"':
                self._text = not self._text and self._depth > 0
            case b"\\":
                # The escaped byte may not be here yet: the place is passed all the same.
                self._at += 1
            case b"{":
                self._open(found.start())
            case b"[":
                self._depth += 1 if self._depth else 0
            case _ if self._depth:
                self._depth -= 1
                if not self._depth:
                    out.append(bytes(self._buffer[: self._at]))
                    del self._buffer[: self._at]
                    self._at = 0
        return True

    def _open(self, start: int) -> None:
        if not self._depth:
            del self._buffer[:start]
            self._at = 1
        self._depth += 1
