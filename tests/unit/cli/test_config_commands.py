"""`config log | diff | undo`, `status`, `restart`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from time import time

import pytest

from proxy import __main__
from proxy.cli import restart
from proxy.cli.status import duration
from proxy.config.load import place
from proxy.config.mask import masked
from proxy.sources import digest
from proxy.store.generations import Generations
from proxy.store.status import Status, StatusFile, birth_of

CONFIG = "host: 127.0.0.1\nport: 1\napi-keys:\n  - top-secret-{n}\n"


class World:
    """A folder with a config, and its history as a server would have left it."""

    def __init__(self, folder):
        self.config = folder / "config.yaml"
        self.routes = folder / "routes.d"
        self.routes.mkdir()
        self.place = place(None, str(folder))
        self.kept = Generations(os.environ, self.place)
        self.file = StatusFile(os.environ, self.place)

    @property
    def texts(self):
        paths = [self.config, *sorted(self.routes.iterdir())]
        return {str(path): path.read_bytes() for path in paths}

    def serve(self, n, **routes):
        """A generation that was accepted."""
        self.config.write_text(CONFIG.format(n=n))
        for path in self.routes.iterdir():
            path.unlink()
        for name, text in routes.items():
            (self.routes / f"{name}.toml").write_text(text)
        self.kept.add(self.texts, digest(self.texts), "watch", time())

    def run(self, pid=None, **more):
        """A status file of a process that runs."""
        pid = pid or os.getpid()
        found = Status(
            pid=pid, birth=birth_of(pid) or "", url="http://here", started=time() - 3700,
            generation=2, since=time(), config=str(self.config), **more,
        )  # fmt: skip
        self.file.write(found)
        return found


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "config.yaml").write_text(CONFIG.format(n=0))
    return World(tmp_path)


def test_log(world, capsys):
    assert __main__.main(["config", "log"]) == 0
    assert "no server has served" in capsys.readouterr().out
    world.serve(1)
    world.serve(2, a="# a\n")
    world.run()
    assert __main__.main(["config", "log"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("*    2  ")
    assert lines[0].endswith("2 files")
    assert lines[1].startswith("     1  ")
    assert __main__.main(["config", "log", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(g["number"], g["source"], g["serving"]) for g in found] == [
        (2, "watch", True),
        (1, "watch", False),
    ]


def test_diff_of_the_last_change_masks_keys(world, capsys):
    world.serve(1)
    world.serve(2, a="# a\n")
    assert __main__.main(["config", "diff"]) == 0
    said = capsys.readouterr().out
    assert f"--- {world.config}\n+++ the same but for what is masked" in said
    assert f"+++ {world.routes / 'a.toml'} (generation 2)" in said
    assert "+# a" in said
    assert "/dev/null" in said
    assert "top-secret" not in said


def test_diff_to_the_files_as_they_are(world, capsys):
    world.serve(1)
    world.serve(2)
    world.config.write_text(CONFIG.format(n=2).replace("port: 1", "port: 5"))
    for words in ([], ["1"], ["2"]):
        assert __main__.main(["config", "diff", *words]) == 0
        said = capsys.readouterr().out
        assert "(the files as they are)" in said
        assert "-port: 1\n+port: 5\n" in said
    assert __main__.main(["config", "diff", "1", "2"]) == 0
    assert "port" not in capsys.readouterr().out
    assert __main__.main(["config", "diff", "7"]) == 1
    assert "generation 7 is not in the history" in capsys.readouterr().err
    assert __main__.main(["config", "diff", "1", "2", "3"]) == 2


def test_undo_and_undo_again(world, capsys):
    world.serve(1, a="# a\n")
    first = world.texts
    world.serve(2, b="# b\n")
    second = world.texts
    world.config.chmod(0o640)
    assert __main__.main(["config", "undo"]) == 0
    assert "those of generation 1" in capsys.readouterr().out
    assert world.texts == first
    assert world.config.stat().st_mode & 0o777 == 0o640
    assert __main__.main(["config", "undo"]) == 0
    assert world.texts == second
    assert [g.source for g in world.kept.all()] == ["watch", "watch", "undo", "undo"]


def test_undo_keeps_what_was_never_served(world, capsys):
    world.serve(1)
    good = world.texts
    world.config.write_text("broken: [\n")
    assert __main__.main(["config", "undo"]) == 0
    assert world.texts == good
    kept = world.kept.all()
    assert [g.source for g in kept] == ["watch", "edited", "undo"]
    assert __main__.main(["config", "undo", "2"]) == 0
    assert world.config.read_text() == "broken: [\n"
    capsys.readouterr()


def test_undo_without_history(world, capsys):
    assert __main__.main(["config", "undo"]) == 1
    assert __main__.main(["config", "undo", "5"]) == 1
    assert "generation 5 is not in the history" in capsys.readouterr().err


def test_status(world, capsys):
    assert __main__.main(["status"]) == 1
    assert "no server runs" in capsys.readouterr().out
    world.run(
        refused="config.yaml:1:1: no", refused_at=time(), troubles={"a.json": "GitHub answered 502"}
    )
    assert __main__.main(["status"]) == 0
    said = capsys.readouterr().out
    for part in ("http://here", "for 1 h 1 min", "generation  2", "refused", "config.yaml:1:1: no"):
        assert part in said
    assert "account     a.json: GitHub answered 502\n" in said
    assert __main__.main(["status", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["running"], found["pid"], found["restart_failed"]) == (True, os.getpid(), None)
    assert found["accounts_failing"] == {"a.json": "GitHub answered 502"}


def test_duration():
    assert [duration(s) for s in (0, 61, 3600, 90_000)] == [
        "0 s",
        "1 min 1 s",
        "1 h 0 s",
        "1 d 1 h",
    ]


def sleeper():
    """A process that ends at USR2."""
    return subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])


def test_restart_waits_for_the_successor(world, capsys, monkeypatch):
    assert __main__.main(["restart"]) == 1
    old = sleeper()
    world.run(old.pid)
    real = os.kill

    def kill(pid, number):
        if number == signal.SIGUSR2:
            real(pid, number)
            old.wait()
            world.run()

    monkeypatch.setattr(restart.os, "kill", kill)
    assert __main__.main(["restart"]) == 0
    assert f"process {os.getpid()} serves http://here; {old.pid} ends" in capsys.readouterr().out


def test_restart_tells_why_not(world, capsys, monkeypatch):
    world.run()
    monkeypatch.setattr(
        restart.os, "kill", lambda *_: world.run(restart="it did not like it", restart_at=1.0)
    )
    assert __main__.main(["restart"]) == 1
    assert "not restarted: it did not like it" in capsys.readouterr().err
    monkeypatch.setattr(restart, "_WAIT", 0.2)
    monkeypatch.setattr(restart.os, "kill", lambda *_: None)
    assert __main__.main(["restart"]) == 1
    assert "did not restart in time" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("c.yaml", "api-keys:\n  - SECRET\n  - 'SECRET'\n"),
        ("c.yaml", "claude-api-key:\n  - {api-key: SECRET, headers: {X-Api-Key: SECRET}}\n"),
        ("c.yaml", "remote-management:\n  secret-key: SECRET\n"),
        ("c.yaml", "grok-api-key: [{sso-token: SECRET, cf-clearance: SECRET}]\n"),
        ("c.yaml", "proxy-url: socks5://user:SECRET@host:1\n"),
        ("c.yaml", "api-keys: [\n  SECRET\n"),
        ("c.yaml", "api-keys:\n  - SECRET\n  - 'SECRET'\nport: [\n"),
        ("r.toml", 'keys = [\n  "SECRET",\n'),
        ("r.toml", 'keys = [\n  "SECRET",\n  { key = "SECRET", weight = 2 },\n]\n'),
        ("r.toml", 'headers = { Authorization = "Bearer SECRET" }\n'),
    ],
)
def test_masks(file, text):
    secret = "hunter-two-value"
    shown = masked(file, text.replace("SECRET", secret))
    assert secret not in shown
    assert shown.count("\n") == text.count("\n")


def test_what_is_no_secret_stays():
    text = 'keys = ["env:ZAI_KEY", "abc"]\nbase-url = "https://x.example/abcd"\nname = "abc-d"\n'
    assert masked("r.toml", text) == text.replace('"abc"]', '"***"]')
    limits = '[keys.alice]\nkey = "env:K"\nmodels = ["m"]\nlimits = { requests = "60/1m" }\n'
    assert masked("r.toml", limits) == limits
    broken = "port: 1\n[upstreams.x]\nurl = [\n"
    assert masked("r.toml", broken) == broken.replace("1", "*")
