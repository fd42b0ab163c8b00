"""A state file: kept whole, read with suspicion."""

from __future__ import annotations

import stat

import pytest

from proxy.store import state
from proxy.store.state import StateError, load, save


def test_what_is_saved_is_loaded_and_private(tmp_path):
    path = tmp_path / "state" / "accounts.json"
    assert load(path) is None
    save(path, {"version": 1, "list": [1, "two"]})
    assert load(path) == {"version": 1, "list": [1, "two"]}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"a":1}x'])
def test_garbage_is_named(tmp_path, content):
    path = tmp_path / "accounts.json"
    path.write_bytes(content)
    with pytest.raises(StateError, match=r"accounts\.json: no JSON"):
        load(path)


def test_a_folder_in_its_place_is_named(tmp_path):
    with pytest.raises(StateError, match="directory"):
        load(tmp_path)
    with pytest.raises(StateError, match=str(tmp_path)):
        save(tmp_path, {})


def test_the_size_is_bounded_both_ways(tmp_path, monkeypatch):
    path = tmp_path / "accounts.json"
    save(path, ["old"])
    monkeypatch.setattr(state, "LIMIT", 20)
    with pytest.raises(StateError, match="larger than 20"):
        save(path, ["x" * 20])
    assert load(path) == ["old"]
    path.write_bytes(b'"' + b"x" * 30 + b'"')
    with pytest.raises(StateError, match="larger than 20"):
        load(path)
