"""The Antigravity login: Google's page in a browser. Sheet: antigravity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.auth.browser import BrowserLogin
from proxy.auth.google import Google, page_of
from proxy.auth.kind import Token
from proxy.auth.kinds.antigravity import KIND
from proxy.auth.login import NewAccount, in_name
from proxy.clock import Clock
from proxy.secret import Secret

if TYPE_CHECKING:
    from proxy.auth.browser import Ticket
    from proxy.auth.login import Wish
    from proxy.net.api import Transport


class AntigravityLogin(BrowserLogin):
    """See BrowserLogin."""

    service = "Google"
    port = 51121
    path = "/oauth-callback"
    note = (
        "Note: Antigravity is made for Google's own editor; Google may limit or end an account that is"
        " used otherwise. See docs/google.md."
    )

    def __init__(self, wish: Wish) -> None:
        self._proxy = wish.options.proxy

    def url(self, ticket: Ticket) -> str:
        """See BrowserLogin."""
        return page_of("antigravity", self.redirect, ticket)

    async def finish(self, transport: Transport, code: str, ticket: Ticket) -> NewAccount:
        """See BrowserLogin. An account whose project Google does not name yet is kept without one."""
        google = Google(transport, "antigravity", self._proxy)
        grant = await google.redeem(code, ticket, self.redirect)
        email = await google.email()
        now = Clock().now()
        token = Token(
            Secret(grant.access_token or ""),
            now + grant.lasts,
            login=Secret(grant.refresh_token or ""),
        )
        content = {"type": "antigravity", "email": email, **KIND.saved(token, now)}
        if project := await google.known_project():
            content["project_id"] = project
        name = in_name(email).replace("@", "_").replace(".", "_")
        return NewAccount(name=f"antigravity-{name}.json", content=content)


login: Final = AntigravityLogin
