"""What runs when `pointsman.pyz` is started: unpack once, then hand over to `proxy.__main__`.

Becomes `__main__` of the archive; `zipapp.py` fills in the facts below. Every start pays for what is
imported here, so the rare paths import what they need themselves.
"""

import os
import sys

VERSION = None
BUILD = None
FILES = None
PYTHON = None
PLATFORM = None

ARCHIVE = os.path.dirname(os.path.abspath(__file__))
STALE = 3600
"""Seconds after which another process's half-made folder is an orphan."""


def start():
    """Runs the program; exits with its status."""
    if sys.argv[1:] in (["--version"], ["version"], ["-V"]):
        print("pointsman " + VERSION)
        return 0
    if sys.version_info[:2] != tuple(PYTHON):
        wanted = ".".join(map(str, PYTHON))
        running = ".".join(map(str, sys.version_info[:2]))
        print(
            f"This pointsman.pyz was built for Python {wanted} ({PLATFORM}), this is {running}: "
            f"start it with python{wanted}, or build one with this Python (build/run.py).",
            file=sys.stderr,
        )
        return 1
    # In the place of the archive, which holds no module: its directory need not be searched.
    sys.path[0] = site()
    from proxy.__main__ import main

    return main()


def site():
    """The folder with the packages; unpacked at the first start, and again if files are missing."""
    refused = None
    for root in roots():
        folder = os.path.join(root, f"pointsman_{BUILD}")
        try:
            if whole(folder) or unpack(root, folder):
                return folder
        except OSError as error:  # read-only, full, no home: the next place may do
            refused = error
    sys.exit(f"pointsman: no folder to unpack to (set SHIV_ROOT): {refused}")


def roots():
    """Where to unpack, best first. The folder in the shared temporary place must be ours alone."""
    if os.environ.get("SHIV_ROOT"):
        yield os.path.expanduser(os.environ["SHIV_ROOT"])
    elif os.path.isabs(folder := os.path.expanduser("~/.shiv")):  # else this user has no home
        yield folder
    import tempfile

    own = os.path.join(tempfile.gettempdir(), f"pointsman-{os.getuid()}")
    try:
        os.mkdir(own, 0o700)
    except FileExistsError:
        found = os.lstat(own)
        if found.st_uid != os.getuid() or found.st_mode & 0o170077 != 0o040000:
            own = tempfile.mkdtemp(prefix="pointsman-")
    except OSError:
        return
    yield own


def whole(folder):
    """Whether every file is there; cleaners of temporary folders take single ones."""
    count = 0
    waiting = [folder]
    try:
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir():
                        waiting.append(entry.path)
                    else:
                        count += 1
    except OSError:
        return False
    return count >= FILES


def unpack(root, folder):
    """Makes `folder` in one step, so that no other process ever sees a part of it."""
    import io
    import shutil
    import tempfile
    import zipfile

    os.makedirs(root, exist_ok=True)
    sweep(root)
    made = tempfile.mkdtemp(prefix=f".pointsman_{BUILD}_", dir=root)
    try:
        with zipfile.ZipFile(ARCHIVE) as outer:
            data = outer.read("tree.zip")
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            archive.extractall(made)
        os.chmod(made, 0o755)
        if os.path.lexists(folder):
            if whole(folder):  # another process was faster
                return True
            os.rename(folder, made + ".old")
        try:
            os.rename(made, folder)
        except OSError:
            if not whole(folder):
                raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
        shutil.rmtree(made + ".old", ignore_errors=True)
    return whole(folder)


def sweep(root):
    """Removes what killed processes left half-made."""
    import shutil
    import time

    with os.scandir(root) as entries:
        for entry in entries:
            if entry.name.startswith(".pointsman_"):
                age = time.time() - entry.stat(follow_symlinks=False).st_mtime
                if age > STALE:
                    shutil.rmtree(entry.path, ignore_errors=True)


sys.exit(start())
