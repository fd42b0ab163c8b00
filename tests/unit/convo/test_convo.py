"""Folding, thinking figures, signatures, token estimates."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.convo import events as ev
from proxy.convo import tokens
from proxy.convo.fold import fold, unfold
from proxy.convo.model import (
    Answer,
    Capability,
    Choice,
    Finish,
    Message,
    Reasoning,
    Refusal,
    Request,
    Text,
    Thinking,
    ToolUse,
    Usage,
)
from proxy.convo.signature import seal, unseal
from proxy.convo.thinking import budget_of, effort_of

WIRES = ("anthropic", "gemini", "responses", "chat")
PARTS = st.one_of(
    st.builds(Text, text=st.text()),
    st.builds(Refusal, text=st.text()),
    st.builds(Thinking, text=st.text(), signature=st.just("sig"), origin=st.sampled_from(WIRES)),
    st.builds(ToolUse, id=st.text(min_size=1), name=st.text(min_size=1), arguments=st.text()),
)


@given(st.lists(st.lists(PARTS, max_size=4), min_size=1, max_size=2))
def test_unfold_then_fold_is_the_same_answer(choices: list) -> None:
    answer = Answer(
        choices=[Choice(parts=parts, finish=Finish("stop", "x", "chat")) for parts in choices],
        id="i",
        model="m",
        created=7,
        usage=Usage(input=3, output=4),
    )
    assert fold(unfold(answer)) == answer


def test_later_usage_replaces_earlier_field_by_field() -> None:
    seen = [ev.UsageSeen(Usage(input=5, cached=2)), ev.UsageSeen(Usage(output=9))]
    assert fold(seen).usage == Usage(input=5, cached=2, output=9)


@pytest.mark.parametrize("origin", WIRES)
@pytest.mark.parametrize("wire", WIRES)
def test_a_sealed_signature_comes_back_with_its_origin(origin: str, wire: str) -> None:
    value = base64.b64encode(b"proof of thought").decode()
    sealed = seal(value, origin, wire)
    assert unseal(sealed, wire) == (value, origin)
    assert base64.b64decode(sealed, validate=True)


RANGE = Capability(budget_min=128, budget_max=32768, dynamic_allowed=True)


@pytest.mark.parametrize(
    ("asked", "ability", "budget"),
    [
        (Reasoning(effort="high"), Capability(), 24576),
        (Reasoning(effort="none"), RANGE, 128),
        (Reasoning(effort="auto"), RANGE, -1),
        (Reasoning(budget=999_999), RANGE, 32768),
        (Reasoning(budget=-1), Capability(budget_min=1000, budget_max=3000), 2000),
        (Reasoning(), RANGE, None),
    ],
)
def test_budgets(asked: Reasoning, ability: Capability, budget: int | None) -> None:
    assert budget_of(asked, ability) == budget


@pytest.mark.parametrize(
    ("asked", "levels", "effort"),
    [
        (Reasoning(budget=8192), (), "medium"),
        (Reasoning(budget=0), ("low", "high"), "low"),
        (Reasoning(effort="medium"), ("low", "high"), "high"),
        (Reasoning(effort="minimal"), ("low", "high"), "low"),
        (Reasoning(effort="xhigh"), ("low", "medium", "high"), "high"),
        (Reasoning(budget=-1), ("low", "high"), "auto"),
    ],
)
def test_efforts(asked: Reasoning, levels: tuple[str, ...], effort: str) -> None:
    assert effort_of(asked, Capability(levels=levels)) == effort


def test_the_estimate_grows_with_the_text() -> None:
    short = Request(model="m", messages=[Message("user", [Text("Name three rivers in France.")])])
    long = Request(model="m", messages=[Message("user", [Text("word " * 1000)])])
    assert 8 <= tokens.estimate(short) <= 20
    assert 900 <= tokens.estimate(long) <= 1300


@pytest.mark.parametrize(
    ("body", "count"),
    [(b'{"input_tokens":7}', 7), (b'{"totalTokens":9}', 9), (b"<html>", 0), (b"{}", 0)],
)
def test_counts_are_read_from_both_shapes(body: bytes, count: int) -> None:
    assert tokens.read_count(body) == count
