"""Row 38: nobody's accounts are open to all: not at the start, not after a reload, not by a sample key."""

from __future__ import annotations

import pytest

from proxy import __main__
from proxy.cli import serve
from tests.unit.reload.test_reload import World


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "192.0.2.7"])
@pytest.mark.parametrize("keys", ["", "api-keys: []", 'api-keys: ["", " "]'])
def test_a_public_start_without_keys_is_refused(host, keys, tmp_path, capsys):
    config = tmp_path / "config.yaml"
    config.write_text(f'host: "{host}"\nport: 1\n{keys}\n')
    assert __main__.main(["--config", str(config)]) == 78
    assert "could use your accounts" in capsys.readouterr().err


def test_a_first_start_makes_a_key_of_its_own(tmp_path):
    one = serve.first_key({"XDG_STATE_HOME": str(tmp_path / "a")})
    two = serve.first_key({"XDG_STATE_HOME": str(tmp_path / "b")})
    assert one != two
    assert len(one) > 30


@pytest.mark.parametrize("text", ["", "port: 1\n", "api-keys: []\nport: 1\n"])
async def test_a_reload_does_not_open_a_public_server(text, tmp_path):
    world = World(tmp_path, host="0.0.0.0")
    world.config.write_text(text)
    assert not await world.generation.reload("watch")
    assert world.keys == ["one"]
