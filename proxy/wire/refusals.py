"""A failure as a client is told it, in its own protocol: as a whole answer, or inside its stream. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from proxy import wire as wires
from proxy.convo import events as ev
from proxy.convo.model import ErrorInfo
from proxy.errors import ProxyError
from proxy.wire.base import AnswerContext

Headers = list[tuple[bytes, bytes]]
JSON: Final[Headers] = [(b"content-type", b"application/json")]


def whole(
    wire: str, error: ProxyError, more: Sequence[tuple[bytes, bytes]] = ()
) -> tuple[int, Headers, bytes]:
    """Status, headers and body; an upstream's error of the same wire as it came."""
    body = error.body if error.wire == wire and error.body else wires.get(wire).encode_error(error)
    headers = [*JSON, *more]
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after))))
    return error.status, headers, body


def streamed(wire: str, error: ProxyError, context: AnswerContext) -> bytes:
    """The events of a stream that failed before its first one."""
    info = ErrorInfo(error.message, type=error.kind, status=error.status)
    events: list[ev.Event] = [ev.Start(), ev.Failed(info), ev.End()]
    return wires.get(wire).stream_encoder(context).encode(events)
