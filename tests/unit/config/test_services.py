"""How accounts of Qwen and iFlow are configured: routes.d, the environment, and what is refused."""

from __future__ import annotations

import pytest

from proxy.config.diagnose import ConfigError
from proxy.config.load import read
from proxy.config.model import ServiceOptions
from proxy.secret import Secret


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))

    def run(routes="", **environ):
        (tmp_path / "config.yaml").write_text("host: 127.0.0.1\n")
        (tmp_path / "routes.d").mkdir(exist_ok=True)
        (tmp_path / "routes.d" / "a.toml").write_text(routes)
        return read(None, [], environ, str(tmp_path)).declared

    return run


def test_nothing_said(load):
    assert load().services == {}


@pytest.mark.parametrize("word", ["qwen", "iflow"])
def test_an_upstream_stands_for_the_accounts(load, word):
    found = load(
        f"""
        [upstreams.mine]
        provider = "{word}"
        base-url = "https://x.example/v1/"
        proxy = "socks5://127.0.0.1:1"
        headers = {{ User-Agent = "Mine/1" }}
        [models.m]
        to = ["mine:some-model", "{word}"]
        """
    )
    assert found.services == {
        word: ServiceOptions(
            base_url="https://x.example/v1",
            proxy="socks5://127.0.0.1:1",
            headers=(("User-Agent", "Mine/1"),),
        )
    }
    (upstream,) = found.upstreams
    assert (upstream.name, upstream.accounts, upstream.credentials) == ("mine", word, ())


def test_the_client_secret_of_the_environment(load):
    found = load(IFLOW_CLIENT_SECRET=" other ").services
    assert found == {"iflow": ServiceOptions(client_secret=Secret("other"))}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('keys = ["k"]', "'keys' is not for qwen"),
        ('wire = "chat"', "'wire' is not for qwen"),
        ('initiator = "turn"', "'initiator' "),
        ('base-url = "x"', "no http or https URL"),
        ('proxy = "x"', "'proxy' is no"),
        ('headers = { "a b" = "x" }', "cannot be sent"),
    ],
)
def test_mistakes(load, line, said):
    with pytest.raises(ConfigError, match=said):
        load(f'[upstreams.x]\nprovider = "qwen"\n{line}\n')
