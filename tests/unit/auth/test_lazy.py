"""What a server without accounts, or with one kind of them, does not import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ALL = (
    *("claude", "codex", "gemini_cli", "antigravity", "vertex", "qwen", "iflow", "kiro", "copilot"),
)
CODE = """
import sys
from pathlib import Path
import proxy.app
from proxy.auth.book import AccountBook
from proxy.clock import Clock
from proxy.telemetry.log import Log
book = AccountBook(Path(sys.argv[1]), transport=None, clock=Clock(), log=Log(descriptor=-1))
book.load()
book.declared()
print(*(m for m in sys.modules if m.startswith("proxy.")))
"""


def imported(folder):
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_without_accounts_nothing_of_theirs_is_imported(tmp_path):
    found = imported(tmp_path)
    ours = ("proxy.auth.kinds.", "proxy.auth.logins", "proxy.wire.kiro", "proxy.upstream.data")
    assert not [name for name in found if name.startswith(ours)]
    alone = {f"proxy.auth.{name}" for name in ("grants", "rsa", "google", "browser", "device")}
    alone |= {f"proxy.upstream.{name}" for name in ("facts", "google_facts", "kiro_facts")}
    alone |= {f"proxy.upstream.{name}" for name in ("kiro", "antigravity", "code_assist", "iflow")}
    assert not alone & found


@pytest.mark.parametrize("kind", ["claude", "kiro", "vertex"])
def test_an_account_imports_its_own_kind_alone(tmp_path, kind):
    (tmp_path / "a.json").write_text(json.dumps({"type": kind, "refresh_token": "r"}))
    found = imported(tmp_path)
    assert {name for name in ALL if f"proxy.auth.kinds.{name}" in found} == {kind}
    assert ("proxy.auth.rsa" in found) is (kind == "vertex")
    assert not [name for name in found if name.startswith("proxy.auth.logins")]
