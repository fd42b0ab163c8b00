"""Builds `dist/pointsman.pyz`: locked dependencies and the wheel, pruned, compiled, in one file.

Run it with the Python of `run.py`'s environment, whose `shiv` and `hatchling` it uses. What goes in is
pinned by `lock/runtime.txt`, what comes out depends on nothing but that, the sources, the Python
minor and the platform: two builds are equal byte for byte.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib.util
import marshal
import os
import shutil
import struct
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "dist" / "pointsman.pyz"
LOCK = ROOT / "build" / "lock" / "runtime.txt"
LAUNCHER = ROOT / "build" / "launcher.py"

UNUSED = (
    "anyio",  # httpcore's asyncio side
    "bin",
    "httpx/_main.py",  # httpx's own command line
    "trio/_tests",
    "trio/_core/_tests",
    "trio/_tools",
    "trio/testing",  # its memory streams are for tests
    "zstandard/_cffi.*",  # the second of two backends
    "zstandard/backend_cffi.py",
    "hypercorn/__main__.py",
    "typing_extensions*",  # Python 3.11 has all that is asked of it; msgspec would import it
)
"""Paths of the tree that nothing in the product reaches; `tests/test_packaging.py` imports the rest."""

SOURCES_ONLY = ("*.pyi", "*.pyx", "*.pxd", "*.c", "*.h", "py.typed", "*.pth")
"""Files for people and type checkers."""
KEPT_METADATA = ("METADATA", "licenses", "LICENSE*", "COPYING*", "NOTICE*", "AUTHORS*")
EPOCH = (1980, 1, 1, 0, 0, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=OUTPUT)
    output = parser.parse_args().output
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Sets inside code objects are written in hash order.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, *sys.argv])
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        install(tree, Path(folder))
        prune(tree)
        packed = Path(folder, "shiv.pyz")
        shiv(tree, packed)
        output.parent.mkdir(parents=True, exist_ok=True)
        finished = Path(folder, "pointsman.pyz")
        finish(packed, finished)
        partial = output.with_suffix(".new")
        shutil.copyfile(finished, partial)
        partial.chmod(0o755)
        partial.replace(output)
    print(f"{output}: {output.stat().st_size / 1e6:.2f} MB")


def install(tree: Path, scratch: Path) -> None:
    """The locked dependencies and this project's wheel as a site-packages tree."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    common = ["--no-deps", "--no-compile", "--target", str(tree)]
    binary = ["--only-binary", ":all:"]
    run([*pip, "install", *common, *binary, "--require-hashes", "-r", str(LOCK)])
    source = scratch / "source"
    # The wheel is made from a copy, so that the build leaves nothing in the working tree.
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(ROOT / "proxy", source / "proxy", ignore=ignored)
    run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(scratch), str(source)])
    (wheel,) = scratch.glob("pointsman-*.whl")
    run([*pip, "install", *common, "--no-index", str(wheel)])


def prune(tree: Path) -> None:
    """Takes out what is never imported, and debug information of compiled modules."""
    for pattern in UNUSED:
        for path in tree.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for pattern in SOURCES_ONLY:
        for path in sorted(tree.rglob(pattern)):
            path.unlink()
    for info in tree.glob("*.dist-info"):
        kept = {path for pattern in KEPT_METADATA for path in info.glob(pattern)}
        for path in set(info.iterdir()) - kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in sorted(tree.rglob("*.so")):
        path.write_bytes(loadable(path.read_bytes()))
    for path in sorted(tree.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        else:
            path.chmod(0o755 if path.is_dir() or path.suffix == ".so" else 0o644)


def loadable(data: bytes) -> bytes:
    """A 64-bit little-endian ELF file cut after its last segment; anything else as it is.

    The loader reads segments only; sections behind them are symbols and debug information, which
    are nine tenths of some wheels.
    """
    if data[:6] != b"\x7fELF\x02\x01":
        return data
    (offset,) = struct.unpack_from("<Q", data, 0x20)
    size, count = struct.unpack_from("<HH", data, 0x36)
    end = offset + size * count
    for i in range(count):
        at, _, _, length = struct.unpack_from("<4Q", data, offset + i * size + 8)
        end = max(end, at + length)
    head = bytearray(data[:end])
    struct.pack_into("<Q", head, 0x28, 0)  # no section headers
    struct.pack_into("<HH", head, 0x3C, 0, 0)
    return bytes(head)


def shiv(tree: Path, packed: Path) -> None:
    """The archive as shiv makes it: site-packages, its bootstrap, its environment."""
    options = ["--reproducible", "--site-packages", str(tree), "--output-file", str(packed)]
    command = [sys.executable, "-m", "shiv", *options, "--entry-point", "proxy.__main__:main"]
    run([*command, "--python", "/usr/bin/env python3"])


def finish(packed: Path, output: Path) -> None:
    """Adds bytecode to shiv's archive and puts `launcher.py` in the place of its `__main__`.

    The site-packages become one member, `tree.zip`: the interpreter reads the directory of the
    outer archive at every start, and that costs by the number of members. Compressed as a whole it
    is a tenth smaller too. Of the dependencies only the bytecode goes in: half the files to unpack.
    """
    with zipfile.ZipFile(packed) as archive:
        members = {i.filename: archive.read(i) for i in archive.infolist() if not i.is_dir()}
    site = "site-packages/"
    tree = {
        name.removeprefix(site): data for name, data in members.items() if name.startswith(site)
    }
    for name in [name for name in sorted(tree) if name.endswith(".py")]:
        source = tree[name]
        own = name.startswith("proxy/")
        if not own:
            del tree[name]
        path = importlib.util.cache_from_source(name, optimization="") if own else name + "c"
        tree[path] = bytecode(name, source if own else undocumented(source))
    digest = hashlib.sha256()
    for name, data in sorted(tree.items()):
        digest.update(f"{name} {len(data)} ".encode() + data)
    inner = output.with_name("tree.zip")
    with zipfile.ZipFile(inner, "w") as archive:
        for name, data in sorted(tree.items()):
            write(archive, name, data, stored=True)
    facts = {
        "VERSION": version(members[site + "proxy/__init__.py"]),
        "BUILD": digest.hexdigest()[:16],
        "FILES": len(tree),
        "PYTHON": sys.version_info[:2],
        "PLATFORM": sysconfig.get_platform(),
    }
    text = LAUNCHER.read_text(encoding="utf-8")
    for name, value in facts.items():
        text = text.replace(f"{name} = None\n", f"{name} = {value!r}\n")
    with output.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "w") as archive:
            write(archive, "__main__.pyc", bytecode("__main__.py", text.encode()))
            write(archive, "__main__.py", text.encode())
            write(archive, "environment.json", members["environment.json"])
            write(archive, "tree.zip", inner.read_bytes())


def version(source: bytes) -> str:
    """`__version__` of the package's text."""
    names: dict[str, str] = {}
    exec(source, names)  # our own one-line module
    return names["__version__"]


def undocumented(source: bytes) -> ast.Module:
    """A module of others without docstrings, which are a tenth of the archive and nobody's to read."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            text = node.body.pop(0)
            if not node.body and not isinstance(node, ast.Module):
                node.body.append(ast.copy_location(ast.Pass(), text))
    return tree


def bytecode(name: str, source: bytes | ast.Module) -> bytes:
    """The compiled form of a module, never checked against its source at run time."""
    code = compile(source, name, "exec", dont_inherit=True, optimize=0)
    # Loading once drops what the compiler shared with this process, which differs from run to run.
    data = marshal.dumps(marshal.loads(marshal.dumps(code)))
    unchecked = struct.pack("<I", 0b01)
    key = importlib.util.source_hash(source if isinstance(source, bytes) else data)
    return importlib.util.MAGIC_NUMBER + unchecked + key + data


def write(archive: zipfile.ZipFile, name: str, data: bytes, *, stored: bool = False) -> None:
    """One member whose header says nothing of this machine or hour."""
    info = zipfile.ZipInfo(name, EPOCH)
    info.create_system = 3
    info.external_attr = (0o100755 if name.endswith(".so") else 0o100644) << 16
    info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    archive.writestr(info, data, compresslevel=9)


def run(command: list[str]) -> None:
    """A step of the build; its output is shown when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
