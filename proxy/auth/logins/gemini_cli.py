"""The Gemini CLI login: Google's page in a browser, then the project that pays. Sheet: gemini-cli.

With PKCE and a state of its own, which the service takes and CLIProxyAPI leaves out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.auth import browser
from proxy.auth.browser import BrowserLogin
from proxy.auth.files import rfc3339
from proxy.auth.google import SCOPES, Google, page_of
from proxy.auth.login import LoginFailed, NewAccount, in_name
from proxy.clock import Clock
from proxy.upstream import google_facts

if TYPE_CHECKING:
    from proxy.auth.browser import Ticket
    from proxy.auth.grants import Grant
    from proxy.auth.login import Terminal, Wish
    from proxy.net.api import Transport

_ALL: Final = "ALL"
_NAMED: Final = "name one with --project"


class GeminiLogin(BrowserLogin):
    """See BrowserLogin."""

    service = "Google"
    port = 8085
    path = "/oauth2callback"
    note = (
        "Note: Code Assist is made for Google's own tools; Google may limit or end an account that is"
        " used otherwise. See docs/google.md."
    )

    def __init__(self, wish: Wish) -> None:
        self._proxy = wish.options.proxy
        self._wanted = [p for p in map(str.strip, wish.project.split(",")) if p]

    def url(self, ticket: Ticket) -> str:
        """See BrowserLogin."""
        return page_of("gemini-cli", self.redirect, ticket)

    async def run(self, transport: Transport, terminal: Terminal) -> NewAccount:
        """See Login."""
        ticket = browser.new_ticket()
        code = await browser.code_of(self, ticket, terminal)
        terminal.show("Google sent the browser back; asking for the account and its project")
        google = Google(transport, "gemini-cli", self._proxy)
        grant = await google.redeem(code, ticket, self.redirect)
        email = await google.email()
        projects, auto = await self._projects(google, terminal)
        several = len(projects) > 1
        name = (
            f"gemini-{in_name(email)}-all"
            if several
            else f"{in_name(email)}-{in_name(projects[0])}"
        )
        return NewAccount(
            name=f"{name}.json",
            content={
                "type": "gemini",
                "email": email,
                "project_id": ",".join(projects),
                "auto": auto,
                "checked": True,
                "token": _token(grant),
            },
        )

    async def _projects(self, google: Google, terminal: Terminal) -> tuple[list[str], bool]:
        """The projects, and whether Google chose. Raises LoginFailed."""
        wanted = self._wanted
        if not wanted:
            chosen = await google.project()
            if chosen:
                return [chosen], True
            wanted = [await _choice(google, terminal)]
        if [word.upper() for word in wanted] == [_ALL]:
            wanted = [project.project_id for project in await google.projects()]
            if not wanted:
                raise LoginFailed("the account has no project in Google's cloud")
        found: list[str] = []
        for project in dict.fromkeys(wanted):
            terminal.show(f"Setting up the project {project}")
            found.append(await google.project(project))
            await google.enable(project)
        return found, False


async def _choice(google: Google, terminal: Terminal) -> str:
    """The person's choice of the account's projects; or `ALL`."""
    projects = await google.projects()
    if not projects:
        raise LoginFailed(f"Google wants a project of its cloud for this account; {_NAMED}")
    if not terminal.typing:
        names = ", ".join(project.project_id for project in projects[:20])
        raise LoginFailed(f"Google wants a project for this account; {_NAMED}: {names}")
    lines = [f"  {n}  {p.project_id}  {p.name}" for n, p in enumerate(projects, 1)]
    terminal.show("\n".join(["Projects of the account:", *lines]))
    terminal.show(f"Which one? Its number or id, or {_ALL}; Enter takes the first.")
    said = (await terminal.line()).strip()
    if said.isdecimal() and 1 <= int(said) <= len(projects):
        return projects[int(said) - 1].project_id
    return said or projects[0].project_id


def _token(grant: Grant) -> dict[str, object]:
    known = google_facts.of("gemini-cli")
    return {
        "access_token": grant.access_token,
        "refresh_token": grant.refresh_token,
        "token_type": "Bearer",
        "expiry": rfc3339(Clock().now() + grant.lasts),
        "token_uri": known.token_url,
        "client_id": known.client_id,
        "scopes": [SCOPES + scope for scope in known.scopes],
        "universe_domain": "googleapis.com",
    }


login: Final = GeminiLogin
