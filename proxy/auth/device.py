"""Device logins (RFC 8628): a code that a person types on the service's page, and polling until they did.

Services differ in how bodies are written and in the status of "not yet"; what an answer says is read from
its body alone, JSON or form.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode

import msgspec
import trio
from msgspec import Struct
from msgspec.structs import replace

from proxy.auth import grants
from proxy.auth.grants import Grant
from proxy.auth.login import LoginFailed
from proxy.jsonio import encode
from proxy.net.api import Headers, UpstreamBroken
from proxy.net.fetch import Answer, fetch

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.net.api import Transport

_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_SLOWER: Final = 5.0
_LONGEST_WAIT: Final = 60.0
_JSON: Final[Headers] = [
    (b"Content-Type", b"application/json"),
    (b"Accept", b"application/json"),
]
_CAMEL: Final = re.compile(r"_([a-z])")
_KEY: Final = re.compile(rb'"[a-zA-Z]+"\s*:')
_HUMP: Final = re.compile(rb"([A-Z])")
_OVER: Final = "the code is over; start the login again"
_ENDS: Final = {
    "access_denied": "the login was refused on {}'s page",
    "expired_token": _OVER,
    "device_code_expired": _OVER,
    "invalid_grant": _OVER,
    "incorrect_device_code": "{} does not know the code; start the login again",
    "incorrect_client_credentials": "{} does not know the client id",
    "invalid_client": "{} does not know the client id",
    "unsupported_grant_type": "{} does not offer this kind of login",
    "device_flow_disabled": "{} does not offer this kind of login to this client id",
}
"""Answers after which no further one can come."""


class Flow(Struct, frozen=True, kw_only=True):
    """One service's side. `code`, `poll`: what is sent besides the code; `form`: as a form, not as JSON."""

    service: str
    code_url: str
    token_url: str
    code: dict[str, str]
    poll: dict[str, str]
    form: bool = False
    camel: bool = False
    """The JSON's keys are written `likeThis`."""


class Code(Struct, frozen=True):
    """What the service gave: the code to type, where, and how long it holds (seconds)."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str = ""
    expires_in: float = 900.0
    interval: float = 5.0


_code = msgspec.json.Decoder(Code)


async def start(transport: Transport, flow: Flow, proxy: str) -> Code:
    """Asks for a code. Raises LoginFailed."""
    service = flow.service
    try:
        answer = await _post(transport, flow, flow.code_url, flow.code, proxy)
    except UpstreamBroken as broken:
        raise LoginFailed(f"{service} cannot be reached: {broken.reason}") from None
    if answer.status != 200:
        raise LoginFailed(f"{service} gave no code: status {answer.status}")
    try:
        code = _code.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise LoginFailed(f"{service} gave no code: its answer cannot be read") from None
    shown = (code.user_code, code.verification_uri, code.verification_uri_complete)
    # These go to a terminal, whose control characters nobody else may send.
    if not all(text.isascii() and text.isprintable() for text in shown) or not code.device_code:
        raise LoginFailed(f"{service} gave no code: its answer cannot be shown")
    return code


async def wait(
    transport: Transport, flow: Flow, code: Code, proxy: str, note: Callable[[str], None]
) -> Grant:
    """Polls until the person allowed the login. `note` is told what delays it. Raises LoginFailed."""
    service = flow.service
    body = {**flow.poll, "device_code": code.device_code, "grant_type": _GRANT}
    interval = min(max(code.interval, 0.0), _LONGEST_WAIT)
    end = trio.current_time() + code.expires_in
    lost = False
    while True:
        # One second more than asked for: some count whole seconds.
        await trio.sleep(interval + 1.0)
        if trio.current_time() >= end:
            raise LoginFailed(_OVER)
        try:
            answer = await _post(transport, flow, flow.token_url, body, proxy)
        except UpstreamBroken as broken:
            if not lost:
                note(f"{service} cannot be reached ({broken.reason}); trying on")
            lost = True
            continue
        lost = False
        told = _read(answer)
        if grants.sendable(told.access_token):
            return told
        error = told.error or ""
        if error in _ENDS:
            raise LoginFailed(_ENDS[error].format(service))
        if error == "slow_down":
            interval = min(max(interval + _SLOWER, told.interval or 0.0), _LONGEST_WAIT)
        elif error not in ("", "authorization_pending"):
            note(f"{service} says {error!r}; trying on")


def _read(answer: Answer) -> Grant:
    found = grants.read(answer.body)
    if found is None:
        fields = dict(parse_qsl(answer.body[:65536].decode("latin-1")))
        found = Grant(fields.get("access_token"), error=fields.get("error"))
    return found


async def _post(
    transport: Transport, flow: Flow, url: str, body: dict[str, str], proxy: str
) -> Answer:
    headers = list(grants.FORM if flow.form else _JSON)
    if flow.camel:
        body = {_CAMEL.sub(lambda m: m[1].upper(), key): value for key, value in body.items()}
    data = urlencode(body).encode() if flow.form else encode(body)
    answer = await fetch(transport, b"POST", url, headers, data, proxy=proxy)
    return replace(answer, body=_KEY.sub(_snake, answer.body)) if flow.camel else answer


def _snake(key: re.Match[bytes]) -> bytes:
    return _HUMP.sub(rb"_\1", key[0]).lower()
