"""When to come back, out of error bodies. Sources: google.rpc `RetryInfo` and `ErrorInfo`, and what Code
Assist says in words; the bodies of Codex's usage limit, as its open client reads them."""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import Struct

from proxy.clock import duration

_AFTER: Final = re.compile(r"\bafter\s+((?:\d+h)?(?:\d+m)?\d+(?:\.\d+)?s)\b")
_LONGEST: Final = 366 * 86400.0
_WORDS: Final = 2000


class _Metadata(Struct):
    delay: str | None = msgspec.field(name="quotaResetDelay", default=None)


class _Detail(Struct):
    delay: str | None = msgspec.field(name="retryDelay", default=None)
    metadata: _Metadata | None = None


class _Error(Struct):
    details: list[_Detail] = []
    message: str | None = None
    resets_in_seconds: float | None = None
    resets_at: float | None = None


class _Body(Struct):
    error: _Error


_bodies: Final = msgspec.json.Decoder(_Body | list[_Body])


def retry_in(body: bytes, now: float) -> float | None:
    """Seconds until the refusal ends; None if the body does not say. `now`: wall clock."""
    try:
        said = _bodies.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    for each in said if isinstance(said, list) else [said]:
        found = _seconds(each.error, now)
        if found is not None and 0.0 <= found < _LONGEST:
            return found
    return None


def _seconds(error: _Error, now: float) -> float | None:
    if error.resets_in_seconds is not None:
        return error.resets_in_seconds
    if error.resets_at is not None:
        return max(error.resets_at - now, 0.0)
    texts = [d.delay for d in error.details]
    texts += [d.metadata.delay for d in error.details if d.metadata is not None]
    for text in texts:
        seconds = duration(text) if text else None
        if seconds is not None:
            return seconds
    said = _AFTER.search(error.message[:_WORDS]) if error.message else None
    return duration(said[1]) if said else None
