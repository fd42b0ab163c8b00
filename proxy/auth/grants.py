"""Answers of OAuth token endpoints, and asking for a new one. Source: RFC 6749 section 5, provider sheets.

Services add fields of their own; those that some kind of account needs are read here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from proxy.auth.kind import LoginRefused, Unreachable
from proxy.auth.login import LoginFailed
from proxy.jsonio import encode
from proxy.net.api import Headers, UpstreamBroken
from proxy.net.fetch import Answer, fetch
from proxy.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.net.api import Transport

FORM: Final[Headers] = [
    (b"Content-Type", b"application/x-www-form-urlencoded"),
    (b"Accept", b"application/json"),
]
JSON: Final[Headers] = [
    (b"Content-Type", b"application/json"),
    (b"Accept", b"application/json"),
]
OVER: Final = frozenset({"invalid_grant"})
"""Errors by which a service says that a login has come to its end."""
_LONGEST_WORDS: Final = 200
_LONGEST: Final = 10 * 366 * 86400.0
_UNSAID: Final = 3600.0
"""Seconds that a token lasts where the service does not say."""


class Problem(Struct, frozen=True):
    """An error as an object: Anthropic has `type` and `message`, OpenAI also `code`."""

    type: str | None = None
    code: str | None = None
    message: str | None = None


class Owner(Struct):
    """Whose the token is, as Anthropic says it."""

    email_address: str | None = None


class Grant(Struct):
    """A token, or why there is none."""

    access_token: str | None = None
    refresh_token: str | None = None
    expires_in: float | None = None
    id_token: str | None = None
    resource_url: str | None = None
    token_type: str | None = None
    scope: str | None = None
    account: Owner | None = None
    error: str | Problem | None = None
    error_description: str | None = None
    interval: float | None = None

    @property
    def lasts(self) -> float:
        """Seconds."""
        said = self.expires_in or 0.0
        return said if 0.0 < said < _LONGEST else _UNSAID

    @property
    def errors(self) -> set[str]:
        """The words that name the error; empty if there is none."""
        named = self.error
        if isinstance(named, Problem):
            return {word for word in (named.code, named.type) if word}
        return {named} if named else set()

    @property
    def reason(self) -> str:
        """The service's own words; empty if it said none that can be shown."""
        named = self.error
        if isinstance(named, Problem):
            said = (named.code or named.type, named.message)
        else:
            said = (named, self.error_description)
        words = ": ".join(filter(None, said))
        return words[:_LONGEST_WORDS] if words.isprintable() else ""


_grant = msgspec.json.Decoder(Grant, strict=False)


def read(body: bytes) -> Grant | None:
    """The answer, if it is one."""
    try:
        return _grant.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
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
    json: bool = False,
) -> Grant:
    """A grant with a token for a refresh token. Raises LoginRefused, Unreachable."""
    body = {"grant_type": "refresh_token", "refresh_token": login.reveal(), **form}
    return await ask(transport, url, body, login, proxy, headers=headers, over=over, json=json)


async def ask(
    transport: Transport,
    url: str,
    form: Mapping[str, str],
    login: Secret,
    proxy: str,
    *,
    headers: Headers | None = None,
    over: frozenset[str] = OVER,
    json: bool = False,
) -> Grant:
    """A grant with a token for a form. Raises LoginRefused, Unreachable.

    `login`: the secret in the form, which an answer may repeat; `over`: errors that end it for good;
    `json`: the service takes no forms.
    """
    try:
        answer = await _post(transport, url, form, proxy, headers=headers, json=json)
    except UpstreamBroken as broken:
        raise Unreachable(f"no token came: {broken.reason}") from None
    found = read(answer.body)
    if answer.status in (400, 401, 403):
        said = f" ({login.hide_in(found.reason)})" if found and found.reason else ""
        why = f"the service does not accept the login: status {answer.status}{said}"
        raise LoginRefused(why, lasting=bool(found and found.errors & over))
    if answer.status != 200:
        raise Unreachable(f"no token came: status {answer.status}", retry_after(answer))
    if found is None or not sendable(found.access_token):
        raise Unreachable("no token came: the answer is none")
    return found


async def redeem(
    transport: Transport, url: str, fields: Mapping[str, str], proxy: str, *, json: bool = False
) -> Grant:
    """A grant with a token that can be renewed, for the code of a login. Raises LoginFailed."""
    try:
        answer = await _post(
            transport, url, {"grant_type": "authorization_code", **fields}, proxy, json=json
        )
    except UpstreamBroken as broken:
        raise LoginFailed(f"the login could not be ended: {broken.reason}") from None
    found = read(answer.body)
    if answer.status != 200:
        code = Secret(fields.get("code", ""))
        said = f" ({code.hide_in(found.reason)})" if found and found.reason else ""
        raise LoginFailed(f"the service gave no account: status {answer.status}{said}")
    if found is None or not sendable(found.access_token) or not sendable(found.refresh_token):
        raise LoginFailed("the service gave no account: its answer holds no login")
    return found


async def _post(
    transport: Transport,
    url: str,
    fields: Mapping[str, str],
    proxy: str,
    *,
    headers: Headers | None = None,
    json: bool,
) -> Answer:
    body = encode(fields) if json else urlencode(fields).encode()
    head = [*(JSON if json else FORM), *(headers or ())]
    return await fetch(transport, b"POST", url, head, body, proxy=proxy)


def retry_after(answer: Answer) -> float:
    """Seconds that the service wants to be left alone; 0 = it did not say."""
    for name, value in answer.headers:
        if name == b"retry-after":
            try:
                return min(max(0.0, float(value)), 86400.0)  # in this order `nan` is 0
            except ValueError:
                return 0.0
    return 0.0
