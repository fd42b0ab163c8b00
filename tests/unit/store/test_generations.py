"""The history of configurations, and the status file."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from proxy.store.generations import KEPT, Generations
from proxy.store.status import Status, StatusFile, birth_of
from proxy.store.xdg import folder, name_of


def generations(tmp_path, config="/etc/config.yaml"):
    return Generations({"XDG_STATE_HOME": str(tmp_path)}, config)


def test_the_state_folder(tmp_path):
    assert folder({"XDG_STATE_HOME": "/s"}).parts == ("/", "s", "pointsman")
    assert folder({"HOME": "/h"}).parts == ("/", "h", ".local", "state", "pointsman")
    assert name_of("/a") != name_of("/b")


def test_generations_are_numbered_and_kept_for_their_owner(tmp_path):
    kept = generations(tmp_path)
    assert kept.latest() is None
    assert kept.numbers() == []
    assert kept.add({"/c": b"\xff1"}, "d1", "start", 5.0) == 1
    assert kept.add({"/c": b"2"}, "d2", "watch", 6.0) == 2
    assert kept.add({"/c": b"2"}, "d2", "hangup", 7.0) == 2
    assert kept.read(1).texts == {"/c": b"\xff1"}
    assert [g.source for g in kept.all()] == ["start", "watch"]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in kept.folder.iterdir())
    assert generations(tmp_path, "/other").numbers() == []


def test_twenty_are_kept(tmp_path):
    kept = generations(tmp_path)
    for number in range(KEPT + 5):
        kept.add({}, str(number), "watch", 0.0)
    assert kept.numbers() == list(range(6, KEPT + 6))


def test_a_damaged_file_is_passed_over(tmp_path):
    kept = generations(tmp_path)
    kept.add({}, "d1", "start", 0.0)
    kept.add({}, "d2", "watch", 0.0)
    (kept.folder / "000002.json").write_bytes(b"{")
    (kept.folder / "notes.json").write_bytes(b"")
    assert kept.read(2) is None
    assert kept.latest().number == 1
    assert kept.add({}, "d3", "watch", 0.0) == 3


def status(pid, birth):
    return Status(pid=pid, birth=birth, url="u", started=1.0, generation=1, since=1.0, config="/c")


def test_the_status_of_a_process_that_runs(tmp_path):
    file = StatusFile({"XDG_STATE_HOME": str(tmp_path)}, "/c")
    assert file.read() is None
    own = status(os.getpid(), birth_of(os.getpid()))
    file.write(own)
    assert file.read() == own
    assert file.path.stat().st_mode & 0o777 == 0o600
    file.remove(os.getpid() + 1)
    assert file.read() == own
    file.remove(os.getpid())
    assert file.read() is None
    file.remove(os.getpid())


def test_a_dead_or_foreign_process_is_no_server(tmp_path):
    file = StatusFile({"XDG_STATE_HOME": str(tmp_path)}, "/c")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for found in (status(ended.pid, "1"), status(os.getpid(), "another birth"), status(2**40, "")):
        file.write(found)
        assert file.read() is None
    file.path.write_text("{")
    assert file.read() is None


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"pid": 1, "url": "\xff"}', b"\xff"])
def test_damaged_bytes_are_no_crash(tmp_path, damage):
    kept = generations(tmp_path)
    kept.add({}, "d1", "start", 0.0)
    kept._file(1).write_bytes(damage.replace(b"pid", b"number").replace(b"url", b"source"))
    assert kept.latest() is None
    assert kept.add({}, "d2", "start", 0.0) == 2
    file = StatusFile({"XDG_STATE_HOME": str(tmp_path)}, "/etc/config.yaml")
    file.path.parent.mkdir(parents=True)
    file.path.write_bytes(damage)
    assert file.read() is None
    file.remove(os.getpid())
