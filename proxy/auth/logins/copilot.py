"""The Copilot login: a code that is typed on GitHub's page. Sheet: copilot, section 3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from proxy.auth import device, github
from proxy.auth.device import Flow
from proxy.auth.kind import LoginRefused, Unreachable
from proxy.auth.login import LoginFailed, NewAccount
from proxy.secret import Secret
from proxy.upstream import copilot_facts as known
from proxy.upstream.copilot_facts import type_of

if TYPE_CHECKING:
    from proxy.auth.login import Terminal, Wish
    from proxy.config.model import CopilotOptions
    from proxy.net.api import Transport

_RISK: Final = (
    "Note: Copilot is made for GitHub's own clients; GitHub may limit or end an account that is"
    " used otherwise. See docs/copilot.md."
)


class Found(Struct, frozen=True, kw_only=True):
    """A login that gives Copilot."""

    github_token: Secret
    username: str
    email: str


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
        asked = flow(options)
        code = await device.start(transport, asked, proxy)
        complete = code.verification_uri_complete or code.verification_uri
        terminal.code(code.verification_uri, code.user_code, complete)
        minutes = int(code.expires_in // 60)
        terminal.show(f"Waiting for the login; the code holds for {minutes} minutes.")
        terminal.open(complete)
        grant = await device.wait(transport, asked, code, proxy, terminal.show)
        found = await finish(transport, Secret(grant.access_token or ""), options, proxy)
        return NewAccount(
            name=file_name(options.account_type, found.username),
            content={
                "github_token": found.github_token.reveal(),
                "account_type": options.account_type,
                "email": found.email,
                "username": found.username,
                "type": "copilot",
            },
        )


def flow(options: CopilotOptions) -> Flow:
    """GitHub's side of the login."""
    address, _ = known.github(options)
    client = {"client_id": options.client_id or known.facts().client_id}
    return Flow(
        service="GitHub",
        code_url=f"{address}/login/device/code",
        token_url=f"{address}/login/oauth/access_token",
        code={**client, "scope": known.facts().scope},
        poll=client,
    )


async def finish(transport: Transport, token: Secret, options: CopilotOptions, proxy: str) -> Found:
    """Checks that the login gives Copilot, and asks whose it is. Raises LoginFailed."""
    try:
        await github.exchange(transport, token, options, proxy)
    except LoginRefused as refused:
        raise LoginFailed(f"this GitHub account has no Copilot: {refused.why}") from None
    except Unreachable as failure:
        raise LoginFailed(f"Copilot could not be checked: {failure.why}") from None
    username, email = await github.user(transport, token, options, proxy)
    return Found(github_token=token, username=username, email=email)


def file_name(account_type: str, username: str) -> str:
    """`copilot_<type>_<login>.json`, as CLIProxyAPI names it."""
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in username)
    return f"copilot_{account_type}_{safe[:100]}.json"


login: Final = CopilotLogin
