"""The iFlow logins: in a browser, or with the cookie of one. Sheet: iflow, sections 2 and 3."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from proxy.auth import grants
from proxy.auth.browser import BrowserLogin
from proxy.auth.files import rfc3339
from proxy.auth.kind import LoginRefused, Unreachable
from proxy.auth.kinds import iflow
from proxy.auth.login import LoginFailed, NewAccount, in_name
from proxy.secret import Secret
from proxy.upstream import facts

if TYPE_CHECKING:
    from proxy.auth.browser import Ticket
    from proxy.auth.login import Login, Terminal, Wish
    from proxy.net.api import Transport

_RISK: Final = (
    "Note: this login is made for iFlow's own command line tool; iFlow may limit or end an account"
    " that is used otherwise. See docs/iflow.md."
)
_SESSION: Final = re.compile(r"(?:^|[;\s])BXAuth=([^;\s]+)")


class IFlowLogin(BrowserLogin):
    """In a browser. iFlow knows no PKCE; the state alone ties the answer to this login."""

    note = _RISK
    service = "iFlow"

    def __init__(self, wish: Wish) -> None:
        self._options = wish.options
        self._proxy = wish.options.service("iflow").proxy or wish.options.proxy
        known = facts.of("iflow").login
        self.port = int(known["redirect-port"])
        self.path = known["redirect-path"]

    def url(self, ticket: Ticket) -> str:
        """See BrowserLogin."""
        known = facts.of("iflow").login
        query = {
            "loginMethod": "phone",
            "type": "phone",
            "redirect": self.redirect,
            "state": ticket.state,
            "client_id": known["client-id"],
        }
        return f"{known['authorize-url']}?{urlencode(query)}"

    async def finish(self, transport: Transport, code: str, ticket: Ticket) -> NewAccount:  # noqa: ARG002  # no PKCE
        """See BrowserLogin."""
        form, headers = iflow.client(self._options)
        given = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect}
        url = facts.of("iflow").login["token-url"]
        try:
            grant = await grants.ask(
                transport, url, {**given, **form}, Secret(code), self._proxy, headers=headers
            )
            who = await iflow.user(transport, Secret(grant.access_token or ""), self._proxy)
        except (LoginRefused, Unreachable) as failure:
            raise LoginFailed(f"iFlow gave no account: {failure.why}") from None
        if not who.name:
            raise LoginFailed("iFlow gave no account: it does not say whose it is")
        now = time.time()
        return NewAccount(
            name=f"iflow-{in_name(who.name)}.json",
            content={
                "access_token": grant.access_token or "",
                "refresh_token": grant.refresh_token or "",
                "token_type": grant.token_type or "",
                "scope": grant.scope or "",
                "api_key": who.key,
                "email": who.name,
                "expired": rfc3339(now + grant.lasts),
                "cookie": "",
                "last_refresh": rfc3339(now),
                "type": "iflow",
            },
        )


class CookieLogin:
    """With the cookie of a browser that is logged in at iFlow's web site."""

    note = _RISK

    def __init__(self, wish: Wish) -> None:
        self._proxy = wish.options.service("iflow").proxy or wish.options.proxy

    async def run(self, transport: Transport, terminal: Terminal) -> NewAccount:
        """See Login."""
        terminal.show("Paste the cookie of platform.iflow.cn (BXAuth=...), and press Enter:")
        cookie = cookie_of(await terminal.line())
        try:
            old = await iflow.site_key(transport, cookie, "", self._proxy)
            fresh = await iflow.site_key(transport, cookie, old.name, self._proxy)
        except (LoginRefused, Unreachable) as failure:
            raise LoginFailed(f"iFlow gave no account: {failure.why}") from None
        if not fresh.key or not old.name:
            raise LoginFailed("iFlow gave no account: the answer holds no key")
        return NewAccount(
            name=f"iflow-{in_name(old.name.replace('*', 'x'))}.json",
            content={
                "access_token": "",
                "refresh_token": "",
                "token_type": "",
                "scope": "",
                "api_key": fresh.key,
                "email": old.name,
                "expired": fresh.ends,
                "cookie": cookie.reveal(),
                "last_refresh": rfc3339(time.time()),
                "type": "iflow",
            },
        )


def cookie_of(text: str) -> Secret:
    """The one part of a pasted cookie that counts. Raises LoginFailed."""
    found = _SESSION.search(text)
    if found is None or not (found[1].isascii() and found[1].isprintable()):
        raise LoginFailed("that is no cookie of iFlow: it holds no 'BXAuth='")
    return Secret(f"BXAuth={found[1]};")


def login(wish: Wish) -> Login:
    """The one that is wished for."""
    return CookieLogin(wish) if wish.cookie else IFlowLogin(wish)
