"""`pointsman restart`: asks the running server to hand its sockets to a new process, and waits for that."""

from __future__ import annotations

import os
import signal
import sys
from threading import Event
from typing import TYPE_CHECKING, Final

from proxy.cli.main import FAILED, OK, parser, two_dashes, where
from proxy.store.status import StatusFile

if TYPE_CHECKING:
    from proxy.store.status import Status

_WAIT: Final = 35.0
"""Seconds; a little more than a server waits for its successor."""
_STEP: Final = 0.1


def run(arguments: list[str]) -> int:
    """Exit status 1 when no server runs, or the old process serves on."""
    found = parser("restart").parse_args(two_dashes(arguments))
    place = where(found)
    file = StatusFile(os.environ, place)
    old = file.read()
    if old is None:
        sys.stderr.write(f"pointsman: no server runs with {place}\n")
        return FAILED
    try:
        os.kill(old.pid, signal.SIGUSR2)
    except OSError as error:
        sys.stderr.write(f"pointsman: cannot signal process {old.pid}: {error.strerror}\n")
        return FAILED
    new = _successor(file, old)
    if new is None:
        sys.stderr.write(f"pointsman: process {old.pid} did not restart in time\n")
        return FAILED
    if new.pid == old.pid:
        sys.stderr.write(f"pointsman: not restarted: {new.restart}\n")
        return FAILED
    sys.stdout.write(f"process {new.pid} serves {new.url}; {old.pid} ends its streams\n")
    return OK


def _successor(file: StatusFile, old: Status) -> Status | None:
    """The status after the restart, or after its failure; None when neither comes."""
    pause = Event()
    for _ in range(int(_WAIT / _STEP)):
        pause.wait(_STEP)
        now = file.read()
        if now is not None and (now.pid != old.pid or now.restart_at != old.restart_at):
            return now
    return None
