"""Server-sent events: framing both ways, one module for all wires. Bytes in, bytes out.

Rules of the HTML standard's event stream format, with two liberties: an event that lacks its last
blank line is given out by `eof()`, and an event's size is bounded. `id` and `retry` are not used.
"""

from __future__ import annotations

from typing import Final

LIMIT: Final = 32 * 1024 * 1024
"""Bytes of one event; the largest lawful ones hold a base64 image."""

_BOM: Final = b"\xef\xbb\xbf"

Frame = tuple[bytes, bytes]
"""(event name or b"", data)."""


class SseOverflow(Exception):  # noqa: N818 - says what happened, as trio names its own
    """An event outgrew its limit. `events`: those that the same call completed before it."""

    def __init__(self, events: list[Frame]) -> None:
        super().__init__("a server-sent event is too large")
        self.events = events


class SseParser:
    """Splits a byte stream into events. Any chunking of a stream gives the same events."""

    __slots__ = ("_cr", "_fresh", "_limit", "_tail")

    def __init__(self, limit: int = LIMIT) -> None:
        self._tail = bytearray()
        self._limit = limit
        self._fresh = True
        """The first three bytes, which may be a byte order mark, are not passed yet."""
        self._cr = False
        """The last byte was CR: a LF that follows belongs to it."""

    def feed(self, data: bytes) -> list[Frame]:
        """The events that these bytes complete, as (name, data). Raises SseOverflow."""
        if self._fresh:
            data = self._skip_bom(data)
        elif not self._tail and not self._cr:
            found = _lone(data)
            if found is not None and len(data) <= self._limit:
                return [found]
        if self._cr or b"\r" in data:
            data = self._unify(data)
        tail = self._tail
        if tail:
            start = len(tail) - 1
            tail += data
            end = tail.rfind(b"\n\n", start)
            if end >= 0:
                whole = bytes(tail[:end])
                del tail[: end + 2]
                return self._split(whole)
        else:
            end = data.rfind(b"\n\n")
            if end >= 0:
                tail += data[end + 2 :]
                return self._split(data[:end])
            tail += data
        if len(tail) > self._limit:
            self._check_tail([])
        return []

    def eof(self) -> list[Frame]:
        """The stream ended: the event whose blank line never came, if there is one."""
        rest = bytes(self._tail)
        if self._fresh and rest == _BOM:
            rest = b""
        self._tail.clear()
        out: list[Frame] = []
        _parse_block(rest, out)
        return out

    def _split(self, whole: bytes) -> list[Frame]:
        out: list[Frame] = []
        append = out.append
        checked = len(whole) > self._limit
        for block in whole.split(b"\n\n"):
            if checked and len(block.strip(b"\n")) > self._limit:
                raise SseOverflow(out)
            if block[:6] == b"data: ":
                if b"\n" not in block:
                    append((b"", block[6:]))
                    continue
            elif block[:7] == b"event: ":
                head, _, rest = block.partition(b"\n")
                if rest[:6] == b"data: " and b"\n" not in rest:
                    append((head[7:], rest[6:]))
                    continue
            _parse_block(block, out)
        if len(self._tail) > self._limit:
            self._check_tail(out)
        return out

    def _check_tail(self, events: list[Frame]) -> None:
        if len(self._tail.strip(b"\n")) > self._limit:
            raise SseOverflow(events)

    def _skip_bom(self, data: bytes) -> bytes:
        head = bytes(self._tail) + data
        if len(head) < len(_BOM) and _BOM.startswith(head):
            # Kept in the tail: none of these bytes can end an event.
            return data
        self._fresh = False
        self._tail.clear()
        return head.removeprefix(_BOM)

    def _unify(self, data: bytes) -> bytes:
        if self._cr and data:
            self._cr = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data


def _lone(data: bytes) -> Frame | None:
    """The event of a chunk that holds just one, as upstreams send most of the time; else None."""
    name = b""
    if data[:7] == b"event: ":
        name, _, data = data.partition(b"\n")
        name = name[7:].rstrip(b"\r")
    if data[:6] != b"data: ":
        return None
    end = data.find(b"\n")
    if end == len(data) - 2 and data[-1:] == b"\n" and b"\r" not in data:
        return (name, data[6:end])
    if end == len(data) - 3 and data[-4:] == b"\r\n\r\n" and data.count(b"\r") == 2:
        return (name, data[6:-4])
    return None


def _parse_block(block: bytes, out: list[Frame]) -> None:
    """The general way: any fields in any order; an event without data is none."""
    name = b""
    lines: list[bytes] = []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            lines.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    if lines:
        out.append((name, lines[0] if len(lines) == 1 else b"\n".join(lines)))


def frame(data: bytes, event: bytes = b"") -> bytes:
    """One event as bytes. `data` is one line (compact JSON is)."""
    if event:
        return b"event: " + event + b"\ndata: " + data + b"\n\n"
    return b"data: " + data + b"\n\n"


def comment(text: bytes) -> bytes:
    """A comment, which every client ignores."""
    return b": " + text + b"\n\n"


def looks_like_sse(body: bytes) -> bool:
    """Whether a body that should be JSON is an event stream."""
    head = body[:64].removeprefix(_BOM).lstrip()
    return head.startswith((b"data:", b"event:", b":", b"id:", b"retry:"))
