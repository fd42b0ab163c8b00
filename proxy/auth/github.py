"""GitHub's side of a Copilot account: token exchange, who it is, its model list. Sheet: copilot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from proxy.auth.kind import LAST, LoginRefused, Token, Unreachable
from proxy.net.api import Headers, UpstreamBroken
from proxy.net.fetch import Answer, fetch
from proxy.secret import Secret
from proxy.upstream import copilot
from proxy.upstream import copilot_facts as known

if TYPE_CHECKING:
    from proxy.config.model import CopilotOptions, Credential
    from proxy.net.api import Transport

_LONGEST: Final = 200


class _Endpoints(Struct):
    api: str = ""


class _Token(Struct):
    token: str
    expires_at: float
    refresh_in: float = 0.0
    endpoints: _Endpoints | None = None


class _User(Struct):
    login: str = ""
    email: str | None = None
    name: str | None = None


_token = msgspec.json.Decoder(_Token)
_user = msgspec.json.Decoder(_User)


async def exchange(
    transport: Transport, login: Secret, options: CopilotOptions, proxy: str
) -> Token:
    """A Copilot token for a GitHub login. Raises LoginRefused, Unreachable."""
    _, api = known.github(options)
    answer = await _get(transport, f"{api}/copilot_internal/v2/token", login, proxy)
    if answer.status == 401:
        raise LoginRefused("copilot_auth_rejected: GitHub does not know this login", lasting=True)
    if answer.status == 403:
        word = "copilot_no_subscription: GitHub gives this account no Copilot"
        raise LoginRefused(f"{word}{login.hide_in(_said(answer))}", lasting=False)
    if answer.status != 200:
        raise Unreachable(f"copilot_upstream_error: GitHub answered {answer.status}")
    try:
        found = _token.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Unreachable("copilot_upstream_error: GitHub's answer is no token") from None
    times = 0.0 < found.expires_at < LAST and found.refresh_in < LAST
    if not times or not found.token.isascii() or not found.token.isprintable() or not found.token:
        raise Unreachable("copilot_upstream_error: GitHub's answer is no token")
    return Token(
        value=Secret(found.token),
        expires=found.expires_at,
        refresh_in=found.refresh_in,
        base_url=_address(found.endpoints.api if found.endpoints else "", api),
    )


def _address(url: str, api: str) -> str:
    """An address from GitHub, if it is as safe as the one that named it."""
    parts = urlsplit(url)
    good = parts.scheme in ("https", urlsplit(api).scheme) and bool(parts.netloc)
    return url.rstrip("/") if good and "@" not in parts.netloc else ""


async def user(
    transport: Transport, login: Secret, options: CopilotOptions, proxy: str
) -> tuple[str, str]:
    """(login name, mail address) of the account; empty where GitHub does not say."""
    _, api = known.github(options)
    try:
        answer = await _get(transport, f"{api}/user", login, proxy)
        found = _user.decode(answer.body) if answer.status == 200 else _User()
    except (Unreachable, msgspec.DecodeError, UnicodeDecodeError):
        found = _User()
    return found.login, found.email or ""


async def models(transport: Transport, credential: Credential) -> tuple[known.Model, ...]:
    """The account's own list. `credential` is ready to be used. Raises Unreachable."""
    url = f"{credential.base_url}/models"
    try:
        answer = await fetch(
            transport,
            b"GET",
            url,
            copilot.list_headers(credential),
            proxy=credential.proxy,
            seconds=15.0,
        )
    except UpstreamBroken as broken:
        raise Unreachable(f"the model list did not come: {broken.reason}") from None
    if answer.status != 200:
        raise Unreachable(f"the model list did not come: status {answer.status}")
    try:
        return known.models_of(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Unreachable("the model list cannot be read") from None


async def _get(transport: Transport, url: str, login: Secret, proxy: str) -> Answer:
    headers: Headers = [(n.encode(), v.encode()) for n, v in known.facts().github_headers.items()]
    headers.append((b"Authorization", b"token " + login.reveal().encode()))
    try:
        return await fetch(transport, b"GET", url, headers, proxy=proxy)
    except UpstreamBroken as broken:
        raise Unreachable(f"copilot_refresh_transient: {broken.reason}") from None


class _Message(Struct):
    message: str = ""


def _said(answer: Answer) -> str:
    """GitHub's own reason, cut short."""
    try:
        text = msgspec.json.decode(answer.body, type=_Message).message
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return f" ({text[:_LONGEST]})" if text and text.isprintable() else ""
