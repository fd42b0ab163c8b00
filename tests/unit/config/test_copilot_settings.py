"""How Copilot accounts are configured: config.yaml, the environment, routes.d, and what wins."""

from __future__ import annotations

import pytest

from proxy import __main__
from proxy.config.copilot import FORCED
from proxy.config.diagnose import ConfigError
from proxy.config.load import read
from proxy.config.model import CopilotOptions
from proxy.routing.build import build


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))

    def run(config="", routes="", **environ):
        (tmp_path / "config.yaml").write_text(f"host: 127.0.0.1\n{config}")
        (tmp_path / "routes.d").mkdir(exist_ok=True)
        (tmp_path / "routes.d" / "a.toml").write_text(routes)
        return read(None, [], environ, str(tmp_path))

    return run


@pytest.mark.parametrize(
    ("config", "environ", "expected"),
    [
        ("", {}, {}),
        ("copilot-api-key: [{account-type: ' Business '}]", {}, {"account_type": "business"}),
        ("copilot-api-key: [{header-profile: vscode-chat}]", {}, {"header_profile": "vscode-chat"}),
        ("copilot-api-key: [{header-profile: odd}]", {}, {}),
        ("copilot-api-key: [{cli-header-models: [' GPT-5 ']}]", {}, {"cli_models": ("gpt-5",)}),
        ("copilot-api-key: [{vscode-chat-header-models: [a]}]", {}, {"vscode_models": ("a",)}),
        ("copilot-api-key: [{agent-initiator-persist: false}]", {}, {"persist": False}),
        ("copilot-api-key: [{}, {force-agent-call: true}]", {}, {"force_agent": True}),
        ("copilot-api-key: [{proxy-url: 'http://p:1'}]", {}, {"proxy": "http://p:1"}),
        ("", {"COPILOT_ACCOUNT_TYPE": "enterprise"}, {"account_type": "enterprise"}),
        ("", {"COPILOT_AGENT_INITIATOR_PERSIST": "no"}, {"persist": False}),
        ("", {"COPILOT_FORCE_AGENT_CALL": "Yes"}, {"force_agent": True}),
        (
            "copilot-api-key: [{account-type: business, force-agent-call: false}]",
            {"COPILOT_ACCOUNT_TYPE": "enterprise", "COPILOT_FORCE_AGENT_CALL": "1"},
            {"account_type": "business"},
        ),
    ],
)
def test_section_and_environment(load, config, environ, expected):
    assert load(config, **environ).declared.copilot == CopilotOptions(**expected)


def test_routes_win(load):
    found = load(
        "copilot-api-key: [{account-type: business, agent-initiator-persist: false}]",
        """
        [upstreams.work]
        provider = "copilot"
        account-type = "enterprise"
        agent-initiator-persist = true
        initiator = "turn"
        base-url = "https://copilot.test/"
        github-url = "https://ghe.test"
        github-api-url = "https://api.ghe.test"
        client-id = "Iv1.mine"
        proxy = "socks5://p:1"
        headers = { X-Mine = "1" }

        [models.best]
        to = ["work:claude-opus-4.5", "copilot"]
        """,
    )
    assert found.declared.copilot == CopilotOptions(
        account_type="enterprise",
        initiator="turn",
        base_url="https://copilot.test",
        github_url="https://ghe.test",
        github_api_url="https://api.ghe.test",
        client_id="Iv1.mine",
        proxy="socks5://p:1",
        headers=(("X-Mine", "1"),),
    )


@pytest.mark.parametrize(
    ("config", "routes", "environ", "file"),
    [
        ("copilot-api-key:\n- force-agent-call: true\n", "", {}, "config.yaml"),
        ("", '[upstreams.copilot]\nprovider="copilot"\nforce-agent-call=true\n', {}, "a.toml"),
        ("", "", {"COPILOT_FORCE_AGENT_CALL": "true"}, "environment"),
    ],
)
def test_forcing_agent_calls_is_warned_of(load, config, routes, environ, file):
    (warning,) = [w for w in load(config, routes, **environ).warnings if FORCED in w.message]
    assert warning.file.endswith(file)


def test_an_odd_account_type_is_told(load):
    found = load("copilot-api-key: [{account-type: gold}]")
    assert found.declared.copilot.account_type == "individual"
    assert any("'gold' is not known" in w.message for w in found.warnings)
    found = load(COPILOT_ACCOUNT_TYPE="gold")
    assert any("COPILOT_ACCOUNT_TYPE" in w.message for w in found.warnings)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('keys = ["x"]', "'keys' is not for Copilot"),
        ('wire = "chat"', "'wire' is not for Copilot"),
        ('account-type = "gold"', "account-type 'gold' is not known"),
        ('initiator = "always"', "one of: payload, turn"),
        ('base-url = "nope"', "'base-url' is no http or https URL"),
        ('proxy = "nope"', "'proxy' is no socks5"),
        ('headers = { "a b" = "1" }', "cannot be sent"),
    ],
)
def test_mistakes_have_their_place(load, line, said):
    with pytest.raises(ConfigError) as caught:
        load("", f'[upstreams.copilot]\nprovider = "copilot"\n{line}\n')
    assert said in str(caught.value)
    assert "a.toml:3:" in str(caught.value)


def test_its_settings_are_not_for_other_upstreams(load):
    with pytest.raises(ConfigError, match="belongs to provider"):
        load("", '[upstreams.x]\nwire="chat"\nbase-url="https://x.test"\nforce-agent-call=true\n')


def test_the_prefix_is_there_unless_it_is_defined(load):
    assert [p.text for p in load().declared.prefixes] == ["copilot-"]
    own = '[prefixes."Copilot-"]\nupstream="x"\n[upstreams.x]\nwire="chat"\nbase-url="https://x.test"\n'
    assert [p.upstream for p in load("", own).declared.prefixes] == ["x"]
    table, _ = build(load().declared)
    assert not table.knows("copilot-gpt-5")


def test_check_shows_the_models_of_account_files(load, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    load(f"auth-dir: {tmp_path}/auth\n", '[aliases]\nmine = "copilot-gpt-5"\n')
    (tmp_path / "auth").mkdir()
    (tmp_path / "auth" / "a.json").write_text('{"type": "copilot", "github_token": "gho_fake"}')
    assert __main__.main(["check"]) == 0
    said = capsys.readouterr().out
    assert "well: 42 models, 0 warnings" in said
    assert "gho_fake" not in said
