"""The composition root: builds the objects from a configuration, starts and stops them in order."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final

import trio
from msgspec.structs import replace

from proxy.accounts.pool import Pool
from proxy.auth.book import AccountBook
from proxy.auth.files import folder_of
from proxy.clock import Clock
from proxy.exchange import Live
from proxy.net.tap import WithTaps
from proxy.net.transport import Transport
from proxy.routing.load import with_accounts
from proxy.surface.router import App
from proxy.surface.server import serve
from proxy.telemetry.log import Log
from proxy.upstream.offline import WithDemo

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.routing.load import Loaded

_FLUSH: Final = 0.5
"""Seconds that a log line may wait."""
_STOPS: Final = (signal.SIGTERM, signal.SIGINT)


def run(loaded: Loaded, *, ready: Callable[[str], None] | None = None) -> int:
    """Serves until TERM or INT; 0 after a clean stop. `ready` is told the URL once the port is open."""
    trio.run(main, loaded, ready)
    return 0


async def main(loaded: Loaded, ready: Callable[[str], None] | None) -> None:
    """The root nursery: the server, the log writer, the signal watcher."""
    settings = loaded.settings
    log = Log(debug=settings.debug)
    transport = Transport()
    clock = Clock()
    book = AccountBook(
        folder_of(settings.auth_dir),
        transport=transport,
        clock=clock,
        log=log,
        options=loaded.declared.copilot,
        proxy=settings.proxy_url,
    )
    await trio.to_thread.run_sync(book.load)
    whole = with_accounts(loaded, book.declared())
    live = Live(
        table=whole.table,
        pool=Pool(disable_cooling=settings.disable_cooling),
        settings=settings,
        transport=WithDemo(WithTaps(transport)),
        clock=clock,
        log=log,
        accounts=book,
    )
    app = App(live)

    def regenerate() -> None:
        app.live = replace(app.live, table=with_accounts(loaded, book.declared()).table)

    book.on_change = regenerate
    for warning in whole.warnings:
        log.line("warn", "config", at=f"{warning.file}:{warning.line}", message=warning.message)
    try:
        async with trio.open_nursery() as background:
            background.start_soon(_flush, log)
            await background.start(transport.run)
            await background.start(book.run)
            stop = trio.Event()
            async with trio.open_nursery() as serving:
                port = await serving.start(serve, settings, app, stop)
                url = f"{'https' if settings.tls else 'http'}://{_shown(settings.host)}:{port}"
                log.line("info", "listening", url=url)
                log.flush()
                if ready is not None:
                    ready(url)
                await background.start(_stop_on_signal, stop, serving.cancel_scope, log)
            background.cancel_scope.cancel()
    finally:
        log.flush()


async def _stop_on_signal(
    stop: trio.Event,
    serving: trio.CancelScope,
    log: Log,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """The first signal lets requests finish, the second ends them."""
    with trio.open_signal_receiver(*_STOPS) as signals:
        task_status.started()
        async for number in signals:
            log.line("info", "stopping", signal=signal.Signals(number).name)
            if stop.is_set():
                serving.cancel()
            stop.set()


def _shown(host: str) -> str:
    if host in ("", "0.0.0.0", "::"):  # noqa: S104  # a wildcard cannot be called
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


async def _flush(log: Log) -> None:
    while True:
        await trio.sleep(_FLUSH)
        log.flush()
