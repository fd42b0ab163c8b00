"""Names to plans: accounts of config.yaml, routes.d, and both."""

import pytest

from proxy.convo.model import Reasoning
from proxy.errors import ProxyError
from proxy.routing.load import load


@pytest.fixture
def table(tmp_path):
    def make(config="host: 127.0.0.1\n", routes=""):
        (tmp_path / "config.yaml").write_text(config)
        (tmp_path / "routes.d").mkdir()
        (tmp_path / "routes.d" / "a.toml").write_text(routes)
        return load(None, [], {"HOME": str(tmp_path)}, str(tmp_path)).table

    return make


def shape(plan):
    """[(upstream, [(key, model)])]"""
    return [
        (t.upstream, [(c.credential.key.reveal(), c.model) for c in t.candidates])
        for t in plan.targets
    ]


def refused(table, model):
    with pytest.raises(ProxyError) as caught:
        table.resolve(model)
    return caught.value


def ids(table):
    return [model.id for model in table.listed()]


def test_the_built_in_list_and_what_is_excluded(table):
    made = table("claude-api-key: [{api-key: k, excluded-models: ['claude-3-*', '*OPUS*']}]")
    assert ids(made) == [
        "claude-haiku-4-5-20251001", "claude-sonnet-4-20250514", "claude-sonnet-4-5-20250929",
    ]  # fmt: skip
    assert refused(made, "claude-opus-4-20250514").status == 404
    assert "unknown provider for model claude-opus-4-20250514" in str(
        refused(made, "claude-opus-4-20250514")
    )


def test_models_replace_the_list_and_the_upstream_name_is_not_offered(table):
    made = table(
        "claude-api-key: [{api-key: k, models: [{name: claude-opus-4-5-20251101, alias: Fast}, {name: solo}]}]"
    )
    assert ids(made) == ["Fast", "solo"]
    assert shape(made.resolve("Fast")) == [("claude", [("k", "claude-opus-4-5-20251101")])]
    assert made.resolve("fast").model == "Fast"
    assert refused(made, "claude-opus-4-5-20251101").kind == "model_not_found"
    listed = made.listed()[0]
    assert (listed.owned_by, listed.kind, listed.context) == ("anthropic", "claude", 0)
    assert listed.created > 0
    candidate = made.resolve("Fast").targets[0].candidates[0]
    assert candidate.capability.budget_max == 100_000


TEAM = "claude-api-key: [{api-key: a, prefix: team}, {api-key: b}]\n"
SONNET = "claude-sonnet-4-5-20250929"


def test_prefix(table):
    made = table(TEAM)
    assert {k for k, _ in shape(made.resolve(SONNET))[0][1]} == {"a", "b"}
    plan = made.resolve(f"team/{SONNET}")
    assert shape(plan) == [("claude", [("a", SONNET)])]
    assert plan.model == f"team/{SONNET}"
    assert refused(made, f"other/{SONNET}").status == 404


def test_forced_prefix(table):
    made = table(TEAM + "force-model-prefix: true\n")
    assert shape(made.resolve(SONNET)) == [("claude", [("b", SONNET)])]
    assert shape(made.resolve(f"team/{SONNET}")) == [("claude", [("a", SONNET)])]


def test_several_providers_share_a_name(table):
    made = table(
        """
routing: {strategy: ff}
openai-compatibility:
- {name: Zeta, base-url: https://z.example, api-key-entries: [{api-key: z}], models: [{name: mz, alias: m}]}
- {name: acme, base-url: https://a.example, api-key-entries: [{api-key: a1}, {api-key: a2}], models: [{name: ma, alias: m}]}
- {name: beta, base-url: https://b.example, api-key-entries: [{api-key: b}], models: [{name: mb, alias: m}]}
"""
    )
    plan = made.resolve("m")
    assert [t.upstream for t in plan.targets] == ["acme", "beta", "zeta"]
    assert (plan.policy, plan.strategy) == ("balance", "fill-first")
    own = [c.credential.id for c in plan.targets[0].candidates]
    assert own == sorted(own)


def test_codex_effort_names_ask_the_base(table):
    made = table(
        "codex-api-key:\n- {api-key: k, base-url: https://c.example}\n"
        "passthru: [{model: gpt-5.2-high, model-routing-name: deep, protocol: codex,"
        " base-url: https://p.example}]\n"
    )
    plan = made.resolve("gpt-5-high")
    assert shape(plan) == [("codex", [("k", "gpt-5")])]
    assert (plan.model, plan.reasoning) == ("gpt-5-high", Reasoning(effort="high"))
    assert made.resolve("gpt-5-high(low)").reasoning == Reasoning(effort="low")
    assert made.resolve("gpt-5").reasoning is None
    deep = made.resolve("deep")
    assert shape(deep) == [("codex", [("", "gpt-5.2")])]
    assert deep.reasoning == Reasoning(effort="high")


def test_suffixes(table):
    made = table("claude-api-key: [{api-key: k}]\n")
    plan = made.resolve(f"{SONNET}(8192)")
    assert (plan.asked, plan.model) == (f"{SONNET}(8192)", SONNET)
    assert plan.reasoning == Reasoning(budget=8192)
    assert made.resolve(f"{SONNET}(-1)").reasoning == Reasoning(budget=-1)
    error = refused(made, f"{SONNET}(loud)")
    assert (error.status, error.kind) == (400, "invalid_request")
    assert refused(made, "nobody(loud)").status == 404
    assert refused(made, "x" * 5000).status == 400


def test_a_name_that_looks_like_a_suffix(table):
    made = table(routes=ROUTES + '[models."odd(name)"]\nto=["x"]\n[models."odd(low)"]\nto=["y"]\n')
    assert made.resolve("odd(name)").model == "odd(name)"
    assert made.resolve("odd(low)").model == "odd(low)"


ROUTES = """
[upstreams.x]
wire = "chat"
base-url = "https://x.example"
keys = ["k1", "k2"]
[upstreams.y]
wire = "anthropic"
base-url = "https://y.example"
"""


def test_routes_in_order_of_resolution(table):
    made = table(
        "claude-api-key: [{api-key: c, models: [{name: u, alias: gpt-9}, {name: u, alias: acc-1}]}]\n",
        ROUTES
        + """
[models."m-1"]
to = ["y", "x:other"]
context = 1000
[models."gpt-9"]
to = ["x"]
[models."acc:2"]
to = ["claude:claude-opus-4-5-20251101"]
[aliases]
"al" = "m-1"
"al2" = "al"
"deep" = "al2(high)"
"acc-*" = "m-{1}"
"acc-1x*" = "gpt-9"
"spin-*" = "spin-{1}a"
[prefixes]
"y-" = { upstream = "y", any-model = true }
"y-not-" = { upstream = "y" }
"m-" = { upstream = "x", any-model = true }
""",
    )
    first = made.resolve("m-1")
    assert shape(first) == [("y", [("", "m-1")]), ("x", [("k1", "other"), ("k2", "other")])]
    assert (first.policy, first.targets[0].candidates[0].capability.context) == ("failover", 1000)
    assert shape(made.resolve("gpt-9")) == [("x", [("k1", "gpt-9"), ("k2", "gpt-9")])]
    assert made.resolve("al2").model == "m-1"
    assert made.resolve("al2").asked == "al2"
    assert made.resolve("deep").reasoning == Reasoning(effort="high")
    assert made.resolve("deep(low)").reasoning == Reasoning(effort="low")
    assert shape(made.resolve("y-Any/Thing")) == [("y", [("", "Any/Thing")])]
    assert made.resolve("y-Any").model == "y-Any"
    assert shape(made.resolve("y-not-m-1")) == [("y", [("", "m-1")])]
    assert shape(made.resolve("m-2"))[0][0] == "x"
    assert made.resolve("acc-1").model == "m-1"
    assert made.resolve("acc-1xy").model == "gpt-9"
    assert shape(made.resolve("acc:2")) == [("claude", [("c", "claude-opus-4-5-20251101")])]
    assert refused(made, "spin-").status == 404
    assert made.resolve("AL2").model == "m-1"
    assert made.resolve("Y-Mixed").targets[0].candidates[0].model == "Mixed"


def test_a_prefix_without_any_model_takes_known_ones_only(table):
    made = table(routes=ROUTES + '[models.m]\nto=["y:up"]\n[prefixes]\n"q-"={upstream="y"}\n')
    assert shape(made.resolve("q-up")) == [("y", [("", "up")])]
    assert refused(made, "q-other").status == 404


def test_an_upstream_by_provider_brings_its_models(table):
    made = table(routes='[upstreams.a]\nprovider = "claude"\nkeys = ["k"]\n')
    assert shape(made.resolve(SONNET)) == [("a", [("k", SONNET)])]
    assert made.resolve(SONNET).targets[0].candidates[0].credential.legacy is False


def test_auto_is_the_newest(table):
    made = table("claude-api-key: [{api-key: k}]\n")
    assert made.resolve("auto").model == "claude-opus-4-5-20251101"
    assert made.resolve("auto").asked == "auto"


def test_auto_may_be_a_name_of_its_own(table):
    made = table(routes=ROUTES + '[models.auto]\nto=["x:mine"]\n')
    assert made.resolve("auto").targets[0].candidates[0].model == "mine"


def test_the_nearest_name_is_told(table):
    made = table("claude-api-key: [{api-key: k}]\n")
    assert "did you mean 'claude-sonnet-4-5-20250929'" in str(refused(made, "claude-sonnet-4-5"))


def test_passthru_limits_and_lists(table):
    made = table(
        "passthru: [{model: gemini-2.5-pro, base-url: https://p.example, context-window: 5000}]\n"
    )
    (listed,) = made.listed()
    assert (listed.owned_by, listed.context, listed.output) == ("passthru", 5000, 32_000)
    capability = made.resolve("gemini-2.5-pro").targets[0].candidates[0].capability
    assert (capability.context, capability.budget_max) == (5000, 32768)


def test_a_name_leads_to_the_same_plan_each_time_and_few_are_remembered(table, monkeypatch):
    monkeypatch.setattr("proxy.routing.table._FOUND", 3)
    made = table(
        routes='[upstreams.u]\nwire = "chat"\nbase-url = "http://u.test"\n[models.m]\nto = ["u"]\n[aliases]\n"x-*" = "m"\n'
    )
    first = made.resolve("x-1")
    assert made.resolve("x-1") is first
    assert (first.asked, first.model) == ("x-1", "m")
    for number in range(20):
        assert made.resolve(f"x-{number}").asked == f"x-{number}"
        assert len(made._found) <= 3
    assert refused(made, "y-1").kind == "model_not_found"
    assert "y-1" not in made._found
