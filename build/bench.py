"""Runs the benchmark in `../shared/bench` (or the folder in BENCH) against `dist/pointsman.pyz`.

    python3 build/bench.py [arguments of bench.py]

Without arguments: the usual set, proxy pinned to one core, five interleaved rounds, beside the bare
relay. Needs Go for the mock and the load generator, which are built in a temporary folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import environment

BENCH = Path(os.environ.get("BENCH", environment.ROOT.parent / "shared" / "bench"))
USUAL = ("--pin", "--rounds", "5", "--dur", "4", "--base", "relay")


def main() -> None:
    if not (BENCH / "bench.py").is_file():
        sys.exit(f"No benchmark in {BENCH}; set BENCH to the folder that holds its bench.py.")
    if shutil.which("go") is None:
        sys.exit("The mock and the load generator of the benchmark need Go 1.24 or newer.")
    pyz = environment.zipapp()
    relay = environment.make("test")
    with tempfile.TemporaryDirectory() as folder:
        # A copy, because bench.py looks for bin/ beside itself and its own folder may be read-only.
        copy = Path(folder, "bench")
        shutil.copytree(BENCH, copy, ignore=shutil.ignore_patterns("bin", "run"))
        subprocess.run(["go", "build", "-o", "bin/", "./mock", "./load"], cwd=copy, check=True)
        variables = {
            **os.environ,
            "RELAY_PYTHON": str(relay),
            "PROXY_PYTHON": sys.executable,
            "PROXY_PYZ": str(pyz),
        }
        out = environment.CACHE / "bench"
        out.mkdir(parents=True, exist_ok=True)
        given = sys.argv[1:] or [*USUAL, "--out", str(out / "result")]
        programs = ["direct.toml", "relay.toml", "example.toml"]
        command = [sys.executable, "bench.py", *given, *programs]
        sys.exit(subprocess.run(command, cwd=copy, env=variables, check=False).returncode)


if __name__ == "__main__":
    main()
