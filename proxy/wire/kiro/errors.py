"""Errors of AWS's JSON services: `__type`, or a header, names the exception."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from proxy.convo.model import ErrorInfo

_STATUSES: Final = {
    "AccessDeniedException": 403,
    "ConflictException": 409,
    "ExpiredTokenException": 401,
    "InternalServerException": 500,
    "ResourceNotFoundException": 404,
    "ServiceQuotaExceededException": 429,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 429,
    "UnrecognizedClientException": 401,
    "ValidationException": 400,
}
_LONGEST: Final = 600


class _Error(Struct):
    message: str | None = None
    capital: str | None = msgspec.field(default=None, name="Message")
    kind: str | None = msgspec.field(default=None, name="__type")
    type: str | None = msgspec.field(default=None, name="_type")
    reason: str | None = None


_error = msgspec.json.Decoder(_Error)


def decode_error(status: int, body: bytes) -> ErrorInfo:
    """What an error answer says; any body at all. `status` stays the HTTP one."""
    info = error_of(body)
    info.status = status
    return info


def error_of(payload: bytes, kind: str = "") -> ErrorInfo:
    """What an error's payload says; `kind`: the exception, where a header names it."""
    try:
        found = _error.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = payload[:_LONGEST].decode("utf-8", "replace").strip()
        found = _Error(message=text or None)
    kind = kind or (found.kind or "").rpartition("#")[2] or found.type or ""
    return ErrorInfo(
        (found.message or found.capital or kind or "the upstream failed")[:_LONGEST],
        kind,
        found.reason or "",
        _STATUSES.get(kind, 0),
    )
