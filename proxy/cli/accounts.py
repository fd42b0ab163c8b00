"""`pointsman accounts list | test | pause | resume | remove`: the account files of the auth directory."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Final

import trio
from msgspec.structs import replace

from proxy.accounts import memory
from proxy.auth import files
from proxy.auth.book import AccountBook
from proxy.auth.files import BadAccountFile
from proxy.cli.main import FAILED, OK, Parser, read, two_dashes, where
from proxy.clock import Clock
from proxy.jsonio import encode
from proxy.net.transport import Transport
from proxy.store import state
from proxy.store.status import StatusFile
from proxy.telemetry.log import Log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.accounts.memory import SavedCooldown
    from proxy.auth.account import AccountView

_VERBS: Final = ("list", "test", "pause", "resume", "remove")


def run(arguments: list[str]) -> int:
    """0 done, 1 an account that failed its test or is not there."""
    options = Parser(prog="pointsman accounts", add_help=False, allow_abbrev=False)
    options.add_argument("verb", nargs="?", choices=_VERBS, default="list")
    options.add_argument("accounts", nargs="*", metavar="ACCOUNT")
    options.add_argument("--json", action="store_true")
    options.add_argument("--config", metavar="FILE")
    options.add_argument("--routes", metavar="DIR", action="append", default=[])
    found = options.parse_args(two_dashes(arguments))
    if not found.accounts and found.verb in ("pause", "resume", "remove"):
        options.error(f"name the account to {found.verb}")
    transport = Transport()
    book = _book(found, transport)
    try:
        book.load()
        chosen = _chosen(book.accounts(), found.accounts)
        if found.verb == "test":
            return _test(found, book, transport, chosen)
        return (_list if found.verb == "list" else _edit)(found, book, chosen)
    except (LookupError, BadAccountFile) as error:
        sys.stderr.write(f"pointsman: {error.args[0]}\n")
    except OSError as error:
        sys.stderr.write(f"pointsman: {error.filename or book.folder}: {error.strerror}\n")
    return FAILED


def _book(options: argparse.Namespace, transport: Transport) -> AccountBook:
    loaded = read(options)
    return AccountBook(
        files.folder_of(loaded.settings.auth_dir),
        transport=transport,
        clock=Clock(),
        log=Log(descriptor=-1),
        options=loaded.account_options,
    )


def _chosen(views: Sequence[AccountView], words: list[str]) -> list[AccountView]:
    """All, or those named by file or label. Raises LookupError for a name that nothing or two have."""
    if not words:
        return list(views)
    found: list[AccountView] = []
    for word in words:
        exact = [v for v in views if word in (v.name, v.name.removesuffix(".json"))]
        fits = exact or [v for v in views if word.lower() == v.label.lower()]
        if not fits:
            raise LookupError(f"there is no account {word!r}")
        if len(fits) > 1:
            names = ", ".join(view.name for view in fits)
            raise LookupError(f"{word!r} is the label of several accounts: {names}")
        found += fits
    return found


def _list(options: argparse.Namespace, book: AccountBook, chosen: list[AccountView]) -> int:
    running = StatusFile(os.environ, where(options)).read()
    troubles = {} if running is None else running.troubles
    _print(options, book, [_as_served(view, troubles.get(view.name, "")) for view in chosen])
    return OK


def _as_served(view: AccountView, trouble: str) -> AccountView:
    """With what the running server could not do: a failure that may pass is in no account file."""
    if not trouble or view.last_error or view.state not in ("idle", "ready"):
        return view
    state = "failing" if view.state == "idle" else view.state
    return replace(view, state=state, last_error=trouble)


def _test(
    options: argparse.Namespace,
    book: AccountBook,
    transport: Transport,
    chosen: list[AccountView],
) -> int:
    """Asks the service for a token and the model list of each."""
    wanted = [view for view in chosen if view.state != "unsupported"]
    tested = trio.run(_ask, book, transport, [view.name for view in wanted])
    _print(options, book, tested)
    return OK if all(view.state in ("ready", "paused") for view in tested) else FAILED


async def _ask(book: AccountBook, transport: Transport, names: list[str]) -> list[AccountView]:
    async with trio.open_nursery() as nursery:
        await nursery.start(transport.run)
        book.attach(nursery)
        tested = [await book.test(name) for name in names]
        nursery.cancel_scope.cancel()
    await transport.aclose()
    return tested


def _edit(options: argparse.Namespace, book: AccountBook, chosen: list[AccountView]) -> int:
    """Pauses, resumes or removes; a running server notices it within 2 s."""
    for view in chosen:
        if options.verb == "remove":
            (book.folder / view.name).unlink()
        else:
            pause = True if options.verb == "pause" else None
            files.update(book.folder, view.name, {"disabled": pause})
        word = {"pause": "paused", "resume": "resumed", "remove": "removed"}[options.verb]
        if not options.json:
            print(f"{view.name}: {word}")
    if options.json:
        book.load()
        left = {view.name for view in chosen}
        _print(options, book, [view for view in book.accounts() if view.name in left])
    return OK


def _print(options: argparse.Namespace, book: AccountBook, views: list[AccountView]) -> None:
    rests = _rests(options)
    if options.json:
        print(encode([_row(view, rests.get(view.name, [])) for view in views]).decode())
        return
    if not views:
        print(f"no accounts in {book.folder}")
        return
    rows = [
        ("FILE", "KIND", "ACCOUNT", "PLAN", "STATE", "TOKEN UNTIL", "RESTS UNTIL", "LAST ERROR")
    ]
    rows += [
        (
            *(v.name, v.kind, v.label, v.plan, v.state, _time(v.expires) or "-"),
            _rest(rests.get(v.name, [])),
            v.last_error,
        )
        for v in views
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())


def _rests(options: argparse.Namespace) -> dict[str, list[SavedCooldown]]:
    """What a server with this configuration knows, whether it runs or not; nothing without its file."""
    path = state.place(os.environ, where(options))
    try:
        data = state.load(path)
        found = {} if data is None else memory.standing(data, Clock().now())
        # An account with several projects has a credential for each: `<file>::<project>`.
        rests: dict[str, list[SavedCooldown]] = {}
        for id, more in found.items():
            rests.setdefault(id.partition("::")[0], []).extend(more)
        return rests
    except state.StateError as error:
        sys.stderr.write(f"pointsman: {error}; cooldowns are not shown\n")
    except ValueError as error:
        sys.stderr.write(f"pointsman: {path}: {error}; cooldowns are not shown\n")
    return {}


def _rest(rests: list[SavedCooldown]) -> str:
    """The one that weighs most, and how many others there are."""
    if not rests:
        return "-"
    first, others = rests[0], f", {len(rests) - 1} more" if len(rests) > 1 else ""
    word = first.word if first.firm else f"{first.word}, used if no other is free"
    return f"{_time(first.until)} {word} ({first.scope}){others}"


def _row(view: AccountView, rests: list[SavedCooldown]) -> dict[str, object]:
    return {
        "file": view.name,
        "kind": view.kind,
        "label": view.label,
        "plan": view.plan,
        "state": view.state,
        "expires": _time(view.expires) or None,
        "cooldowns": [
            {
                "until": _time(rest.until),
                "why": rest.word,
                "scope": rest.scope,
                "used_if_no_other_is_free": not rest.firm,
            }
            for rest in rests
        ],
        "last_error": view.last_error or None,
    }


def _time(seconds: float) -> str:
    return files.rfc3339(seconds) if seconds else ""
