"""Gemini CLI accounts: a Google login for Cloud Code Assist, for one project or several. Sheet: gemini-cli."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from proxy.auth import grants
from proxy.auth.files import rfc3339, seconds_of
from proxy.auth.kind import LAST, LoginRefused, OneWire, Token, keeps_secrets
from proxy.secret import Secret
from proxy.upstream import google_facts

if TYPE_CHECKING:
    from proxy.auth.account import Account
    from proxy.auth.files import AccountFile
    from proxy.config.model import AccountOptions, Credential, WireName
    from proxy.net.api import Transport

_NAME: Final = "gemini-cli"
_UNSAFE: Final = re.compile(r"[/\\\s]")


class GeminiCli(OneWire):
    """See the module. What the token endpoint gave stands in the file's object `token`."""

    name = _NAME
    provider = _NAME
    wire = "gemini_cli"
    owner = "google"
    family = "gemini"

    def login(self, file: AccountFile) -> str:
        """See Kind."""
        return _text(file, "refresh_token")

    def stored(self, file: AccountFile) -> Token | None:
        """See Kind."""
        value = _text(file, "access_token")
        if not grants.sendable(value):
            return None
        ends = _text(file, "expiry")
        return Token(Secret(value), seconds_of(ends) if ends else LAST)

    def saved(self, token: Token, now: float) -> dict[str, object]:  # noqa: ARG002  # the end says it
        """See Kind."""
        found = {
            "access_token": token.value.reveal(),
            "token_type": "Bearer",
            "expiry": rfc3339(token.expires),
            **token.keys,
        }
        return {"token": found}

    def address(self, file: AccountFile, token: Token | None) -> str:  # noqa: ARG002  # one for all
        """See OneWire."""
        return file.text("base_url") or google_facts.of(_NAME).base_urls[0]

    def credential(
        self, file: AccountFile, token: Token | None, options: AccountOptions, wire: WireName
    ) -> Credential:
        """See Kind. `project`: all of the file's."""
        whole = super().credential(file, token, options, wire)
        return replace(whole, project=file.text("project_id"))

    def credentials(self, account: Account) -> list[Credential]:
        """See OneWire. Each project has a quota of its own, so each is a credential."""
        return _by_project(account.credential(self.wire))

    async def exchange(
        self, transport: Transport, login: Secret, file: AccountFile, options: AccountOptions
    ) -> Token:
        """See Kind."""
        known = google_facts.of(_NAME)
        form = {"client_id": known.client_id, "client_secret": known.client_secret}
        url = _text(file, "token_uri") or known.token_url
        if not keeps_secrets(url):
            raise LoginRefused("the file's 'token_uri' is no https address", lasting=False)
        grant = await grants.renew(transport, url, form, login, options.proxy)
        new = grant.refresh_token or ""
        return Token(
            value=Secret(grants.sendable(grant.access_token)),
            expires=0.0,
            lasts=grant.lasts,
            login=Secret(new),
            # The file may have it at its top only, which is not read once there is an object.
            keys={"refresh_token": new or login.reveal()},
        )


def _text(file: AccountFile, key: str) -> str:
    """A text of the file's object `token`, else of its top, where CLIProxyAPI writes them too."""
    value = file.table("token").get(key)
    return value.strip() if isinstance(value, str) else file.text(key)


def _by_project(whole: Credential) -> list[Credential]:
    """One per project that the file names, by CLIProxyAPI's ids."""
    projects = list(dict.fromkeys(p for p in map(str.strip, whole.project.split(",")) if p))
    if len(projects) < 2:
        return [replace(whole, project=projects[0] if projects else "")]
    return [
        replace(
            whole,
            id=f"{whole.id}::{_UNSAFE.sub('_', project)}",
            label=f"{whole.label} ({project})",
            project=project,
        )
        for project in projects
    ]


KIND: Final = GeminiCli()
