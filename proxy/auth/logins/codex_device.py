"""The Codex login with a code that is typed on OpenAI's page, for machines without a browser.

The service polls as RFC 8628 does, in words of its own: what comes of it is a code and its verifier, which
are redeemed as after a browser login. Source: codex sheet; the open source of Codex.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import trio
from msgspec import Struct

from proxy.auth import grants
from proxy.auth.kinds.codex import KIND
from proxy.auth.login import LoginFailed
from proxy.auth.logins.codex import NOTE, account
from proxy.jsonio import encode
from proxy.net.api import UpstreamBroken
from proxy.net.fetch import Answer, fetch
from proxy.upstream import facts

if TYPE_CHECKING:
    from proxy.auth.login import NewAccount, Terminal, Wish
    from proxy.net.api import Transport

PATIENCE: Final = 15 * 60.0
"""Seconds that the code holds."""
_INTERVAL: Final = 5.0
_LONGEST: Final = 60.0
_PENDING: Final = frozenset({403, 404, 429})
"""Statuses of polls before the person allowed the login."""


class _Code(Struct):
    device_auth_id: str
    user_code: str
    interval: float = _INTERVAL


class _Allowed(Struct):
    authorization_code: str
    code_verifier: str


_code: Final = msgspec.json.Decoder(_Code, strict=False)
_allowed: Final = msgspec.json.Decoder(_Allowed)


class CodexDeviceLogin:
    """See Login."""

    note = NOTE

    def __init__(self, wish: Wish) -> None:
        self._proxy = KIND.proxy(wish.options)
        self._known = facts.of("codex").login

    async def run(self, transport: Transport, terminal: Terminal) -> NewAccount:
        """See Login."""
        code = await self._start(transport)
        page = self._known["device-page"]
        terminal.code(page, code.user_code)
        minutes = int(PATIENCE // 60)
        terminal.show(f"Waiting for the login; the code holds for {minutes} minutes.")
        terminal.open(page)
        allowed = await self._wait(transport, code, terminal)
        fields = {
            "client_id": self._known["client-id"],
            "code": allowed.authorization_code,
            "code_verifier": allowed.code_verifier,
            "redirect_uri": self._known["device-redirect"],
        }
        return account(
            await grants.redeem(transport, self._known["token-url"], fields, self._proxy)
        )

    async def _start(self, transport: Transport) -> _Code:
        try:
            answer = await self._ask(transport, "usercode", {"client_id": self._known["client-id"]})
        except UpstreamBroken as broken:
            raise LoginFailed(f"OpenAI cannot be reached: {broken.reason}") from None
        if answer.status == 404:
            raise LoginFailed("OpenAI does not offer logins with a code to this client")
        if answer.status != 200:
            raise LoginFailed(f"OpenAI gave no code: status {answer.status}")
        try:
            code = _code.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise LoginFailed("OpenAI gave no code: its answer cannot be read") from None
        # It goes to a terminal, whose control characters nobody else may send.
        if not grants.sendable(code.user_code) or not code.device_auth_id:
            raise LoginFailed("OpenAI gave no code: its answer cannot be shown")
        return code

    async def _wait(self, transport: Transport, code: _Code, terminal: Terminal) -> _Allowed:
        interval = min(max(1.0, code.interval), _LONGEST)
        end = trio.current_time() + PATIENCE
        body = {"device_auth_id": code.device_auth_id, "user_code": code.user_code}
        lost = False
        while True:
            await trio.sleep(interval)
            if trio.current_time() >= end:
                raise LoginFailed("the code is over; start the login again")
            try:
                answer = await self._ask(transport, "token", body)
            except UpstreamBroken as broken:
                if not lost:
                    terminal.show(f"OpenAI cannot be reached ({broken.reason}); trying on")
                lost = True
                continue
            lost = False
            if answer.status in _PENDING or answer.status >= 500:
                continue
            if answer.status != 200:
                raise LoginFailed(f"OpenAI refused the login: status {answer.status}")
            try:
                return _allowed.decode(answer.body)
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise LoginFailed("OpenAI's answer holds no login") from None

    async def _ask(self, transport: Transport, path: str, body: dict[str, str]) -> Answer:
        url = f"{self._known['device-url']}/{path}"
        head = list(grants.JSON)
        return await fetch(transport, b"POST", url, head, encode(body), proxy=self._proxy)
