"""The archive and the mock provider as processes of a test run, on free ports of loopback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.coding_tools import KEY

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PYZ = Path(os.environ.get("POINTSMAN_PYZ", ROOT / "dist" / "pointsman.pyz"))
WIRES = ("chat", "responses", "anthropic", "gemini")
PREFIX = {"chat": "/v1", "responses": "/v1", "anthropic": "", "gemini": ""}


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_for(url: str, process: subprocess.Popen, headers: dict[str, str] | None = None) -> None:
    """Until something answers there; fails if the process ends first."""
    for _ in range(300):
        assert process.poll() is None, f"{process.args} ended with {process.returncode}"
        try:
            urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=5)
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"nothing answers at {url}")


@contextmanager
def process(command: list[str], url: str, cwd: Path):
    """Runs a command until the block ends; its output goes to a file in `cwd`."""
    with (cwd / f"{Path(command[1]).stem}.log").open("wb") as log:
        started = subprocess.Popen(command, cwd=cwd, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_for(url, started)
            yield started
        finally:
            started.terminate()
            started.wait(20)


def configuration(port: int, upstream: str) -> str:
    """A config with one model for each upstream wire, named after it."""
    routes = [
        {
            "name": f"mock-{wire}",
            "protocol": {"chat": "openai", "responses": "codex", "anthropic": "claude"}[wire],
            "base": upstream + PREFIX[wire],
        }
        for wire in WIRES
        if wire != "gemini"
    ]
    passthru = [
        {
            "model": route["name"],
            "protocol": route["protocol"],
            "base-url": route["base"],
            "api-key": "sk-upstream",
        }
        for route in routes
    ]
    gemini = [
        {
            "api-key": "sk-upstream",
            "base-url": upstream,
            "models": [{"name": "mock-gemini", "alias": "mock-gemini"}],
        }
    ]
    return json.dumps(
        {
            "host": "127.0.0.1",
            "port": port,
            "api-keys": [KEY],
            "passthru": passthru,
            "gemini-api-key": gemini,
        }
    )


@contextmanager
def proxy_and_mock(folder: Path):
    """The archive in front of the mock provider; yields the archive's address."""
    mock, port = free_port(), free_port()
    upstream = f"http://127.0.0.1:{mock}"
    config = folder / "config.yaml"
    config.write_text(configuration(port, upstream))
    url = f"http://127.0.0.1:{port}"
    mock_command = [sys.executable, str(HERE / "mock_upstream.py"), str(mock)]
    server = [sys.executable, str(PYZ), "--config", str(config)]
    with process(mock_command, upstream + "/__log", folder), process(server, url, folder):
        yield url
