"""Content parts of messages, tool outputs and answer items -> conversation parts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Raw

from proxy.convo.model import Media, Opaque, Part, Refusal, Text
from proxy.jsonio import raw_of
from proxy.wire.responses import types

_TEXTS: Final = ("input_text", "output_text", "text", "summary_text", "reasoning_text", "")
_IMAGES: Final = ("png", "jpeg", "webp", "gif")


def parts_of(content: str | Iterable[Raw] | None) -> list[Part]:
    """The parts of a `content` (or tool `output`) member. Raises msgspec.DecodeError."""
    if isinstance(content, str):
        return [Text(content)]
    return [part_of(raw) for raw in content or ()]


def part_of(raw: Raw) -> Part:
    """One content part; an unknown type stays opaque. Raises msgspec.DecodeError."""
    if bytes(raw)[:1] == b'"':
        return Text(types.text.decode(raw))
    said = types.content.decode(raw)
    kind = said.type
    if kind in _TEXTS and said.text is not None:
        citations = ("responses", raw_of(said.annotations)) if said.annotations else None
        return Text(said.text, citations=citations)
    if kind == "refusal":
        return Refusal(said.refusal or "")
    if kind in ("input_image", "image_url"):
        return _image(said)
    if kind == "input_file":
        return _file(said)
    if kind == "input_audio" and said.input_audio is not None:
        audio = said.input_audio
        return Media("audio", f"audio/{audio.format or 'wav'}", audio.data)
    return Opaque("responses", raw, kind)


def _image(said: types.Content) -> Media:
    image = said.image_url
    url = image if isinstance(image, str) else image.url if image else ""
    detail = said.detail or (image.detail if isinstance(image, types.ImageUrl) else "") or ""
    media = Media("image", file_id=said.file_id or "", detail="" if detail == "auto" else detail)
    _address(media, url)
    return media


def _file(said: types.Content) -> Media:
    media = Media("file", file_id=said.file_id or "", name=said.filename or "")
    if said.file_data:
        if said.file_data.startswith("data:"):
            _address(media, said.file_data)
        else:
            # Bare base64: the reference wants a data URL, its examples are all PDF.
            media.mime, media.data = "application/pdf", said.file_data
    elif said.file_url:
        _address(media, said.file_url)
    return media


def _address(media: Media, url: str) -> None:
    """A data URL becomes type and data, any other URL stays one."""
    if url.startswith("data:") and ";base64," in url:
        head, _, data = url.partition(";base64,")
        media.mime, media.data = head[len("data:") :].split(";")[0], data
    else:
        media.url = url


def picture(item: types.Item) -> Media:
    """The image of an `image_generation_call`."""
    form = item.output_format if item.output_format in _IMAGES else "png"
    return Media("image", f"image/{form}", item.result or "", name=item.id or "")
