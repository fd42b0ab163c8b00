"""The recorded scenarios: the built archive, between a client and a mock provider world, does what
the reference did, but for the deviations listed with their reasons."""

from __future__ import annotations

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
DEVIATIONS = tomllib.loads((ROOT / "tests" / "wire_deviations.toml").read_text(encoding="utf-8"))
MOST_DEVIATIONS = 0.03
"""Share of the scenarios that may differ on purpose."""
GROUPS = (
    *("claude-key", "codex-key", "gemini-key", "vertex-key", "openai-compat", "passthru-*"),
    *("auth", "balance", "errors", "headers", "models", "names", "routes", "streaming", "thinking"),
)


@pytest.fixture(scope="module")
def failures(tmp_path_factory):
    """(number of scenarios, scenario -> open differences)."""
    wire = folder("wire")
    if not PYZ.is_file():
        pytest.skip("dist/pointsman.pyz is not built: python3 build/run.py --build-only")
    scratch = tmp_path_factory.mktemp("wire")
    result = scratch / "result.json"
    server = f"{sys.executable} {PYZ} --config {{config}}"
    command = [sys.executable, "-W", "ignore", str(wire / "compare.py"), "--server", server]
    patterns = [f"{group}/*" for group in GROUPS]
    subprocess.run(
        [*command, "--jobs", str(os.cpu_count() or 1), "--json", str(result), *patterns],
        env={**os.environ, "SHIV_ROOT": str(scratch / "root")},
        check=False,
        timeout=800,
    )
    entries = json.loads(result.read_text(encoding="utf-8"))
    found = {e["id"]: e["problems"] for e in entries if e["verdict"] == "FAIL"}
    if found:
        # One at a time, so that a busy machine is no difference.
        subprocess.run([*command, "--json", str(result), *found], check=False, timeout=800)
        entries_again = json.loads(result.read_text(encoding="utf-8"))
        found = {e["id"]: e["problems"] for e in entries_again if e["verdict"] == "FAIL"}
    return len(entries), found


def listed(table):
    return {entry["scenario"]: entry for entry in DEVIATIONS.get(table, [])}


def test_no_scenario_differs_but_the_listed(failures):
    _, found = failures
    known = listed("deviation") | listed("later")
    assert {name: problems for name, problems in found.items() if name not in known} == {}


def test_the_list_is_short_and_true(failures):
    count, found = failures
    assert len(listed("deviation")) <= MOST_DEVIATIONS * count
    assert set(listed("deviation")) <= set(found), "these agree by now: take them off the list"
    assert set(listed("later")) <= set(found), "these agree by now: take them off the list"


def test_every_entry_says_why():
    assert all(len(entry["reason"]) > 20 for entry in DEVIATIONS.get("deviation", []))
    assert all(entry["needs"] for entry in DEVIATIONS.get("later", []))
