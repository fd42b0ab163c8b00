"""One Copilot account in memory: its file, its token, when to renew it, its models. No I/O, no clock."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from proxy.auth.files import REFUSED, AccountFile, rfc3339, seconds_of
from proxy.auth.github import Token
from proxy.config.declared import Account
from proxy.config.model import Credential
from proxy.secret import Secret
from proxy.upstream import copilot_facts as known

if TYPE_CHECKING:
    import trio

    from proxy.config.model import CopilotOptions, WireName

KIND: Final = "copilot"
GROUP: Final = "copilot"
_MARGIN: Final = 60.0
"""A token is not used within so many seconds of its end."""
_LEAD: Final = 300.0
"""Seconds before the end at which a token is renewed when the service says no other time."""
_JITTER: Final = 60.0
_RETRY: Final = 30.0
"""Seconds before a failed exchange is tried again."""
_RECHECK: Final = 1800.0
"""Seconds before a login without a subscription is tried again."""
_WIRES: Final[tuple[WireName, ...]] = ("chat", "responses", "anthropic")


class AccountView(Struct, frozen=True, kw_only=True):
    """What is shown of an account. Times are unix seconds, 0 = none."""

    name: str
    kind: str
    label: str
    plan: str = ""
    state: str
    """`ready`, `idle` (no token yet), `paused`, `refused`, `failing`, `unsupported`."""
    expires: float = 0.0
    last_error: str = ""
    models: int = 0


class CopilotAccount:
    """See the module. `models`: the account's own list, None until it came."""

    def __init__(self, file: AccountFile, options: CopilotOptions, proxy: str) -> None:
        self.options = options
        self.shared_proxy = proxy
        self.renewing: trio.Event | None = None
        self.models: tuple[known.Model, ...] | None = None
        self.models_at = 0.0
        self.renewed = float("-inf")
        self.used = float("-inf")
        self._issued: dict[str, Credential] = {}
        self.error = ""
        self.refused = ""
        self.again = 0.0
        self.token: Token | None = None
        self.renew_at = 0.0
        self.file = file
        self._take(file)

    def reread(self, file: AccountFile) -> bool:
        """The file changed; whether it holds another login. A token is kept if not, and if the file's is
        no newer.
        """
        same = file.text("github_token") == self.file.text("github_token")
        self.file = file
        if not same:
            self.token, self.error, self.again = None, "", 0.0
            self.models_at = 0.0  # its own list may be another one
        self._take(file)
        return not same

    def _take(self, file: AccountFile) -> None:
        self._issued = {}
        self.login = Secret(file.text("github_token"))
        self.proxy = file.text("proxy_url") or self.options.proxy or self.shared_proxy
        mark = file.refused
        self.refused = mark.get("why", "") if mark.get("login") == self._print() else ""
        value, expires = file.text("copilot_token"), seconds_of(file.text("copilot_token_expiry"))
        if value and value.isascii() and (self.token is None or expires > self.token.expires):
            self.set_token(
                Token(Secret(value), expires, base_url=file.text("copilot_api_url")),
                expires - _LEAD,
            )

    def _print(self) -> str:
        """A fingerprint of the login, to know it again without keeping it a second time."""
        return hashlib.sha256(self.login.reveal().encode()).hexdigest()[:16]

    def set_token(self, token: Token, renew_at: float) -> None:
        """From now on requests are sent with this one."""
        self.token = token
        self.renew_at = renew_at
        self._issued = {}

    def succeeded(self, token: Token, now: float) -> dict[str, object]:
        """A fresh token came; what is written to the file."""
        if token.expires <= now + _MARGIN and token.refresh_in > 0:
            # This machine's clock goes wrong; how long the token lasts does not depend on it.
            token = replace(token, expires=now + token.refresh_in + 2 * _MARGIN)
        if token.expires <= now + _MARGIN:
            self.failed("the token is over already; is the clock of this machine right?", now)
            return {}
        wished = now + token.refresh_in if token.refresh_in > 0 else token.expires - _LEAD
        latest = min(wished, token.expires - 2 * _MARGIN)
        self.set_token(token, max(latest - random.uniform(0.0, _JITTER), now + _MARGIN))  # noqa: S311  # spreads load
        self.error = self.refused = ""
        self.again = 0.0
        self.renewed = now
        return {
            "copilot_token": token.value.reveal(),
            "copilot_token_expiry": rfc3339(token.expires),
            "copilot_api_url": token.base_url or None,
            REFUSED: None,
        }

    def failed(self, why: str, now: float) -> None:
        """No answer this time."""
        self.error, self.again = why, now + _RETRY

    def rejected(self, why: str, now: float, *, lasting: bool) -> dict[str, object]:
        """The login was refused; what is written to the file."""
        self.error, self.again = why, now + _RECHECK
        if not lasting:
            return {}
        self.refused = why
        return {REFUSED: {"at": rfc3339(now), "why": why, "login": self._print()}}

    def fresh(self, now: float) -> bool:
        """Whether the token can be used for a request that starts now."""
        return self.token is not None and self.token.expires > now + _MARGIN

    def usable(self, now: float) -> bool:
        """Whether the token is at least not over: what is left when a renewal fails."""
        return self.token is not None and self.token.expires > now

    def may_ask(self, now: float) -> bool:
        """Whether an exchange may be tried: not after a lasting refusal, not right after a failure."""
        return not self.refused and bool(self.login) and now >= self.again

    def base_url(self) -> str:
        """Where the account is served. Order: file, configuration, GitHub's answer, account type."""
        kind = known.type_of(self.file.text("account_type"), self.options.account_type)
        return (
            self.file.text("base_url")
            or self.options.base_url
            or (self.token.base_url if self.token else "")
            or known.facts().base_urls[kind]
        ).rstrip("/")

    def credential(self, wire: WireName) -> Credential:
        """Without the token: what the table holds. The main credential is that of `chat`.

        All wires of an account have one id, so that its cooldowns, limits and quota are one.
        """
        name = self.file.name
        return Credential(
            id=name,
            provider="copilot",
            wire=wire,
            base_url=self.base_url(),
            headers=self.options.headers,
            proxy=self.proxy,
            upstream=GROUP,
            label=self.file.label,
            prefix=self.file.text("prefix"),
            section="auth-dir",
            account=name,
            copilot=self.options,
        )

    def issue(self, credential: Credential) -> Credential:
        """The same with the token and the address that hold now."""
        found = self._issued.get(credential.wire)
        if found is None and self.token is not None:
            found = replace(credential, key=self.token.value, base_url=self.base_url())
            self._issued[credential.wire] = found
        return found or credential

    def declared(self, learned: dict[str, WireName], now: int) -> list[Account]:
        """For the table: the main credential, and one per further wire that some model needs."""
        models = known.facts().models if self.models is None else self.models
        prefix = self.file.text("prefix").strip("/")
        found: list[Account] = []
        for wire in _WIRES:
            listed = known.listed(models, wire, learned, now)
            if listed or wire == "chat":
                found.append(
                    Account(
                        credential=self.credential(wire),
                        group=GROUP,
                        listed=listed,
                        builtin=False,
                        prefix="" if "/" in prefix else prefix,
                        owner="copilot",
                        kind="copilot",
                        side=wire != "chat",
                    )
                )
        return found

    def configure(self, options: CopilotOptions, proxy: str) -> None:
        """The configuration was read anew."""
        self.options, self.shared_proxy = options, proxy
        self._take(self.file)

    def shape(self) -> object:
        """What the table is built from, but for the models: equal as long as it need not be built anew."""
        return self.file.disabled, self.credential("chat")

    def view(self, now: float) -> AccountView:
        """What is shown of it."""
        if self.file.disabled:
            state = "paused"
        elif self.refused or not self.login:
            state = "refused"
        elif self.fresh(now):
            state = "ready"
        else:
            state = "failing" if self.error else "idle"
        return AccountView(
            name=self.file.name,
            kind=KIND,
            label=self.file.label,
            plan=known.type_of(self.file.text("account_type"), self.options.account_type),
            state=state,
            expires=self.token.expires if self.token else 0.0,
            last_error=self.refused or self.error or ("" if self.login else "no github_token"),
            models=len(self.models or ()),
        )
