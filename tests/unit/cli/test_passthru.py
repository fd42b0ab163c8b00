"""`pointsman passthru`: routes.d is edited with its comments, and becomes one variable."""

from __future__ import annotations

import json

import pytest

from proxy import __main__
from proxy.config.load import read

OWN = """\
# mine
[upstreams.zai]                # stays
wire     = "chat"
base-url = "https://zai.test/v1"

[models."glm"]
to = ["zai:glm-4.7"]  # and this
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def passthru(capsys, *words):
    status = __main__.main(["passthru", *words])
    told = capsys.readouterr()
    return status, told.out, told.err


def test_add_list_env_remove(folder, capsys, monkeypatch):
    file = folder / "routes.d" / "50-passthru.toml"
    file.parent.mkdir()
    file.write_text(OWN)
    add = (
        "add",
        "big-1",
        "--base-url",
        "https://b.test/v1/",
        "--name",
        "big",
        "--key",
        "env:B_KEY",
    )
    assert passthru(capsys, *add, "--header", "X-Title=it's", "--context", "9")[0] == 0
    text = file.read_text()
    assert all(line in text.splitlines() for line in OWN.splitlines())
    assert '"it\'s"}\n\n[models."glm"]' in text
    assert 'keys = ["env:B_KEY"]' in text
    assert passthru(capsys, "list")[1].splitlines() == [
        "glm  openai  https://zai.test/v1  glm-4.7",
        "big  openai  https://b.test/v1  big-1",
    ]
    status, _, said = passthru(capsys, "env")
    assert (status, said) == (1, "pointsman: big: environment variable 'B_KEY' is not set\n")
    monkeypatch.setenv("B_KEY", "sk-b")
    monkeypatch.delenv("PASSTHRU_MODELS_JSON", raising=False)
    line = passthru(capsys, "env")[1]
    assert line.startswith("PASSTHRU_MODELS_JSON='[")
    value = line.partition("=")[2].strip()[1:-1].replace("'\\''", "'")
    assert json.loads(value)[1] == {
        "model": "big-1",
        "model-routing-name": "big",
        "protocol": "openai",
        "base-url": "https://b.test/v1",
        "api-key": "sk-b",
        "headers": {"X-Title": "it's"},
        "context-window": 9,
    }
    (folder / "empty").mkdir()
    found = read(None, [str(folder / "empty")], {"PASSTHRU_MODELS_JSON": value}, str(folder))
    assert {a.models[0].id for a in found.declared.accounts} == {"glm", "big"}
    assert passthru(capsys, "remove", "big")[0] == 0
    assert file.read_text().split() == OWN.split()


@pytest.mark.parametrize("protocol", ["openai", "codex", "claude", "gemini"])
def test_each_protocol_makes_a_file_that_the_server_reads(folder, capsys, protocol):
    words = ("add", "m:1", "--base-url", "https://x.test", "--protocol", protocol)
    assert passthru(capsys, *words)[0] == 0
    found = read(None, [str(folder / "routes.d")], {}, str(folder))
    assert [route.id for route in found.declared.routes] == ["m:1"]
    assert json.loads(passthru(capsys, "list", "--json")[1])[0]["protocol"] == protocol


def test_a_name_twice_is_refused_unless_it_is_replaced(folder, capsys):
    words = ("add", "m", "--base-url", "https://x.test")
    assert passthru(capsys, *words)[0] == 0
    status, _, said = passthru(capsys, *words)
    assert status == 1
    assert "--replace" in said
    words = ("add", "m", "--base-url", "https://y.test", "--replace")
    assert passthru(capsys, *words)[0] == 0
    assert "https://y.test" in passthru(capsys, "list")[1]


def test_what_the_server_could_not_read_is_taken_back(folder, capsys):
    folder.joinpath("routes.d").mkdir()
    (folder / "routes.d" / "10-mine.toml").write_text('[models.m]\nto = ["x"]\n[upstreams.x]\nwire = "chat"\nbase-url = "https://x.test"\n')  # fmt: skip
    status, _, said = passthru(capsys, "add", "m", "--base-url", "https://y.test")
    assert status == 78
    assert "defined twice" in said
    assert not (folder / "routes.d" / "50-passthru.toml").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("--base-url", "ftp://x"),
        ("--base-url", "https://x.test", "--header", "novalue"),
        ("--base-url", "https://x.test", "--proxy", "nope"),
    ],
)
def test_wrong_options(folder, capsys, words):
    status, _, said = passthru(capsys, "add", "m", *words)
    assert status == 2
    assert said.count("\n") == 1


def test_what_stands_elsewhere_is_in_the_variable_itself(folder, capsys, monkeypatch):
    add = ("add", "m", "--base-url", "https://b.test", "--proxy", "http://p.test:1")
    assert passthru(capsys, *add, "--header", "X-Team=env:TEAM")[0] == 0
    file = folder / "routes.d" / "50-passthru.toml"
    file.write_text(file.read_text().replace("http://p.test:1", "env:PROXY"))
    assert passthru(capsys, "env", "--json")[::2] == (
        1,
        "pointsman: m: environment variable 'PROXY' is not set\n",
    )
    monkeypatch.setenv("TEAM", "blue")
    monkeypatch.setenv("PROXY", "http://p.test:2")
    (told,) = json.loads(passthru(capsys, "env", "--json")[1])
    assert (told["headers"], told["proxy-url"]) == ({"X-Team": "blue"}, "http://p.test:2")


def test_removing_what_is_not_there(folder, capsys):
    assert passthru(capsys, "remove", "x")[0] == 1


def test_an_upstream_that_another_model_uses_stays(folder, capsys):
    file = folder / "r.toml"
    file.write_text(OWN + '\n[models."glm-too"]\nto = ["zai:glm-4.7"]\n')
    assert passthru(capsys, "remove", "glm", "--file", str(file))[0] == 0
    assert "[upstreams.zai]" in file.read_text()
