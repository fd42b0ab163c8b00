"""The Copilot login: a code that is typed on GitHub's page. Sheet: copilot, section 3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from proxy.auth import device
from proxy.auth.login import NewAccount
from proxy.upstream.copilot_facts import type_of

if TYPE_CHECKING:
    from proxy.auth.login import Terminal, Wish
    from proxy.net.api import Transport

_RISK: Final = (
    "Note: Copilot is made for GitHub's own clients; GitHub may limit or end an account that is"
    " used otherwise. See docs/copilot.md."
)


class CopilotLogin:
    """See Login."""

    note = _RISK

    def __init__(self, wish: Wish) -> None:
        configured = wish.options.copilot
        kind = type_of(wish.account_type, configured.account_type)
        self._options = replace(configured, account_type=kind)
        self._proxy = configured.proxy or wish.options.proxy

    async def run(self, transport: Transport, terminal: Terminal) -> NewAccount:
        """See Login."""
        options, proxy = self._options, self._proxy
        code = await device.start(transport, options, proxy)
        complete = code.verification_uri_complete or code.verification_uri
        terminal.code(code.verification_uri, code.user_code, complete)
        minutes = int(code.expires_in // 60)
        terminal.show(f"Waiting for the login; the code holds for {minutes} minutes.")
        terminal.open(complete)
        token = await device.wait(transport, code, options, proxy, terminal.show)
        found = await device.finish(transport, token, options, proxy)
        return NewAccount(
            name=device.file_name(options.account_type, found.username),
            content={
                "github_token": found.github_token.reveal(),
                "account_type": options.account_type,
                "email": found.email,
                "username": found.username,
                "type": "copilot",
            },
        )


login: Final = CopilotLogin
