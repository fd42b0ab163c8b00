"""Codex accounts: the OAuth login of a ChatGPT plan. Sheet: codex.

Who it is and what plan it has stands in the id token, which is read and not verified: it came from the
service itself, and nothing is granted by it here.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from proxy.auth import grants
from proxy.auth.kind import OneWire, Token
from proxy.jsonio import decode
from proxy.secret import Secret
from proxy.upstream import facts

if TYPE_CHECKING:
    from proxy.auth.files import AccountFile
    from proxy.auth.grants import Grant
    from proxy.config.model import AccountOptions, Credential, WireName
    from proxy.net.api import Transport

_OVER: Final = grants.OVER | {
    "refresh_token_expired",
    "refresh_token_reused",
    "refresh_token_invalidated",
}
_AUTH: Final = "https://api.openai.com/auth"
_LONGEST: Final = 64 * 1024


class Claims(Struct, frozen=True):
    """What an id token says; empty where it does not."""

    email: str = ""
    account: str = ""
    plan: str = ""


class Codex(OneWire):
    """See the module."""

    name = "codex"
    provider = "codex"
    wire = "responses"
    lead = 5 * 86400.0

    def address(self, file: AccountFile, token: Token | None) -> str:  # noqa: ARG002  # no token names one
        """See OneWire."""
        return file.text("base_url") or facts.of("codex").base_url

    def plan(self, file: AccountFile, options: AccountOptions) -> str:  # noqa: ARG002  # the file says it
        """See Kind."""
        return file.text("plan_type") or claims_of(file.text("id_token")).plan

    def credential(
        self, file: AccountFile, token: Token | None, options: AccountOptions, wire: WireName
    ) -> Credential:
        """See Kind. The account's id goes with every request."""
        found = super().credential(file, token, options, wire)
        account = file.text("account_id") or claims_of(file.text("id_token")).account
        if not grants.sendable(account):
            return found
        return replace(found, headers=(("Chatgpt-Account-Id", account), *found.headers))

    async def exchange(
        self,
        transport: Transport,
        login: Secret,
        file: AccountFile,  # noqa: ARG002  # the login is all that OpenAI wants
        options: AccountOptions,
    ) -> Token:
        """See Kind."""
        known = facts.of("codex").login
        form = {"client_id": known["client-id"], "scope": known["renewal-scope"]}
        url = known["token-url"]
        return token_of(await grants.renew(transport, url, form, login, options.proxy, over=_OVER))


def token_of(grant: Grant) -> Token:
    """The token of a grant that has one. What is not said leaves the file's."""
    claims = claims_of(grant.id_token or "")
    keys = {
        "id_token": grant.id_token or "",
        "account_id": claims.account,
        "email": claims.email,
    }
    return Token(
        value=Secret(grants.sendable(grant.access_token)),
        expires=0.0,
        lasts=grant.lasts,
        login=Secret(grants.sendable(grant.refresh_token)),
        keys={key: value for key, value in keys.items() if value},
    )


def claims_of(token: str) -> Claims:
    """The claims of an id token; whatever is missing, or of another type than expected, is empty."""
    if len(token) > _LONGEST or token.count(".") != 2:
        return Claims()
    payload = token.split(".")[1]
    try:
        said = decode(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (msgspec.DecodeError, binascii.Error, ValueError, RecursionError):
        return Claims()
    own = said.get(_AUTH) if isinstance(said, dict) else None
    return Claims(
        email=_text(said, "email"),
        account=_text(own, "chatgpt_account_id"),
        plan=_text(own, "chatgpt_plan_type"),
    )


def _text(node: object, key: str) -> str:
    value = node.get(key) if isinstance(node, dict) else None
    return value if isinstance(value, str) and value.isprintable() else ""


KIND = Codex()
