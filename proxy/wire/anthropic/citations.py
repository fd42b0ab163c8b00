"""Citations of a text, from any wire, as the Messages API has them."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from proxy.jsonio import encode
from proxy.wire.anthropic import types as t


class _Cited(Struct):
    """A url annotation of Chat Completions (nested) or Responses (flat)."""

    type: str = ""
    url: str | None = None
    title: str | None = None
    url_citation: _Cited | None = None


_one = msgspec.json.Decoder(_Cited)
_many = msgspec.json.Decoder(list[Raw])


def citations_of(origin: str, raw: Raw) -> list[bytes]:
    """Each citation as JSON. `raw` is one of them or a list; those without an address are left out."""
    data = bytes(raw)
    try:
        items = _many.decode(data) if data[:1] == b"[" else [raw]
        if origin == t.NAME:
            return [bytes(item) for item in items]
        return [found for item in items if (found := _web(item))]
    except msgspec.DecodeError:
        return []


def _web(raw: Raw) -> bytes:
    cited = _one.decode(raw)
    cited = cited.url_citation or cited
    if not cited.url:
        return b""
    return encode(
        {
            "type": "web_search_result_location",
            "url": cited.url,
            "title": cited.title or "",
            "encrypted_index": "",
            "cited_text": "",
        }
    )
