"""How a new generation of the configuration takes the place of the one that serves.

A generation is a table and settings; pool, transport and log go on, so that cooldowns and open
connections outlive it. One that cannot be read is refused: the old one serves on, and the error is
told in the log and in `status`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import trio
from msgspec.structs import replace

from proxy.config.diagnose import ConfigError, Problem
from proxy.config.settings import refuse_open
from proxy.sources import Places, digest
from proxy.store.generations import Generations
from proxy.store.status import Status, StatusFile, birth_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proxy.config.model import Settings
    from proxy.routing.load import Loaded
    from proxy.surface.router import App
    from proxy.telemetry.log import Log

_FIXED: Final = ("host", "port", "tls", "connections")
"""Settings that belong to the open port."""


class Origin:
    """Where a configuration comes from, and how it is read again.

    `place`: its path, by which its history is known; `files`, `folders`: all that may be part of it;
    `reread`: raises ConfigError; `accepted`: told of a generation that serves from now on.
    """

    def __init__(
        self,
        *,
        place: str,
        files: tuple[str, ...],
        folders: tuple[str, ...],
        reread: Callable[[], Loaded],
        accepted: Callable[[Loaded], None] = lambda _: None,
    ) -> None:
        self.place = place
        self.files = files
        self.folders = folders
        self.reread = reread
        self.accepted = accepted


class Generation:
    """The configuration that serves."""

    def __init__(
        self, loaded: Loaded, app: App, origin: Origin, environ: Mapping[str, str]
    ) -> None:
        self._app = app
        self._origin = origin
        self._log: Log = app.live.log
        self._loaded = loaded
        self._digest = digest(loaded.texts)
        self._changing = trio.Lock()
        self._history = Generations(environ, origin.place)
        self._file = StatusFile(environ, origin.place)
        self._writes = True
        now = app.live.clock.now()
        self._status = Status(
            pid=os.getpid(),
            birth=birth_of(os.getpid()) or "",
            url="",
            started=now,
            generation=1,
            since=now,
            config=loaded.config,
            routes=loaded.routes,
        )

    @property
    def digest(self) -> str:
        """Of the files that serve."""
        return self._digest

    def config_places(self) -> Places:
        """What is watched for routes and settings."""
        return Places(files=self._origin.files, folders=self._origin.folders)

    async def begin(self, url: str) -> None:
        """The port is open: the status file appears, the first generation goes into the history."""
        async with self._changing:
            self._status = replace(self._status, url=url)
            await self._keep("start", self._loaded)

    async def end(self) -> None:
        """The status file goes."""
        await trio.to_thread.run_sync(self._file.remove, os.getpid())

    def retire(self) -> None:
        """A successor serves: status and history are its own from now on."""
        self._writes = False

    async def say(self, word: str) -> None:
        """Why the last restart did not come about, for `status` and `restart`."""
        async with self._changing:
            now = self._app.live.clock.now()
            self._status = replace(self._status, restart=word, restart_at=now)
            await trio.to_thread.run_sync(self._write_status)

    async def tell_troubles(self, troubles: dict[str, str]) -> None:
        """Why accounts get no token, for `status` and `accounts`."""
        async with self._changing:
            self._status = replace(self._status, troubles=troubles)
            if self._status.url:
                await trio.to_thread.run_sync(self._write_status)

    async def reload(self, source: str) -> bool:
        """Reads everything anew and serves it from now on, if it is well. False = refused."""
        async with self._changing:
            try:
                loaded = await trio.to_thread.run_sync(self._origin.reread)
                same = digest(loaded.texts) == self._digest
                if same and source == "watch":
                    await self._forget_refusal()
                    return True
                _refuse_empty(loaded)
                settings = self._settled(loaded.settings)
                refuse_open(settings)
            except ConfigError as error:
                await self._refuse(str(error))
                return False
            except Exception as error:  # noqa: BLE001 - a fault of ours must not end the server
                self._log.crash("reload", error)
                await self._refuse(f"pointsman: {type(error).__name__} while reading")
                return False
            self._renew(loaded, settings)
            if same and source == "accounts":
                self._log.line("info", "accounts", generation=self._status.generation)
                await self._forget_refusal()
            elif self._status.url:  # else it is the first one, which `begin` tells of
                await self._keep(source, loaded)
        return True

    async def _forget_refusal(self) -> None:
        """Back to what serves: whatever was refused in between is gone."""
        if self._status.refused:
            self._status = replace(self._status, refused="", refused_at=0.0)
            await trio.to_thread.run_sync(self._write_status)

    def _settled(self, settings: Settings) -> Settings:
        """The new settings, with those of the open port as they are."""
        now = self._app.live.settings
        kept = {name: getattr(now, name) for name in _FIXED}
        for name, value in kept.items():
            if getattr(settings, name) != value:
                self._log.line("warn", "config", message=f"a new '{name}' needs a restart")
        return replace(settings, **kept)

    def _renew(self, loaded: Loaded, settings: Settings) -> None:
        live = self._app.live
        live.pool.disable_cooling = settings.disable_cooling
        self._log.debug = settings.debug
        self._origin.accepted(loaded)
        self._app.renew(replace(live, table=loaded.table, settings=settings))
        self._loaded = loaded
        self._digest = digest(loaded.texts)
        for warning in loaded.warnings:
            where = f"{warning.file}:{warning.line}"
            self._log.line("warn", "config", at=where, message=warning.message)

    async def _refuse(self, report: str) -> None:
        self._log.line("error", "config", message="refused; the one before serves on")
        for line in report.split("\n"):
            self._log.text("error", line)
        now = self._app.live.clock.now()
        self._status = replace(self._status, refused=report, refused_at=now)
        await trio.to_thread.run_sync(self._write_status)

    async def _keep(self, source: str, loaded: Loaded) -> None:
        now = self._app.live.clock.now()
        self._status = replace(
            self._status,
            generation=self._status.generation + (source != "start"),
            since=now,
            config=loaded.config,
            routes=loaded.routes,
            refused="",
            refused_at=0.0,
        )
        await trio.to_thread.run_sync(self._write_generation, source, now)
        self._log.line("info", "generation", number=self._status.generation, source=source)

    def _write_generation(self, source: str, now: float) -> None:
        if not self._writes:
            return
        try:
            number = self._history.add(self._loaded.texts, self._digest, source, now)
        except OSError as error:
            self._no_state(error)
            return
        self._status = replace(self._status, generation=number)
        self._write_status()

    def _write_status(self) -> None:
        if not self._writes:
            return
        try:
            self._file.write(self._status)
        except OSError as error:
            self._no_state(error)

    def _no_state(self, error: OSError) -> None:
        """A read-only disk: serving goes on, `status` and `config log` know nothing."""
        self._writes = False
        reason = f"no status and no history: {error.strerror}: {error.filename}"
        self._log.line("warn", "state", message=reason)


def _refuse_empty(loaded: Loaded) -> None:
    """A config file caught between truncation and writing must not take the keys away."""
    if loaded.config and not loaded.texts[loaded.config].strip():
        raise ConfigError((Problem("empty", "is empty", loaded.config),))
