"""Sets up what the tests need and runs them all against a fresh `dist/pointsman.pyz`.

    python3 build/test.py [--clients] [--check] [arguments of pytest]

--clients   also the end-to-end tests with real coding tools from npm and the official SDKs
--check     first formatting, lint and types

With CI=true both, and a minute of fuzzing beside the tests.

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


FUZZ_SECONDS = 60


def main() -> None:
    arguments = sys.argv[1:]
    if "--help" in arguments or "-h" in arguments:
        print(__doc__)
        return
    ci = os.environ.get("CI", "").lower() in {"1", "true"}
    clients = ci or "--clients" in arguments
    check = ci or "--check" in arguments
    arguments = [a for a in arguments if a not in {"--clients", "--check"}]
    python = str(environment.make("clients" if clients else "test"))
    if check:
        for command in CHECKS:
            print("$", " ".join(command[1:]), flush=True)
            subprocess.run([python, *command], cwd=environment.ROOT, check=True)
    pyz = environment.zipapp()
    fuzzing = fuzz(python) if ci else None
    chosen = [] if clients else ["-m", "not clients"]
    variables = {**os.environ, "POINTSMAN_PYZ": str(pyz)}
    command = [python, "-m", "pytest", *chosen, *arguments]
    status = subprocess.run(command, cwd=environment.ROOT, env=variables, check=False).returncode
    if fuzzing is not None:
        print(fuzzing.communicate()[0], flush=True)
        status = status or fuzzing.returncode
    sys.exit(status)


def fuzz(python: str) -> subprocess.Popen[str]:
    """A minute of `fuzz.py`, begun."""
    variables = {**os.environ, "POINTSMAN_FUZZ": "1", "PYTHONPATH": str(environment.ROOT)}
    command = [python, str(environment.BUILD / "fuzz.py"), str(FUZZ_SECONDS)]
    return subprocess.Popen(
        command,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


if __name__ == "__main__":
    main()
