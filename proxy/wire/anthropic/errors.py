"""Errors as the Messages API words them (https://docs.anthropic.com/en/api/errors)."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from proxy.convo.model import ErrorInfo
from proxy.errors import ProxyError
from proxy.jsonio import encode
from proxy.wire.anthropic import types as t

_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_STATUSES: Final = {word: status for status, word in _TYPES.items() if status != 422}
_WORDS: Final = {
    "rate_limit": "rate_limit_error",
    "overloaded": "overloaded_error",
    "model_not_found": "not_found_error",
}
"""`ProxyError.kind` words whose type does not follow from the status."""
_LONGEST: Final = 600


class _Envelope(Struct):
    error: Raw = t.NOTHING
    message: str | None = None
    detail: str | None = None


_envelope = msgspec.json.Decoder(_Envelope)
_body = msgspec.json.Decoder(t.ErrorBody)
_text = msgspec.json.Decoder(str)


def type_of(status: int) -> str:
    """The error type that goes with an HTTP status."""
    known = _TYPES.get(status)
    if known is not None:
        return known
    return "invalid_request_error" if 400 <= status < 500 else "api_error"


def status_of(type: str) -> int:
    """The HTTP status that goes with an error type; 0 for unknown ones."""
    return _STATUSES.get(type, 0)


def error_json(type: str, message: str) -> bytes:
    """The error object, for a body or for `event: error`."""
    return encode({"type": "error", "error": {"type": type, "message": message}})


def encode_error(error: ProxyError) -> bytes:
    """The error body; an upstream's own body of this wire stays as it is."""
    if error.body and error.wire == t.NAME:
        return error.body
    return error_json(_WORDS.get(error.kind) or type_of(error.status), error.message)


def encode_info(error: ErrorInfo) -> bytes:
    """An error out of an answer or stream: the origin's own words if it was this wire."""
    if error.origin == t.NAME and error.type:
        return error_json(error.type, error.message)
    word = error.type if error.type in _STATUSES else type_of(error.status or 500)
    return error_json(word, error.message or "The upstream failed.")


def error_of(raw: Raw, status: int = 0) -> ErrorInfo:
    """What the `error` member says; it may be an object, a text or nothing."""
    if t.given(raw) is None:
        return ErrorInfo("", status=status, origin=t.NAME)
    try:
        inner = _body.decode(raw)
    except msgspec.DecodeError:
        inner = t.ErrorBody()
        try:
            inner.message = _text.decode(raw)
        except msgspec.DecodeError:
            inner.message = bytes(raw)[:_LONGEST].decode("utf-8", "replace")
    word = inner.type or ""
    return ErrorInfo(
        inner.message or word,
        word,
        status=status_of(word) or status,
        origin=t.NAME,
        raw=raw,
    )


def decode_error(status: int, body: bytes) -> ErrorInfo:
    """What an upstream's error answer says; any body at all. `status` stays the HTTP one."""
    try:
        envelope = _envelope.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = body[:_LONGEST].decode("utf-8", "replace").strip()
        return ErrorInfo(text or f"HTTP {status}", type_of(status), status=status)
    if t.given(envelope.error) is None:
        text = envelope.message or envelope.detail or f"HTTP {status}"
        return ErrorInfo(text, type_of(status), status=status)
    info = error_of(envelope.error, status)
    info.status = status
    info.type = info.type or type_of(status)
    return info
