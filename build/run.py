"""Builds `dist/pointsman.pyz` and starts it with the shipped routes.

    python3 build/run.py [--build-only] [arguments of `pointsman serve`]

Needs Python 3.11 or newer and nothing else; what it needs it puts under `build/.venv`.
"""

from __future__ import annotations

import os
import sys

import environment


def main() -> None:
    arguments = sys.argv[1:]
    if "--help" in arguments or "-h" in arguments:
        print(__doc__)
        return
    pyz = environment.zipapp()
    if "--build-only" in arguments:
        print(f"{pyz}: {pyz.stat().st_size / 1e6:.2f} MB")
        return
    if not any(argument.lstrip("-").startswith(("routes", "config")) for argument in arguments):
        arguments = ["--routes", str(environment.ROOT / "routes.d"), *arguments]
    os.execv(sys.executable, [sys.executable, str(pyz), "serve", *arguments])


if __name__ == "__main__":
    main()
