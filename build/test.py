"""Sets up what the tests need and runs them all against a fresh `dist/pointsman.pyz`.

    python3 build/test.py [--clients] [--check] [arguments of pytest]

--clients   also the end-to-end tests with real coding tools from npm and the official SDKs
            (always when CI=true)
--check     first formatting, lint and types

Needs Python 3.11 or newer; what else it needs it puts under `build/.venv`.
"""

from __future__ import annotations

import os
import subprocess
import sys

import environment

CHECKS = (
    ["-m", "ruff", "format", "--check", "."],
    ["-m", "ruff", "check", "."],
    ["-m", "mypy"],
)


def main() -> None:
    arguments = sys.argv[1:]
    if "--help" in arguments or "-h" in arguments:
        print(__doc__)
        return
    clients = "--clients" in arguments or os.environ.get("CI", "").lower() in {"1", "true"}
    check = "--check" in arguments
    arguments = [a for a in arguments if a not in {"--clients", "--check"}]
    python = str(environment.make("clients" if clients else "test"))
    if check:
        for command in CHECKS:
            print("$", " ".join(command[1:]), flush=True)
            subprocess.run([python, *command], cwd=environment.ROOT, check=True)
    pyz = environment.zipapp()
    chosen = [] if clients else ["-m", "not clients"]
    variables = {**os.environ, "POINTSMAN_PYZ": str(pyz)}
    command = [python, "-m", "pytest", *chosen, *arguments]
    sys.exit(subprocess.run(command, cwd=environment.ROOT, env=variables, check=False).returncode)


if __name__ == "__main__":
    main()
