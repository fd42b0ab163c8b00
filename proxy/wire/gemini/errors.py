"""google.rpc errors: `{"error": {"code", "message", "status", "details"}}`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw

from proxy import jsonio
from proxy.convo.model import ErrorInfo
from proxy.wire.gemini import types

if TYPE_CHECKING:
    from proxy.errors import ProxyError

_WORDS: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    529: "UNAVAILABLE",
}
_STATUS: Final = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
    # The words of the other wires.
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "api_error": 500,
    "server_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
    "server_is_overloaded": 503,
    "cut": 502,
}
_TEXT_LIMIT: Final = 2000
"""Characters of an error page that are worth showing."""


def word_of(status: int) -> str:
    """The google.rpc word of an HTTP status."""
    if status in _WORDS:
        return _WORDS[status]
    return "INVALID_ARGUMENT" if 400 <= status < 500 else "INTERNAL"


def encode_error(error: ProxyError) -> bytes:
    """The body of an error answer; an upstream's own google.rpc body is passed on as it is."""
    if error.body and error.wire in ("gemini", "gemini_cli") and _inner(error.body) is not None:
        return error.body
    inner: dict[str, object] = {
        "code": error.status,
        "message": error.message,
        "status": word_of(error.status),
    }
    if error.retry_after is not None:
        delay = f"{max(error.retry_after, 0.0):.9f}".rstrip("0").rstrip(".")
        inner["details"] = [
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{delay}s"}
        ]
    return jsonio.encode({"error": inner})


def encode_info(info: ErrorInfo) -> bytes:
    """An error inside a stream: one chunk."""
    if info.origin == "gemini" and info.raw is not None:
        return jsonio.encode({"error": info.raw})
    status = info.status or _STATUS.get(info.type) or _STATUS.get(info.code) or 500
    inner = {"code": status, "message": info.message, "status": word_of(status)}
    return jsonio.encode({"error": inner})


def decode_error(status: int, body: bytes) -> ErrorInfo:
    """What an error answer says; any body at all."""
    inner = _inner(body)
    if inner is not None:
        info = info_of(inner)
        info.status = status or info.status
        return info
    text = body.decode("utf-8", "replace").strip()[:_TEXT_LIMIT]
    if not text or text.startswith("<"):
        # A page of a gateway in between; its markup helps nobody.
        text = f"The upstream answered with status {status}."
    return ErrorInfo(text, type=word_of(status), status=status, origin="gemini")


def info_of(raw: Raw) -> ErrorInfo:
    """The value of an `error` member: an object, or a bare text."""
    try:
        said = types.api_error.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        text = bytes(raw).decode("utf-8", "replace").strip('"')[:_TEXT_LIMIT]
        return ErrorInfo(text, type="UNKNOWN", origin="gemini")
    code = said.code
    status = code if isinstance(code, int) and 100 <= code < 600 else 0
    return ErrorInfo(
        said.message or said.status or "The upstream reported an error.",
        type=said.status or "",
        code="" if code is None else str(code),
        status=status or _STATUS.get(said.status or "", 0),
        origin="gemini",
        raw=raw,
    )


def _inner(body: bytes) -> Raw | None:
    """The `error` member of a body, which may stand in an array (a stream that failed at once)."""
    try:
        head = body.lstrip()[:1]
        if head == b"[":
            listed = types.raw_list.decode(body)
            found = types.raw_object.decode(listed[0]) if listed else {}
        else:
            found = types.raw_object.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    raw = found.get("error", types.ABSENT)
    return raw if types.given(raw) else None
