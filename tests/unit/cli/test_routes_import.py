"""A CLIProxyAPI config as routes.d: every model goes where it went."""

from __future__ import annotations

import pytest

from proxy import __main__
from proxy.cli.routes_import import NAME
from proxy.routing.load import load

COMPAT = """
api-keys: [client]
host: 127.0.0.1
port: 9
openai-compatibility:
  - name: Zai One
    base-url: https://z.example/v4/
    headers: {X-Title: "p \\" q"}
    api-key-entries:
      - api-key: "k\\\\1"
      - {api-key: k2, proxy-url: "socks5://127.0.0.1:1080"}
    models: [{name: glm-4.7, alias: glm}, {name: glm-4.7-air}]
  - name: other
    prefix: team
    base-url: https://o.example/v1
    models: [{name: big, alias: glm}]
"""
NATIVE = """
api-keys: [client]
host: 127.0.0.1
claude-api-key:
  - api-key: c1
  - {api-key: c2, base-url: "https://relay.example"}
  - {api-key: c3, excluded-models: ["*haiku*"]}
  - {api-key: c4, models: [{name: claude-x, alias: x}]}
codex-api-key:
  - {api-key: o1, base-url: "https://api.openai.com/v1"}
gemini-api-key: [{api-key: g1}, {api-key: g2}]
vertex-api-key:
  - {api-key: v1, base-url: "https://v.example", models: [{name: gemini-2.5-pro, alias: vx}]}
"""
PASSTHRU = """
api-keys: [client]
host: 127.0.0.1
proxy-url: "http://proxy.example:3128"
passthru:
  - {model: m1, base-url: "https://a.example/v1", api-keys: [p1, p2], context-window: 5000}
  - {model: m2, protocol: claude, base-url: "https://b.example", api-key: p3, upstream-model: real}
  - {model: m1, model-routing-name: "odd name/1", protocol: codex, base-url: "https://c.example"}
payload:
  default:
    - {models: [{name: "m*", protocol: openai}, {name: x}], params: {temperature: 0.5, "a.b": [1, {c: d}]}}
  override:
    - {models: [{name: m1}], params: {seed: null, top_p: 1}}
"""
FILL = "routing: {strategy: fill-first}\n" + NATIVE
FORCED = "force-model-prefix: true\n" + COMPAT.replace(
    "prefix: team", "prefix: team\n    unused: 1"
)
ONE = "host: 127.0.0.1\nclaude-api-key: [{api-key: only}]\n"


def way(table, name):
    """Where a model goes: credentials by what upstreams see of them."""
    plan = table.resolve(name)
    found = [
        (c.credential.provider, c.credential.wire, c.credential.base_url, c.credential.key.reveal(),
         c.credential.headers, c.credential.proxy, c.model)
        for target in plan.targets
        for c in target.candidates
    ]  # fmt: skip
    effort = plan.reasoning.effort if plan.reasoning else None
    return sorted(found), effort, plan.strategy


@pytest.mark.parametrize(
    "text",
    [COMPAT, NATIVE, PASSTHRU, FILL, FORCED, ONE],
    ids=["compat", "native", "passthru", "fill-first", "forced-prefix", "one"],
)
def test_every_model_goes_where_it_went(text, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "old.yaml"
    source.write_text(text)
    assert __main__.main(["routes", "import", str(source)]) == 0
    said = capsys.readouterr().out
    made = tmp_path / "routes.d" / NAME
    assert str(made) in said
    assert made.stat().st_mode & 0o777 == 0o600
    assert "env:NAME" in made.read_text()
    none = tmp_path / "none"
    none.mkdir()
    before = load(str(source), [str(none)], {}, str(tmp_path)).table
    rest = tmp_path / "rest.yaml"
    kept = [line for line in text.splitlines() if line.startswith(("proxy-url", "routing", "host"))]
    rest.write_text("\n".join(kept))
    after = load(str(rest), [str(made)], {}, str(tmp_path))
    assert [w for w in after.warnings if "clear" not in w.message] == []  # keys, as they were
    names = [model.id for model in before.listed()]
    assert names
    for name in names:
        assert way(after.table, name) == way(before, name), name


def test_a_provider_with_its_own_list_needs_no_models(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(ONE)
    assert __main__.main(["routes", "import", "config.yaml", "--out", "made"]) == 0
    text = (tmp_path / "made" / NAME).read_text()
    assert 'provider = "claude"' in text
    assert "[models." not in text
    assert "these settings, which stay there: host" in capsys.readouterr().out


def test_limits_payload_and_what_toml_cannot_say(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(PASSTHRU)
    assert __main__.main(["routes", "import", "c.yaml"]) == 0
    said = capsys.readouterr().out
    assert "payload override of 'seed': TOML has no null" in said
    made = load("c.yaml", ["routes.d"], {}, str(tmp_path))
    rules = made.settings.payload[-3:]
    assert [(r.action, r.models) for r in rules] == [
        ("default", (("m*", "chat"),)),
        ("default", (("x", ""),)),
        ("override", (("m1", ""),)),
    ]
    assert dict(rules[0].params) == {"temperature": 0.5, "a.b": [1, {"c": "d"}]}
    listed = {model.id: model for model in made.table.listed()}
    assert (listed["m1"].context, listed["odd name/1"].output) == (5000, 32_000)


def test_nothing_is_written_over(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(ONE)
    assert __main__.main(["routes", "import", "c.yaml"]) == 0
    assert __main__.main(["routes", "import", "c.yaml"]) == 1
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "status"), [("port: x\n", 78), ("a: [", 78)])
def test_a_bad_config_is_told(text, status, tmp_path, capsys):
    (tmp_path / "c.yaml").write_text(text)
    assert __main__.main(["routes", "import", str(tmp_path / "c.yaml")]) == status
    assert f"{tmp_path / 'c.yaml'}:" in capsys.readouterr().err
    assert __main__.main(["routes", "import", str(tmp_path / "none.yaml")]) == 78
    assert __main__.main(["routes", "import"]) == 2
