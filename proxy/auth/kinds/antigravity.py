"""Antigravity accounts: a Google login whose models the service lists. Sheet: antigravity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import msgspec
from msgspec.structs import replace

from proxy.auth import grants
from proxy.auth.kind import LAST, Models, OneWire, Token, Unreachable
from proxy.config import declared
from proxy.net.api import UpstreamBroken
from proxy.net.fetch import Answer, fetch
from proxy.secret import Secret
from proxy.upstream import antigravity, google_facts

if TYPE_CHECKING:
    from proxy.auth.account import Account
    from proxy.auth.files import AccountFile
    from proxy.config.model import AccountOptions, Credential, WireName
    from proxy.net.api import Transport

_NAME: Final = "antigravity"
_SECONDS: Final = 15.0
"""From asking one address for the list to its last byte."""


class Antigravity(OneWire):
    """See the module."""

    name = _NAME
    provider = _NAME
    wire = "gemini_cli"
    has_list = True

    def stored(self, file: AccountFile) -> Token | None:
        """See Kind. Old files say how long the token holds from when on, in milliseconds."""
        token = super().stored(file)
        if token is None or token.expires != LAST:
            return token
        since, lasts = file.number("timestamp"), file.number("expires_in")
        return Token(token.value, since / 1000 + lasts) if since and lasts else token

    def saved(self, token: Token, now: float) -> dict[str, object]:
        """See Kind."""
        times = {"timestamp": int(now * 1000), "expires_in": int(token.expires - now)}
        return {**super().saved(token, now), **times}

    def address(self, file: AccountFile, token: Token | None) -> str:  # noqa: ARG002  # one for all
        """See OneWire."""
        return _addresses(file)[0]

    def credential(
        self, file: AccountFile, token: Token | None, options: AccountOptions, wire: WireName
    ) -> Credential:
        """See Kind."""
        agent = file.text("user_agent")
        sendable = agent.isascii() and agent.isprintable()
        return replace(
            super().credential(file, token, options, wire),
            mirrors=_addresses(file)[1:],
            headers=(("User-Agent", agent),) if agent and sendable else (),
            project=file.text("project_id"),
        )

    def declared(
        self,
        account: Account,
        learned: dict[str, WireName],  # noqa: ARG002  # there is no other wire
        now: int,
    ) -> list[declared.Account]:
        """See Kind. Until the account's list comes, what is known of all."""
        models = google_facts.of(_NAME).models if account.models is None else account.models
        return [
            declared.Account(
                credential=account.credential(self.wire),
                group=_NAME,
                listed=google_facts.listed(cast("tuple[google_facts.Model, ...]", models), now),
                builtin=False,
                prefix=account.prefix,
                owner=_NAME,
                kind=_NAME,
            )
        ]

    async def exchange(
        self,
        transport: Transport,
        login: Secret,
        file: AccountFile,  # noqa: ARG002  # the login is all that Google wants
        options: AccountOptions,
    ) -> Token:
        """See Kind."""
        known = google_facts.of(_NAME)
        form = {"client_id": known.client_id, "client_secret": known.client_secret}
        agent = [(b"User-Agent", known.headers["User-Agent"].encode())]
        grant = await grants.renew(
            transport, known.token_url, form, login, options.proxy, headers=agent
        )
        return Token(
            value=Secret(grants.sendable(grant.access_token)),
            expires=0.0,
            lasts=grant.lasts,
            login=Secret(grant.refresh_token or ""),
        )

    async def models(self, transport: Transport, credential: Credential) -> Models:
        """See Kind."""
        why = ""
        for url in (credential.base_url, *credential.mirrors):
            try:
                answer = await _list(transport, url, credential)
            except UpstreamBroken as broken:
                why = broken.reason
                continue
            if answer.status == 200:
                try:
                    return google_facts.models_of(answer.body)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    raise Unreachable("the model list cannot be read") from None
            why = f"status {answer.status}"
            if answer.status != 429:
                break
        raise Unreachable(f"the model list did not come: {why}")


async def _list(transport: Transport, url: str, credential: Credential) -> Answer:
    return await fetch(
        transport,
        b"POST",
        f"{url}/v1internal:fetchAvailableModels",
        antigravity.list_headers(credential),
        b"{}",
        proxy=credential.proxy,
        seconds=_SECONDS,
    )


def _addresses(file: AccountFile) -> tuple[str, ...]:
    """Where to ask in turn; an address of the file's own is the only one."""
    own = file.text("base_url").rstrip("/")
    return (own,) if own else google_facts.of(_NAME).base_urls


KIND: Final = Antigravity()
