"""The recorded scenarios: the built archive, between a client and a mock provider world, does what
the reference did, but for those that `tests/wire_deviations.toml` lists."""

from __future__ import annotations

import fnmatch
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.shared_material import folder

ROOT = Path(__file__).resolve().parent.parent.parent
PYZ = Path(os.environ.get("POINTSMAN_PYZ", ROOT / "dist" / "pointsman.pyz"))
LISTED = tomllib.loads((ROOT / "tests" / "wire_deviations.toml").read_text(encoding="utf-8"))
TABLES = ("deviation", "later", "open")
GROUPS = (
    *("copilot", "copilot-claude", "copilot-gemini", "auth-files", "refresh"),
    *("claude-key", "codex-key", "gemini-key", "vertex-key", "openai-compat", "passthru-*"),
    *("auth", "balance", "errors", "headers", "models", "names", "routes", "streaming", "thinking"),
)


def known() -> set[str]:
    return {name for table in TABLES for entry in LISTED[table] for name in entry["scenarios"]}


def scenarios() -> list[str]:
    found = (folder("wire") / "scenarios").glob("*/*.json")
    names = sorted(f"{path.parent.name}/{path.stem}" for path in found)
    asked = [f"{group}/*" for group in GROUPS]
    return [n for n in names if any(fnmatch.fnmatchcase(n, pattern) for pattern in asked)]


@pytest.fixture(scope="module")
def compare(tmp_path_factory):
    """Runs scenarios; those that differ, with how."""
    if not PYZ.is_file():
        pytest.skip("dist/pointsman.pyz is not built: python3 build/run.py --build-only")
    scratch = tmp_path_factory.mktemp("wire")
    result = scratch / "result.json"
    server = f"{sys.executable} {PYZ} --config {{config}}"
    command = [sys.executable, "-W", "ignore", str(folder("wire") / "compare.py")]
    command += ["--server", server, "--json", str(result)]

    def run(names, jobs):
        subprocess.run(
            [*command, "--jobs", str(jobs), *names],
            env={**os.environ, "SHIV_ROOT": str(scratch / "root")},
            check=False,
            timeout=800,
            stdout=subprocess.DEVNULL,
        )
        entries = json.loads(result.read_text(encoding="utf-8"))
        assert len(entries) == len(names)
        return {e["id"]: e["problems"] for e in entries if e["verdict"] == "FAIL"}

    return run


def test_scenarios_that_are_not_listed_agree(compare):
    names = [name for name in scenarios() if name not in known()]
    found = compare(names, os.cpu_count() or 1)
    if found:
        # Once more, one at a time, so that a busy machine is no difference.
        found = compare(sorted(found), 1)
    assert found == {}


def test_the_list_names_scenarios_that_exist_and_says_why():
    assert known() <= set(scenarios())
    for table in TABLES:
        assert all(len(entry["reason"]) > 20 for entry in LISTED[table])
