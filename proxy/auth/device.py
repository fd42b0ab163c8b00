"""GitHub's device login (RFC 8628): a code that a person types on GitHub's page, and polling until they
did. Source: copilot sheet, section 3.

GitHub answers errors with 200, in JSON or as a form; both are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

import msgspec
import trio
from msgspec import Struct

from proxy.auth import github
from proxy.auth.kind import LoginRefused, Unreachable
from proxy.auth.login import LoginFailed
from proxy.jsonio import encode
from proxy.net.api import Headers, UpstreamBroken
from proxy.net.fetch import Answer, fetch
from proxy.secret import Secret
from proxy.upstream import copilot_facts as known

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.config.model import CopilotOptions
    from proxy.net.api import Transport

_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_SLOWER: Final = 5.0
_LONGEST_WAIT: Final = 60.0
_JSON: Final[Headers] = [
    (b"Content-Type", b"application/json"),
    (b"Accept", b"application/json"),
]
_ENDS: Final = {
    "access_denied": "the login was refused on GitHub's page",
    "expired_token": "the code is over; start the login again",
    "device_code_expired": "the code is over; start the login again",
    "incorrect_device_code": "GitHub does not know the code; start the login again",
    "incorrect_client_credentials": "GitHub does not know the client id",
    "unsupported_grant_type": "GitHub does not offer this kind of login",
    "device_flow_disabled": "GitHub does not offer this kind of login to this client id",
}
"""Answers after which no further one can come."""


class Code(Struct, frozen=True):
    """What GitHub gave: the code to type, where, and how long it holds (seconds)."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str = ""
    expires_in: float = 900.0
    interval: float = 5.0


class Login(Struct, frozen=True, kw_only=True):
    """A login that gives Copilot."""

    github_token: Secret
    username: str
    email: str


class _Poll(Struct):
    access_token: str = ""
    error: str = ""
    error_description: str = ""
    interval: float = 0.0


_code = msgspec.json.Decoder(Code)
_poll = msgspec.json.Decoder(_Poll)


async def start(transport: Transport, options: CopilotOptions, proxy: str) -> Code:
    """Asks for a code. Raises LoginFailed."""
    address, _ = known.github(options)
    body = {"client_id": _client_id(options), "scope": known.facts().scope}
    try:
        answer = await _post(transport, f"{address}/login/device/code", body, proxy)
    except UpstreamBroken as broken:
        raise LoginFailed(f"GitHub cannot be reached: {broken.reason}") from None
    if answer.status != 200:
        raise LoginFailed(f"GitHub gave no code: status {answer.status}")
    try:
        code = _code.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise LoginFailed("GitHub gave no code: its answer cannot be read") from None
    shown = (code.user_code, code.verification_uri, code.verification_uri_complete)
    # These go to a terminal, whose control characters nobody else may send.
    if not all(text.isascii() and text.isprintable() for text in shown) or not code.device_code:
        raise LoginFailed("GitHub gave no code: its answer cannot be shown")
    return code


async def wait(
    transport: Transport,
    code: Code,
    options: CopilotOptions,
    proxy: str,
    note: Callable[[str], None],
) -> Secret:
    """Polls until the person allowed the login. `note` is told what delays it. Raises LoginFailed."""
    address, _ = known.github(options)
    body = {
        "client_id": _client_id(options),
        "device_code": code.device_code,
        "grant_type": _GRANT,
    }
    interval = min(max(code.interval, 0.0), _LONGEST_WAIT)
    end = trio.current_time() + code.expires_in
    lost = False
    while True:
        # One second more than asked for: GitHub counts whole seconds.
        await trio.sleep(interval + 1.0)
        if trio.current_time() >= end:
            raise LoginFailed(_ENDS["expired_token"])
        try:
            answer = await _post(transport, f"{address}/login/oauth/access_token", body, proxy)
        except UpstreamBroken as broken:
            if not lost:
                note(f"GitHub cannot be reached ({broken.reason}); trying on")
            lost = True
            continue
        lost = False
        told = _read(answer)
        if told.access_token:
            return Secret(told.access_token)
        if told.error in _ENDS:
            raise LoginFailed(_ENDS[told.error])
        if told.error == "slow_down":
            interval = min(max(interval + _SLOWER, told.interval), _LONGEST_WAIT)
        elif told.error not in ("", "authorization_pending"):
            note(f"GitHub says {told.error!r}; trying on")


async def finish(transport: Transport, token: Secret, options: CopilotOptions, proxy: str) -> Login:
    """Checks that the login gives Copilot, and asks whose it is. Raises LoginFailed."""
    try:
        await github.exchange(transport, token, options, proxy)
    except LoginRefused as refused:
        raise LoginFailed(f"this GitHub account has no Copilot: {refused.why}") from None
    except Unreachable as failure:
        raise LoginFailed(f"Copilot could not be checked: {failure.why}") from None
    username, email = await github.user(transport, token, options, proxy)
    return Login(github_token=token, username=username, email=email)


def file_name(account_type: str, username: str) -> str:
    """`copilot_<type>_<login>.json`, as CLIProxyAPI names it."""
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in username)
    return f"copilot_{account_type}_{safe[:100]}.json"


def _client_id(options: CopilotOptions) -> str:
    return options.client_id or known.facts().client_id


def _read(answer: Answer) -> _Poll:
    try:
        return _poll.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = answer.body[:65536].decode("latin-1")
        fields = dict(parse_qsl(text))
        return _Poll(fields.get("access_token", ""), fields.get("error", ""))


async def _post(transport: Transport, url: str, body: dict[str, str], proxy: str) -> Answer:
    return await fetch(transport, b"POST", url, list(_JSON), encode(body), proxy=proxy)
