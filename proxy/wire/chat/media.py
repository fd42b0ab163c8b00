"""Images, sound and files of this wire to and from `Media`."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from proxy.convo.model import Media
from proxy.wire.chat import types as t

_PDF: Final = "application/pdf"
_FORMATS: Final = {
    "mpeg": "mp3",
    "mp3": "mp3",
    "wav": "wav",
    "wave": "wav",
    "x-wav": "wav",
    "vnd.wave": "wav",
    "mp4": "m4a",
}
_MIMES: Final = {
    "pdf": _PDF,
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "json": "application/json",
    "xml": "application/xml",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_ENDINGS: Final = {mime: ending for ending, mime in _MIMES.items()}
_SOUNDS: Final = {"mp3": "audio/mpeg", "m4a": "audio/mp4"}


class _Image(Struct):
    image_url: t.Url | str | None = None


class _Audio(Struct):
    id: str | None = None
    data: str | None = None
    transcript: str | None = None


_image = msgspec.json.Decoder(_Image)
_audio = msgspec.json.Decoder(_Audio)


def split_data_url(url: str) -> tuple[str, str] | None:
    """(media type, base64) of a base64 data URL, else None."""
    if url[:5].lower() != "data:":
        return None
    head, comma, data = url[5:].partition(",")
    if not comma or not head.lower().endswith(";base64"):
        return None
    return head[:-7].split(";", 1)[0].strip().lower(), data


def of_url(kind: str, url: str, detail: str = "") -> Media:
    """An image or video by address or data URL."""
    found = split_data_url(url)
    which = "video" if kind == "video" else "image"
    if found is None:
        return Media(which, url=url, detail=detail)  # type: ignore[arg-type]  # both are MediaKind words
    return Media(which, found[0], found[1], detail=detail)  # type: ignore[arg-type]  # as above


def of_sound(audio: t.Audio) -> Media:
    """`input_audio`."""
    found = split_data_url(audio.data)
    if found is not None:
        return Media("audio", *found)
    return Media("audio", _SOUNDS.get(audio.format, f"audio/{audio.format or 'wav'}"), audio.data)


def of_file(file: t.File) -> Media:
    """`file`; what kind of file it is says the data URL or the name."""
    name = file.filename or ""
    given = file.file_data or ""
    url = file.file_url or ""
    if given.startswith(("http://", "https://")):
        given, url = "", given
    found = split_data_url(given)
    guess = _MIMES.get(name.rpartition(".")[2].lower(), "")
    if found is None:
        mime, data = guess or (_PDF if given else ""), given
    else:
        mime, data = found[0] or guess, found[1]
    return Media("file", mime, data, url, file.file_id or "", name=name)


def image_of(raw: Raw) -> Media | None:
    """An entry of `images` of an answer."""
    try:
        given = _image.decode(raw).image_url
    except msgspec.DecodeError:
        return None
    url = given.url if isinstance(given, t.Url) else given
    return of_url("image", url) if url else None


def audio_of(raw: Raw) -> tuple[Media | None, str]:
    """(sound, transcript) of `audio` of an answer or delta."""
    try:
        given = _audio.decode(raw)
    except msgspec.DecodeError:
        return None, ""
    sound = Media("audio", "audio/wav", given.data) if given.data else None
    return sound, given.transcript or ""


def url_of(part: Media) -> str:
    """The address of a medium; a data URL where it is inline. Empty if it has none."""
    if part.data:
        return f"data:{part.mime or _default_mime(part)};base64,{part.data}"
    return part.url


def _default_mime(part: Media) -> str:
    if part.kind == "file" and part.data.startswith("JVBER"):
        return _PDF
    return {"image": "image/png", "video": "video/mp4"}.get(part.kind, "application/octet-stream")


def content_part(part: Media) -> dict[str, object] | None:
    """The content part of a request; None where this wire has none for it."""
    if part.text:
        return {"type": "text", "text": part.text}
    url = url_of(part)
    if part.kind == "image" or (part.kind == "file" and part.mime.startswith("image/")):
        if not url:
            return None
        image: dict[str, object] = {"url": url}
        if part.detail:
            image["detail"] = part.detail
        return {"type": "image_url", "image_url": image}
    if part.kind == "audio":
        if not part.data:
            return None
        word = part.mime.partition("/")[2] or "wav"
        audio = {"data": part.data, "format": _FORMATS.get(word, word)}
        return {"type": "input_audio", "input_audio": audio}
    if part.kind == "video":
        return {"type": "video_url", "video_url": {"url": url}} if url else None
    return _file(part, url)


def _file(part: Media, url: str) -> dict[str, object] | None:
    file: dict[str, object] = {}
    if part.data:
        file["filename"] = part.name or _filename(part.mime)
        file["file_data"] = url
    elif part.file_id:
        file["file_id"] = part.file_id
    elif part.url:
        if part.name:
            file["filename"] = part.name
        file["file_url"] = part.url
    return {"type": "file", "file": file} if file else None


def _filename(mime: str) -> str:
    ending = _ENDINGS.get(mime or _PDF)
    return f"document.{ending}" if ending else "document"


def answer_image(part: Media) -> dict[str, object]:
    """An entry of `images` of an answer."""
    return {"type": "image_url", "image_url": {"url": url_of(part)}}
