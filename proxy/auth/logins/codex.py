"""The Codex login: OpenAI's page in a browser. Sheet: codex."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

from proxy.auth import grants
from proxy.auth.browser import BrowserLogin, account_of
from proxy.auth.kinds.codex import KIND, token_of
from proxy.auth.login import LoginFailed, in_name
from proxy.upstream import facts

if TYPE_CHECKING:
    from proxy.auth.browser import Ticket
    from proxy.auth.grants import Grant
    from proxy.auth.login import Login, NewAccount, Wish
    from proxy.net.api import Transport

NOTE: Final = (
    "Note: a ChatGPT plan's Codex is made for OpenAI's own tools; OpenAI may limit or end an account"
    " that is used otherwise. See docs/codex.md."
)


class CodexLogin(BrowserLogin):
    """See BrowserLogin."""

    service = "OpenAI"
    port = 1455
    path = "/auth/callback"
    note = NOTE

    def __init__(self, wish: Wish) -> None:
        self._proxy = KIND.proxy(wish.options)
        self._known = facts.of("codex").login

    def url(self, ticket: Ticket) -> str:
        """See BrowserLogin."""
        query = {
            "client_id": self._known["client-id"],
            "response_type": "code",
            "redirect_uri": self.redirect,
            "scope": self._known["scope"],
            "state": ticket.state,
            "code_challenge": ticket.challenge,
            "code_challenge_method": "S256",
            "prompt": "login",
            "id_token_add_organizations": "true",
            "codex_cli_simplified_flow": "true",
        }
        return f"{self._known['authorize-url']}?{urlencode(query, quote_via=quote)}"

    async def finish(self, transport: Transport, code: str, ticket: Ticket) -> NewAccount:
        """See BrowserLogin."""
        fields = {
            "client_id": self._known["client-id"],
            "code": code,
            "redirect_uri": self.redirect,
            "code_verifier": ticket.verifier,
        }
        return account(
            await grants.redeem(transport, self._known["token-url"], fields, self._proxy)
        )


def account(grant: Grant) -> NewAccount:
    """The account of a grant. Raises LoginFailed."""
    token = token_of(grant)
    email = token.keys.get("email", "")
    if not email:
        raise LoginFailed("OpenAI did not say whose account it is")
    return account_of(KIND, token, f"codex-{in_name(email)}.json")


def login(wish: Wish) -> Login:
    """The login that is wished for."""
    if wish.device:
        from proxy.auth.logins.codex_device import CodexDeviceLogin

        return CodexDeviceLogin(wish)
    return CodexLogin(wish)
