import pytest

from proxy.convo.model import Capability
from proxy.routing.builtin import UNKNOWN, capability_of, codex_effort, models_of

BASES = {"gpt-5": 5, "gpt-5-codex": 4, "gpt-5-codex-mini": 3, "gpt-5.1": 5, "gpt-5.1-codex": 4,
         "gpt-5.1-codex-mini": 3, "gpt-5.1-codex-max": 5, "gpt-5.2": 6, "gpt-5.2-codex": 5}  # fmt: skip


def test_the_lists_have_the_recorded_sizes_and_no_id_twice():
    sizes = {"claude": 8, "codex": 40, "gemini": 6, "vertex": 6, "openai-compat": 0, "demo": 0}
    for provider, size in sizes.items():
        ids = [model.id for model in models_of(provider)]
        assert len(ids) == len(set(ids)) == size, provider


def test_each_codex_base_brings_its_effort_ids():
    ids = [model.id for model in models_of("codex")]
    for base, count in BASES.items():
        own = [id for id in ids if id == base or (codex_effort(id) or ("",))[0] == base]
        assert len(own) == count, base
        assert codex_effort(base) is None


def test_an_effort_id_is_listed_with_its_own_words():
    models = {model.id: model for model in models_of("codex")}
    model = models["gpt-5.1-codex-max-xhigh"]
    assert model.display_name == "GPT 5.1 Codex Max XHigh"
    assert model.description == "Alias for GPT 5.1 Codex Max with extra-high thinking budget."
    assert model.created == models["gpt-5.1-codex-max"].created == 1763424000
    assert models["gpt-5.1-none"].description == "Alias for GPT 5.1 with no thinking budget."
    assert codex_effort("gpt-5.1-codex-max-xhigh") == ("gpt-5.1-codex-max", "xhigh")


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gemini-2.5-pro", (128, 32768, False, True)),
        ("GEMINI-2.5-Flash", (0, 24576, True, True)),
        ("claude-opus-4-5-20251101", (1024, 100000, False, True)),
        ("claude-3-5-haiku-20241022", (0, 0, False, False)),
    ],
)
def test_budgets(model, expected):
    found = capability_of(model)
    assert (
        found.budget_min,
        found.budget_max,
        found.zero_allowed,
        found.dynamic_allowed,
    ) == expected


def test_levels_and_unknown_names():
    assert capability_of("gpt-5.2").levels == ("none", "low", "medium", "high", "xhigh")
    assert capability_of("gemini-3-pro-preview").levels == ("low", "high")
    assert capability_of("claude-3-5-haiku-20241022").thinking is False
    assert capability_of("claude-haiku-4-5-20251001").thinking is None
    assert capability_of("never-heard-of") == UNKNOWN == Capability()
