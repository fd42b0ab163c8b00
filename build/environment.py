"""Virtual environments of the build scripts, made from lock files. Standard library only."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
CACHE = BUILD / ".venv"
"""Everything made on the way to the product; git does not see it."""
PYZ = ROOT / "dist" / "pointsman.pyz"
OLDEST = (3, 11)


def make(lock: str) -> Path:
    """The Python of an environment that holds exactly `lock/<lock>.txt`; made if it is not there."""
    if sys.version_info < OLDEST:
        sys.exit(f"Pointsman needs Python 3.11 or newer; this is {sys.version.split()[0]}.")
    requirements = BUILD / "lock" / f"{lock}.txt"
    folder = CACHE / f"{lock}-{sys.version_info[0]}.{sys.version_info[1]}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    mark = folder / "complete"
    wanted = fingerprint([requirements])
    if mark.is_file() and mark.read_text() == wanted and python.exists():
        return python
    print(f"Setting up {folder.relative_to(ROOT)} ...", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        run([sys.executable, "-m", "venv", str(folder)])
    except SystemExit:
        sys.exit(
            "Python's venv module does not work here; Debian and Ubuntu have it in python3-venv."
        )
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    # The lock is complete; older pips would look up the newest version of an extra once more.
    run([*pip, "install", "--no-deps", "--require-hashes", "-r", str(requirements)])
    mark.write_text(wanted)
    return python


def zipapp() -> Path:
    """`dist/pointsman.pyz`, built if its sources changed since the last time."""
    python = make("build")
    sources = [ROOT / "pyproject.toml", ROOT / "README.md", ROOT / "LICENSE"]
    sources += [BUILD / "zipapp.py", BUILD / "launcher.py", BUILD / "lock" / "runtime.txt"]
    sources += [path for path in (ROOT / "proxy").rglob("*") if "__pycache__" not in path.parts]
    wanted = fingerprint(sources) + sys.version
    mark = CACHE / "built"
    if PYZ.is_file() and mark.is_file() and mark.read_text() == wanted:
        return PYZ
    print("Building dist/pointsman.pyz ...", flush=True)
    mark.unlink(missing_ok=True)
    run([str(python), str(BUILD / "zipapp.py"), "--output", str(PYZ)])
    mark.write_text(wanted)
    return PYZ


def fingerprint(paths: list[Path]) -> str:
    """Hash of the names and contents of files."""
    digest = hashlib.sha256()
    for path in sorted(path for path in paths if path.is_file()):
        data = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)} {len(data)} ".encode() + data)
    return digest.hexdigest()


def run(command: list[str]) -> None:
    """A step; ends the script with its status if it fails."""
    status = subprocess.run(command, check=False).returncode
    if status:
        print(f"Failed: {' '.join(command)}", file=sys.stderr)
        sys.exit(status)
