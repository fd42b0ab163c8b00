"""The golden vectors: translations agree with the recorded ones, or are better, by the judge."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from proxy.cli import transcode
from tests.shared_material import folder

WIRES = ("openai", "openai-response", "claude", "gemini")
UPSTREAMS = (*WIRES, "gemini-cli", "antigravity")
LEAST = 97.0
"""Per cent of the cases that match, are better or are excused."""
DEVIATIONS = sorted(Path(__file__).parent.glob("deviations*.toml"))


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """id -> (client, verdict), from one run over all pairs."""
    vectors = folder("vectors")
    scratch = tmp_path_factory.mktemp("vectors")
    filters = [
        f"{client}__{upstream}.*" for client, upstream in itertools.product(WIRES, UPSTREAMS)
    ]
    judge = [sys.executable, str(vectors / "judge.py")]
    cases, results, found = (scratch / name for name in ("in.jsonl", "out.jsonl", "found.jsonl"))
    chosen = ["--vectors", str(vectors), "--filter", *filters]
    subprocess.run([*judge, "emit", "--out", str(cases), *chosen], check=True)
    assert transcode.batch(cases, results) == 0
    rules = scratch / "deviations.toml"
    rules.write_text("\n".join(path.read_text(encoding="utf-8") for path in DEVIATIONS))
    score = ["score", "--results", str(results), "--deviations", str(rules), "--json", str(found)]
    subprocess.run([*judge, *score, *chosen, "--require", "0"], check=True)
    lines = [json.loads(line) for line in found.read_text(encoding="utf-8").split("\n") if line]
    assert len(lines) > 2500
    return {line["id"]: line["verdict"] for line in lines}


def test_share_of_right_translations(verdicts):
    counts = Counter(verdicts.values())
    good = counts["match"] + counts["better"] + counts["excused"]
    assert 100 * good / len(verdicts) >= LEAST, counts


@pytest.mark.parametrize("verdict", ["invalid", "error"])
def test_none_breaks_its_protocol(verdicts, verdict):
    assert [name for name, found in verdicts.items() if found == verdict] == []
