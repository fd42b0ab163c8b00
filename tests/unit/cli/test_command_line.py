"""The command line: verbs, options, exit statuses; what --version imports; the key of a first start."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxy import __main__, __version__
from proxy.cli import main as cli
from proxy.cli import serve, welcome
from proxy.config.diagnose import ConfigError
from proxy.config.model import Settings

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "PORT", "PASSTHRU_MODELS_JSON"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("word", ["version", "--version", "-version", "-V"])
def test_version(word, capsys):
    assert __main__.main([word]) == 0
    assert capsys.readouterr().out == f"pointsman {__version__}\n"


@pytest.mark.parametrize(
    "words", [["--help"], ["-h"], ["help"], ["serve", "--help"], ["check", "-h"]]
)
def test_help(words, capsys):
    assert __main__.main(words) == 0
    assert "usage: pointsman" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["--version", "--help"])
def test_version_and_help_import_nothing_of_ours(word):
    code = (
        "import sys; from proxy.__main__ import main; main([sys.argv[1]]);"
        "found = sorted(m for m in sys.modules if m.startswith('proxy') or m in"
        " ('msgspec', 'trio', 'argparse', 'yaml', 'json'));"
        "sys.stderr.write(' '.join(found))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, word], cwd=ROOT, capture_output=True, text=True, check=True
    )
    allowed = {"--version": "proxy proxy.__main__"}
    assert done.stderr == allowed.get(word, "proxy proxy.__main__ proxy.cli proxy.cli.verbs")


def test_unknown_words_name_the_nearest(capsys):
    assert __main__.main(["chekc"]) == 2
    assert "did you mean 'check'" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        __main__.main(["serve", "--prot", "1"])
    assert caught.value.code == 2
    assert "did you mean --port" in capsys.readouterr().err


def test_single_dashes_of_the_reference():
    words = ["-config", "x", "-config=y", "-x", "--routes", "-5"]
    assert cli.two_dashes(words) == ["--config", "x", "--config=y", "-x", "--routes", "-5"]


def test_check_of_a_good_and_a_bad_config(folder, capsys):
    good = folder / "good.yaml"
    good.write_text("host: 127.0.0.1\nclaude-api-key: [{api-key: k}]\nprot: 1\n")
    assert __main__.main(["check", "-config", str(good)]) == 0
    said = capsys.readouterr().out
    assert f"{good}:3:1: warning: unknown key 'prot'" in said
    assert "8 models" in said
    bad = folder / "bad.yaml"
    bad.write_text("host: 127.0.0.1\nport: x\ndebug: 1\n")
    assert __main__.main(["check", "--config", str(bad)]) == 78
    assert "2 problems found" in capsys.readouterr().out
    assert __main__.main(["check", "--json", "--config", str(bad)]) == 78
    answer = json.loads(capsys.readouterr().out)
    assert [p["line"] for p in answer["problems"]] == [2, 3]
    assert __main__.main(["check", "--json", "--config", str(good)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["ok"], len(answer["models"]), len(answer["warnings"])) == (True, 8, 1)


def test_check_refuses_what_serve_refuses(folder, capsys):
    (folder / "config.yaml").write_text("port: 1\n")
    assert __main__.main(["check"]) == 78
    assert __main__.main([]) == 78
    assert "open-to-all" in capsys.readouterr().err


def test_serve_with_a_missing_config(capsys):
    assert __main__.main(["-config", "nope.yaml"]) == 78
    assert "nope.yaml: cannot be read" in capsys.readouterr().err
    assert __main__.main(["serve", "--port", "70000"]) == 2


def test_the_shipped_routes_are_well(capsys):
    assert __main__.main(["check", "--routes", str(ROOT / "routes.d")]) == 0
    assert "6 models, 0 warnings" in capsys.readouterr().out


def test_the_commented_examples_are_well(folder, capsys, monkeypatch):
    text = (ROOT / "routes.d" / "10-passthru.example.toml").read_text()
    lines = [
        line[2:]
        if line.startswith("# ") and (line[2] in '["' or line[2:].partition(" ")[0] in KEYS)
        else line
        for line in text.splitlines()
    ]
    (folder / "example.toml").write_text("\n".join(lines))
    for name in ("ZAI_KEY", "ANTHROPIC_API_KEY", "GEMINI_KEY_1", "GEMINI_KEY_2"):
        monkeypatch.setenv(name, "k")
    assert __main__.main(["check", "--json", "--routes", str(folder / "example.toml")]) == 0
    models = json.loads(capsys.readouterr().out)["models"]
    assert {"glm-4.7", "best-coder", "gemini-2.5-pro", "claude-opus-4-5-20251101"} <= set(models)


KEYS = {
    "wire", "base-url", "keys", "headers", "timeouts", "provider", "to", "context", "output",
    "policy", "models", "default", "override", "remove",
}  # fmt: skip


def test_options_win_over_the_config():
    class Options:
        host = "::1"
        port = 0

    found = serve.override(Settings(host="h", port=1), Options)
    assert (found.host, found.port) == ("::1", 0)
    Options.host = Options.port = None
    assert serve.override(Settings(host="h", port=1), Options) == Settings(host="h", port=1)


def test_the_first_key_is_kept_for_its_owner(folder):
    state = {"XDG_STATE_HOME": str(folder / "state")}
    key = serve.first_key(state)
    file = folder / "state" / "pointsman" / "api-key"
    assert len(key) > 30
    assert file.stat().st_mode & 0o777 == 0o600
    assert serve.first_key(state) == key
    assert [p.name for p in file.parent.iterdir()] == ["api-key"]


def test_no_place_for_the_key_is_a_config_error(folder):
    (folder / "state").write_text("a file")
    with pytest.raises(ConfigError, match="cannot keep the key"):
        serve.first_key({"XDG_STATE_HOME": str(folder / "state")})


def test_a_first_start_says_how_to_use_it(monkeypatch, capsys):
    def run(loaded, origin, *, ready):
        assert [k.reveal() for k in loaded.settings.api_keys] != []
        ready("http://127.0.0.1:1")
        return 0

    fake = type(sys)("proxy.app")
    fake.run = run
    monkeypatch.setitem(sys.modules, "proxy.app", fake)
    assert __main__.main([]) == 0
    said = capsys.readouterr().out
    key = serve.first_key(os.environ)
    for part in (key, "curl http://127.0.0.1:1/v1/chat", "ANTHROPIC_BASE_URL", "codex", "GEMINI_API_KEY",
                 "OPENAI_BASE_URL", '"model":"demo"'):  # fmt: skip
        assert part in said


@pytest.mark.parametrize("nurseries", [0, 2])
def test_a_port_in_use_is_told(nurseries, monkeypatch, capsys):
    error = OSError(98, "Address already in use")
    for _ in range(nurseries):
        error = ExceptionGroup("nursery", [error])

    def run(_loaded, _origin, *, ready):
        raise error

    fake = type(sys)("proxy.app")
    fake.run = run
    monkeypatch.setitem(sys.modules, "proxy.app", fake)
    assert __main__.main([]) == 1
    assert (
        "cannot listen on 127.0.0.1, port 8317: Address already in use" in capsys.readouterr().err
    )


def test_welcome_without_models():
    assert '"model":"demo"' in welcome.text("http://h", "k", ())


def test_other_failures_are_not_swallowed(monkeypatch):
    def run(_loaded, _origin, *, ready):
        raise ExceptionGroup("two", [OSError(98, "x"), ValueError("a bug")])

    fake = type(sys)("proxy.app")
    fake.run = run
    monkeypatch.setitem(sys.modules, "proxy.app", fake)
    with pytest.raises(ExceptionGroup, match="two"):
        __main__.main([])


@pytest.mark.parametrize(
    ("words", "same"),
    [(["explain", "m"], ["routes", "explain", "m"]), (["routes", "check"], ["check"])],
)
def test_second_names_of_commands(words, same, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    first = __main__.main(words), capsys.readouterr().out
    assert (__main__.main(same), capsys.readouterr().out) == first
    assert first[1]
