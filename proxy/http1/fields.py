"""Header fields of one head: strict, in bulk where the head is whole.

Stricter than h11 on purpose: bare LF, folded lines and control characters are refused, because
two parties that read such a head differently are how requests get smuggled.
"""

from __future__ import annotations

from typing import Final

Fields = list[tuple[bytes, bytes]]

TOKEN: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FORBIDDEN: Final = bytes(c for c in (*range(32), 127) if c != 9)
"""Control characters but tab: never inside a line."""
DIGITS: Final = b"0123456789"


class Malformed(Exception):  # noqa: N818 - reads as what happened
    """A line that HTTP does not allow; the message says which rule it breaks."""


def clean_lines(block: bytes) -> list[bytes]:
    """Lines of a head without its last CRLFs. Raises Malformed on bare CR or LF and on controls."""
    lines = block.split(b"\r\n")
    breaks = 2 * (len(lines) - 1)
    if len(block.translate(None, _FORBIDDEN)) != len(block) - breaks:
        raise Malformed(_what_is_wrong(block))
    return lines


def fields_of(lines: list[bytes]) -> Fields:
    """(lower-case name, value) of each line. Raises Malformed."""
    fields: Fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name.translate(None, TOKEN):
            if line[:1] in (b" ", b"\t"):
                raise Malformed("a header line is folded")
            raise Malformed("a header line is malformed")
        fields.append((name.lower(), value.strip(b" \t")))
    return fields


def has_bare_newline(data: bytes | bytearray) -> bool:
    """Whether an incomplete head already holds a line feed without its carriage return."""
    return data.count(b"\n") != data.count(b"\r\n")


def tokens(value: bytes) -> list[bytes]:
    """The lower-case members of a comma list, empty ones dropped."""
    return [part for raw in value.lower().split(b",") if (part := raw.strip(b" \t"))]


def _what_is_wrong(block: bytes) -> str:
    rest = block.replace(b"\r\n", b"")
    if b"\n" in rest:
        return "a line ends in a bare line feed"
    if b"\r" in rest:
        return "a bare carriage return"
    return "a control character in the head"
