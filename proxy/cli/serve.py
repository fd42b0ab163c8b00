"""`pointsman serve`: options over configuration, the key of a first start, then the server."""

from __future__ import annotations

import gc
import os
import secrets
import sys
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from proxy.cli import welcome
from proxy.cli.main import FAILED, USAGE, parser, read, two_dashes
from proxy.config.diagnose import ConfigError, Problem
from proxy.config.load import candidates, place
from proxy.config.settings import refuse_open
from proxy.routing.load import again
from proxy.secret import Secret
from proxy.store import files
from proxy.store.xdg import folder

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from proxy.config.model import Settings
    from proxy.reload import Origin
    from proxy.routing.load import Loaded

_KEY_FILE: Final = "api-key"


def run(arguments: list[str]) -> int:
    """Serves until stopped. 0 after a clean stop, 1 when the port cannot be opened."""
    options = parser("serve")
    options.add_argument("--host")
    options.add_argument("--port", type=int)
    found = options.parse_args(two_dashes(arguments))
    if found.port is not None and not 0 <= found.port <= 65_535:
        sys.stderr.write("pointsman: --port should be 0 to 65535\n")
        return USAGE
    loaded = read(found)
    given = loaded.settings
    made = not (loaded.config or given.api_keys or given.keys)
    keys = (Secret(first_key(os.environ)),) if made else ()
    origin = _origin(loaded, found, keys)
    loaded = _with_options(loaded, found, keys)
    settings = loaded.settings
    refuse_open(settings)
    # Half of the start is the next import, which makes no garbage that is worth looking for; and what
    # it leaves is there to stay, so no later collection needs to walk it.
    gc.disable()
    from proxy.app import run as serve  # heavy: only when all options are well

    gc.freeze()
    gc.enable()

    def ready(url: str) -> None:
        if made:
            models = loaded.table.listed()
            print(welcome.text(url, settings.api_keys[0].reveal(), models), flush=True)

    try:
        return serve(loaded, origin, ready=ready)
    except (OSError, ExceptionGroup) as failure:
        error = _system_error(failure)
        if error is None:
            raise
        where = f"{settings.host or 'all interfaces'}, port {settings.port}"
        reason = error.strerror or str(error)
        reason = f"{reason}: {error.filename}" if error.filename else reason
        sys.stderr.write(f"pointsman: cannot listen on {where}: {reason}\n")
        return FAILED


def _origin(first: Loaded, options: argparse.Namespace, keys: tuple[Secret, ...]) -> Origin:
    """How the configuration is read again; options win over it then, too."""
    from proxy.reload import Origin

    cwd = os.getcwd()  # noqa: PTH109  # text
    config = first.config or options.config
    names, folders = candidates(config, options.routes, first.environ, cwd)

    def reread() -> Loaded:
        return _with_options(again(first, options.routes, cwd), options, keys)

    return Origin(place=place(options.config, cwd), files=names, folders=folders, reread=reread)


def _with_options(loaded: Loaded, options: argparse.Namespace, keys: tuple[Secret, ...]) -> Loaded:
    settings = override(loaded.settings, options)
    if keys and not (loaded.config or settings.api_keys or settings.keys):
        settings = replace(settings, api_keys=keys)
    return replace(loaded, settings=settings)


def _system_error(failure: OSError | ExceptionGroup[Exception]) -> OSError | None:
    """The one refusal of the system that ended the server, out of its nurseries' groups."""
    error: Exception = failure
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error if isinstance(error, OSError) else None


def override(settings: Settings, options: argparse.Namespace) -> Settings:
    """Options win over the configuration."""
    host = settings.host if options.host is None else options.host
    port = settings.port if options.port is None else options.port
    return replace(settings, host=host, port=port)


def first_key(environ: Mapping[str, str]) -> str:
    """The key of this machine: made once, kept in the XDG state folder, readable by its owner only.

    Raises ConfigError when it can be neither read nor written.
    """
    file = folder(environ) / _KEY_FILE
    try:
        if file.is_file():
            key = file.read_bytes()[:4096].decode("ascii", "ignore").strip()
            if key:
                return key
        key = f"pm-{secrets.token_urlsafe(24)}"
        files.write(file, f"{key}\n".encode())
    except OSError as error:
        message = f"cannot keep the key of this machine: {error.strerror}"
        hint = "write a config.yaml with api-keys, or set XDG_STATE_HOME to a folder of yours"
        raise ConfigError((Problem("no-state", message, str(file), hint=hint),)) from None
    return key
