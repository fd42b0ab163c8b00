"""Qwen accounts: an OAuth login whose token names the address to ask. Sheet: qwen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

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
_RESOURCE: Final = re.compile(
    r"(?:https://)?([a-zA-Z0-9.-]+(?::\d{1,5})?)((?:/[\w.~-]+)*)/?", re.ASCII
)


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
    found = _RESOURCE.fullmatch(resource.strip())
    return f"https://{found[1]}{found[2].removesuffix('/v1')}/v1" if found else ""


KIND: Final = Qwen()
