"""Errors that carry whose fault they are, the HTTP status, and what may be retried.

Failover reads `retry`; nobody parses messages. Each wire renders a `ProxyError` in its own shape
(`proxy/wire/<name>/errors.py`).
"""

from __future__ import annotations

import enum


class Fault(enum.Enum):
    """Who has to mend it."""

    CLIENT = "client"
    UPSTREAM = "upstream"
    OURS = "ours"


class Retry(enum.Enum):
    """What may be tried next."""

    NEVER = "never"
    """The same request fails everywhere: a malformed body, a content rule."""
    CREDENTIAL = "credential"
    """Another credential of the same upstream, then the next target."""


class ProxyError(Exception):
    """A failure that some client will be told about.

    Attributes:
        status: HTTP status for the client.
        kind: a stable word, e.g. `model_not_found`, `invalid_request`, `rate_limit`, `overloaded`.
        message: one sentence for a person; never holds a secret or an upstream URL.
        retry_after: seconds, when known.
        body: the upstream's error body, verbatim, when it answered one.
        wire: the wire that `body` is in (`""` when there is none or it is no error of a wire).
    """

    def __init__(
        self,
        message: str,
        *,
        fault: Fault = Fault.OURS,
        status: int = 500,
        kind: str = "internal_error",
        retry: Retry = Retry.NEVER,
        retry_after: float | None = None,
        body: bytes = b"",
        wire: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.fault = fault
        self.status = status
        self.kind = kind
        self.retry = retry
        self.retry_after = retry_after
        self.body = body
        self.wire = wire


def bad_request(message: str, *, kind: str = "invalid_request", status: int = 400) -> ProxyError:
    """The client's own mistake; the same request fails everywhere."""
    return ProxyError(message, fault=Fault.CLIENT, status=status, kind=kind)
