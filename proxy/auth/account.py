"""One account in memory: its file, its token, when to renew it, its models. No I/O, no clock."""

from __future__ import annotations

import hashlib
import random
from copy import copy
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from proxy.auth.files import REFUSED, AccountFile, rfc3339
from proxy.auth.kind import LAST
from proxy.secret import Secret

if TYPE_CHECKING:
    import trio

    from proxy.auth.kind import Kind, Models, Token
    from proxy.config import declared
    from proxy.config.model import AccountOptions, Credential, WireName

_MARGIN: Final = 60.0
"""A token is not used within so many seconds of its end."""
_JITTER: Final = 60.0
_RETRY: Final = 30.0
"""Seconds before a failed exchange is tried again."""
_SPENT: Final = 8
"""Most logins that are known to be spent."""
_RECHECK: Final = 1800.0
"""Seconds before a login that is refused for now is tried again."""


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


class Account:
    """See the module. `models`: the account's own list, None until it came or where there is none."""

    def __init__(self, kind: Kind, file: AccountFile, options: AccountOptions) -> None:
        self.kind = kind
        self.shared = options
        self.renewing: trio.Event | None = None
        self.models: Models | None = None
        self.models_at = 0.0
        self.renewed = float("-inf")
        self.used = float("-inf")
        self._issued: dict[tuple[str, WireName], tuple[Credential, Credential]] = {}
        """By id and wire: a credential of the table, and the same with the token."""
        self.error = ""
        self.denied = False
        """The login was refused for now."""
        self.refused = ""
        self.again = 0.0
        self.token: Token | None = None
        self.renew_at = 0.0
        self.unsaved: dict[str, object] = {}
        """What the file still has to be told."""
        self.saving: dict[str, object] = {}
        """What it is being told."""
        self.login = Secret(kind.login(file))
        self._spent: tuple[Secret, ...] = ()
        """Logins that new ones took the place of: the file may hold one until it is told."""
        self._told: dict[str, object] = {}
        """What it was to be told with the login that holds."""
        self.file = file
        self._take(file)

    def reread(self, file: AccountFile) -> bool:
        """The file changed; whether it holds another login. A token is kept if not, and if the file's is
        no newer.
        """
        login = Secret(self.kind.login(file))
        spent = login in self._spent
        same = spent or login == self.login
        self.file = file
        if not same:
            self.login, self.unsaved = login, {}
            self._spent, self._told = (), {}
            self.token, self.error, self.denied, self.again = None, "", False, 0.0
            self.models_at = 0.0  # its own list may be another one
        elif spent and not self.unsaved and not self.saving:
            # Somebody read the file before our write, and wrote it back after it.
            self.unsaved = dict(self._told)
        self._take(file)
        return not same

    def _take(self, file: AccountFile) -> None:
        self._issued = {}
        proxy = file.text("proxy_url") or self.kind.proxy(self.shared)
        self.options = replace(self.shared, proxy=proxy)
        mark = file.refused
        self.refused = mark.get("why", "") if mark.get("login") == self._print() else ""
        token = self.kind.stored(file)
        if token is not None and self._is_newer(token):
            self.set_token(token, token.expires - self.kind.lead)

    def _is_newer(self, token: Token) -> bool:
        """Whether the file's token is another one than ours that lasts as long, if not longer."""
        old = self.token
        if old is None or token.expires != old.expires:
            return old is None or token.expires > old.expires
        return token.value != old.value and not self.unsaved and not self.saving

    def _print(self) -> str:
        """A fingerprint of the login, to know it again without keeping it a second time."""
        return hashlib.sha256(self.login.reveal().encode()).hexdigest()[:16]

    @property
    def prefix(self) -> str:
        """The namespace of its models: one segment."""
        prefix = self.file.text("prefix").strip("/")
        return "" if "/" in prefix else prefix

    def set_token(self, token: Token, renew_at: float) -> None:
        """From now on requests are sent with this one."""
        self.token = token
        self.renew_at = renew_at
        self._issued = {}

    def succeeded(self, token: Token, now: float) -> dict[str, object]:
        """A fresh token came; what is written to the file."""
        if token.lasts > 0:
            token = replace(token, expires=now + token.lasts)
        if token.expires <= now + _MARGIN and token.refresh_in > 0:
            # This machine's clock goes wrong; how long the token lasts does not depend on it.
            token = replace(token, expires=now + token.refresh_in + 2 * _MARGIN)
        changes = self.kind.saved(token, now)
        if token.login and token.login != self.login:
            self._spent = (*self._spent[1 - _SPENT :], self.login)
            self.login, self._told = token.login, changes
        if token.expires <= now + _MARGIN:
            self.failed("the token is over already; is the clock of this machine right?", now)
            return changes if token.login else {}
        wished = now + token.refresh_in if token.refresh_in > 0 else self._due(token, now)
        latest = min(wished, token.expires - 2 * _MARGIN)
        self.set_token(token, max(latest - random.uniform(0.0, _JITTER), now + _MARGIN))  # noqa: S311  # spreads load
        self.error = self.refused = ""
        self.denied = False
        self.again = 0.0
        self.renewed = now
        return {**changes, REFUSED: None} if changes or self.file.refused else {}

    def _due(self, token: Token, now: float) -> float:
        """The kind's lead before its end, but not in the first half of a token that lasts no longer."""
        return max(token.expires - self.kind.lead, (now + token.expires) / 2)

    def failed(self, why: str, now: float, after: float = 0.0) -> None:
        """No answer this time; `after`: seconds that the service wants to be left alone."""
        self.error, self.again = why, now + max(after, _RETRY)

    def rejected(self, why: str, now: float, *, lasting: bool) -> dict[str, object]:
        """The login was refused; what is written to the file."""
        self.error, self.denied, self.again = why, True, now + _RECHECK
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

    def credential(self, wire: WireName) -> Credential:
        """Without the token: what the table holds."""
        return self.kind.credential(self.file, self.token, self.options, wire)

    def issue(self, credential: Credential) -> Credential:
        """The same with the token, the address and the headers that hold now."""
        which = (credential.id, credential.wire)
        last = self._issued.get(which)
        if last is not None and last[0] is credential:
            return last[1]
        if self.token is None:
            return credential
        now = self.credential(credential.wire)
        found = replace(
            credential, key=self.token.value, base_url=now.base_url, headers=now.headers
        )
        # A request of an older table, which says other things, must not leave them to all that follow.
        self._issued[which] = (credential, found)
        return found

    def declared(self, learned: dict[str, WireName], now: int) -> list[declared.Account]:
        """For the table, see `Kind.declared`."""
        return self.kind.declared(self, learned, now)

    def under(self, options: AccountOptions) -> Account:
        """The same account with other options, to look at; itself where they are its own."""
        if options == self.shared:
            return self
        other = copy(self)
        other.configure(options)
        return other

    def configure(self, options: AccountOptions) -> None:
        """The configuration was read anew."""
        self.shared = options
        self._take(self.file)

    def shape(self) -> object:
        """What the table is built from, but for the models: equal as long as it need not be built anew."""
        return self.file.disabled, self.credential("chat")

    def view(self, now: float) -> AccountView:
        """What is shown of it."""
        lasts = bool(self.login) or self.usable(now)
        if self.file.disabled:
            state = "paused"
        elif self.refused or not lasts:
            state = "refused"
        elif self.fresh(now):
            state = "ready"
        else:
            state = "failing" if self.error else "idle"
        return AccountView(
            name=self.file.name,
            kind=self.kind.name,
            label=self.file.label,
            plan=self.kind.plan(self.file, self.options),
            state=state,
            expires=self.token.expires if self.token and self.token.expires < LAST else 0.0,
            last_error=self.refused or self.error or ("" if lasts else f"no {self.kind.login_key}"),
            models=len(self.models or ()),
        )
