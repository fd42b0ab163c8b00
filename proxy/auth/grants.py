"""Answers of OAuth token endpoints, and asking for a new one. Source: RFC 6749 section 5, provider sheets.

Services add fields of their own; those that some kind of account needs are read here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from proxy.auth.kind import LoginRefused, Unreachable
from proxy.net.api import Headers, UpstreamBroken
from proxy.net.fetch import Answer, fetch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.net.api import Transport
    from proxy.secret import Secret

FORM: Final[Headers] = [
    (b"Content-Type", b"application/x-www-form-urlencoded"),
    (b"Accept", b"application/json"),
]
OVER: Final = frozenset({"invalid_grant"})
"""Errors by which a service says that a login has come to its end."""
_LONGEST_WORDS: Final = 200
_LONGEST: Final = 10 * 366 * 86400.0
_UNSAID: Final = 3600.0
"""Seconds that a token lasts where the service does not say."""


class Grant(Struct):
    """A token, or why there is none."""

    access_token: str | None = None
    refresh_token: str | None = None
    expires_in: float | None = None
    resource_url: str | None = None
    token_type: str | None = None
    scope: str | None = None
    error: str | None = None
    error_description: str | None = None
    interval: float | None = None

    @property
    def lasts(self) -> float:
        """Seconds."""
        said = self.expires_in or 0.0
        return said if 0.0 < said < _LONGEST else _UNSAID


_grant = msgspec.json.Decoder(Grant, strict=False)


def read(body: bytes) -> Grant | None:
    """The answer, if it is one."""
    try:
        return _grant.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def sendable(text: str | None) -> str:
    """A token or key, if it can stand in a header; else empty."""
    return text if text and text.isascii() and text.isprintable() and " " not in text else ""


async def renew(
    transport: Transport,
    url: str,
    form: Mapping[str, str],
    login: Secret,
    proxy: str,
    *,
    headers: Headers | None = None,
    over: frozenset[str] = OVER,
) -> Grant:
    """A grant with a token for a refresh token. Raises LoginRefused, Unreachable."""
    body = {"grant_type": "refresh_token", "refresh_token": login.reveal(), **form}
    return await ask(transport, url, body, login, proxy, headers=headers, over=over)


async def ask(
    transport: Transport,
    url: str,
    form: Mapping[str, str],
    login: Secret,
    proxy: str,
    *,
    headers: Headers | None = None,
    over: frozenset[str] = OVER,
) -> Grant:
    """A grant with a token for a form. Raises LoginRefused, Unreachable.

    `login`: the secret in the form, which an answer may repeat; `over`: errors that end it for good.
    """
    body = urlencode(form).encode()
    try:
        answer = await fetch(transport, b"POST", url, [*FORM, *(headers or ())], body, proxy=proxy)
    except UpstreamBroken as broken:
        raise Unreachable(f"no token came: {broken.reason}") from None
    found = read(answer.body)
    if answer.status in (400, 401, 403):
        error = (found.error if found else None) or ""
        said = login.hide_in(_words(found))
        why = f"the service does not accept the login: status {answer.status}{said}"
        raise LoginRefused(why, lasting=error in over)
    if answer.status != 200:
        raise Unreachable(f"no token came: status {answer.status}", retry_after(answer))
    if found is None or not sendable(found.access_token):
        raise Unreachable("no token came: the answer is none")
    return found


def _words(found: Grant | None) -> str:
    """The service's own reason, cut short."""
    words = ": ".join(filter(None, (found.error, found.error_description))) if found else ""
    return f" ({words[:_LONGEST_WORDS]})" if words and words.isprintable() else ""


def retry_after(answer: Answer) -> float:
    """Seconds that the service wants to be left alone; 0 = it did not say."""
    for name, value in answer.headers:
        if name == b"retry-after":
            try:
                return min(max(float(value), 0.0), 86400.0)
            except ValueError:
                return 0.0
    return 0.0
