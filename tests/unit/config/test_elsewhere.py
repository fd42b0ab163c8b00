"""`env:` and `file:` values."""

from __future__ import annotations

import pytest

from proxy.config.elsewhere import value_of


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("env:KEY", "sk-1"),
        ("file:key", "sk-2"),
        ("sk-3", "sk-3"),
        ("sk:4", "sk:4"),
        ("environment", "environment"),
        ("", ""),
    ],
)
def test_what_stands_elsewhere_is_found(tmp_path, word, found):
    (tmp_path / "key").write_text(" sk-2 \nmore\n")
    assert value_of(word, tmp_path, {"KEY": "sk-1"}) == found
    assert value_of(f"file:{tmp_path}/key", tmp_path, {}) == "sk-2"


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("env:NONE", "environment variable 'NONE' is not set"),
        ("env:EMPTY", "environment variable 'EMPTY' is not set"),
        ("file:none", "file 'none' cannot be read: No such file or directory"),
        ("file:binary", "file 'binary' cannot be read: is not text"),
        ("file:empty", "file 'empty' has an empty first line"),
        ("file:\0", "file '\\x00' cannot be read: is not text"),
    ],
)
def test_what_is_not_there_says_why(tmp_path, word, why):
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "empty").write_bytes(b"\nsk-5\n")
    with pytest.raises(LookupError) as told:
        value_of(word, tmp_path, {"EMPTY": ""})
    assert told.value.args == (why,)
