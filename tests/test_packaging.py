"""What every file of the project keeps to: sizes, reasons, words; and what the build keeps to."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
SETTINGS = tomllib.loads(PROJECT)
MODULES = sorted((ROOT / "proxy").rglob("*.py"))
PYZ = Path(os.environ.get("POINTSMAN_PYZ", ROOT / "dist" / "pointsman.pyz"))

MOST_LINES = 500
DATA_ONLY = {"routing/builtin_data.py"}
"""Tables that are generated or transcribed: their length says nothing of their complexity."""
PLACES = "|".join(re.escape(f"{place}/") for place in (ROOT, Path.home()) if len(str(place)) > 4)
WORDS = re.compile(
    rf"\b(sub-?ag{''}ent|as an ai|language model assistant|TODO|FIXME|XXX)\b|{PLACES}",
    re.IGNORECASE,
)
"""Words and places that have no business in a published file."""


def tracked():
    """Files that git knows or would take, as paths."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.splitlines() if (ROOT / name).is_file()]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_stay_readable(path):
    text = path.read_text(encoding="utf-8")
    if str(path.relative_to(ROOT / "proxy")) not in DATA_ONLY:
        assert text.count("\n") <= MOST_LINES, "split it by what it holds"
    assert not text or text.lstrip().startswith(('"""', 'r"""')), "a module says what it holds"


def test_every_dependency_has_its_reason():
    extras = SETTINGS["project"]["optional-dependencies"].values()
    groups = [*SETTINGS["project"]["dependencies"], *(r for extra in extras for r in extra)]
    for requirement in groups:
        line = next(line for line in PROJECT.splitlines() if f'"{requirement}"' in line)
        assert "#" in line.split('",')[-1], requirement


def test_every_ignored_rule_has_its_reason():
    block = PROJECT.split("\nignore = [\n")[1].split("\n]\n")[0]
    rules = [line for line in block.splitlines() if re.match(r'\s+"', line)]
    assert rules
    assert [line for line in rules if "#" not in line] == []


def test_no_words_about_the_workshop():
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in tracked()
        if path.suffix in {".py", ".md", ".toml", ".yaml", ".txt", ".sh", ""}
        and path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if WORDS.search(line)
    ]
    assert found == []


def test_locks_pin_by_hash_and_cover_the_dependencies():
    names = [re.match(r"[\w.-]+", r)[0].lower() for r in SETTINGS["project"]["dependencies"]]
    for lock in ("runtime", "test", "clients"):
        text = (ROOT / "build" / "lock" / f"{lock}.txt").read_text()
        for name in names:
            assert re.search(rf"^{re.escape(name.replace('.', '-'))}==", text, re.MULTILINE), name
        entries = re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1:]
        assert all("--hash=sha256:" in entry for entry in entries)


@pytest.fixture(scope="module")
def pyz():
    if not PYZ.is_file():
        if os.environ.get("CI"):
            pytest.fail("dist/pointsman.pyz is not built")
        pytest.skip("dist/pointsman.pyz is not built: python3 build/run.py --build-only")
    return PYZ


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A SHIV_ROOT shared by the tests here."""
    return tmp_path_factory.mktemp("root")


def start(pyz, arguments, root, **variables):
    """Runs the archive isolated from the checkout."""
    environment = {**os.environ, "SHIV_ROOT": str(root), **variables}
    command = [sys.executable, str(pyz), *arguments]
    return subprocess.run(
        command, env=environment, cwd=root, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.pyz
def test_the_archive_is_small_and_dated_alike(pyz):
    assert pyz.stat().st_size <= 6_000_000
    with zipfile.ZipFile(pyz) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {"__main__.py", "environment.json", "tree.zip"} <= set(archive.namelist())


@pytest.mark.pyz
def test_version_needs_no_unpacking(pyz, tmp_path):
    done = start(pyz, ["--version"], tmp_path)
    assert re.fullmatch(r"pointsman \d+\.\d+\.\d+\n", done.stdout)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.pyz
def test_first_starts_at_once_unpack_once(pyz, tmp_path):
    environment = {**os.environ, "SHIV_ROOT": str(tmp_path)}
    command = [sys.executable, str(pyz), "--help"]
    runs = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    results = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0, 0], results
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.pyz
def test_missing_files_are_healed(pyz, root):
    assert start(pyz, ["--help"], root).returncode == 0
    (folder,) = root.glob("pointsman_*")
    victim = next(folder.glob("trio/__init__.py*"))
    victim.unlink()
    assert start(pyz, ["--help"], root).returncode == 0
    assert victim.exists()
    assert [path.name for path in root.iterdir()] == [folder.name]


@pytest.mark.pyz
def test_no_home_falls_back_to_the_temporary_folder(pyz, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    done = start(pyz, ["--help"], tmp_path, SHIV_ROOT=str(blocked / "x"), TMPDIR=str(temporary))
    assert done.returncode == 0, done.stderr
    (own,) = temporary.iterdir()
    assert own.stat().st_mode & 0o077 == 0


@pytest.mark.pyz
def test_a_foreign_temporary_folder_is_not_used(pyz, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    temporary = tmp_path / "tmp"
    planted = temporary / f"pointsman-{os.getuid()}"
    planted.mkdir(parents=True)
    planted.chmod(0o777)
    done = start(pyz, ["--help"], tmp_path, SHIV_ROOT=str(blocked / "x"), TMPDIR=str(temporary))
    assert done.returncode == 0, done.stderr
    assert list(planted.iterdir()) == []


@pytest.mark.pyz
def test_every_module_of_the_tree_imports(pyz, root):
    """Pruning took nothing away that the product reaches."""
    assert start(pyz, ["--help"], root).returncode == 0
    (folder,) = root.glob("pointsman_*")
    code = (
        "import sys, pkgutil, importlib\n"
        f"sys.path.insert(0, {str(folder)!r})\n"
        "import proxy\n"
        "for m in pkgutil.walk_packages(proxy.__path__, 'proxy.'):\n"
        "    if not m.name.endswith('__main__'): importlib.import_module(m.name)\n"
        "import httpx, quart_trio, hypercorn.trio, h2, socksio, brotli, zstandard, tomlkit\n"
        "import httpcore, httpcore._async.http2, httpcore._async.socks_proxy, wsproto\n"
        "import yaml\n"
        f"assert all(m.__file__.startswith({str(folder)!r}) for m in [httpx, h2, proxy])\n"
    )
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
