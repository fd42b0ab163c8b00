"""OpenAI's error object, both ways. Source: API reference, "Error codes" and `response.error`."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from proxy.convo.model import ErrorInfo
from proxy.errors import ProxyError
from proxy.jsonio import encode
from proxy.wire.responses import types

_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_STATUS: Final = {
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "usage_limit_reached": 429,
    "invalid_prompt": 400,
    "context_length_exceeded": 400,
    "invalid_request_error": 400,
    "server_is_overloaded": 503,
    "slow_down": 503,
    "server_error": 500,
}
_LONGEST: Final = 2000


class _Envelope(Struct):
    """An error answer: the API's, and the ChatGPT backend's (`detail`)."""

    error: Raw = types.ABSENT
    detail: Raw = types.ABSENT
    message: str | None = None


_envelope: Final = msgspec.json.Decoder(_Envelope)


def encode_error(error: ProxyError) -> bytes:
    """`{"error": {message, type, param, code}}`; an upstream's own body of this wire is kept."""
    if error.body and error.wire in ("responses", "chat"):
        return error.body
    word = _TYPES.get(error.status)
    if word is None:
        word = "server_error" if error.status >= 500 else "invalid_request_error"
    return encode(
        {"error": {"message": error.message, "type": word, "param": None, "code": error.kind}}
    )


def decode_error(status: int, body: bytes) -> ErrorInfo:
    """What an error answer says; any body at all."""
    try:
        said = _envelope.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _bare(status, body)
    raw = said.error if types.given(said.error) else said.detail
    if not types.given(raw):
        return ErrorInfo(said.message, status=status) if said.message else _bare(status, body)
    info = info_of(raw)
    info.status = status or info.status
    return info


def info_of(raw: Raw) -> ErrorInfo:
    """An `error` member, as an object or as a text."""
    try:
        said = types.error.decode(raw)
    except msgspec.DecodeError:
        try:
            said = types.ErrorBody(message=types.text.decode(raw))
        except msgspec.DecodeError:
            said = types.ErrorBody(message=bytes(raw)[:_LONGEST].decode("utf-8", "replace"))
    code = str(said.code) if said.code is not None else ""
    word = said.type or ""
    return ErrorInfo(
        said.message or code or word or "the upstream failed",
        type=word,
        code=code,
        status=_STATUS.get(code) or _STATUS.get(word, 0),
        origin="responses",
        raw=raw,
    )


def _bare(status: int, body: bytes) -> ErrorInfo:
    text = body[:_LONGEST].decode("utf-8", "replace").strip()
    if not text or text.startswith("<"):
        text = f"the upstream answered with status {status}" if status else "the upstream failed"
    return ErrorInfo(text, status=status)


def failure(error: ErrorInfo) -> bytes:
    """`response.error` of a failed response: `{code, message}`."""
    code = error.code if error.origin in ("responses", "chat") else ""
    if not code:
        if error.status == 429:
            code = "rate_limit_exceeded"
        else:
            code = "invalid_prompt" if error.status in (400, 413, 422) else "server_error"
    return encode({"code": code, "message": error.message})
