"""The Qwen login: a code that Qwen's page knows already, and PKCE. Sheet: qwen, section 2.

Qwen does not tell whose account it is, so the person names it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from proxy.auth import browser, device
from proxy.auth.device import Flow
from proxy.auth.files import rfc3339
from proxy.auth.kinds.qwen import address_of
from proxy.auth.login import NewAccount, ask_name, in_name
from proxy.upstream import facts

if TYPE_CHECKING:
    from proxy.auth.browser import Ticket
    from proxy.auth.login import Terminal, Wish
    from proxy.net.api import Transport

_RISK: Final = (
    "Note: this login is made for Qwen Code; Qwen may limit or end an account that is used"
    " otherwise. See docs/qwen.md."
)


class QwenLogin:
    """See Login."""

    note = _RISK

    def __init__(self, wish: Wish) -> None:
        self._label = wish.label
        self._proxy = wish.options.service("qwen").proxy or wish.options.proxy

    async def run(self, transport: Transport, terminal: Terminal) -> NewAccount:
        """See Login."""
        label = self._label or await ask_name(terminal)
        asked = flow(browser.new_ticket())
        code = await device.start(transport, asked, self._proxy)
        complete = code.verification_uri_complete or code.verification_uri
        terminal.code(complete, code.user_code, complete)
        minutes = int(code.expires_in // 60)
        terminal.show(f"Waiting for the login; the code holds for {minutes} minutes.")
        terminal.open(complete)
        grant = await device.wait(transport, asked, code, self._proxy, terminal.show)
        now = time.time()
        label = label or f"qwen-{int(now * 1000)}"
        resource = grant.resource_url or ""
        return NewAccount(
            name=f"qwen-{in_name(label)}.json",
            content={
                "access_token": grant.access_token or "",
                "refresh_token": grant.refresh_token or "",
                "last_refresh": rfc3339(now),
                "resource_url": resource if address_of(resource) else "",
                "email": label,
                "type": "qwen",
                "expired": rfc3339(now + grant.lasts),
            },
        )


def flow(ticket: Ticket) -> Flow:
    """Qwen's side of the login."""
    known = facts.of("qwen").login
    client = {"client_id": known["client-id"]}
    challenge = {"code_challenge": ticket.challenge, "code_challenge_method": "S256"}
    return Flow(
        service="Qwen",
        code_url=known["code-url"],
        token_url=known["token-url"],
        code={**client, "scope": known["scope"], **challenge},
        poll={**client, "code_verifier": ticket.verifier},
        form=True,
    )


login: Final = QwenLogin
