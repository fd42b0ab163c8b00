"""From files to a running configuration: read, then compile. Joins `config` and `routing`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from proxy.config import load as files
from proxy.config.model import Settings, Warning_
from proxy.routing.build import build
from proxy.routing.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Loaded(Struct, frozen=True, kw_only=True):
    """A configuration that can be served. `config`: its file, empty = none; `routes`: route files."""

    settings: Settings
    table: Table
    warnings: tuple[Warning_, ...] = ()
    config: str = ""
    routes: tuple[str, ...] = ()


def load(config: str | None, routes: Sequence[str], environ: Mapping[str, str], cwd: str) -> Loaded:
    """See `proxy.config.load.read` for the arguments. Raises ConfigError with all problems found."""
    found = files.read(config, routes, environ, cwd)
    table, warnings = build(found.declared)
    for document in found.documents:
        document.release()
    return Loaded(
        settings=found.settings,
        table=table,
        warnings=(*found.warnings, *warnings),
        config=found.config,
        routes=found.routes,
    )
