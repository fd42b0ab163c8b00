"""Who may ask: client keys, wherever the protocols put them. Source: http-api sheet, section 3."""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from proxy.errors import Fault, ProxyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from proxy.secret import Secret
    from proxy.surface.http import HttpRequest

_BEARER = b"bearer "


class Gate:
    """Checks a request's key against the configured ones; open when none are configured.

    Keys are compared by a digest under a key of this process, so that the time of a look-up says
    nothing about any of them.
    """

    def __init__(self, keys: Iterable[Secret]) -> None:
        self._salt = os.urandom(16)
        self._known = frozenset(self._digest(key.reveal().encode()) for key in keys if key)

    def _digest(self, key: bytes) -> bytes:
        return blake2b(key, digest_size=16, key=self._salt).digest()

    def check(self, request: HttpRequest) -> None:
        """Raises ProxyError (401) unless one of the presented keys is known."""
        if not self._known:
            return
        presented = False
        for key in _presented(request):
            presented = True
            if self._digest(key) in self._known:
                return
        raise ProxyError(
            "Invalid API key" if presented else "Missing API key",
            fault=Fault.CLIENT,
            status=401,
            kind="authentication_error",
        )


def _presented(request: HttpRequest) -> Iterator[bytes]:
    for name, value in request.headers:
        if name == b"authorization":
            bearer = value[:7].lower() == _BEARER
            yield value[7:].strip() if bearer else value.strip()
        elif name in (b"x-api-key", b"x-goog-api-key"):
            yield value.strip()
    if request.query:
        for pair in request.query.split(b"&"):
            name, _, value = pair.partition(b"=")
            if name in (b"key", b"auth_token"):
                yield unquote_plus(value.decode("latin-1")).encode()
