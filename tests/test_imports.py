"""Imports point downwards only: a walk over the syntax trees of the product.

The tables are the rule; a new edge is a decision, so it is made here first.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PRODUCT = ROOT / "proxy"

BASE = {"errors", "jsonio", "secret", "clock", "home"}
"""Standard library and msgspec only; everything may import these."""
ALLOWED = {
    "app": {
        "surface",
        "exchange",
        "sources",
        "reload",
        "handover",
        "routing",
        "config",
        "accounts",
        "auth",
        "net",
        "telemetry",
        "store",
        "upstream",
    },
    "reload": {"config", "sources", "store"},
    "sources": set(),
    "handover": set(),
    "auth": {"store", "net", "upstream", "config"},
    "explain": {"routing", "accounts", "upstream", "wire", "config", "convo"},
    "surface": {
        "exchange",
        "explain",
        "wire",
        "routing",
        "accounts",
        "config",
        "http1",
        "convo",
        "upstream",
        "net",
    },
    "exchange": {"routing", "accounts", "wire", "upstream", "telemetry", "config", "convo", "net"},
    "upstream": {"wire", "net", "config", "convo", "routing"},
    "accounts": {"net", "config", "store"},
    "routing": {"config", "convo"},
    "config": {"convo"},
    "wire": {"convo"},
    "convo": set(),
    "net": {"http1"},
    "telemetry": set(),
    "store": set(),
    "http1": set(),
}
"""Area -> areas it may import besides its own and BASE. `cli` and `__main__` may import everything."""
MODULES_ONLY = {
    ("accounts", "config"): {"proxy.config.model"},
    ("auth", "config"): {"proxy.config.model", "proxy.config.declared"},
    ("auth", "net"): {"proxy.net.api", "proxy.net.fetch"},
    ("auth", "upstream"): {
        "proxy.upstream.copilot",
        "proxy.upstream.copilot_facts",
        "proxy.upstream.facts",
        "proxy.upstream.kiro_facts",
        "proxy.upstream.antigravity",
        "proxy.upstream.google_facts",
    },
    ("upstream", "config"): {"proxy.config.model"},
    ("exchange", "config"): {"proxy.config.model"},
    ("routing", "config"): {
        "proxy.config.routes_shape",
        "proxy.config",
        "proxy.config.declared",
        "proxy.config.diagnose",
        "proxy.config.load",
        "proxy.config.model",
        "proxy.config.payload_path",
    },
    ("routing", "convo"): {"proxy.convo.model", "proxy.convo.thinking"},
    ("config", "convo"): {"proxy.convo.model", "proxy.convo.thinking"},
    ("exchange", "net"): {"proxy.net.api"},
    ("surface", "net"): {"proxy.net.api", "proxy.net.sock", "proxy.net.sweep"},
    ("surface", "upstream"): {"proxy.upstream.prepare"},  # `Ask`, what a surface hands on
    ("upstream", "routing"): {  # pure edits of a body; what rules ask of a request
        "proxy.routing.facts",
        "proxy.routing.match",
        "proxy.routing.payload",
        "proxy.routing.rules",
    },
    ("upstream", "net"): {"proxy.net.api"},
}
"""Edges that hold for some modules of the lower area only."""
TYPES_ONLY = {
    ("exchange", "proxy.surface.http"),  # the protocol of a responder; its server stays unknown
    ("auth", "proxy.telemetry.log"),  # where it says what happened to an account
    ("reload", "proxy.routing.load"),  # what it is handed, not what it makes
    ("reload", "proxy.surface.router"),
    ("reload", "proxy.telemetry.log"),
    ("telemetry", "proxy.config.model"),  # what a log line names
    ("upstream", "proxy.telemetry.label"),  # travels with an opened answer
    ("telemetry", "proxy.convo.model"),
    ("telemetry", "proxy.upstream.prepare"),
}
"""Edges for annotations only, under `if TYPE_CHECKING`: area -> module."""
PLACES = {
    "trio": {
        *("app", "surface", "exchange", "sources", "reload", "handover"),
        *("upstream", "auth", "net", "store", "cli"),
    },
    "httpx": {"net"},
    "httpcore": {"net"},
    "hypercorn": {"surface/asgi.py"},
    "quart_trio": {"surface/asgi.py"},
    "httptools": {"http1"},
    "argparse": {"cli"},
    "segno": {"cli"},
    "ruamel": {"config"},
    "tomlkit": {"config"},
    "yaml": {"config"},
    "json": set(),
    "asyncio": set(),
}
"""Package -> areas or modules that may import it."""


def area(path: Path) -> str:
    """The first part of a module's place in the product."""
    return path.relative_to(PRODUCT).parts[0].removesuffix(".py")


def imports(text: str, path: Path):
    """(line, module, only for types) of every import statement, those in function bodies too."""
    names = path.relative_to(ROOT).with_suffix("").parts
    tree = ast.parse(text)
    guarded = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for statement in block.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, node in guarded
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*names[: len(names) - node.level], *filter(None, [base])])
            for alias in node.names:
                place = ROOT / base.replace(".", "/") / alias.name
                is_module = place.is_dir() or place.with_suffix(".py").exists()
                yield node.lineno, f"{base}.{alias.name}" if is_module else base, node in guarded


def problems(text: str, path: Path) -> list[str]:
    own = area(path)
    place = str(path.relative_to(PRODUCT))
    found = []
    for line, module, types in imports(text, path):
        top, *rest = module.split(".")
        where = f"{place}:{line}: {own} must not import {module}"
        if top == "proxy" and rest and own not in {"cli", "__main__"}:
            other = rest[0]
            if other == own or (other in BASE and own not in BASE):
                continue
            only = MODULES_ONLY.get((own, other))
            fits = other in ALLOWED.get(own, set()) and (only is None or module in only)
            if not fits and not (types and (own, module) in TYPES_ONLY):
                found.append(where)
        elif top in PLACES and own not in PLACES[top] and place not in PLACES[top]:
            found.append(where)
    return found


MODULES = sorted(PRODUCT.rglob("*.py"))


def test_every_area_has_a_row():
    areas = {area(path) for path in MODULES} - BASE - {"__init__", "__main__", "cli"}
    assert areas <= set(ALLOWED), "decide what the new area may import"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PRODUCT)))
def test_imports_point_downwards(path):
    assert problems(path.read_text(encoding="utf-8"), path) == []


def test_the_tables_have_no_cycle():
    done: set[str] = set()
    while len(done) < len(ALLOWED):
        ready = {name for name, lower in ALLOWED.items() if name not in done and lower <= done}
        assert ready, f"a cycle among {sorted(set(ALLOWED) - done)}"
        done |= ready


@pytest.mark.parametrize(
    ("statement", "count"),
    [
        ("def f():\n    import asyncio", 1),
        ("from proxy.surface import router", 1),
        ("from ..surface import router", 1),
        ("from proxy import surface", 1),
        ("if TYPE_CHECKING:\n    from proxy.exchange import Live", 1),
        ("import trio.lowlevel", 1),
        ("from proxy.convo import model\nfrom proxy import errors\nfrom proxy.wire import sse", 0),
    ],
)
def test_the_walk_sees_what_it_forbids(statement, count):
    assert len(problems(statement, PRODUCT / "wire" / "example.py")) == count
