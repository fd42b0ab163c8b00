"""`routes list`, `explain`, `fmt`, and `completion`."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from datetime import datetime

import pytest

from proxy import __main__
from proxy.cli import completion
from proxy.cli.main import parser
from proxy.cli.verbs import BY_NAME, VERBS, groups, help_of, overview

ROUTES = """
[upstreams.zai]
wire = "anthropic"
base-url = "https://z.example"
keys = ["secret-one", "secret-two"]
[upstreams.local]
wire = "chat"
base-url = "http://127.0.0.1:9/v1"
[models.best]
to = ["zai:glm", "local:q"]
[aliases]
"x-*" = "best"
[[payload]]
models = ["glm"]
override = { temperature = 0.5 }
remove = ["top_p"]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    (tmp_path / "routes.d").mkdir()
    (tmp_path / "routes.d" / "10.toml").write_text(ROUTES)
    (tmp_path / "list.json").write_text("[]")
    return tmp_path


def test_list(folder, capsys):
    assert __main__.main(["routes", "list"]) == 0
    assert "best  failover  zai:glm (2 keys), local:q" in capsys.readouterr().out
    assert __main__.main(["routes", "list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found[0]["targets"] == ["zai:glm (2 keys)", "local:q"]


def test_explain(folder, capsys):
    assert __main__.main(["routes", "explain", "x-1(high)"]) == 0
    said = capsys.readouterr().out
    for part in (
        "asked     x-1(high), over chat",
        "thinking  effort high, from the suffix of the name",
        "model     best, policy failover",
        "1 zai: routes:zai:",
        "call    POST https://z.example/v1/messages",
        "wire    anthropic, translated",
        "edit    override temperature = 0.5",
        "edit    remove top_p",
        "3 local: routes:local:",
        "wire    chat, as it came",
    ):
        assert part in said
    assert "secret" not in said


def test_explain_a_request(folder, capsys):
    body = {
        "model": "best",
        "stream": True,
        "seed": 7,
        "messages": [{"role": "user", "content": "a"}],
    }
    (folder / "body.json").write_text(json.dumps(body))
    assert __main__.main(["routes", "explain", "--request", "body.json", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["asked"], found["stream"], len(found["digest"])) == ("best", True, 16)
    assert any(lost.startswith("seed") for lost in found["choices"][0]["lost"])
    assert found["choices"][2]["lost"] == []
    assert __main__.main(["routes", "explain", "x-9", "--request", "body.json"]) == 0
    assert "asked     x-9, over chat, for a stream" in capsys.readouterr().out


@pytest.mark.parametrize("surface", ["chat", "responses", "anthropic", "gemini"])
def test_explain_over_every_surface(surface, folder, capsys):
    assert __main__.main(["routes", "explain", "best", "--surface", surface]) == 0
    said = capsys.readouterr().out
    assert f"over {surface}" in said
    assert "cannot be asked" not in said


def test_explain_with_a_state(folder, capsys):
    assert __main__.main(["routes", "explain", "best", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)["choices"][0]["credential"]
    rest = {"credential": first, "scope": "model:glm", "word": "quota", "firm": True}
    until = datetime.fromisoformat("2026-01-31T15:00").timestamp()
    state = {"version": 1, "cooldowns": [{**rest, "until": until}]}
    (folder / "state.json").write_text(json.dumps(state))
    words = ["routes", "explain", "best", "--state", "state.json", "--json", "--at"]
    assert __main__.main([*words, "2026-01-31T14:30"]) == 0
    choices = json.loads(capsys.readouterr().out)["choices"]
    assert choices[0]["credential"] != first
    assert [(c["credential"], c["position"]) for c in choices][-1] == (first, 0)
    assert __main__.main([*words, "2026-01-31T15:00"]) == 0
    assert json.loads(capsys.readouterr().out)["choices"][0]["credential"] == first


@pytest.mark.parametrize(
    ("words", "status", "part"),
    [
        (["nope"], 1, ""),
        ([], 2, "needs a MODEL"),
        (["--request", "none.json"], 2, "none.json: No such file"),
        (["m", "--header", "broken"], 2, "NAME:VALUE"),
        (["m", "--state", "routes.d/10.toml"], 2, "10.toml: JSON is malformed"),
        (["m", "--state", "list.json"], 2, "no snapshot of accounts"),
        (["m", "--at", "noon"], 2, "should be 14:30"),
        (["m", "--request", "routes.d/10.toml"], 2, "no JSON object"),
    ],
)
def test_explain_says_what_is_wrong(words, status, part, folder, capsys):
    assert __main__.main(["routes", "explain", *words]) == status
    said = capsys.readouterr()
    assert part in said.err
    assert status == 2 or "refused   404: unknown provider" in said.out


UNTIDY = """

# head
[upstreams.zai]
wire="chat"
   base-url   =   "http://x"   # why
keys = [ "a",   \n   "b" ] # tail#

# about best
[models.best]
to=["zai"]#c



[models."a=b"] # d
to = ["zai"]
description = '''
  text  \n
  x=1'''
"""
TIDY = """\
# head
[upstreams.zai]
wire = "chat"
base-url   = "http://x"   # why
keys = [ "a",
   "b" ] # tail#

# about best
[models.best]
to = ["zai"]  #c

[models."a=b"] # d
to = ["zai"]
description = '''
  text  \n
  x=1'''
"""
YAML = """\
# top
upstreams:
   zai:
      wire: chat   # w
      base-url: 'http://x'
      keys: ["a", b]
models:
   "best":
     to:
     - zai   # z
# end
"""


def test_fmt(folder, capsys):
    (folder / "a.toml").write_text(UNTIDY)
    (folder / "b.yaml").write_text(YAML)
    names = ["a.toml", "b.yaml"]
    assert __main__.main(["routes", "fmt", "--check", *names]) == 1
    assert (folder / "a.toml").read_text() == UNTIDY
    assert __main__.main(["routes", "fmt", *names]) == 0
    assert (folder / "a.toml").read_text() == TIDY
    text = (folder / "b.yaml").read_text()
    assert "  zai:\n    wire: chat     # w\n    base-url: 'http://x'\n" in text
    assert text.startswith("# top\n")
    assert text.endswith("# end\n")
    assert capsys.readouterr().out.count("laid out") == 2
    assert __main__.main(["routes", "fmt", "--check", *names]) == 0
    assert __main__.main(["routes", "fmt", "--check"]) == 1  # routes.d/10.toml lacks blank lines
    assert __main__.main(["routes", "fmt"]) == 0
    assert __main__.main(["routes", "fmt", "--check"]) == 0


def test_fmt_leaves_what_it_cannot_read(folder, capsys):
    (folder / "a.toml").write_text("a = = 1\n")
    assert __main__.main(["routes", "fmt", "a.toml", "none.toml"]) == 78
    said = capsys.readouterr().err
    assert "a.toml:1:" in said
    assert "none.toml: No such file" in said
    assert (folder / "a.toml").read_text() == "a = = 1\n"


@pytest.mark.parametrize(
    "words", [["routes"], ["routes", "lst"], ["completion", "tcsh"], ["confg", "log"]]
)
def test_wrong_words_are_told(words, capsys):
    assert __main__.main(words) == 2
    assert capsys.readouterr().err.startswith("pointsman: ")


def test_every_command_runs_and_has_help():
    text = overview()
    for first, seconds in groups().items():
        assert f"  {first}" in text
        if first not in {"version", "help"}:
            __import__(f"proxy.cli.{first}")
        for second in seconds:
            assert f"usage: pointsman {first} {second}" in help_of([first])
    for verb in VERBS:
        assert help_of(verb.name.split()).startswith(f"usage: pointsman {verb.name}")
    assert help_of([]) == help_of(["nonsense"]) == text


@pytest.mark.parametrize("name", [v.name for v in VERBS if v.options and v.name != "transcode"])
def test_help_names_the_options_that_there_are(name, capsys):
    """An option of the table that its command does not take would be refused by name."""
    if any(option.name == "--config" for option in BY_NAME[name].options):
        parser(name).parse_args(["--config", "x", "--routes", "y"])
    for option in BY_NAME[name].options:
        words = [*name.split(), option.name]
        with contextlib.suppress(SystemExit):
            __main__.main(words)
        assert "unrecognized" not in capsys.readouterr().err


def test_completion_scripts(capsys):
    for shell in ("bash", "zsh", "fish"):
        assert __main__.main(["completion", shell]) == 0
        said = capsys.readouterr().out
        for verb in VERBS:
            assert all(word in said for word in verb.name.split())
            assert all(option.name.removeprefix("--") in said for option in verb.options)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ro"], "routes"),
        (["routes", ""], "list explain import fmt"),
        (["routes", "explain", "--s"], "--surface --state"),
        (["routes", "explain", "--surface", "a"], "anthropic"),
        (["check", "--j"], "--json"),
        (["completion", "f"], "fish"),
        (["serve", "--config", "/etc/host"], "/etc/hosts"),
    ],
)
def test_bash_completes(words, expected):
    code = (
        f'{completion.bash()}\nCOMP_WORDS=(pointsman "$@"); COMP_CWORD=$#; _pointsman;'
        ' echo "${COMPREPLY[*]}"'
    )
    done = subprocess.run(
        ["bash", "-c", code, "bash", *words], capture_output=True, text=True, check=True
    )
    assert expected in done.stdout.strip()
    assert done.stderr == ""


def test_help_is_quick_to_import():
    code = (
        "import sys; from proxy.__main__ import main; main(['help', 'routes']);"
        "sys.stderr.write(' '.join(sorted(m for m in sys.modules if m.startswith('proxy'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "proxy proxy.__main__ proxy.cli proxy.cli.verbs"


def test_second_names_have_the_help_of_the_first():
    assert help_of(["explain"]) == help_of(["routes", "explain"])
    assert help_of(["routes", "check"]) == help_of(["check"])
    assert help_of(["explain"]).startswith("usage: pointsman routes explain")
