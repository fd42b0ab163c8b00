"""Citations of every wire as this wire's `url_citation` annotations."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from proxy.jsonio import Json, decode, encode
from proxy.wire.chat.types import NAME


class _Cited(Struct):
    """A citation with an address: Responses (flat), Anthropic's web search results."""

    url: str | None = None
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None
    url_citation: Raw = Raw()


_one = msgspec.json.Decoder(_Cited)
_many = msgspec.json.Decoder(list[Raw])


def annotations_of(origin: str, raw: Raw) -> list[Raw]:
    """Each citation as an annotation. `raw` is one of them or a list; those without an address are out."""
    try:
        if origin == NAME:
            return _many.decode(raw) if bytes(memoryview(raw)[:1]) == b"[" else [raw]
        if origin == "gemini":
            return [_annotation(url, title) for url, title in _grounding(decode(raw))]
        items = _many.decode(raw) if bytes(memoryview(raw)[:1]) == b"[" else [raw]
        return [found for item in items if (found := _of_struct(_one.decode(item))) is not None]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []


def _of_struct(cited: _Cited) -> Raw | None:
    if not cited.url:
        return None
    return _annotation(cited.url, cited.title or "", cited.start_index, cited.end_index)


def _annotation(url: str, title: str, start: int | None = None, end: int | None = None) -> Raw:
    inner: dict[str, object] = {"url": url, "title": title}
    inner["start_index"], inner["end_index"] = start or 0, end or 0
    return Raw(encode({"type": "url_citation", "url_citation": inner}))


def _grounding(given: Json) -> list[tuple[str, str]]:
    """(url, title) of Gemini's grounding chunks and citation sources, wherever they stand."""
    out: list[tuple[str, str]] = []
    if isinstance(given, list):
        for item in given:
            out += _grounding(item)
    elif isinstance(given, dict):
        url = given.get("uri")
        if isinstance(url, str):
            title = given.get("title")
            out.append((url, title if isinstance(title, str) else ""))
        for key, value in given.items():
            if key != "searchEntryPoint":
                out += _grounding(value)
    return out
