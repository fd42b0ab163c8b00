"""`provider = "claude"` and `"codex"`: with keys an upstream of its own, without them the accounts."""

from __future__ import annotations

import pytest

from proxy.config.declared import Account, Declared
from proxy.config.diagnose import ConfigError
from proxy.config.model import Credential, ServiceOptions
from proxy.routing.build import build
from proxy.routing.load import load


def loaded(tmp_path, routes, config=""):
    (tmp_path / "routes.d").mkdir()
    (tmp_path / "routes.d" / "a.toml").write_text(routes)
    (tmp_path / "config.yaml").write_text(f"host: 127.0.0.1\n{config}")
    return load(str(tmp_path / "config.yaml"), [], {}, str(tmp_path))


def test_without_keys_it_stands_for_the_accounts(tmp_path):
    found = loaded(
        tmp_path,
        '[upstreams.mine]\nprovider = "claude"\nwire = "anthropic"\nsystem-line = false\n'
        'proxy = "http://p:1"\nheaders = { X-A = "b" }\n'
        '[models.best]\nto = ["mine:claude-new", "codex:gpt-new"]\n',
    )
    said = ServiceOptions(system_line=False, proxy="http://p:1", headers=(("X-A", "b"),))
    assert found.account_options.service("claude") == said
    assert found.account_options.service("codex") == ServiceOptions()
    account = Account(
        credential=Credential(
            id="a.json", provider="claude", wire="anthropic", base_url="http://h", account="a.json"
        ),
        group="claude",
    )
    other = Account(
        credential=Credential(
            id="b.json", provider="codex", wire="responses", base_url="http://h", account="b.json"
        ),
        group="codex",
    )
    declared = found.declared
    table, _ = build(
        Declared(accounts=(account, other), upstreams=declared.upstreams, routes=declared.routes)
    )
    plan = table.resolve("best")
    asked = [(c.credential.id, c.model) for t in plan.targets for c in t.candidates]
    assert asked == [("a.json", "claude-new"), ("b.json", "gpt-new")]


@pytest.mark.parametrize("more", ['keys = ["k"]', 'base-url = "http://h"'])
def test_with_a_key_or_an_address_it_is_an_upstream_of_its_own(tmp_path, more):
    found = loaded(tmp_path, f'[upstreams.mine]\nprovider = "claude"\n{more}\n')
    (upstream,) = found.declared.upstreams
    assert (upstream.accounts, len(upstream.credentials)) == ("", 1)
    assert found.account_options.services == {}


def test_imitation_is_said_at_every_start(tmp_path):
    found = loaded(tmp_path, '[upstreams.codex]\nprovider = "codex"\nimitate = true\n')
    assert found.account_options.service("codex").imitate
    (warning,) = found.warnings
    assert "may break the provider's terms" in warning.message
    assert (warning.line, warning.column) == (3, 1)


@pytest.mark.parametrize(
    ("routes", "said"),
    [
        ('provider = "claude"\nkeys = ["k"]\nimitate = true', "'imitate' is for accounts"),
        ('wire = "chat"\nbase-url = "http://h"\nsystem-line = true', "'system-line' is for accounts"),
        ('provider = "codex"\nsystem-line = true', "'system-line' is not for codex"),
        ('provider = "codex"\nlimits = { in-flight = 1 }', "'limits' is not for codex"),
        ('provider = "codex"\nwire = "chat"', "provider 'codex' speaks the wire 'responses'"),
        ('provider = "claude"\nproxy = "x"', "'proxy' is no socks5, http or https URL"),
        ('provider = "claude"\nheaders = { "a b" = "c" }', "header 'a b' cannot be sent"),
        ('provider = "claude"\nimitate = "yes"', "imitate"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told(tmp_path, routes, said):
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, f"[upstreams.x]\n{routes}\n")
    assert said in str(caught.value)


def test_keys_of_config_yaml_and_accounts_are_one_group(tmp_path):
    found = loaded(
        tmp_path,
        '[models.best]\nto = ["claude:claude-new"]\n',
        "claude-api-key:\n  - api-key: k1\n",
    )
    account = Account(
        credential=Credential(
            id="a.json", provider="claude", wire="anthropic", base_url="http://h", account="a.json"
        ),
        group="claude",
    )
    declared = Declared(accounts=(*found.declared.accounts, account), routes=found.declared.routes)
    plan = build(declared)[0].resolve("best")
    assert len([c for t in plan.targets for c in t.candidates]) == 2
