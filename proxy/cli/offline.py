"""A configuration with the models of its account files, for commands that ask no service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.auth import files
from proxy.auth.book import AccountBook
from proxy.clock import Clock
from proxy.net.transport import Transport
from proxy.routing import load as routing
from proxy.telemetry.log import Log

if TYPE_CHECKING:
    from proxy.routing.load import Loaded


def with_accounts(loaded: Loaded) -> Loaded:
    """The same with the accounts in its table, by the built-in model lists. Raises OSError."""
    book = AccountBook(
        files.folder_of(loaded.settings.auth_dir),
        transport=Transport(),
        clock=Clock(),
        log=Log(descriptor=-1),
        options=loaded.account_options,
    )
    book.load()
    return routing.with_accounts(loaded, book.declared())
