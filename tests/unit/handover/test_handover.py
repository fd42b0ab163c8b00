"""What a process inherits, and what it makes of it."""

from __future__ import annotations

import os
import socket

import pytest

from proxy import handover
from proxy.handover import READY, SOCKETS, HandOverError, hand_over, inherited


@pytest.fixture
def left():
    """(environment, listening socket, our end of the pipe) as an old process leaves them."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    read, write = os.pipe()
    descriptor = os.dup(listener.fileno())
    environ = {SOCKETS: f"127.0.0.1|80|{descriptor}", READY: str(write), "OTHER": "1"}
    yield environ, listener, read
    listener.close()
    os.close(read)


def test_sockets_are_taken_once(left):
    environ, listener, read = left
    found = inherited(environ)
    assert environ == {"OTHER": "1"}
    (sock,) = found.sockets_for("127.0.0.1", 80)
    assert sock.getsockname() == listener.getsockname()
    assert not sock.get_inheritable()
    assert not sock.getblocking()
    found.tell()
    assert os.read(read, 10) == b"ready"
    sock.close()


def test_sockets_of_another_address_are_closed(left):
    environ, _, _ = left
    descriptor = int(environ[SOCKETS].rpartition("|")[2])
    found = inherited(environ)
    assert found.sockets_for("127.0.0.1", 81) == []
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(descriptor)
    found.tell()


def test_a_word_to_nobody_is_no_error(left):
    environ, _, _ = left
    read, write = os.pipe()
    os.close(int(environ[READY]))
    os.close(read)
    found = inherited({**environ, READY: str(write)})
    for sock in found.sockets_for("127.0.0.1", 80):
        sock.close()
    found.tell()


@pytest.mark.parametrize(
    "environ",
    [{}, {SOCKETS: "h|1|3"}, {SOCKETS: "h|1|99999", READY: "4"}, {SOCKETS: "x", READY: "4"}],
)
def test_stale_variables_are_ignored(environ):
    assert inherited(environ) is None
    assert environ == {}


async def test_process_1_is_not_replaced(monkeypatch):
    monkeypatch.setattr(handover.os, "getpid", lambda: 1)
    with pytest.raises(HandOverError, match="container"):
        await hand_over("h", 1, [])


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise SystemExit(78)", "ended with status 78"),
        ("import time; time.sleep(60)", "did not serve"),
    ],
)
async def test_a_successor_that_does_not_serve(code, reason, monkeypatch):
    monkeypatch.setattr(handover.sys, "orig_argv", ["python", "-c", code])
    monkeypatch.setattr(handover, "WAIT", 0.5)
    with pytest.raises(HandOverError, match=reason):
        await hand_over("h", 1, [])


async def test_a_program_that_is_gone(monkeypatch):
    monkeypatch.setattr(handover.sys, "executable", "/nowhere/python")
    with pytest.raises(HandOverError, match="No such file"):
        await hand_over("h", 1, [])
