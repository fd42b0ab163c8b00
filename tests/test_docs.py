"""What the documentation shows works: configurations pass `check`, links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
VARIABLES = (
    *("OPENROUTER_API_KEY", "ZAI_KEY", "ANTHROPIC_API_KEY", "GEMINI_KEY", "GEMINI_KEY_1"),
    *("GEMINI_KEY_2", "LAPTOP_KEY", "CI_KEY"),
)
"""What the examples take from the environment."""
SHIPPED = sorted((ROOT / "routes.d").glob("*.*ml"))


def examples():
    """Every block marked `toml routes`, `yaml routes` or `yaml config`, with where it stands."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in FENCE.finditer(text):
            language, kind, body = block[1], block[2].strip(), block[3]
            if language in {"toml", "yaml"} and kind in {"routes", "config"}:
                line = text.count("\n", 0, block.start()) + 1
                yield pytest.param(language, kind, body, id=f"{page.name}:{line}")


def check(*arguments, cwd):
    """Runs `pointsman check` away from any configuration of this machine."""
    environment = {
        **{k: v for k, v in os.environ.items() if k in {"PATH", "LANG", "LC_ALL"}},
        "PYTHONPATH": str(ROOT),
        "HOME": str(cwd),
        "XDG_CONFIG_HOME": str(cwd),
    }
    environment |= {name: f"example-{name}" for name in VARIABLES}
    command = [sys.executable, "-m", "proxy", "check", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("language", "kind", "body"), list(examples()))
def test_examples_pass_check(language, kind, body, tmp_path):
    if kind == "config":
        path = tmp_path / f"config.{language}"
        path.write_text(body, encoding="utf-8")
        done = check("--config", str(path), cwd=tmp_path)
    else:
        (tmp_path / "routes.d").mkdir()
        (tmp_path / "routes.d" / f"10-example.{language}").write_text(body, encoding="utf-8")
        done = check("--routes", str(tmp_path / "routes.d"), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 warnings" in done.stdout, done.stdout


def test_there_are_examples():
    assert len(list(examples())) >= 4


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_shipped_routes_pass_check(path, tmp_path):
    (tmp_path / "routes.d").mkdir()
    copy = tmp_path / "routes.d" / path.name
    copy.write_bytes(path.read_bytes())
    done = check("--routes", str(copy.parent), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


COMMENTED = re.compile(r"^# (?=\[|\"|[\w-]+ +=)", re.MULTILINE)


@pytest.mark.parametrize(
    "path", [path for path in SHIPPED if ".example." in path.name], ids=lambda p: p.name
)
def test_shipped_examples_hold_once_they_are_taken_in(path, tmp_path):
    (tmp_path / "routes.d").mkdir()
    text = COMMENTED.sub("", path.read_text(encoding="utf-8"))
    assert text.count("\n[") >= 3, "an example is a commented file"
    (tmp_path / "routes.d" / path.name).write_text(text, encoding="utf-8")
    done = check("--routes", str(tmp_path / "routes.d"), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 warnings" in done.stdout, done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page):
    missing = []
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        target, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            missing.append(link)
    assert missing == []


def anchors(path):
    """The anchors that headings of a page make."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def test_every_block_names_its_language():
    bare = [
        page.name
        for page in PAGES
        for i, fence in enumerate(re.findall(r"^```(.*)$", page.read_text("utf-8"), re.MULTILINE))
        if i % 2 == 0 and not fence.strip()
    ]
    assert bare == []
