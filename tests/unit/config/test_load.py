"""Files and environment into settings, accounts and warnings."""

import contextlib
import hashlib
import json
import os
from pathlib import Path as FilePath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.config import env, keys
from proxy.config.diagnose import ConfigError, Report
from proxy.config.load import DEMO, read
from proxy.config.settings import is_loopback, refuse_open


def reading(folder, config=None, routes=None, environ=None):
    if config is not None:
        (folder / "config.yaml").write_text(config)
    if routes is not None:
        (folder / "routes.d").mkdir(exist_ok=True)
        for name, text in routes.items():
            (folder / "routes.d" / name).write_text(text)
    return read(None, [], {"HOME": str(folder), **(environ or {})}, str(folder))


def test_nothing_at_all_is_the_demo_on_loopback(tmp_path):
    found = reading(tmp_path)
    assert (found.settings.host, found.settings.port, found.config) == ("127.0.0.1", 8317, "")
    assert found.routes == (str(DEMO),)
    assert [u.name for u in found.declared.upstreams] == ["demo"]


def test_port_of_the_environment_and_of_the_config(tmp_path):
    assert reading(tmp_path, environ={"PORT": "9000"}).settings.port == 9000
    assert reading(tmp_path, "api-keys: [a]", environ={"PORT": "9000"}).settings.port == 9000
    assert reading(tmp_path, "port: 5\n", environ={"PORT": "9000"}).settings.port == 5


def test_a_config_without_host_listens_everywhere(tmp_path):
    found = reading(tmp_path, "api-keys: [a, a, '', b]\n").settings
    assert (found.host, found.port) == ("", 8317)
    assert [key.reveal() for key in found.api_keys] == ["a", "b"]
    refuse_open(found)


def test_keys_of_the_old_auth_block_count_when_there_are_no_others(tmp_path):
    old = "auth: {providers: [{type: config-api-key, api-keys: [old]}]}\n"
    assert [k.reveal() for k in reading(tmp_path, old).settings.api_keys] == ["old"]
    both = reading(tmp_path, old + "api-keys: [new]\n").settings.api_keys
    assert [k.reveal() for k in both] == ["new"]


def test_text_that_yaml_takes_for_a_number_stays_as_written(tmp_path):
    found = reading(tmp_path, "host: 127.0.0.1\napi-keys: [12345, 1.0, true, 010]\ndebug: yes\n")
    assert [k.reveal() for k in found.settings.api_keys] == ["12345", "1.0", "true", "010"]
    assert found.settings.debug is True


def test_settings(tmp_path):
    found = reading(
        tmp_path,
        "host: ::1\nport: 0\ntls: {enable: true, cert: c.pem, key: k.pem}\nproxy-url: socks5://p:1\n"
        "request-retry: 3\nmax-retry-interval: 30\ndisable-cooling: true\n"
        "streaming: {keepalive-seconds: 0, bootstrap-retries: 2}\n",
    ).settings
    assert (found.port, found.tls.cert, found.proxy_url) == (0, "c.pem", "socks5://p:1")
    assert (found.request_retry, found.max_retry_interval) == (3, 30)
    assert (found.disable_cooling, found.keepalive, found.bootstrap_retries) == (True, 0.0, 2)
    by_env = reading(tmp_path, "host: ::1", environ={"STREAMING_KEEPALIVE_SECONDS": "2.5"})
    assert by_env.settings.keepalive == 2.5


def sha(*parts):
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def test_ids_are_those_of_the_reference(tmp_path):
    found = reading(
        tmp_path,
        """
claude-api-key: [{api-key: ' ck '}, {api-key: ck}]
gemini-api-key: [{api-key: gk, base-url: https://g.example/}]
vertex-api-key: [{api-key: vk, base-url: https://v.example, proxy-url: http://p:1}]
openai-compatibility:
- {name: Acme, base-url: https://a.example, api-key-entries: [{api-key: ak}], models: [{name: m}]}
- {name: bare, base-url: https://b.example, models: [{name: m}]}
passthru: [{model: m, model-routing-name: r, base-url: https://p.example, protocol: claude}]
""",
    )
    ids = [account.credential.id for account in found.declared.accounts]
    assert ids == [
        f"gemini:apikey:{sha('gemini:apikey', 'gk', 'https://g.example/')}",
        f"claude:apikey:{sha('claude:apikey', 'ck', '')}",
        f"claude:apikey:{sha('claude:apikey', 'ck', '')}-1",
        f"vertex:apikey:{sha('vertex:apikey', 'vk', 'https://v.example', 'http://p:1')}",
        f"openai-compatibility:acme:{sha('openai-compatibility:acme', 'ak', 'https://a.example', '')}",
        f"openai-compatibility:bare:{sha('openai-compatibility:bare', 'https://b.example')}",
        f"passthru:claude:{sha('passthru:claude', 'r', 'https://p.example', 'm', '')}",
    ]


def test_credentials_carry_what_their_entry_says(tmp_path):
    found = reading(
        tmp_path,
        "proxy-url: http://global:1\n"
        "claude-api-key:\n- api-key: k\n  base-url: https://c.example/\n  prefix: ' /team/ '\n"
        "  headers: {' X-A ': ' 1 ', X-B: ''}\n  excluded-models: [' A* ', a*]\n"
        "- {api-key: k2, prefix: a/b, proxy-url: socks5://own:1}\n",
    ).declared.accounts
    first, second = found
    credential = first.credential
    assert credential.base_url == "https://c.example"
    assert credential.headers == (("X-A", "1"),)
    assert (credential.proxy, credential.legacy) == ("http://global:1", True)
    assert (first.prefix, first.excluded) == ("team", ("a*",))
    assert (second.prefix, second.credential.proxy) == ("", "socks5://own:1")
    assert second.credential.base_url == "https://api.anthropic.com"


def test_old_spellings_of_lists(tmp_path):
    found = reading(
        tmp_path,
        "generative-language-api-key: [g1, g2]\n"
        "openai-compatibility:\n- {name: a, base-url: https://a.example, api-keys: [x, y],"
        " models: [{name: m}]}\n",
    ).declared.accounts
    assert [a.credential.key.reveal() for a in found] == ["g1", "g2", "x", "y"]
    assert [a.group for a in found] == ["gemini", "gemini", "a", "a"]


ROUTES = [
    {"model": "Two", "protocol": "responses", "base-url": "https://env.example", "api-key": "e2"},
    {"model": "three", "base-url": "https://env.example", "api-keys": ["a", "b"], "max-tokens": 7},
    {"model": "", "base-url": "https://env.example"},
]


def test_passthru_of_file_and_environment_merge_by_routing_name(tmp_path):
    config = (
        "passthru:\n- {model: one, base-url: https://yaml.example}\n"
        "- {model: x, model-routing-name: two, base-url: https://yaml.example, api-key: y2}\n"
    )
    found = reading(tmp_path, config, environ={env.PASSTHRU: json.dumps(ROUTES)})
    accounts = found.declared.accounts
    assert [a.models[0].id for a in accounts] == ["one", "Two", "three", "three"]
    assert [a.credential.key.reveal() for a in accounts] == ["", "e2", "a", "b"]
    assert [a.credential.wire for a in accounts] == ["chat", "responses", "chat", "chat"]
    assert (accounts[2].models[0].context, accounts[2].models[0].output) == (128_000, 7)
    assert [w.message for w in found.warnings] == ["a passthru route without 'model' is left out"]
    assert (tmp_path / "config.yaml").read_text() == config


def test_passthru_of_the_environment_alone(tmp_path):
    found = reading(tmp_path, environ={env.PASSTHRU: json.dumps(ROUTES[:1])})
    assert [a.models[0].id for a in found.declared.accounts] == ["Two"]
    assert found.routes == ()


def test_dotenv_gives_way_to_the_environment(tmp_path):
    (tmp_path / ".env").write_text(
        "# comment\nexport A=1 # note\nB=\"x\\ny # no\"\nC='$d'\nPORT=1234\nE=\n"
    )
    assert reading(tmp_path).settings.port == 1234
    assert reading(tmp_path, environ={"PORT": "99"}).settings.port == 99
    text = (tmp_path / ".env").read_text()
    expected = {"A": "1", "B": "x\ny # no", "C": "$d", "PORT": "1234", "E": ""}
    assert env.dotenv("f", text, Report()) == expected


def test_routes_files_are_read_by_name_and_kind(tmp_path):
    upstream = '[upstreams.z]\nwire = "anthropic"\nbase-url = "https://z.example/"\n'
    found = reading(
        tmp_path,
        routes={
            "b.yaml": "models: {m: {to: ['z:up'], accounts: fill-first, policy: balance}}",
            "a.toml": upstream + 'keys = ["env:K", {key = "file:k.txt", weight = 3}]\n'
            'timeouts = {connect = "1500ms", idle = "2m", total = "1h"}\nlimits = {in-flight = 4}\n',
            "k.txt": "secret\nsecond\n",
            "note.md": "not read",
            ".hidden.toml": "not read",
        },
        environ={"K": "from-env"},
    )
    (z,) = found.declared.upstreams
    assert [c.key.reveal() for c in z.credentials] == ["from-env", "secret"]
    assert [c.weight for c in z.credentials] == [1, 3]
    first = z.credentials[0]
    assert (first.provider, first.wire, first.base_url) == (
        "claude",
        "anthropic",
        "https://z.example",
    )
    assert (first.timeouts.connect, first.timeouts.idle, first.in_flight) == (1.5, 120.0, 4)
    assert first.timeouts.total == 3600.0
    assert first.legacy is False
    (m,) = found.declared.routes
    assert (m.to, m.strategy, m.policy) == ((("z", "up"),), "fill-first", "balance")


def test_payload_rules_for_antigravity(tmp_path):
    text = '[[payload]]\nmodels = ["x"]\nwire = "antigravity"\nremove = ["seed"]\n'
    (rule,) = reading(tmp_path, None, {"a.toml": text}).settings.payload
    assert rule.models == (("x", "antigravity"),)


def test_payload_rules_of_both_kinds(tmp_path):
    found = reading(
        tmp_path,
        "payload:\n  default:\n  - models: [{name: 'g-*', protocol: Gemini}]\n"
        "    params: {a.b: 1, '': 2, 'x.#.y': 3}\n  override:\n  - params: {c: 1}\n",
        {"a.toml": '[[payload]]\nmodels = ["x"]\nwire = "chat"\nremove = ["seed"]\n'},
    )
    first, second = found.settings.payload
    assert (first.action, first.models, first.params) == (
        "default", (("g-*", "gemini"),), (("a.b", 1),)
    )  # fmt: skip
    assert (second.action, second.models, second.params) == (
        "remove", (("x", "chat"),), (("seed", None),)
    )  # fmt: skip
    assert len(found.warnings) == 3


def test_a_missing_file_or_folder_is_told(tmp_path):
    with pytest.raises(ConfigError) as caught:
        read("nope.yaml", ["no-folder"], {}, str(tmp_path))
    assert [problem.code for problem in caught.value.problems] == ["no-file", "no-file"]


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("127.9.9.9", True),
     ("", False), ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("my-host", False)],
)  # fmt: skip
def test_loopback(host, expected):
    assert is_loopback(host) is expected


def test_urls():
    assert keys.is_url("https://a.example:8/v1")
    for bad in ("https://u:p@a.example", "a.example", "https://", "ftp://a.example", ""):
        assert not keys.is_url(bad)


PIECES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["api-key", "api-keys", "base-url", "models", "name", "alias", "headers", "to",
                 "model", "protocol", "keys", "wire", "payload", "default", "params", "port", "tls",
                 "claude-api-key", "openai-compatibility", "passthru", "upstreams", "aliases",
                 "prefixes", "streaming", "routing", "auth", "providers", "timeouts", "limits"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=20,
)  # fmt: skip


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(PIECES, PIECES, PIECES)
def test_any_shape_is_read_or_refused(tmp_path, config, routes, passthru):
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    (tmp_path / "routes.d").mkdir(exist_ok=True)
    (tmp_path / "routes.d" / "a.yaml").write_text(json.dumps(routes))
    with contextlib.suppress(ConfigError):
        read(None, [], {env.PASSTHRU: json.dumps(passthru)}, str(tmp_path))


@pytest.mark.parametrize(
    ("word", "found"), [("never", "never"), ("allow", "allow"), (None, "allow")]
)
def test_paid_overage_is_a_setting_of_an_upstream(tmp_path, word, found):
    line = f'overage = "{word}"\n' if word else ""
    (tmp_path / "a.toml").write_text(
        f'[upstreams.u]\nwire = "chat"\nbase-url = "http://u"\nkeys = ["env:K"]\n{line}'
    )
    declared = read(None, [str(tmp_path)], {"K": "x"}, str(tmp_path)).declared
    assert [c.overage for c in declared.upstreams[0].credentials] == [found]


@pytest.mark.parametrize("refused", ["home", "work"])
def test_a_folder_that_may_not_be_entered_is_no_crash(tmp_path, monkeypatch, refused):
    """A service user whose home, or working directory, is another's."""
    (tmp_path / "work").mkdir()
    (tmp_path / "home").mkdir()
    closed, real = str(tmp_path / refused), os.stat

    def stat(path, *arguments, **more):
        if str(path).startswith(closed + "/"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **more)

    monkeypatch.setattr(os, "stat", stat)
    monkeypatch.setattr(FilePath, "stat", lambda self, **more: stat(str(self), **more))
    found = read(None, [], {"HOME": str(tmp_path / "home")}, str(tmp_path / "work"))
    assert found.settings.port == 8317
