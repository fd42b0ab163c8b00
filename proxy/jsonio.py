"""JSON in and out: prepared msgspec coders, `Raw` helpers. The only module that may say `Any`.

Facts behind it (style guide, section 6): a prepared Decoder costs a twentieth of `msgspec.json.decode`;
`Raw` keeps a value's bytes as they were; `dict[str, Raw]` is the cheapest lossless way to patch a key.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from msgspec import Raw

__all__ = ["Body", "Json", "Raw", "decode", "encode", "object_of", "raw_of", "text_of", "top_level"]

Json: TypeAlias = Any
"""A decoded JSON value of unknown shape: dict, list, str, int, float, bool or None."""

Body: TypeAlias = dict[str, object]
"""An upstream request by top-level key; values are `Raw` or anything that msgspec encodes."""

_top_level = msgspec.json.Decoder(dict[str, Raw])
_any = msgspec.json.Decoder(Any)
_encoder = msgspec.json.Encoder()

encode = _encoder.encode
"""Any msgspec-encodable value -> compact JSON bytes."""


def top_level(data: bytes) -> Body:
    """The top level of a JSON object, values untouched. Raises msgspec.DecodeError if it is no object."""
    return _top_level.decode(data)  # type: ignore[return-value]  # dict is invariant; Raw is an object


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
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    return Raw(text.encode())
