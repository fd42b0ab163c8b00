"""All account files of the auth directory, kept current: read, watched, tokens renewed.

A request asks `ready` for its account's token; one exchange at a time runs per account, whoever waits
for it. `run` owns every task. When the set of accounts or their models changed, `on_change` is called,
and `on_trouble` when an account's last error did.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import trio
from msgspec.structs import replace

from proxy.auth import files, kinds
from proxy.auth.account import Account, AccountView
from proxy.auth.files import AccountFile, BadAccountFile
from proxy.auth.kind import LoginRefused, Models, Token, Unreachable
from proxy.config.model import AccountOptions, Candidate
from proxy.errors import Fault, ProxyError, Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from proxy.clock import Clock
    from proxy.config import declared
    from proxy.config.model import Credential, WireName
    from proxy.net.api import Transport
    from proxy.telemetry.log import Log

POLL: Final = 1.0
"""Seconds between two looks at the folder and at what is due."""
_FIRST_MODELS: Final = 1.0
"""Seconds that a start waits for the accounts' own model lists."""
_MODELS_KEPT: Final = 12 * 3600.0
_BUSY: Final = 3600.0
"""Tokens of accounts that nobody used for so many seconds are renewed when somebody does."""
_JUST_RENEWED: Final = 10.0
_QUIET: Final = 5.0
"""How many times as long as a change took to be told nothing further is told."""
_WRITES: Final = 10.0
"""Seconds until a write of a file has to begin; one that has begun is waited for."""
_QUEUED: Final = 60.0
"""Seconds that a renewal which is due may wait for its turn before it is put in the queue again."""
_AT_ONCE: Final = 8
"""Most exchanges and list requests at a time that no client waits for."""
_MOST_LEARNED: Final = 500
_NEXT: Final[dict[WireName, WireName]] = {"chat": "responses", "responses": "anthropic"}


class AccountBook:
    """See the module. `on_change` and `on_trouble` are called on the event loop, at most once per look at
    the folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        transport: Transport,
        clock: Clock,
        log: Log,
        options: AccountOptions = AccountOptions(),  # noqa: B008  # frozen
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.folder = folder
        self.place: Callable[[], Path] = lambda: folder
        """Where the files are now: asked at each look, since a new configuration may name another folder."""
        self.on_change = on_change
        self.on_edit: Callable[[str], None] = lambda _: None
        """Told which account file came, or holds another login or other settings now."""
        self.on_trouble: Callable[[dict[str, str]], None] = lambda _: None
        """Told the last error of each account that has one, by file."""
        self._troubles: dict[str, str] = {}
        self._retired = False
        self.loaded = False
        """Whether every account was asked for its models once, or the wait for it is over."""
        self._transport = transport
        self._clock = clock
        self._log = log
        self._options = options
        self._began = int(clock.now())
        self._stamps: dict[str, files.Stamp] = {}
        self._why_unread = ""
        self._accounts: dict[str, Account] = {}
        self._others: dict[str, AccountFile] = {}
        self._lists: dict[Models, Models] = {}
        self._learned: dict[str, WireName] = {}
        self._changed = False
        self._quiet_until = 0.0
        self._places = trio.CapacityLimiter(_AT_ONCE)
        self._nursery: trio.Nursery | None = None

    # What the rest of the program asks

    def declared(self, options: AccountOptions | None = None) -> tuple[declared.Account, ...]:
        """The accounts as the table takes them; those that are switched off are left out.

        `options`: as they would be with these, which are not in force yet. Callable from any thread.
        """
        chosen = options or self._options
        found: list[declared.Account] = []
        for account in tuple(self._accounts.values()):
            if account.file.disabled:
                continue
            try:
                found += account.under(chosen).declared(self._learned, self._began)
            except Exception as error:  # noqa: BLE001  # one file must not take all routes along
                self._log.crash("account", error)
        return tuple(found)

    def accounts(self) -> tuple[AccountView, ...]:
        """All account files that can be read, by name."""
        now = self._clock.now()
        views = [account.view(now) for account in self._accounts.values()]
        views += [
            AccountView(name=f.name, kind=f.kind, label=f.label, state="unsupported")
            for f in self._others.values()
        ]
        return tuple(sorted(views, key=lambda view: view.name))

    async def ready(self, credential: Credential) -> Credential:
        """The credential with a token that holds; renews it first where it is over.

        Raises:
            ProxyError: 401 when the login is refused or the account is gone, 503 when no token came.
        """
        account = self._accounts.get(credential.account)
        if account is None or account.file.disabled:
            raise _no_token(401)
        now = self._clock.now()
        account.used = now
        if not account.fresh(now):
            if account.may_ask(now) or account.renewing is not None:
                await self._renew(account)
            now = self._clock.now()
            if not account.usable(now):
                rejected = bool(account.refused) or not account.login or account.denied
                raise _no_token(
                    401 if rejected else 503,
                    None if rejected else max(1.0, account.again - now),
                )
        return account.issue(credential)

    async def renew(self, credential: Credential) -> bool:
        """After a 401: whether there is a token that was not refused yet, so that a retry makes sense.

        `credential`: as `ready` gave it, or the table's.
        """
        account = self._accounts.get(credential.account)
        if account is None:
            return False
        old = account.token
        if credential.key and old is not None and credential.key != old.value:
            return True
        if self._clock.now() - account.renewed < _JUST_RENEWED:
            return not credential.key
        if account.may_ask(self._clock.now()) or account.renewing is not None:
            await self._renew(account)
        return account.token is not None and account.token is not old

    def is_stale(self, credential: Credential, error: ProxyError) -> bool:
        """After a 403: whether it says no more than that the token is over."""
        account = self._accounts.get(credential.account)
        return account is not None and account.kind.is_stale(error)

    def learn(self, candidate: Candidate, error: ProxyError) -> Candidate | None:
        """From a 400 that says that the model is served elsewhere: where to ask instead, once known.

        The table asks there from its next generation on. None: the error says nothing of the kind.
        """
        account = self._accounts.get(candidate.credential.account)
        if account is None or error.status != 400 or not account.kind.is_elsewhere(error):
            return None
        wire = _NEXT.get(candidate.credential.wire)
        model = candidate.model.lower()
        if wire is None:
            # All three refused it: the next request starts over.
            self._changed |= self._learned.pop(model, None) is not None
            return None
        if len(self._learned) >= _MOST_LEARNED and model not in self._learned:
            return None
        self._learned[model] = wire
        self._changed = True
        self._log.line("info", "learned", model=candidate.model, wire=wire)
        return replace(candidate, credential=account.credential(wire))

    def configure(self, options: AccountOptions) -> None:
        """The configuration was read anew: from now on these hold."""
        if options == self._options:
            return
        self._options = options
        for account in tuple(self._accounts.values()):
            account.configure(options)

    def retire(self) -> None:
        """Another process renews from now on; this one only when a request needs it."""
        self._retired = True

    # Files

    def load(self) -> None:
        """The first look at the folder, before a table is made of it. Blocks."""
        files.sweep(self.folder, self._clock.now())
        try:
            self._look(files.scan(self.folder))
        except OSError as error:
            self._unread(error)
        self._changed = False

    async def rescan(self) -> bool:
        """Looks at the folder; whether something changed. Raises OSError."""
        folder = self.place()
        moved = folder != self.folder
        stamps = await trio.to_thread.run_sync(files.scan, folder)
        self._why_unread = ""
        if stamps == self._stamps and not moved:
            return False
        fresh = {n for n, stamp in stamps.items() if moved or self._stamps.get(n) != stamp}
        found = await trio.to_thread.run_sync(files.read_all, folder, fresh)
        if moved:
            # In one step with the look, so that no token is written beside a file of the same name.
            self.folder = folder
            self._log.line("info", "account", folder=folder)
        self._look(stamps, found)
        return True

    def _unread(self, error: OSError) -> None:
        """The folder cannot be read, for now: told once, since it is looked at every second."""
        why = error.strerror or type(error).__name__
        if why != self._why_unread:
            self._why_unread = why
            self._log.line("warn", "account", folder=self.place(), unread=why)

    def _look(
        self,
        stamps: dict[str, files.Stamp],
        found: Mapping[str, AccountFile | BadAccountFile] | None = None,
    ) -> None:
        for name in self._stamps.keys() - stamps.keys():
            self._drop(name)
        old, self._stamps = self._stamps, stamps
        if found is None:
            found = files.read_all(self.folder, set(stamps))
        for name, file in found.items():
            if isinstance(file, BadAccountFile):
                self._drop(name)
                self._log.line("warn", "account", file=name, skipped=str(file))
            elif name in stamps:
                self._put(file, new=name not in old)

    def _drop(self, name: str) -> None:
        self._others.pop(name, None)
        if self._accounts.pop(name, None) is not None:
            self._changed = True

    def _put(self, file: AccountFile, *, new: bool) -> None:
        self._stamps[file.name] = file.stamp
        kind = kinds.get(file.kind)
        if kind is None:
            self._drop(file.name)
            self._others[file.name] = file
            if new:
                self._log.line("warn", "account", file=file.name, unsupported=file.kind)
            return
        self._others.pop(file.name, None)
        account = self._accounts.get(file.name)
        if account is None or account.kind is not kind:
            self._accounts[file.name] = Account(kind, file, self._options)
            self._changed = True
        else:
            before = account.shape()
            other = account.reread(file)
            reshaped = account.shape() != before
            if not (other or reshaped):
                return  # a new token alone, written by us or another program
            self._changed |= reshaped
        self.on_edit(file.name)

    async def _write(self, account: Account, changes: dict[str, object]) -> None:
        """What cannot be written now is tried again: a login that was renewed may be the only copy, so it
        is written even when the server ends just now. One at a time: an older login must not come last.
        """
        account.unsaved = {**account.unsaved, **changes}
        while account.unsaved and not account.saving:
            account.saving, account.unsaved = account.unsaved, {}
            try:
                with trio.fail_after(_WRITES, shield=True):
                    await self._write_file(account)
            except FileNotFoundError:
                account.unsaved = {}  # deleted meanwhile: the next look drops it
            except (BadAccountFile, OSError, trio.TooSlowError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                self._log.line("warn", "account", file=account.file.name, unsaved=reason or "")
                account.unsaved = {**account.saving, **account.unsaved}
                return
            finally:
                account.saving = {}

    async def _write_file(self, account: Account) -> None:
        folder, name = self.folder, account.file.name
        file = await trio.to_thread.run_sync(partial(files.update, folder, name, account.saving))
        if folder == self.folder and self._accounts.get(name) is account:
            # Our own write is no change to read again; what somebody else wrote before it is one.
            self._put(file, new=False)

    # Tasks

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watches and renews until cancelled. Started once the models came, at the latest after 1 s."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                with trio.move_on_after(_FIRST_MODELS):
                    await self._first_models(nursery)
                self.loaded = True
                self._tell()
                self._tell_troubles()
                task_status.started()
                while True:
                    await trio.sleep(POLL)
                    await self._tick(nursery)
            finally:
                self._nursery = None
                for kind in kinds.loaded():
                    counts = kind.counts()
                    if any(counts.values()):
                        self._log.line("info", kind.name, **counts)

    def attach(self, nursery: trio.Nursery) -> None:
        """For a command, in place of `run`: exchanges may run in `nursery`; nothing is watched."""
        self._nursery = nursery

    async def test(self, name: str) -> AccountView:
        """Asks for a token and the models now, also where the login was refused before."""
        account = self._accounts[name]
        if not account.file.disabled and account.login:
            account.refused, account.again = "", 0.0
            await self._renew(account)
            if not account.error:
                await self._models(account, trio.Event())
        return account.view(self._clock.now())

    async def _first_models(self, nursery: trio.Nursery) -> None:
        """Asks all accounts for their models, and waits; those who are late go on in `nursery`."""
        waiting = [trio.Event() for _ in self._accounts]
        for account, done in zip(self._accounts.values(), waiting, strict=True):
            nursery.start_soon(self._models, account, done)
        for done in waiting:
            await done.wait()

    async def _tick(self, nursery: trio.Nursery) -> None:
        try:
            await self.rescan()
        except OSError as error:
            self._unread(error)
        now = self._clock.now()
        for account in self._accounts.values():
            if account.unsaved:
                nursery.start_soon(self._write, account, {})
            if account.file.disabled or account.renewing is not None or not account.may_ask(now):
                continue
            if self._retired:
                continue
            if account.token is not None and account.renew_at <= now < account.used + _BUSY:
                account.renew_at = now + _QUEUED
                nursery.start_soon(self._renew_ahead, account, account.token)
            elif account.models_at == 0.0 or now - account.models_at > _MODELS_KEPT:
                account.models_at = now
                nursery.start_soon(self._models, account, trio.Event())
        self._tell()
        self._tell_troubles()

    def _tell(self) -> None:
        began = trio.current_time()
        if not self._changed or began < self._quiet_until:
            return
        self._changed = False
        self.on_change()
        # A large table takes a moment to build: thousands of lists that come in are not told one by one.
        self._quiet_until = began + _QUIET * (trio.current_time() - began)

    def _tell_troubles(self) -> None:
        troubles = {
            account.file.name: account.refused or account.error
            for account in self._accounts.values()
            if (account.refused or account.error) and not account.file.disabled
        }
        if troubles != self._troubles:
            self._troubles = troubles
            self.on_trouble(troubles)

    async def _renew_ahead(self, account: Account, token: Token) -> None:
        async with self._places:
            if account.token is token:
                await self._renew(account)

    async def _renew(self, account: Account) -> None:
        """Waits for the one exchange of this account that runs, or starts it.

        It runs in `run`'s nursery: a client that leaves ends its own waiting, not the exchange.
        """
        if account.renewing is None:
            if self._nursery is None:
                raise _no_token(503)
            account.renewing = trio.Event()
            self._nursery.start_soon(self._exchange, account)
        await account.renewing.wait()

    async def _exchange(self, account: Account) -> None:
        changes: dict[str, object] = {}
        before = account.token
        login = account.login
        try:
            await self._catch_up(account.file.name)
            login = account.login
            if account.token is not before and account.fresh(self._clock.now()):
                return  # another process renewed it
            token = await account.kind.exchange(
                self._transport, login, account.file, account.options
            )
            # A file that was replaced meanwhile holds another login, whose token this is not.
            if account.login == login:
                changes = account.succeeded(token, self._clock.now())
                self._log.line("info", "account", file=account.file.name, renewed="yes")
        except LoginRefused as refused:
            if account.login == login:
                now = self._clock.now()
                changes = account.rejected(refused.why, now, lasting=refused.lasting)
            self._log.line("warn", "account", file=account.file.name, refused=refused.why)
        except Unreachable as failure:
            if account.login == login:
                account.failed(failure.why, self._clock.now(), failure.after)
            self._log.line("warn", "account", file=account.file.name, failed=failure.why)
        except Exception as error:  # noqa: BLE001  # a background task: one account fails, not the server
            account.failed("a fault of this program; see the log", self._clock.now())
            self._log.crash("account", error)
        finally:
            done, account.renewing = account.renewing, None
            if done is not None:
                done.set()
        await self._write(account, changes)

    async def _catch_up(self, name: str) -> None:
        """Reads one file anew: a login that another process has renewed must not be used twice."""
        try:
            file = await trio.to_thread.run_sync(files.read, self.folder, name)
        except (OSError, BadAccountFile):
            return  # the next look at the folder says what became of it
        if self._stamps.get(name) != file.stamp:
            self._put(file, new=False)

    async def _models(self, account: Account, done: trio.Event) -> None:
        """Asks for the account's own list; the built-in one holds until it comes."""
        account.models_at = max(self._clock.now(), 1.0)
        try:
            if account.file.disabled or not account.kind.has_list:
                return
            async with self._places:
                used, credential = account.used, account.credential("chat")
                try:
                    issued = await self.ready(credential)
                finally:
                    account.used = used
                models = await account.kind.models(self._transport, issued)
        except (ProxyError, Unreachable) as failure:
            why = failure.why if isinstance(failure, Unreachable) else failure.message
            self._log.line("warn", "account", file=account.file.name, models=why)
            return
        except Exception as error:  # noqa: BLE001  # a background task, as above
            self._log.crash("account", error)
            return
        finally:
            done.set()
        if len(self._lists) > 200:
            self._lists.clear()
        if account.models != models:
            # Thousands of accounts mostly have one list, and keep it once.
            account.models = self._lists.setdefault(models, models)
            self._changed = True


def _no_token(status: int, retry_after: float | None = None) -> ProxyError:
    """What a client is told; the reason stands in the log and in `accounts list`."""
    refused = status == 401
    message = "no valid token available" if refused else "no token could be fetched for now"
    return ProxyError(
        message,
        fault=Fault.UPSTREAM,
        status=status,
        kind="authentication_error" if refused else "upstream_unavailable",
        retry=Retry.CREDENTIAL,
        retry_after=retry_after,
    )
