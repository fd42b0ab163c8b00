"""What a running server tells of itself in a small file, for `status` and `restart`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from proxy.store import files
from proxy.store.xdg import folder, name_of

if TYPE_CHECKING:
    from collections.abc import Mapping


class Status(Struct, frozen=True, kw_only=True):
    """`birth` tells the process from a later one of the same number; times are Unix times."""

    pid: int
    birth: str
    url: str
    started: float
    generation: int
    since: float
    config: str
    routes: tuple[str, ...] = ()
    refused: str = ""
    """The report of the last generation if it was refused, as `check` prints it."""
    refused_at: float = 0.0
    restart: str = ""
    """Why the last restart did not come about."""
    restart_at: float = 0.0
    troubles: dict[str, str] = {}
    """Why accounts get no token, by file."""


_decoder = msgspec.json.Decoder(Status)


class StatusFile:
    """The file of one configuration. Blocking."""

    def __init__(self, environ: Mapping[str, str], config: str) -> None:
        self.path: Path = folder(environ) / "status" / f"{name_of(config)}.json"

    def write(self, status: Status) -> None:
        """Replaces it. Raises OSError."""
        files.write(self.path, msgspec.json.encode(status))

    def read(self) -> Status | None:
        """What it says, if the process that wrote it still runs."""
        try:
            found = _decoder.decode(self.path.read_bytes())
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        return found if birth_of(found.pid) == found.birth else None

    def remove(self, pid: int) -> None:
        """Takes it away if it is that process's; a successor's stays."""
        try:
            if _decoder.decode(self.path.read_bytes()).pid == pid:
                self.path.unlink()
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return


def birth_of(pid: int) -> str | None:
    """What tells a process from others that had its number; None when it does not run."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        pass
    else:
        # Field 3 is the state, field 22 the start in clock ticks; the name before them may hold anything.
        fields = stat.rpartition(b")")[2].split()
        return None if fields[0] in (b"Z", b"X") else fields[19].decode()
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(pid, 0)
    except PermissionError:
        return ""
    except (OSError, OverflowError):
        return None
    return ""
