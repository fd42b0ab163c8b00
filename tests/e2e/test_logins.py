"""Real coding tools finish a tool loop through accounts that log in: their own service's, and each other's."""

from __future__ import annotations

import json
import shutil
import sys
import urllib.request
from contextlib import contextmanager

import pytest

from tests.e2e.coding_tools import KEY, Job, run
from tests.e2e.mock_upstream import PROOF
from tests.e2e.servers import HERE, PYZ, free_port, process

pytestmark = pytest.mark.clients

MODELS = {"claude": "claude-sonnet-4-5-20250929", "codex": "gpt-5-codex"}
IDENTITY = {
    ("claude", "claude"): "claude-cli/",
    ("claude", "codex"): "pointsman/",
    ("codex", "claude"): "codex",
    ("codex", "codex"): "codex",
}
"""How the service is told who asks: by the tool's own name, never by that of another tool."""
SECRETS = {kind: f"{kind}-access-of-the-tests" for kind in MODELS}


@contextmanager
def accounts_and_mock(folder):
    """The archive with an account of each kind, whose service is the mock provider."""
    mock, port = free_port(), free_port()
    upstream, url = f"http://127.0.0.1:{mock}", f"http://127.0.0.1:{port}"
    auth = folder / "auth"
    auth.mkdir()
    for kind, base in (("claude", upstream), ("codex", f"{upstream}/v1")):
        account = {
            "type": kind,
            "email": "dev@example.com",
            "access_token": SECRETS[kind],
            "refresh_token": "unused",
            "account_id": "acct-1",
            "expired": "2099-01-01T00:00:00Z",
            "base_url": base,
        }
        (auth / f"{kind}.json").write_text(json.dumps(account))
    config = folder / "config.yaml"
    settings = {"host": "127.0.0.1", "port": port, "api-keys": [KEY], "auth-dir": str(auth)}
    config.write_text(json.dumps(settings))
    mock_command = [sys.executable, str(HERE / "mock_upstream.py"), str(mock)]
    server = [sys.executable, str(PYZ), "--config", str(config)]
    with process(mock_command, upstream + "/__log", folder), process(server, url, folder):
        yield url, upstream


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    if shutil.which("npm") is None:
        pytest.fail("the coding tools need Node.js and npm")
    assert PYZ.is_file(), "python3 build/run.py --build-only makes it"
    with accounts_and_mock(tmp_path_factory.mktemp("servers")) as addresses:
        yield addresses


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("tool", ["claude", "codex"])
def test_a_tool_loop(tool, kind, servers, tmp_path):
    url, upstream = servers
    done = run(tool, Job(home=tmp_path, url=url, model=MODELS[kind]), timeout=120)
    assert done.returncode == 0, done.stdout[-4000:]
    assert PROOF in done.stdout, done.stdout[-4000:]
    assert SECRETS[kind] not in done.stdout
    with urllib.request.urlopen(f"{upstream}/__log", timeout=10) as answer:
        log = json.load(answer)
    assert KEY not in json.dumps(log)
    last = log[-1]["headers"]
    assert last["authorization"] == f"Bearer {SECRETS[kind]}"
    assert last["user-agent"].startswith(IDENTITY[tool, kind])
    if kind == "claude":
        assert "oauth-2025-04-20" in last["anthropic-beta"]
        texts = [block["text"] for block in log[-1]["body"]["system"]]
        assert sum(text.startswith("You are Claude Code") for text in texts) <= 1
        assert any(text.startswith("You are ") for text in texts[:3])
