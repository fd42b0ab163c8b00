"""Account files: kept value for value, never half-written, also when the writer is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.auth import files


def test_keys_that_are_not_known_keep_their_bytes(tmp_path):
    text = (
        '{"type": "copilot", "big": 12345678901234567890123, "f": 1.0, "u": "\\u00e9", "n": null}'
    )
    (tmp_path / "a.json").write_text(text)
    files.update(tmp_path, "a.json", {"copilot_token": "t", "gone": None})
    kept = (tmp_path / "a.json").read_text()
    for part in ('"big": 12345678901234567890123', '"f": 1.0', '"u": "\\u00e9"', '"n": null'):
        assert part in kept
    assert json.loads(kept)["copilot_token"] == "t"


def test_an_object_is_updated_key_by_key(tmp_path):
    before = {"type": "gemini", "token": {"scopes": ["a"], "access_token": "old"}, "text": "x"}
    (tmp_path / "a.json").write_text(json.dumps(before))
    files.update(tmp_path, "a.json", {"token": {"access_token": "new"}, "text": {"b": 1}})
    kept = json.loads((tmp_path / "a.json").read_text())
    assert kept["token"] == {"scopes": ["a"], "access_token": "new"}
    assert kept["text"] == {"b": 1}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2025-06-15T14:00:00.123456789+02:00", 1_749_988_800.0),
        ("2025-06-15T12:00:00Z", 1_749_988_800.0),
        ("2025-06-15T12:00:00", 1_749_988_800.0),
        ("1749988800", 1_749_988_800.0),
        ("1749988800000", 1_749_988_800.0),
        ("9" * 5000, pytest.approx(1e17)),
        ("soon", 0.0),
    ],
)
def test_times_as_programs_write_them(text, seconds):
    assert files.seconds_of(text) == pytest.approx(seconds, abs=0.2)


def test_a_login_keeps_what_the_older_file_had(tmp_path):
    (tmp_path / "a.json").write_text('{"type":"copilot","prefix":"blue","pointsman_refused":{}}')
    files.create(tmp_path, "a.json", {"type": "copilot", "github_token": "gho"})
    kept = json.loads((tmp_path / "a.json").read_text())
    assert kept == {"type": "copilot", "prefix": "blue", "github_token": "gho"}
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o600


def test_an_update_of_a_deleted_file_makes_none(tmp_path):
    with pytest.raises(FileNotFoundError):
        files.update(tmp_path, "a.json", {"x": 1})
    assert [path.name for path in tmp_path.iterdir()] == []


def test_the_folder_may_be_missing(tmp_path):
    assert files.scan(tmp_path / "none") == {}
    assert files.folder_of("") == files.folder_of("~/.cli-proxy-api")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@example(b'{"type":"x","deep":' + b"[" * 5000 + b"]" * 5000 + b"}")
@example(b'{"type":"copilot","email":"\\ud800","disabled":1e999}')
def test_any_bytes_are_an_account_or_none(data):
    try:
        file = files.parse("a.json", data)
    except files.BadAccountFile:
        return
    assert isinstance((file.kind, file.label, file.disabled, file.refused), tuple)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2025-06-15T12:00:00Z", 1749988800), ("2025-06-15T14:00:00+02:00", 1749988800), ("x", 0)],
)
def test_times(text, expected):
    assert files.seconds_of(text) == expected


def test_a_writer_killed_at_any_point_leaves_a_whole_file(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"type": "copilot", "count": -1}')
    rng = random.Random(5)
    for _ in range(200):
        child = os.fork()
        if child == 0:
            try:
                for count in range(10_000):
                    changes = {"count": count, "filler": "x" * 5000}
                    files.update(tmp_path, "a.json", changes)
            finally:
                os._exit(0)
        time.sleep(rng.uniform(0.0005, 0.012))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert files.read(tmp_path, "a.json").kind == "copilot"
    assert set(files.scan(tmp_path)) == {"a.json"}
    files.sweep(tmp_path, time.time() + 100)
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
