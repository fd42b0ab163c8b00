"""The recorded scenarios: the built archive, between a client and a mock provider world, does what
the reference did, but for the differences on the rules of `tests/wire_deviations.toml`."""

from __future__ import annotations

import faulthandler
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.shared_material import folder
from tests.wire.rules import Rules, glob

ROOT = Path(__file__).resolve().parent.parent.parent
PYZ = Path(os.environ.get("POINTSMAN_PYZ", ROOT / "dist" / "pointsman.pyz"))
LISTED = tomllib.loads((ROOT / "tests" / "wire_deviations.toml").read_text(encoding="utf-8"))
RULES = Rules(LISTED)
LATER = [glob(pattern) for entry in LISTED["later"] for pattern in entry["scenarios"]]


def scenarios() -> list[str]:
    found = (folder("wire") / "scenarios").glob("*/*.json")
    return sorted(f"{path.parent.name}/{path.stem}" for path in found)


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
        # Minutes of silence are no hang here.
        faulthandler.cancel_dump_traceback_later()
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


def open_problems(found, needed):
    """The differences that no rule covers; the rules that cover one are added to `needed`."""
    left = {}
    for name, problems in found.items():
        covered = {problem: RULES.excuse(name, problem) for problem in problems}
        needed |= set(covered.values())
        if None in covered.values():
            left[name] = [problem for problem, rule in covered.items() if rule is None]
    return left


def test_every_difference_is_on_a_rule_and_every_rule_is_needed(compare):
    names = [n for n in scenarios() if not any(pattern.fullmatch(n) for pattern in LATER)]
    assert len(names) > 250
    needed: set[str | None] = set()
    left = open_problems(compare(names, os.cpu_count() or 1), needed)
    if left:
        # Once more, one at a time, so that a busy machine is no difference.
        left = open_problems(compare(sorted(left), 1), needed)
    assert left == {}
    assert [rule.id for rule in RULES.rules if not rule.timing and rule.id not in needed] == []


def test_the_list_names_scenarios_that_exist_and_says_why():
    names = scenarios()
    for entry in [*LISTED["rule"], *LISTED["later"]]:
        assert len(entry["reason"]) > 20, entry
        for pattern in entry["scenarios"]:
            assert any(glob(pattern).fullmatch(name) for name in names), pattern
    assert len({rule.id for rule in RULES.rules}) == len(RULES.rules)


@pytest.mark.parametrize(
    ("problem", "covered"),
    [
        ("steps[3].response.status: - 500 + 502", True),
        ("steps[3].response.status: - 500 + 503", False),
        ("steps[x].response.status: - 500 + 502", False),
        ("steps[3].response.statuses: - 500 + 502", False),
    ],
)
def test_a_rule_covers_what_it_says(problem, covered):
    entry = {"id": "W", "scenarios": ["errors/*"], "paths": ["steps[*].response.status"]}
    rules = Rules({"rule": [{**entry, "recorded": "500", "ours": ["501", "50*2"]}]})
    assert (rules.excuse("errors/any", problem) == "W") is covered
    assert rules.excuse("other/any", problem) is None
