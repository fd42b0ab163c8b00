"""A user without a home folder: neither HOME nor an entry in the list of users."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from proxy import __main__, home
from proxy.config.diagnose import ConfigError
from proxy.config.load import read
from proxy.store import xdg

LAUNCHER = Path(__file__).parents[2] / "build" / "launcher.py"


@pytest.fixture(autouse=True)
def nobody(tmp_path, monkeypatch):
    def unknown(_):
        raise KeyError("no such user")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(pwd, "getpwnam", unknown)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "AUTH_SOURCE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("host: 127.0.0.1\n")


@pytest.mark.parametrize("path", ["~", "~/x", "~nobody/x"])
def test_a_home_that_is_not_there_says_what_to_set(path):
    with pytest.raises(home.NoHome, match=f"no home folder for '{path}': set HOME, or THIS"):
        home.expand(path, "THIS")
    assert home.expand("/x/~", "THIS") == Path("/x/~")


@pytest.mark.parametrize(
    "words",
    [
        ["serve"],
        ["check"],
        ["accounts"],
        ["login", "copilot"],
        ["explain", "m"],
        ["bundle", "create"],
    ],
)
def test_commands_that_look_for_accounts(words, capsys):
    assert __main__.main(words) == 78
    told = capsys.readouterr().err
    assert told == (
        "pointsman: there is no home folder for '~/.cli-proxy-api': set HOME, or auth-dir in"
        " config.yaml to a full path\n"
    )


@pytest.mark.parametrize("words", [["serve"], ["status"], ["restart"], ["config", "log"]])
def test_commands_that_look_for_the_state(words, capsys, tmp_path):
    (tmp_path / "config.yaml").write_text(f"host: 127.0.0.1\nauth-dir: {tmp_path}\n")
    assert __main__.main(words) == 78
    told = capsys.readouterr().err
    assert told == "pointsman: there is no home folder for '~': set HOME, or XDG_STATE_HOME\n"


def test_with_both_set_nothing_is_missing(tmp_path, capsys):
    (tmp_path / "config.yaml").write_text(f"host: 127.0.0.1\nauth-dir: {tmp_path}\n")
    assert __main__.main(["check"]) == 0
    assert xdg.folder({"XDG_STATE_HOME": "/state"}) == Path("/state/pointsman")
    assert xdg.folder({"HOME": "/me"}) == Path("/me/.local/state/pointsman")


def test_a_key_in_a_file_at_home(tmp_path, monkeypatch, capsys):
    (tmp_path / "routes.d").mkdir()
    routes = '[upstreams.x]\nwire = "chat"\nbase-url = "http://x.test"\nkeys = ["file:~/key"]\n'
    (tmp_path / "routes.d" / "a.toml").write_text(routes)
    with pytest.raises(ConfigError, match="no home folder for '~/key': set HOME, or write") as told:
        read(None, [], {}, str(tmp_path))
    assert ":4:" in str(told.value)


def test_the_archive_unpacks_elsewhere(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.delenv("SHIV_ROOT", raising=False)
    code, _, start = LAUNCHER.read_text().rpartition("sys.exit(")
    assert start.startswith("start()")
    space: dict = {"__file__": str(LAUNCHER)}
    exec(compile(code, str(LAUNCHER), "exec"), space)  # it has no name to import it by
    assert list(space["roots"]()) == [str(tmp_path / f"pointsman-{os.getuid()}")]
