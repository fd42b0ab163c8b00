"""The composition root: builds the objects from a configuration, starts and stops them in order."""

from __future__ import annotations

import os
import signal
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from proxy import handover
from proxy.accounts.pool import Pool
from proxy.auth.book import AccountBook
from proxy.auth.files import folder_of
from proxy.clock import Clock
from proxy.config.diagnose import ConfigError, Problem
from proxy.exchange import Live
from proxy.home import NoHome
from proxy.net.transport import Transport
from proxy.reload import Generation, Origin
from proxy.routing.load import with_accounts
from proxy.sources import Watch
from proxy.store import keeper, state
from proxy.surface.router import App
from proxy.surface.server import Stop, serve
from proxy.telemetry.log import Log
from proxy.upstream.offline import WithDemo

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from proxy.config.model import Settings
    from proxy.routing.load import Loaded

_FLUSH: Final = 0.5
"""Seconds that a log line may wait."""
_LAST_WORDS: Final = 2.0
"""Seconds in which streams that are broken off tell their clients so."""
_HANDED_OVER: Final = 3600.0
"""Seconds that streams may go on after a successor serves."""
_STOPS: Final = (signal.SIGTERM, signal.SIGINT)
_HANGUP: Final = getattr(signal, "SIGHUP", None)
_RESTART: Final = getattr(signal, "SIGUSR2", None)


def run(loaded: Loaded, origin: Origin, *, ready: Callable[[str], None] | None = None) -> int:
    """Serves until TERM or INT; 0 after a clean stop. `ready` is told the URL once the port is open,
    but not by the successor of a running server.
    """
    trio.run(Application(loaded, origin, ready).run)
    return 0


class Application:
    """The objects of one process."""

    def __init__(self, loaded: Loaded, origin: Origin, ready: Callable[[str], None] | None) -> None:
        settings = loaded.settings
        self._settings = settings
        self._ready = ready
        self._log = Log(debug=settings.debug)
        self._transport = Transport()
        clock = Clock()
        self._book = AccountBook(
            folder_of(settings.auth_dir),
            transport=self._transport,
            clock=clock,
            log=self._log,
            options=loaded.account_options,
        )
        self._book.load()
        loaded = with_accounts(loaded, self._book.declared())
        self._app = App(
            Live(
                table=loaded.table,
                pool=Pool(disable_cooling=settings.disable_cooling),
                settings=settings,
                transport=WithDemo(self._transport),
                clock=clock,
                log=self._log,
                accounts=self._book,
            )
        )
        self._book.on_edit = self._app.live.pool.changed
        # As the generation that serves has it: one that is refused moves nothing.
        self._book.place = lambda: folder_of(self._app.live.settings.auth_dir)
        self._origin = origin
        whole = Origin(
            place=origin.place,
            files=origin.files,
            folders=origin.folders,
            reread=self._reread,
            accepted=lambda loaded: self._book.configure(loaded.account_options),
        )
        self._generation = Generation(loaded, self._app, whole, os.environ)
        self._memory = state.place(os.environ, origin.place)
        self._keeping = trio.CancelScope()
        self._kept = trio.Event()
        self._terminal = has_terminal()
        self._inherited = handover.inherited(os.environ)
        self._sockets: list[socket.socket] = []
        self._stop: Stop
        for warning in loaded.warnings:
            where = f"{warning.file}:{warning.line}"
            self._log.line("warn", "config", at=where, message=warning.message)

    def _reread(self) -> Loaded:
        """The configuration read anew, with the accounts as they would be. Raises ConfigError."""
        loaded = self._origin.reread()
        try:
            folder_of(loaded.settings.auth_dir)
        except NoHome as error:
            raise ConfigError((Problem("no-home", str(error), loaded.config),)) from None
        return with_accounts(loaded, self._book.declared(loaded.account_options))

    async def run(self) -> None:
        """The root nursery: the server, the log writer, the watchers of signals and files."""
        self._stop = Stop()
        try:
            async with trio.open_nursery() as background:
                background.start_soon(self._flush)
                await background.start(self._transport.run)
                await self._remember()
                await background.start(self._keep)
                self._book.on_change = partial(
                    background.start_soon, self._generation.reload, "accounts"
                )
                self._book.on_trouble = lambda troubles: background.start_soon(
                    self._generation.tell_troubles, troubles
                )
                await background.start(self._book.run)
                async with trio.open_nursery() as serving:
                    await background.start(self._signals, background, serving.cancel_scope)
                    background.start_soon(self._end, serving.cancel_scope)
                    await self._listen(serving)
                    self._watch(background)
                with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                    await self._generation.end()
                background.cancel_scope.cancel()
        finally:
            self._log.flush()

    async def _listen(self, serving: trio.Nursery) -> None:
        settings = self._settings
        old = self._inherited
        given = old.sockets_for(settings.host, settings.port) if old is not None else None
        self._sockets = await serving.start(serve, settings, self._app, self._stop, given)
        url = url_of(settings, self._sockets[0].getsockname()[1])
        self._log.line("info", "listening", url=url)
        self._log.flush()
        if old is not None:
            await self._generation.begin(url)
            old.tell()
            return
        if self._ready is not None:
            self._ready(url)
        serving.start_soon(self._generation.begin, url)

    def _watch(self, background: trio.Nursery) -> None:
        generation = self._generation

        async def changed() -> None:
            await generation.reload("watch")

        background.start_soon(Watch(generation.config_places, generation.digest).run, changed)

    async def _signals(
        self,
        background: trio.Nursery,
        serving: trio.CancelScope,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """TERM, INT: the first lets requests finish, the second ends them. USR2: restart. HUP: reload,
        or the end of the terminal that the server was started in.
        """
        more = [number for number in (_HANGUP, _RESTART) if number is not None]
        with trio.open_signal_receiver(*_STOPS, *more) as signals:
            task_status.started()
            async for number in signals:
                name = signal.Signals(number).name
                if number == _HANGUP and not self._lost_terminal():
                    self._log.line("info", "reloading", signal=name)
                    background.start_soon(self._generation.reload, "hangup")
                elif number == _RESTART:
                    self._log.line("info", "restarting", signal=name)
                    background.start_soon(self._hand_over, background)
                else:
                    self._log.line("info", "stopping", signal=name)
                    self._stop.signals += 1
                    if self._stop.signals > 1:
                        serving.cancel()
                    self._stop.set(self._app.live.settings.shutdown_grace)

    def _lost_terminal(self) -> bool:
        """Whether a hang-up is what it once meant: the terminal that we were started in is closed."""
        return self._terminal and not has_terminal()

    async def _remember(self) -> None:
        """The pool's memory out of its file: only at the start, since it makes every cooldown due."""
        live = self._app.live
        await keeper.restore(live.pool, self._memory, live.clock, self._complain)

    async def _keep(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """The pool's memory into its file, until a successor takes it over."""
        live, complain = self._app.live, self._complain
        self._keeping, self._kept = trio.CancelScope(), trio.Event()
        with self._keeping:
            await keeper.run(live.pool, self._memory, live.clock, complain, task_status=task_status)
        self._kept.set()

    def _complain(self, reason: str) -> None:
        self._log.line("warn", "state", message=reason)

    async def _hand_over(self, background: trio.Nursery) -> None:
        """Starts a successor; once it serves, this process only finishes what it has begun."""
        if self._stop.event.is_set() or not self._sockets:
            return
        sockets, self._sockets = self._sockets, []  # one successor at a time
        settings = self._settings
        self._keeping.cancel()  # saves; the successor begins with what is in the file
        await self._kept.wait()
        try:
            pid = await handover.hand_over(settings.host, settings.port, sockets)
        except handover.HandOverError as error:
            self._sockets = sockets
            await background.start(self._keep)
            self._log.line("error", "restart", message=f"{error}; this process serves on")
            await self._generation.say(str(error))
            return
        self._generation.retire()
        self._book.retire()
        self._log.line("info", "handed-over", pid=pid)
        self._stop.set(_HANDED_OVER, patient=True)

    async def _end(self, serving: trio.CancelScope) -> None:
        """When the grace is over, open streams end with an error event, then with their connections."""
        await self._stop.grace()
        self._transport.stop()
        await trio.sleep(_LAST_WORDS)
        serving.cancel()

    async def _flush(self) -> None:
        while True:
            await trio.sleep(_FLUSH)
            self._log.flush()


def has_terminal() -> bool:
    """Whether this process has a controlling terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | getattr(os, "O_NOCTTY", 0)))
    except OSError:
        return False
    return True


def url_of(settings: Settings, port: int) -> str:
    """Where this machine reaches the server."""
    return f"{'https' if settings.tls else 'http'}://{_shown(settings.host)}:{port}"


def _shown(host: str) -> str:
    if host in ("", "0.0.0.0", "::"):  # noqa: S104  # a wildcard cannot be called
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
