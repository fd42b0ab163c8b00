"""Who may ask: client keys, wherever the protocols put them. Source: http-api sheet, section 3."""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from proxy.errors import Fault, ProxyError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.config.model import ClientKey
    from proxy.secret import Secret
    from proxy.surface.http import HttpRequest

_BEARER = b"bearer "
_HEADERS = frozenset({b"authorization", b"x-api-key", b"x-goog-api-key"})


class Gate:
    """Checks a request's key against the configured ones; open when none are configured.

    Keys are compared by a digest under a key of this process, so that the time of a look-up says
    nothing about any of them. `keys` have no name; `named` are the client keys of routes.d.
    """

    def __init__(self, keys: Iterable[Secret], named: Iterable[ClientKey] = ()) -> None:
        self._salt = os.urandom(16)
        self._known: dict[bytes, ClientKey | None] = {
            self._digest(key.reveal().encode()): None for key in keys if key
        }
        for key in named:
            self._known[self._digest(key.key.reveal().encode())] = key

    def _digest(self, key: bytes) -> bytes:
        return blake2b(key, digest_size=16, key=self._salt).digest()

    def check(self, request: HttpRequest) -> ClientKey | None:
        """The client key that asks; None for one without a name. Raises ProxyError (401) unless one of
        the presented keys is known.
        """
        if not self._known:
            return None
        presented = _presented(request)
        for key in presented:
            digest = self._digest(key)
            if digest in self._known:
                return self._known[digest]
        raise ProxyError(
            "Invalid API key" if presented else "Missing API key",
            fault=Fault.CLIENT,
            status=401,
            kind="authentication_error",
        )


def _presented(request: HttpRequest) -> list[bytes]:
    found: list[bytes] = []
    for name, value in request.headers:
        if name in _HEADERS:
            bearer = name == b"authorization" and value[:7].lower() == _BEARER
            found.append(value[7:].strip() if bearer else value.strip())
    if request.query:
        for pair in request.query.split(b"&"):
            name, _, value = pair.partition(b"=")
            if name in (b"key", b"auth_token"):
                found.append(unquote_plus(value.decode("latin-1")).encode())
    return found
