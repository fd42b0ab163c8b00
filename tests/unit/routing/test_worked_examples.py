"""The worked examples of `docs/routing.md` do what the page says of them."""

import re
from pathlib import Path

import pytest

from proxy.config.routes_shape import CLIENTS
from proxy.convo.model import Reasoning
from proxy.routing.facts import Facts
from proxy.routing.load import load

PAGE = (Path(__file__).parents[3] / "docs" / "routing.md").read_text(encoding="utf-8")
NAMES = ("ZAI_KEY", "ANTHROPIC_API_KEY", "LAPTOP_KEY", "CI_KEY", "GEMINI_KEY")


@pytest.fixture
def example(tmp_path):
    """The table of the first example below a heading."""

    def make(heading):
        block = re.search(
            r"^```(\w+) routes\n(.*?)^```",
            PAGE[PAGE.index(f"## {heading}") :],
            re.MULTILINE | re.DOTALL,
        )
        path = tmp_path / f"a.{block[1]}"
        path.write_text(block[2], encoding="utf-8")
        environ = {"HOME": str(tmp_path)} | {name: name for name in NAMES}
        return load(None, [str(path)], environ, str(tmp_path))

    return make


def test_aliases_and_prefixes(example):
    table = example("aliases and prefixes").table
    assert table.resolve("quick-v4").model == "fast-v4"
    assert table.resolve("claude-haiku-4-5").model == "fast"
    assert table.resolve("deep").reasoning == Reasoning(effort="high")
    assert table.resolve("deep(low)").reasoning == Reasoning(effort="low")
    assert table.resolve("local/whatever").targets[0].candidates[0].model == "whatever"


@pytest.mark.parametrize(
    ("model", "facts", "used"),
    [
        ("x", {"client": "claude-code", "thinking": True, "tokens": 70_000}, "best-coder"),
        ("claude-haiku-4-5", {"client": "claude-code"}, "cheap-coder"),
        ("best-coder", {"minute": 23 * 60, "tools": ("web_search_20250305",)}, "best-coder"),
        ("best-coder", {"minute": 5 * 60 + 59, "tools": ("Bash",)}, "cheap-coder"),
        ("best-coder", {"minute": 6 * 60}, "best-coder"),
        ("cheap-coder", {"minute": 12 * 60}, "cheap-coder"),
    ],
)
def test_rules(example, model, facts, used):
    def made():
        lazy = {k: (lambda v=v: v) for k, v in ({"minute": 720} | facts).items() if k != "client"}
        return Facts(client=facts.get("client", ""), size=1_000_000, **lazy)

    assert example("rules").table.resolve(model, made).model == used


def test_client_keys(example):
    loaded = example("keys: who may ask")
    assert [(key.name, key.models, key.requests) for key in loaded.settings.keys] == [
        ("laptop", (), 0), ("ci", ("fast", "fast-*"), 100),
    ]  # fmt: skip
    plan = loaded.table.resolve("slow", lambda: Facts(key="ci"))
    assert (plan.model, plan.reasoning) == ("fast", Reasoning(effort="none"))
    assert loaded.table.resolve("slow", lambda: Facts(key="laptop")).model == "slow"


def test_the_page_lists_every_client_with_its_user_agents():
    rows = re.findall(
        r"^\| `([\w-]+)` \| (`.*`.*) \|$",
        PAGE[PAGE.index("| client | `User-Agent`") :],
        re.MULTILINE,
    )
    said = {name: text for name, text in rows if name in CLIENTS}
    assert set(said) == set(CLIENTS)
    for name, beginnings in CLIENTS.items():
        assert all(f"`{beginning}`" in said[name].lower() for beginning in beginnings), name
