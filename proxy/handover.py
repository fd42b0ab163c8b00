"""A restart that no client notices: the new process inherits the listening sockets, says when it is
ready, and only then the old one stops accepting.

The sockets are named in the environment of the new process, as `host|port|fd,fd`; its word comes
through a pipe.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

SOCKETS: Final = "POINTSMAN_SOCKETS"
READY: Final = "POINTSMAN_READY"
WAIT: Final = 30.0
"""Seconds that the new process has until it serves."""
_WORD: Final = b"ready"


class HandOverError(Exception):
    """The new process does not serve; the old one goes on."""


class Inherited:
    """What an old process left to this one: its sockets, and the pipe that waits for our word."""

    def __init__(self, place: str, sockets: list[socket.socket], pipe: int) -> None:
        self._place = place
        self._sockets = sockets
        self._pipe = pipe

    def sockets_for(self, host: str, port: int) -> list[socket.socket]:
        """The sockets, if they are the ones that the configuration asks for; else none, and closed."""
        found, self._sockets = self._sockets, []
        if self._place == f"{host}|{port}":
            return found
        for sock in found:
            sock.close()
        return []

    def tell(self) -> None:
        """We serve: the old process may go."""
        try:
            os.write(self._pipe, _WORD)
        except OSError:  # it is gone already
            pass
        finally:
            os.close(self._pipe)


def inherited(environ: MutableMapping[str, str]) -> Inherited | None:
    """What is left to this process, once: its own children shall not find it."""
    named, pipe = environ.pop(SOCKETS, ""), environ.pop(READY, "")
    place, _, numbers = named.rpartition("|")
    if not place or not pipe.isdecimal():
        return None
    sockets: list[socket.socket] = []
    try:
        for number in numbers.split(","):
            sock = socket.socket(fileno=int(number))
            sock.set_inheritable(False)
            sock.setblocking(False)
            sockets.append(sock)
        os.set_inheritable(int(pipe), False)
    except (OSError, ValueError):
        # Not from a process of ours: a stale variable must not stop a start.
        return None
    return Inherited(place, sockets, int(pipe))


async def hand_over(host: str, port: int, sockets: Sequence[socket.socket]) -> int:
    """Starts this program anew with the sockets, and answers its process id once it serves.

    Raises HandOverError when it does not; it is then ended.
    """
    if os.getpid() == 1:
        raise HandOverError("this is process 1: its end would stop the container; restart that")
    read, write = os.pipe()
    numbers = [sock.fileno() for sock in sockets]
    named = f"{host}|{port}|{','.join(map(str, numbers))}"
    try:
        process = await trio.to_thread.run_sync(_start, named, [*numbers, write], write)
    except OSError as error:
        os.close(read)
        raise HandOverError(f"cannot start: {error.strerror}") from None
    finally:
        os.close(write)
    word = b""
    with trio.move_on_after(WAIT):
        async with trio.lowlevel.FdStream(read) as pipe:
            word = await pipe.receive_some(len(_WORD))
    if word == _WORD:
        return process.pid
    status = await trio.to_thread.run_sync(_end, process)
    raise HandOverError(
        f"the new process ended with status {status}"
        if status >= 0
        else f"the new process did not serve within {WAIT:.0f} s"
    )


def _start(named: str, descriptors: list[int], pipe: int) -> subprocess.Popen[bytes]:
    environ = {**os.environ, SOCKETS: named, READY: str(pipe)}
    command = [sys.executable, *sys.orig_argv[1:]]
    return subprocess.Popen(command, env=environ, pass_fds=descriptors)  # noqa: S603  # our own


def _end(process: subprocess.Popen[bytes]) -> int:
    """Its exit status; negative when it had to be ended."""
    try:
        return process.wait(1)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return -1
