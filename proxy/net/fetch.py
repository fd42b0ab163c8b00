"""One small request and its whole answer: what logins, refreshes and model lists need of the network.

It asks the data path's transport, so that an account costs no second HTTP stack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio
from msgspec import Struct

from proxy.net.api import Call, Headers, UpstreamBroken

if TYPE_CHECKING:
    from proxy.net.api import Transport

_LIMIT: Final = 8 * 1024 * 1024
SECONDS: Final = 30.0
"""From the first byte sent to the last one read."""


class Answer(Struct, frozen=True):
    """Status, headers (lower-case names) and body."""

    status: int
    headers: Headers
    body: bytes


async def fetch(
    transport: Transport,
    method: bytes,
    url: str,
    headers: Headers,
    body: bytes = b"",
    *,
    proxy: str = "",
    seconds: float = SECONDS,
) -> Answer:
    """Asks and reads everything.

    Raises:
        UpstreamBroken: no whole answer came within `seconds`.
    """
    call = Call(
        method=method,
        url=url,
        headers=headers,
        body=body,
        proxy=proxy,
        first_timeout=seconds,
        idle_timeout=seconds,
    )
    with trio.move_on_after(seconds):
        reply = await transport.send(call)
        try:
            return Answer(reply.status, reply.headers, await reply.read(_LIMIT))
        finally:
            await reply.aclose()
    raise UpstreamBroken("timeout", f"no answer within {seconds:g} s")
