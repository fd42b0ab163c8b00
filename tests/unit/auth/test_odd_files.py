"""Account files that hold anything at all: one of them must not stop the others, nor the server."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.auth import files, kinds
from proxy.auth.account import Account
from proxy.config.model import AccountOptions

WIRES = {
    "claude": "anthropic",
    "codex": "responses",
    "qwen": "chat",
    "iflow": "chat",
    "kiro": "kiro",
    "gemini": "gemini_cli",
    "antigravity": "gemini_cli",
    "vertex": "gemini",
    "copilot": "chat",
}
KEYS = st.sampled_from(
    [
        *("access_token", "refresh_token", "expired", "expires_at", "expiry", "email", "base_url"),
        *("prefix", "project_id", "timestamp", "expires_in", "region", "auth_method", "location"),
        *("preferred_endpoint", "resource_url", "api_key", "cookie", "account_id", "id_token"),
        *("user_agent", "proxy_url", "token", "service_account", "private_key", "token_uri"),
        *("copilot_token", "copilot_token_expiry", "github_token", "pointsman_refused", "disabled"),
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["https://[x", "ftp://h", "a.e30.b", "a\nb", ",, ,", "2025-01-01", "idc", "1" * 400]
    ),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=4,
)


@pytest.mark.parametrize("kind", WIRES)
@given(content=st.dictionaries(KEYS, VALUES, max_size=8))
def test_any_file_makes_an_account(kind, content):
    with suppress(files.BadAccountFile):
        file = files.parse("a.json", json.dumps({**content, "type": kind}).encode())
        found = kinds.get(kind)
        assert found is not None
        account = Account(found, file, AccountOptions())
        account.view(0.0)
        account.shape()
        account.credential(WIRES[kind])
        assert account.declared({}, 0)
