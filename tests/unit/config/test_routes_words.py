"""The words of routes.d reach the plan and its credentials; client keys and oauth sections reach the settings."""

import contextlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.config import routes_lint
from proxy.config.declared import When
from proxy.config.diagnose import ConfigError, render
from proxy.config.load import read
from proxy.config.model import ClientKey, Hedge
from proxy.config.routes_shape import ROUTES
from proxy.routing.load import load

TOML = """
[upstreams.z]
wire = "chat"
base-url = "https://z.example"
keys = ["env:A", { key = "env:B", weight = 3 }]
limits = { in-flight = 4, queue = 10, wait = "1500ms" }
[models.m]
to = ["z", "z:other"]
policy = "hedge"
hedge = { after = "3s", max = 2, budget = "12.5%" }
on-break = "resume"
on-loss = "fail"
accounts = "soonest-reset"
sticky = "key"
[models.plain]
to = ["z"]
[keys.ci]
key = "env:C"
models = ["m", "plain-*"]
limits = { in-flight = 2, requests = "100/1m" }
[keys.free]
key = "file:key"
"""
YAML = """
upstreams:
  z:
    wire: chat
    base-url: https://z.example
    keys: ["env:A", {key: env:B, weight: 3}]
    limits: {in-flight: 4, queue: 10, wait: 1500ms}
models:
  m:
    to: [z, "z:other"]
    policy: hedge
    hedge: {after: 3s, max: 2, budget: 12.5%}
    on-break: resume
    on-loss: fail
    accounts: soonest-reset
    sticky: key
  plain: {to: [z]}
keys:
  ci: {key: env:C, models: [m, plain-*], limits: {in-flight: 2, requests: 100/1m}}
  free: {key: "file:key"}
"""


@pytest.fixture(params=[("a.toml", TOML), ("a.yaml", YAML)], ids=["toml", "yaml"])
def loaded(request, tmp_path):
    name, text = request.param
    (tmp_path / "routes.d").mkdir()
    (tmp_path / "routes.d" / name).write_text(text)
    (tmp_path / "routes.d" / "key").write_text("from-a-file\nsecond line\n")
    environ = {"HOME": str(tmp_path), "A": "a", "B": "b", "C": "c"}
    return load(None, [], environ, str(tmp_path))


def test_the_words_of_a_model(loaded):
    plan = loaded.table.resolve("m")
    assert (plan.policy, plan.on_break, plan.on_loss, plan.strategy, plan.sticky) == (
        "hedge", "resume", "fail", "soonest-reset", "key",
    )  # fmt: skip
    assert plan.hedge == Hedge(after=3.0, max=2, budget=0.125)
    plain = loaded.table.resolve("plain")
    assert (plain.policy, plain.on_break, plain.strategy, plain.sticky, plain.hedge) == (
        "failover", "error", "round-robin", "session", Hedge(),
    )  # fmt: skip
    assert plain.on_loss == "ignore"


def test_limits_and_weights_of_an_upstream(loaded):
    found = [c.credential for c in loaded.table.resolve("plain").targets[0].candidates]
    assert [(c.weight, c.in_flight, c.queue, c.queue_wait) for c in found] == [
        (1, 4, 10, 1.5), (3, 4, 10, 1.5),
    ]  # fmt: skip


def test_client_keys(loaded):
    ci, free = loaded.settings.keys
    assert (ci.name, ci.key.reveal(), ci.models) == ("ci", "c", ("m", "plain-*"))
    assert (ci.in_flight, ci.requests, ci.window) == (2, 100, 60.0)
    assert free == ClientKey(name="free", key=free.key)
    assert free.key.reveal() == "from-a-file"
    assert loaded.warnings == ()


def test_oauth_sections_are_kept_for_accounts(tmp_path):
    (tmp_path / "config.yaml").write_text(
        "host: 127.0.0.1\n"
        "oauth-model-mappings:\n"
        "  Codex: [{name: gpt-5, alias: fast, fork: true}, {name: gpt-6, alias: best}]\n"
        "oauth-excluded-models: {claude: ['*-OLD', '', '*-old'], qwen: []}\n"
    )
    declared = read(None, [], {"HOME": str(tmp_path)}, str(tmp_path)).declared
    assert [(m.name, m.alias, m.fork) for m in declared.mappings["codex"]] == [
        ("gpt-5", "fast", True), ("gpt-6", "best", False),
    ]  # fmt: skip
    assert declared.excluded == {"claude": ("*-old",)}


COVERED = [
    (When(stream=True), When(stream=True, client=("codex",)), True),
    (When(stream=True), When(client=("codex",)), False),
    (When(client=("codex", "zed")), When(client=("zed",)), True),
    (When(client=("zed",)), When(client=("codex", "zed")), False),
    (When(model=("*",)), When(images=True), True),
    (When(model=("gpt-*",)), When(model=("GPT-5*",)), True),
    (When(model=("gpt-5*",)), When(model=("gpt-*",)), False),
    (When(model=("a*b*c",)), When(model=("ab*bc",)), True),
    (When(model=("a*bc",)), When(model=("a*b*c",)), False),
    (When(tool=("*",)), When(images=True), False),
    (When(tools=True), When(tool=("web_*",)), True),
    (When(tokens_over=10), When(tokens_over=10), True),
    (When(tokens_over=11), When(tokens_over=10), False),
    (When(time_of_day=(1200, 480)), When(time_of_day=(1320, 360)), True),
    (When(time_of_day=(1320, 360)), When(time_of_day=(1200, 480)), False),
    (When(time_of_day=(0, 1440)), When(time_of_day=(1320, 360)), True),
    (When(time_of_day=(60, 120)), When(stream=True), False),
    (When(header=(("a", ("*",)),)), When(header=(("a", ("x",)), ("b", ("y",)))), True),
    (When(header=(("a", ("x*",)),)), When(header=(("b", ("x",)),)), False),
]


@pytest.mark.parametrize(("wide", "narrow", "expected"), COVERED)
def test_covering(wide, narrow, expected):
    assert routes_lint.covers(wide, narrow) is expected


WORDS = [
    *(
        "a",
        "b*",
        "*",
        "a(high)",
        "u",
        "u:a",
        "chat",
        "demo",
        "race",
        "hedge",
        "session",
        "codex",
        "",
    ),
    *("5%", "2s", "10/1m", "22:00-06:00", "https://x.example", "env:HOME", "{1}", 0, 1, -1, 1.5),
    *(True, False, None, [], {}, ["a"], ["a", None, "*"], {"a": 1}, "\0", "\ud7ff"),
]
FITTING = {
    "bool": st.booleans(),
    "int": st.integers(-1, 9),
    "seconds": st.sampled_from(["2s", "0s", "1500ms"]),
    "share": st.sampled_from(["0%", "5%", "100%"]),
    "rate": st.sampled_from(["1/1s", "100/1m"]),
    "hours": st.sampled_from(["22:00-06:00", "0:00-24:00"]),
}


def fitting(shape):
    """Values of a shape, now and then something else."""
    odd = st.sampled_from(WORDS)
    if isinstance(shape, list):
        made = st.lists(fitting(shape[0]), max_size=3)
    elif isinstance(shape, dict):
        named = shape.get("*")
        if named is not None:
            made = st.dictionaries(
                st.sampled_from(["a", "b", "u", "x*", ""]), fitting(named), max_size=3
            )
        else:
            made = st.fixed_dictionaries({}, optional={k: fitting(v) for k, v in shape.items()})
    else:
        made = FITTING.get(shape, odd)
    return st.one_of(*[made] * 15, odd) if shape is not ROUTES else made


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(fitting(ROUTES))
def test_any_routes_are_compiled_or_refused(tmp_path, routes):
    (tmp_path / "a.yaml").write_text(json.dumps(routes))
    with contextlib.suppress(ConfigError):
        loaded = load(None, ["a.yaml"], {"HOME": str(tmp_path)}, str(tmp_path))
        for warning in loaded.warnings:
            assert render(warning)
