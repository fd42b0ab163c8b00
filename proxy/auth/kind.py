"""What one kind of account is: how its files, tokens and models work. One module each under `kinds/`.

A kind holds no state: `Account` does, and `AccountBook` owns every task. Sheets: `_shared` and the
provider's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlsplit

from msgspec import Struct

from proxy.auth.files import rfc3339, seconds_of, unix
from proxy.config import declared
from proxy.config.model import Credential
from proxy.secret import Secret

if TYPE_CHECKING:
    from proxy.auth.account import Account
    from proxy.auth.files import AccountFile
    from proxy.config.model import AccountOptions, Provider, WireName
    from proxy.errors import ProxyError
    from proxy.net.api import Transport

LAST: Final = 32503680000.0
"""The year 3000: what says later is no time in seconds."""

_HERE: Final = ("127.0.0.1", "::1", "localhost")

Models: TypeAlias = tuple[Struct, ...]
"""An account's own list, as its kind keeps it; hashable."""


class Token(Struct, frozen=True):
    """What a service is called with. `expires`: unix seconds; `refresh_in`: seconds, 0 = not said."""

    value: Secret
    expires: float
    refresh_in: float = 0.0
    lasts: float = 0.0
    """Seconds from now, where the service says this in place of a time; 0 = it said a time."""
    base_url: str = ""
    """The address that the service names for this account."""
    login: Secret = Secret("")
    """What the next token is asked with, where the service gave a new one."""
    keys: dict[str, str] = {}
    """Texts that came with it, by their key in the account's file."""


class LoginRefused(Exception):  # noqa: N818  # reads as what happened
    """The service does not accept the login. `lasting`: asking again is of no use."""

    def __init__(self, why: str, *, lasting: bool) -> None:
        super().__init__(why)
        self.why = why
        self.lasting = lasting


class Unreachable(Exception):  # noqa: N818  # reads as what happened
    """No usable answer this time; nothing is known of the login."""

    def __init__(self, why: str, after: float = 0.0) -> None:
        super().__init__(why)
        self.why = why
        self.after = after
        """Seconds that the service wants to be left alone; 0 = it did not say."""


def end_of(file: AccountFile, *keys: str) -> float:
    """When a token ends, by the first of these keys that says it, as a text or number; else `LAST`."""
    for key in keys:
        if text := file.text(key):
            return seconds_of(text)
        if number := file.number(key):
            return unix(number)
    return LAST


def is_address(url: str) -> bool:
    """Whether this is an http or https URL with a host."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def keeps_secrets(url: str) -> bool:
    """Whether a login may be sent to an address that a file names: by https, or to this machine."""
    if not is_address(url):
        return False
    parts = urlsplit(url)
    return (parts.scheme == "https" or parts.hostname in _HERE) and "@" not in parts.netloc


class Kind:
    """The defaults are those of files with `access_token`, `refresh_token` and `expired`."""

    name = ""
    """`type` of its files, and the provider whose rotation they join."""
    login_key = "refresh_token"
    """The key of a file with which tokens are asked, see `login`."""
    lead = 300.0
    """Seconds before its end at which a token is renewed, where the service says no other time."""
    has_list = False
    """Whether the service tells which models an account has; otherwise the built-in list holds."""

    def login(self, file: AccountFile) -> str:
        """What tokens are asked with; empty where the file has none."""
        return file.text(self.login_key)

    def stored(self, file: AccountFile) -> Token | None:
        """The token that stands in the file."""
        value = file.text("access_token")
        if not value or not value.isascii() or not value.isprintable():
            return None
        return Token(Secret(value), end_of(file, "expired"))

    def saved(self, token: Token, now: float) -> dict[str, object]:
        """What is written to the file when a token came; None takes a key out."""
        found: dict[str, object] = {
            "access_token": token.value.reveal(),
            "expired": rfc3339(token.expires),
            "last_refresh": rfc3339(now),
            **token.keys,
        }
        if token.login:
            found[self.login_key] = token.login.reveal()
        return found

    def plan(self, file: AccountFile, options: AccountOptions) -> str:  # noqa: ARG002  # most have none
        """What the account is, in the service's own word."""
        return file.text("plan_type")

    def proxy(self, options: AccountOptions) -> str:
        """Which proxy the configuration names for accounts of this kind."""
        return options.service(self.name).proxy or options.proxy

    def credential(
        self, file: AccountFile, token: Token | None, options: AccountOptions, wire: WireName
    ) -> Credential:
        """How requests are sent, but for the key: id, provider, wire, address, headers."""
        raise NotImplementedError

    def declared(
        self, account: Account, learned: dict[str, WireName], now: int
    ) -> list[declared.Account]:
        """For the table: the main credential with its models, and one per further wire.

        `learned`: wires that the service told in errors, by lower-case model; `now`: unix seconds.
        """
        raise NotImplementedError

    async def exchange(
        self, transport: Transport, login: Secret, file: AccountFile, options: AccountOptions
    ) -> Token:
        """A new token. The options' proxy is the account's. Raises LoginRefused, Unreachable."""
        raise NotImplementedError

    async def models(
        self,
        transport: Transport,
        credential: Credential,
    ) -> Models:
        """The account's own list, asked with a credential that is ready. Raises Unreachable."""
        raise NotImplementedError

    def counts(self) -> dict[str, int]:
        """What is logged when the server ends."""
        return {}

    def is_stale(self, error: ProxyError) -> bool:  # noqa: ARG002  # most say it with a 401
        """Whether an answer of status 403 says no more than that the token is over."""
        return False

    def is_elsewhere(self, error: ProxyError) -> bool:  # noqa: ARG002  # most serve on one wire
        """Whether an answer of status 400 says that the model is served on another wire."""
        return False


class OneWire(Kind):
    """Accounts that serve their provider's built-in list on one wire."""

    provider: Provider
    wire: WireName
    owner = ""
    family = ""
    """How its models are listed, see `declared.Account.owner` and `kind`; empty = as the provider's."""

    def address(self, file: AccountFile, token: Token | None) -> str:
        """Where requests go, unless the configuration names another place."""
        raise NotImplementedError

    def credential(
        self, file: AccountFile, token: Token | None, options: AccountOptions, wire: WireName
    ) -> Credential:
        """See Kind."""
        said = options.service(self.provider)
        return Credential(
            id=file.name,
            provider=self.provider,
            wire=wire,
            base_url=(said.base_url or self.address(file, token)).rstrip("/"),
            headers=said.headers,
            proxy=options.proxy,
            upstream=self.provider,
            label=file.label,
            prefix=file.text("prefix"),
            section="auth-dir",
            account=file.name,
            service=options.services.get(self.provider),
        )

    def credentials(self, account: Account) -> list[Credential]:
        """Those of an account: one, unless it has several quotas."""
        return [account.credential(self.wire)]

    def declared(
        self,
        account: Account,
        learned: dict[str, WireName],  # noqa: ARG002  # there is no other wire
        now: int,  # noqa: ARG002  # the list has its dates
    ) -> list[declared.Account]:
        """See Kind."""
        return [
            declared.Account(
                credential=credential,
                group=self.provider,
                prefix=account.prefix,
                owner=self.owner or self.provider,
                kind=self.family or self.provider,
            )
            for credential in self.credentials(account)
        ]
