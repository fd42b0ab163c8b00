"""Parts of the conversation and parts of the wire, both ways; requests and answers share them."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Raw

from proxy import jsonio
from proxy.convo.model import Media, MediaKind, Opaque, Part, Text, Thinking, ToolUse
from proxy.wire.gemini import signatures, types

WirePart = dict[str, object]
"""A part as it is encoded."""

_KINDS: Final[dict[str, MediaKind]] = {"image": "image", "audio": "audio", "video": "video"}
_BY_KIND: Final = {
    "image": "image/png",
    "audio": "audio/wav",
    "video": "video/mp4",
    "file": "application/pdf",
}
_BY_SUFFIX: Final = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "json": "application/json",
    "mp3": "audio/mp3",
    "wav": "audio/wav",
    "ogg": "audio/ogg",
    "flac": "audio/flac",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "webm": "video/webm",
}
_SUFFIX: Final = re.compile(r"\.([A-Za-z0-9]{2,4})(?:[?#].*)?$", re.DOTALL)
SYNTHETIC: Final = "call_gm_"
"""Begins the ids that we give to calls whose upstream gave none; never sent to Gemini."""


# ---------------------------------------------------------------- wire -> conversation


def signature_of(part: types.Part) -> str:
    """The signature in either spelling, `""` if there is none."""
    return part.thoughtSignature or part.thought_signature or ""


def plain(part: types.Part, raw: Raw) -> Part | None:
    """Any part but calls and results; None for an empty one. `raw` is empty for parts with text."""
    text = part.text
    if text is not None or (not raw and (part.thought or signature_of(part))):
        signature, origin, redacted = signatures.read(signature_of(part))
        if part.thought:
            return Thinking(text or "", signature=signature, origin=origin, redacted=redacted)
        return Text(text or "", signature=signature, origin=origin) if text or signature else None
    blob = part.inlineData or part.inline_data
    if blob is not None:
        mime = blob.mimeType or blob.mime_type or ""
        return Media(media_kind(mime), mime, data=blob.data or "", name=blob.displayName or "")
    file = part.fileData or part.file_data
    if file is not None:
        mime = file.mimeType or file.mime_type or ""
        url = file.fileUri or file.file_uri or ""
        return Media(media_kind(mime), mime, url=url, name=file.displayName or "")
    return _opaque(part, raw)


def media_kind(mime: str) -> MediaKind:
    """`image`, `audio` or `video` by the media type, else `file`."""
    return _KINDS.get(mime.split("/", 1)[0], "file")


def known(part: types.Part) -> bool:
    """Whether `plain` and the callers need no raw view of this part."""
    return (
        part.text is not None
        or part.functionCall is not None
        or part.function_call is not None
        or part.functionResponse is not None
        or part.function_response is not None
        or part.inlineData is not None
        or part.inline_data is not None
        or part.fileData is not None
        or part.file_data is not None
    )


def extras_of(part: types.Part) -> Opaque | None:
    """`videoMetadata`, which stands beside the media of its part, as a part of its own."""
    raw = part.videoMetadata or part.video_metadata
    if not types.given(raw):
        return None
    return Opaque("gemini", jsonio.raw_of({"videoMetadata": raw}), "videoMetadata")


def _opaque(part: types.Part, raw: Raw) -> Part | None:
    if not types.given(raw):
        return None
    kinds = [types.camel(name) for name in types.raw_object.decode(raw)]
    code = part.executableCode or part.executable_code
    if code is not None:
        language = (code.language or "").lower().replace("language_unspecified", "")
        return Opaque("gemini", raw, "executableCode", fence(code.code or "", language))
    result = part.codeExecutionResult or part.code_execution_result
    if result is not None:
        return Opaque("gemini", raw, "codeExecutionResult", fence(result.output or "", ""))
    shown = [k for k in kinds if k not in ("thought", "thoughtSignature")]
    return Opaque("gemini", raw, shown[0]) if shown else None


def fence(text: str, language: str) -> str:
    """A Markdown code block that the text cannot end early."""
    bar = "```"
    while bar in text:
        bar += "`"
    return f"\n{bar}{language}\n{text.rstrip()}\n{bar}\n"


# ---------------------------------------------------------------- conversation -> wire


def text_part(text: str, signature: str = "") -> WirePart:
    """A text part; `signature` as the reader is to get it."""
    return {"text": text, "thoughtSignature": signature} if signature else {"text": text}


def thought_part(text: str, signature: str = "") -> WirePart:
    """A thought part; `signature` as the reader is to get it."""
    part: WirePart = {"text": text, "thought": True}
    if signature:
        part["thoughtSignature"] = signature
    return part


def call_part(call: ToolUse, name: str, signature: str = "") -> WirePart:
    """A call. Arguments that are no JSON object are wrapped as `{"input": ...}`."""
    inner: WirePart = {}
    if call.id and not call.id.startswith(SYNTHETIC):
        inner["id"] = call.id
    inner["name"] = name
    inner["args"] = arguments(call.arguments, custom=call.custom)
    part: WirePart = {"functionCall": inner}
    if signature:
        part["thoughtSignature"] = signature
    return part


def arguments(text: str, *, custom: bool) -> object:
    """The JSON object of a call's argument text."""
    if custom:
        return {"input": text}
    if not text or text.isspace():
        return {}
    found = jsonio.object_of(text)
    if found is not None:
        return found
    try:
        value = jsonio.decode(text)
    except (ValueError, RecursionError):
        # Cut or malformed: the model's own words are kept rather than guessed at.
        return {"input": text.encode("utf-8", "replace").decode()}
    return {} if value is None else {"input": value}


def media_part(media: Media) -> WirePart | None:
    """An image, sound or file; None where it has nothing that Gemini could read."""
    if media.data:
        mime = media.mime or _BY_KIND[media.kind]
        return {"inlineData": {"mimeType": mime, "data": media.data}}
    if media.url:
        return {"fileData": {"mimeType": media.mime or _guess(media), "fileUri": media.url}}
    if media.text:
        return {"text": f"{media.name}\n{media.text}" if media.name else media.text}
    return None


def _guess(media: Media) -> str:
    for name in (media.url, media.name):
        found = _SUFFIX.search(name)
        if found is not None:
            mime = _BY_SUFFIX.get(found[1].lower())
            if mime is not None:
                return mime
    return _BY_KIND[media.kind]
