"""Errors as the OpenAI API words them (https://platform.openai.com/docs/guides/error-codes)."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from proxy.convo.model import ErrorInfo
from proxy.errors import ProxyError
from proxy.jsonio import encode
from proxy.wire.chat.types import NAME, NOTHING, given

_TABLE: Final[dict[int, tuple[str, str]]] = {
    401: ("authentication_error", "invalid_api_key"),
    403: ("permission_error", "insufficient_quota"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
}
_STATUSES: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "insufficient_quota": 429,
    "model_not_found": 404,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "server_error": 500,
    "internal_server_error": 500,
    "api_error": 500,
    "overloaded_error": 529,
}
_LONGEST: Final = 600


class _Envelope(Struct):
    error: Raw = NOTHING
    message: str | None = None
    detail: Raw = NOTHING


class _Inner(Struct):
    message: str | None = None
    type: str | None = None
    code: str | int | float | None = None
    status: str | int | None = None


_envelope = msgspec.json.Decoder(_Envelope)
_envelopes = msgspec.json.Decoder(list[_Envelope])
_inner = msgspec.json.Decoder(_Inner)
_text = msgspec.json.Decoder(str)


def words_of(status: int) -> tuple[str, str]:
    """(type, code) of an HTTP status; the code is empty for other client errors."""
    known = _TABLE.get(status)
    if known is not None:
        return known
    if status >= 500:
        return "server_error", "internal_server_error"
    return "invalid_request_error", ""


def error_json(message: str, type: str, code: str, param: str | None = None) -> bytes:
    """The error object, for a body or for a stream."""
    body = {"message": message, "type": type, "param": param, "code": code or None}
    return encode({"error": body})


def encode_error(error: ProxyError) -> bytes:
    """The error body; an upstream's own body of this wire stays as it is."""
    if error.body and error.wire == NAME:
        return error.body
    type, code = words_of(error.status)
    if error.kind in ("model_not_found", "unsupported_parameter"):
        code = error.kind
    return error_json(error.message, type, code)


def encode_info(error: ErrorInfo) -> bytes:
    """An error out of an answer or stream: the origin's own object if it was this wire's."""
    if error.origin == NAME and error.raw is not None and bytes(memoryview(error.raw)[:1]) == b"{":
        return b'{"error":' + bytes(error.raw) + b"}"
    type, code = words_of(error.status or 500)
    return error_json(
        error.message or "The upstream failed.", error.type or type, error.code or code
    )


def error_of(raw: Raw, status: int = 0) -> ErrorInfo:
    """What an `error` member says; it may be an object, a text or anything."""
    try:
        inner = _inner.decode(raw)
    except msgspec.DecodeError:
        try:
            inner = _Inner(_text.decode(raw))
        except msgspec.DecodeError:
            inner = _Inner(bytes(raw)[:_LONGEST].decode("utf-8", "replace"))
    code = inner.code
    if isinstance(code, float):
        code = int(code)
    word = inner.type or (inner.status if isinstance(inner.status, str) else "") or ""
    if not status:
        numbers = (n for n in (code, inner.status) if isinstance(n, int) and 400 <= n < 600)
        status = next(numbers, 0) or _STATUSES.get(word) or _STATUSES.get(str(code), 0)
    return ErrorInfo(
        inner.message or word or "The upstream failed.",
        word,
        "" if code is None else str(code),
        status,
        NAME,
        raw.copy(),
    )


def decode_error(status: int, body: bytes) -> ErrorInfo:
    """What an upstream's error answer says; any body at all. `status` stays the HTTP one."""
    type, code = words_of(status)
    envelope = _read(body)
    if envelope is None:
        text = body[:_LONGEST].decode("utf-8", "replace").strip()
        return ErrorInfo(text or f"HTTP {status}", type, code, status)
    if given(envelope.error) is None:
        detail = given(envelope.detail)
        text = envelope.message or (bytes(detail).decode("utf-8", "replace") if detail else "")
        return ErrorInfo(text[:_LONGEST].strip('"') or f"HTTP {status}", type, code, status)
    info = error_of(envelope.error, status)
    info.status = status
    info.type = info.type or type
    return info


def _read(body: bytes) -> _Envelope | None:
    """The body's envelope; Google's compatible endpoint puts it into a list."""
    try:
        if body.lstrip()[:1] == b"[":
            found = _envelopes.decode(body)
            return found[0] if found else None
        return _envelope.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
