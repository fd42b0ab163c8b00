"""Copilot accounts: a GitHub login that is exchanged for short tokens. Sheet: copilot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from proxy.auth import github
from proxy.auth.files import rfc3339, seconds_of
from proxy.auth.kind import Kind, Models, Token
from proxy.config import declared
from proxy.config.model import Credential
from proxy.secret import Secret
from proxy.upstream import copilot
from proxy.upstream import copilot_facts as known

if TYPE_CHECKING:
    from proxy.auth.account import Account
    from proxy.auth.files import AccountFile
    from proxy.config.model import AccountOptions, WireName
    from proxy.errors import ProxyError
    from proxy.net.api import Transport

GROUP: Final = "copilot"
_WIRES: Final[tuple[WireName, ...]] = ("chat", "responses", "anthropic")


class Copilot(Kind):
    """See the module."""

    name = "copilot"
    login_key = "github_token"
    has_list = True

    def stored(self, file: AccountFile) -> Token | None:
        """See Kind."""
        value = file.text("copilot_token")
        if not value or not value.isascii() or not value.isprintable():
            return None
        return Token(
            Secret(value),
            seconds_of(file.text("copilot_token_expiry")),
            base_url=file.text("copilot_api_url"),
        )

    def saved(self, token: Token, now: float) -> dict[str, object]:  # noqa: ARG002  # the end says it
        """See Kind."""
        return {
            "copilot_token": token.value.reveal(),
            "copilot_token_expiry": rfc3339(token.expires),
            "copilot_api_url": token.base_url or None,
        }

    def plan(self, file: AccountFile, options: AccountOptions) -> str:
        """See Kind."""
        return known.type_of(file.text("account_type"), options.copilot.account_type)

    def proxy(self, options: AccountOptions) -> str:
        """See Kind."""
        return options.copilot.proxy or options.proxy

    def credential(
        self, file: AccountFile, token: Token | None, options: AccountOptions, wire: WireName
    ) -> Credential:
        """See Kind. All wires of an account have one id: its cooldowns, limits and quota are one.

        Address: of the file, the configuration, GitHub's answer, the account type.
        """
        base_url = (
            file.text("base_url")
            or options.copilot.base_url
            or (token.base_url if token else "")
            or known.facts().base_urls[self.plan(file, options)]
        )
        return Credential(
            id=file.name,
            provider="copilot",
            wire=wire,
            base_url=base_url.rstrip("/"),
            headers=options.copilot.headers,
            proxy=options.proxy,
            upstream=GROUP,
            label=file.label,
            prefix=file.text("prefix"),
            section="auth-dir",
            account=file.name,
            copilot=options.copilot,
        )

    def declared(
        self, account: Account, learned: dict[str, WireName], now: int
    ) -> list[declared.Account]:
        """See Kind."""
        models = known.facts().models if account.models is None else account.models
        found: list[declared.Account] = []
        for wire in _WIRES:
            listed = known.listed(cast("tuple[known.Model, ...]", models), wire, learned, now)
            if listed or wire == "chat":
                found.append(
                    declared.Account(
                        credential=account.credential(wire),
                        group=GROUP,
                        listed=listed,
                        builtin=False,
                        prefix=account.prefix,
                        owner="copilot",
                        kind="copilot",
                        side=wire != "chat",
                    )
                )
        return found

    async def exchange(
        self,
        transport: Transport,
        login: Secret,
        file: AccountFile,  # noqa: ARG002  # the login is all that GitHub wants
        options: AccountOptions,
    ) -> Token:
        """See Kind."""
        return await github.exchange(transport, login, options.copilot, options.proxy)

    async def models(self, transport: Transport, credential: Credential) -> Models:
        """See Kind."""
        return await github.models(transport, credential)

    def counts(self) -> dict[str, int]:
        """How many requests were told to be a person's and an agent's."""
        return {who.decode(): number for who, number in copilot.PROVIDER.calls.items()}

    def is_elsewhere(self, error: ProxyError) -> bool:
        """`unsupported_api_for_model`, by code or by the words that come with it."""
        body = error.body[:4096]
        return b"unsupported_api_for_model" in body or b"not accessible via the /" in body


KIND: Final = Copilot()
