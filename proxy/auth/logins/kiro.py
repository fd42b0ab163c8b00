"""The Kiro login at AWS: a Builder ID, or an organization with its start page. Sheet: kiro, section 3.

The client is registered anew for each login. Logins of Google and GitHub come back to an address that only
Kiro's editor can take; their files come from there.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from proxy.auth import device
from proxy.auth.device import Flow
from proxy.auth.files import rfc3339
from proxy.auth.login import LoginFailed, NewAccount, ask_name, in_name
from proxy.jsonio import encode
from proxy.net.api import Headers, UpstreamBroken
from proxy.net.fetch import fetch
from proxy.upstream.kiro_facts import facts

if TYPE_CHECKING:
    from proxy.auth.login import Terminal, Wish
    from proxy.net.api import Transport

_RISK: Final = (
    "Note: this login is made for Kiro's own editor; AWS may limit or end an account that is used"
    " otherwise. See docs/kiro.md."
)
_REGION: Final = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_HEADERS: Final[Headers] = [(b"Content-Type", b"application/json")]
_GRANTS: Final = ("urn:ietf:params:oauth:grant-type:device_code", "refresh_token")


class Client(Struct, rename="camel"):
    """What the registration gave."""

    client_id: str
    client_secret: str


_client = msgspec.json.Decoder(Client)


class KiroLogin:
    """See Login."""

    note = _RISK

    def __init__(self, wish: Wish) -> None:
        self._label = wish.label
        self._start_url = wish.start_url
        self._region = wish.region
        self._proxy = wish.options.service("kiro").proxy or wish.options.proxy

    async def run(self, transport: Transport, terminal: Terminal) -> NewAccount:
        """See Login."""
        known = facts()
        region = self._region or known.region
        if not _REGION.fullmatch(region) or not (
            self._start_url.startswith("https://") or not self._start_url
        ):
            raise LoginFailed("'--region' is like us-east-1, '--start-url' an https address")
        label = self._label or await ask_name(terminal)
        client = await self._register(transport, known.oidc_url.format(region))
        asked = flow(client, region, self._start_url or known.start_url)
        code = await device.start(transport, asked, self._proxy)
        complete = code.verification_uri_complete or code.verification_uri
        terminal.code(code.verification_uri, code.user_code, complete)
        minutes = int(code.expires_in // 60)
        terminal.show(f"Waiting for the login; the code holds for {minutes} minutes.")
        terminal.open(complete)
        grant = await device.wait(transport, asked, code, self._proxy, terminal.show)
        now = time.time()
        label = label or f"{int(now) % 100000:05}"
        kind = "idc" if self._start_url else "builder-id"
        content = {
            "type": "kiro",
            "auth_method": kind,
            "provider": "AWS",
            "email": label,
            "access_token": grant.access_token or "",
            "refresh_token": grant.refresh_token or "",
            "expires_at": rfc3339(now + grant.lasts),
            "last_refresh": rfc3339(now),
            "client_id": client.client_id,
            "client_secret": client.client_secret,
        }
        if self._start_url:
            content |= {"start_url": self._start_url, "region": region}
        word = "idc" if self._start_url else "aws"
        return NewAccount(name=f"kiro-{word}-{in_name(label)}.json", content=content)

    async def _register(self, transport: Transport, token_url: str) -> Client:
        url = token_url.removesuffix("/token") + "/client/register"
        body = {
            "clientName": "Kiro IDE",
            "clientType": "public",
            "scopes": facts().scopes,
            "grantTypes": _GRANTS,
        }
        try:
            answer = await fetch(
                transport, b"POST", url, list(_HEADERS), encode(body), proxy=self._proxy
            )
        except UpstreamBroken as broken:
            raise LoginFailed(f"AWS cannot be reached: {broken.reason}") from None
        try:
            return _client.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise LoginFailed(f"AWS gave no client: status {answer.status}") from None


def flow(client: Client, region: str, start_url: str) -> Flow:
    """AWS's side of the login."""
    token_url = facts().oidc_url.format(region)
    who = {"client_id": client.client_id, "client_secret": client.client_secret}
    return Flow(
        service="AWS",
        code_url=token_url.removesuffix("/token") + "/device_authorization",
        token_url=token_url,
        code={**who, "start_url": start_url},
        poll=who,
        camel=True,
    )


login: Final = KiroLogin
