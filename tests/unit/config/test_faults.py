"""Every faulty configuration of the golden file is answered with exactly its message."""

import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("faults", Path(__file__).with_name("faults.py"))
faults = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(faults)

CASES = list(faults.cases(faults.GOLDEN.read_text()))


def test_the_file_holds_its_cases():
    routes = [case for case in CASES if any(file.startswith("routes.d/") for file in case[1])]
    assert len(routes) >= 60
    assert {file.rpartition(".")[2] for case in routes for file in case[1]} >= {"toml", "yaml"}
    assert len({name for name, _, _ in CASES}) == len(CASES)


@pytest.mark.parametrize(("name", "files", "expected"), CASES, ids=[case[0] for case in CASES])
def test_message(name, files, expected, tmp_path):
    assert faults.message(files, tmp_path) == expected
