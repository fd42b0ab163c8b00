"""From files to a running configuration: read, then compile. Joins `config` and `routing`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from proxy.config import load as files
from proxy.config.declared import Declared
from proxy.config.model import AccountOptions, Settings, Warning_
from proxy.routing.build import build
from proxy.routing.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from proxy.config.declared import Account


class Loaded(Struct, frozen=True, kw_only=True):
    """A configuration that can be served. `config`: its file, empty = none; `routes`: route files.

    `texts`: the bytes of these files by path, without what the package brings; `folders`: where route
    files were looked for; `environ`: the environment with `.env` as it was read.
    """

    settings: Settings
    table: Table
    declared: Declared = Declared()
    """What the table was built from; account files are added to it."""
    warnings: tuple[Warning_, ...] = ()
    odd: tuple[Warning_, ...] = ()
    """Those of `warnings` that came of building the table."""
    config: str = ""
    routes: tuple[str, ...] = ()
    texts: dict[str, bytes] = {}
    folders: tuple[str, ...] = ()
    environ: Mapping[str, str] = {}

    @property
    def account_options(self) -> AccountOptions:
        """What accounts that log in go by."""
        return AccountOptions(
            copilot=self.declared.copilot,
            proxy=self.settings.proxy_url,
            services=self.declared.services,
        )


def load(
    config: str | None,
    routes: Sequence[str],
    environ: Mapping[str, str],
    cwd: str,
    *,
    dotenv: bool = True,
) -> Loaded:
    """See `proxy.config.load.read` for the arguments. Raises ConfigError with all problems found."""
    found = files.read(config, routes, environ, cwd, dotenv=dotenv)
    table, warnings = build(found.declared)
    for document in found.documents:
        document.release()
    return Loaded(
        settings=found.settings,
        table=table,
        declared=found.declared,
        warnings=(*found.warnings, *warnings),
        odd=warnings,
        config=found.config,
        routes=found.routes,
        texts={path: data for path, data in found.texts.items() if path != str(files.DEMO)},
        folders=found.folders,
        environ=found.environ,
    )


def with_accounts(loaded: Loaded, accounts: tuple[Account, ...]) -> Loaded:
    """The same, as `load` gave it, with these accounts of files beside those of the configuration."""
    if not accounts:
        return loaded
    declared = replace(loaded.declared, accounts=(*loaded.declared.accounts, *accounts))
    table, odd = build(declared)
    kept = [warning for warning in loaded.warnings if warning not in loaded.odd]
    return replace(loaded, table=table, warnings=(*kept, *odd), odd=odd)


def again(before: Loaded, named: Sequence[str], cwd: str) -> Loaded:
    """The same places read anew. What was there at the start has to be there still: a file that is
    gone for a moment must not turn a configured server into an empty one. `named`: the folders of
    the command line. Raises ConfigError.
    """
    folders = named or before.folders
    return load(before.config or None, folders, before.environ, cwd, dotenv=False)
