"""`pointsman serve`: options over configuration, the key of a first start, then the server."""

from __future__ import annotations

import gc
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from proxy.cli import welcome
from proxy.cli.main import FAILED, USAGE, parser, read, two_dashes
from proxy.config.diagnose import ConfigError, Problem
from proxy.config.settings import refuse_open
from proxy.secret import Secret

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from proxy.config.model import Settings

_KEY_FILE: Final = Path("pointsman") / "api-key"


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
    settings = override(loaded.settings, found)
    made = not loaded.config and not settings.api_keys
    if made:
        settings = replace(settings, api_keys=(Secret(first_key(os.environ)),))
    refuse_open(settings)
    loaded = replace(loaded, settings=settings)
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
        return serve(loaded, ready=ready)
    except (OSError, ExceptionGroup) as failure:
        error = _system_error(failure)
        if error is None:
            raise
        where = f"{settings.host or 'all interfaces'}, port {settings.port}"
        reason = error.strerror or str(error)
        reason = f"{reason}: {error.filename}" if error.filename else reason
        sys.stderr.write(f"pointsman: cannot listen on {where}: {reason}\n")
        return FAILED


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
    state = environ.get("XDG_STATE_HOME", "")
    folder = Path(state) if state else Path(environ.get("HOME", "~")).expanduser() / ".local/state"
    file = folder / _KEY_FILE
    try:
        if file.is_file():
            key = file.read_bytes()[:4096].decode("ascii", "ignore").strip()
            if key:
                return key
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = f"pm-{secrets.token_urlsafe(24)}"
        draft = file.with_name(f"{file.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as out:
            out.write(key + "\n")
        draft.replace(file)
    except OSError as error:
        message = f"cannot keep the key of this machine: {error.strerror}"
        hint = "write a config.yaml with api-keys, or set XDG_STATE_HOME to a folder of yours"
        raise ConfigError((Problem("no-state", message, str(file), hint=hint),)) from None
    return key
