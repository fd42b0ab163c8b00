"""Qwen accounts: an OAuth login whose token names the address to ask. Sheet: qwen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from msgspec.structs import replace

from proxy.auth import grants
from proxy.auth.kind import OneWire, Token
from proxy.secret import Secret
from proxy.upstream import facts

if TYPE_CHECKING:
    from proxy.auth.files import AccountFile
    from proxy.auth.grants import Grant
    from proxy.config.model import AccountOptions
    from proxy.net.api import Transport

_OVER: Final = grants.OVER | {"invalid_request"}
"""By the second Qwen says that a login is unknown or over."""


class Qwen(OneWire):
    """See the module."""

    name = "qwen"
    provider = "qwen"
    wire = "chat"
    lead = 3 * 3600.0

    def stored(self, file: AccountFile) -> Token | None:
        """See Kind."""
        token = super().stored(file)
        return replace(token, base_url=address_of(file.text("resource_url"))) if token else None

    def address(self, file: AccountFile, token: Token | None) -> str:
        """See OneWire."""
        told = token.base_url if token else address_of(file.text("resource_url"))
        return told or facts.of("qwen").base_url

    async def exchange(
        self, transport: Transport, login: Secret, file: AccountFile, options: AccountOptions
    ) -> Token:
        """See Kind."""
        known = facts.of("qwen").login
        form = {"client_id": known["client-id"]}
        url = known["token-url"]
        grant = await grants.renew(transport, url, form, login, options.proxy, over=_OVER)
        resource = grant.resource_url or ""
        token = token_of(grant)
        if not token.base_url:
            # An answer without an address, or with one that is none, leaves the old one.
            return replace(token, base_url=address_of(file.text("resource_url")))
        return replace(token, keys={"resource_url": resource})


def token_of(grant: Grant) -> Token:
    """The token of a grant that has one."""
    return Token(
        value=Secret(grants.sendable(grant.access_token)),
        expires=0.0,
        lasts=grant.lasts,
        base_url=address_of(grant.resource_url or ""),
        login=Secret(grant.refresh_token or ""),
    )


def address_of(resource: str) -> str:
    """The address that a `resource_url` means: `host`, `https://host` or `https://host/v1`; "" for none."""
    text = resource.strip().rstrip("/")
    parts = urlsplit(text if "://" in text else f"https://{text}")
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc or parts.query:
        return ""
    if not text.isascii() or not text.isprintable() or " " in text:
        return ""
    return f"https://{parts.netloc}{parts.path.removesuffix('/v1')}/v1"


KIND: Final = Qwen()
