"""JSON in and out: prepared msgspec coders, `Raw` helpers. The only module that may say `Any`.

Facts behind it (style guide, section 6): a prepared Decoder costs a twentieth of `msgspec.json.decode`;
`Raw` keeps a value's bytes as they were; `dict[str, Raw]` is the cheapest lossless way to patch a key.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Raw

__all__ = [
    "Body",
    "Json",
    "Raw",
    "decode",
    "encode",
    "object_of",
    "raw_of",
    "readable",
    "text_of",
    "top_level",
]

Json: TypeAlias = Any
"""A decoded JSON value of unknown shape: dict, list, str, int, float, bool or None."""

Body: TypeAlias = dict[str, object]
"""An upstream request by top-level key; values are `Raw` or anything that msgspec encodes."""

_top_level = msgspec.json.Decoder(dict[str, Raw])
_any = msgspec.json.Decoder(Any)
_encoder = msgspec.json.Encoder()

_ESCAPE: Final = (
    rb"(?s)\\u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}"
    rb"|\\(?P<half>u[dD][89a-fA-F][\da-fA-F]{2})|\\."
)
"""Compiled when it is needed: hardly ever."""

encode = _encoder.encode
"""Any msgspec-encodable value -> compact JSON bytes."""


def top_level(data: bytes) -> Body:
    """The top level of a JSON object, values untouched. Raises msgspec.DecodeError if it is no object."""
    return _top_level.decode(data)  # type: ignore[return-value]  # dict is invariant; Raw is an object


def readable(data: bytes) -> tuple[bytes, Body]:
    """A client's body and its top level. Raises msgspec.DecodeError if it is no object.

    Escapes of half a surrogate pair (JavaScript cuts texts between the two) become U+FFFD: they are
    valid JSON that no strict reader takes, and a history that holds one would be refused for ever.
    """
    try:
        return data, top_level(data)
    except msgspec.DecodeError:
        mended = re.sub(_ESCAPE, _whole, data)
        if mended == data:
            raise
        return mended, top_level(mended)


def _whole(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape["half"] else escape[0]


def decode(data: bytes | str | Raw) -> Json:
    """A whole JSON value, untyped. Raises msgspec.DecodeError."""
    return _any.decode(data)


def raw_of(value: object) -> Raw:
    """Any encodable value as `Raw`; a `Raw` comes back as it is."""
    return value if isinstance(value, Raw) else Raw(_encoder.encode(value))


def text_of(raw: Raw) -> str:
    """The JSON text of a `Raw`."""
    return str(memoryview(raw), "utf-8")


def object_of(text: str) -> Raw | None:
    """`Raw` of a text that holds a JSON object, else None (cut or malformed arguments)."""
    try:
        _top_level.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    return Raw(text.encode())
