"""Real coding tools finish a tool loop through the archive, whatever protocol the upstream speaks."""

from __future__ import annotations

import shutil

import pytest

from tests.e2e.coding_tools import TOOLS, Job, run
from tests.e2e.mock_upstream import PROOF
from tests.e2e.servers import PYZ, WIRES, proxy_and_mock

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    if shutil.which("npm") is None:
        pytest.fail("the coding tools need Node.js and npm")
    assert PYZ.is_file(), "python3 build/run.py --build-only makes it"
    with proxy_and_mock(tmp_path_factory.mktemp("servers")) as address:
        yield address


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_loop(tool, wire, url, tmp_path):
    done = run(tool, Job(home=tmp_path, url=url, model=f"mock-{wire}"), timeout=120)
    assert done.returncode == 0, done.stdout[-4000:]
    assert PROOF in done.stdout, done.stdout[-4000:]
