"""The Claude login: Anthropic's page in a browser. Sheet: claude."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from proxy.auth import grants
from proxy.auth.browser import BrowserLogin, account_of
from proxy.auth.kinds.claude import KIND, token_of
from proxy.auth.login import LoginFailed, in_name
from proxy.upstream import facts

if TYPE_CHECKING:
    from proxy.auth.browser import Ticket
    from proxy.auth.login import NewAccount, Wish
    from proxy.net.api import Transport


class ClaudeLogin(BrowserLogin):
    """See BrowserLogin."""

    service = "Anthropic"
    port = 54545
    path = "/callback"
    note = (
        "Note: a Claude subscription is made for Anthropic's own tools; Anthropic may limit or end an"
        " account that is used otherwise. See docs/claude.md."
    )

    def __init__(self, wish: Wish) -> None:
        self._proxy = KIND.proxy(wish.options)
        self._known = facts.of("claude").login

    def url(self, ticket: Ticket) -> str:
        """See BrowserLogin."""
        query = {
            "code": "true",
            "client_id": self._known["client-id"],
            "response_type": "code",
            "redirect_uri": self.redirect,
            "scope": self._known["scope"],
            "code_challenge": ticket.challenge,
            "code_challenge_method": "S256",
            "state": ticket.state,
        }
        return f"{self._known['authorize-url']}?{urlencode(query)}"

    async def finish(self, transport: Transport, code: str, ticket: Ticket) -> NewAccount:
        """See BrowserLogin."""
        fields = {
            "code": code,
            "state": ticket.state,
            "client_id": self._known["client-id"],
            "redirect_uri": self.redirect,
            "code_verifier": ticket.verifier,
        }
        url = self._known["token-url"]
        token = token_of(await grants.redeem(transport, url, fields, self._proxy, json=True))
        email = token.keys.get("email", "")
        if not email:
            raise LoginFailed("Anthropic did not say whose account it is")
        return account_of(KIND, token, f"claude-{in_name(email)}.json")


login: Final = ClaudeLogin
