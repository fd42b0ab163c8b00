"""`pointsman status`: what the running server says of itself."""

from __future__ import annotations

import os
import sys
from time import localtime, strftime, time
from typing import TYPE_CHECKING

from proxy.cli.main import FAILED, OK, parser, two_dashes, where
from proxy.jsonio import encode
from proxy.store.status import StatusFile

if TYPE_CHECKING:
    from proxy.store.status import Status


def run(arguments: list[str]) -> int:
    """Exit status 1 when no server runs with this configuration."""
    options = parser("status")
    options.add_argument("--json", action="store_true")
    found = options.parse_args(two_dashes(arguments))
    place = where(found)
    status = StatusFile(os.environ, place).read()
    if found.json:
        answer = {"running": False, "config": place} if status is None else _fields(status)
        sys.stdout.write(encode(answer).decode() + "\n")
    elif status is None:
        sys.stdout.write(f"no server runs with {place}\n")
    else:
        sys.stdout.write(_text(status, time()))
    return FAILED if status is None else OK


def _fields(status: Status) -> dict[str, object]:
    return {
        "running": True,
        "pid": status.pid,
        "url": status.url,
        "started": status.started,
        "uptime": max(0.0, time() - status.started),
        "generation": status.generation,
        "since": status.since,
        "config": status.config,
        "routes": list(status.routes),
        "refused": status.refused or None,
        "refused_at": status.refused_at or None,
        "restart_failed": status.restart or None,
        "accounts_failing": status.troubles,
    }


def _text(status: Status, now: float) -> str:
    files = [name for name in (status.config, *status.routes) if name]
    lines = [
        f"serves      {status.url}",
        f"process     {status.pid}, for {duration(now - status.started)}",
        f"generation  {status.generation}, since {moment(status.since)}",
        f"files       {', '.join(files) or 'none, the built-in defaults hold'}",
    ]
    lines += [f"account     {name}: {why}" for name, why in sorted(status.troubles.items())]
    if status.restart:
        lines.append(f"restart     failed: {status.restart}")
    if status.refused:
        lines += [f"refused     at {moment(status.refused_at)}:", status.refused]
    return "\n".join(lines) + "\n"


def moment(at: float) -> str:
    """A Unix time as the clock on the wall shows it."""
    return strftime("%Y-%m-%d %H:%M:%S", localtime(at))


def duration(seconds: float) -> str:
    """Two units are exact enough: `3 d 4 h`, `5 min 6 s`."""
    rest = max(0, int(seconds))
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count or unit == "s":
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])
