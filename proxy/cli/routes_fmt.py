"""`pointsman routes fmt`: the usual layout, for the named files or all route files."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.cli.main import CONFIG, FAILED, OK, parser, two_dashes
from proxy.config.diagnose import ConfigError
from proxy.config.document import decoded
from proxy.config.edit import formatted
from proxy.config.load import candidates
from proxy.sources import Places, look
from proxy.store import files

if TYPE_CHECKING:
    import argparse


def run(arguments: list[str]) -> int:
    """Exit status 1 with --check if a file would change, or if one cannot be read or written."""
    options = parser("routes fmt")
    options.add_argument("files", nargs="*")
    options.add_argument("--check", action="store_true")
    found = options.parse_args(two_dashes(arguments))
    status = OK
    changed = 0
    names = found.files or _all(found)
    for name in names:
        try:
            data = Path(name).read_bytes()
            made = formatted(name, decoded(name, data)).encode()
            if made == data:
                continue
            changed += 1
            print(f"{name}: {'would change' if found.check else 'laid out'}")
            if not found.check:
                files.rewrite(Path(name), made)
        except OSError as error:
            sys.stderr.write(f"pointsman: {name}: {error.strerror}\n")
            status = max(status, FAILED)
        except ConfigError as error:
            sys.stderr.write(f"{error}\n")
            status = CONFIG
    if found.check and changed:
        status = status or FAILED
    if not changed and status == OK:
        print(f"{len(names)} file{'' if len(names) == 1 else 's'}, well laid out")
    return status


def _all(options: argparse.Namespace) -> list[str]:
    cwd = os.getcwd()  # noqa: PTH109  # text
    _, folders = candidates(options.config, options.routes, os.environ, cwd)
    existing = tuple(folder for folder in folders if Path(folder).exists())
    return list(look(Places(folders=existing if options.routes else existing[:1])))
