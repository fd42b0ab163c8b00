"""Claude accounts: the OAuth login of a subscription. Sheet: claude."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.auth import grants
from proxy.auth.kind import OneWire, Token
from proxy.secret import Secret
from proxy.upstream import facts

if TYPE_CHECKING:
    from proxy.auth.files import AccountFile
    from proxy.auth.grants import Grant
    from proxy.config.model import AccountOptions
    from proxy.net.api import Transport


class Claude(OneWire):
    """See the module."""

    name = "claude"
    provider = "claude"
    wire = "anthropic"
    lead = 4 * 3600.0

    def address(self, file: AccountFile, token: Token | None) -> str:  # noqa: ARG002  # no token names one
        """See OneWire."""
        return file.text("base_url") or facts.of("claude").base_url

    async def exchange(
        self,
        transport: Transport,
        login: Secret,
        file: AccountFile,  # noqa: ARG002  # the login is all that Anthropic wants
        options: AccountOptions,
    ) -> Token:
        """See Kind. The service takes JSON, and gives a new login with each token."""
        known = facts.of("claude").login
        client = {"client_id": known["client-id"]}
        url = known["token-url"]
        return token_of(await grants.renew(transport, url, client, login, options.proxy, json=True))


def token_of(grant: Grant) -> Token:
    """The token of a grant that has one. An address that is not said leaves the file's."""
    email = (grant.account.email_address if grant.account else None) or ""
    return Token(
        value=Secret(grants.sendable(grant.access_token)),
        expires=0.0,
        lasts=grant.lasts,
        login=Secret(grants.sendable(grant.refresh_token)),
        keys={"email": email} if email else {},
    )


KIND = Claude()
