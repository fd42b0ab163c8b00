import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.convo.model import Reasoning
from proxy.routing.match import Pattern, PatternIndex, cut_suffix, fill, reasoning_of


@pytest.mark.parametrize(
    ("model", "base", "value"),
    [
        ("m", "m", ""), ("m(high)", "m", "high"), ("m()", "m()", ""), ("m( )", "m( )", ""),
        ("m(a)(b)", "m(a)", "b"), ("(high)", "(high)", ""), ("m(high) ", "m(high) ", ""),
        ("m(8192", "m(8192", ""), ("m (low)", "m", "low"), (")", ")", ""), ("", "", ""),
    ],
)  # fmt: skip
def test_suffix(model, base, value):
    assert cut_suffix(model) == (base, value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("8192", Reasoning(budget=8192)), ("0", Reasoning(budget=0)), ("-1", Reasoning(budget=-1)),
        ("8192x", Reasoning(budget=8192)), ("HIGH", Reasoning(effort="high")),
        ("auto", Reasoning(effort="auto")), ("none", Reasoning(effort="none")),
        ("xhigh", Reasoning(effort="xhigh")), ("9" * 40, Reasoning(budget=999_999_999)),
        ("loud", None), ("-", None), ("", None),
    ],
)  # fmt: skip
def test_value(value, expected):
    assert reasoning_of(value) == expected


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("a", "a", ()), ("a", "b", None), ("*", "", ("",)), ("*", "x", ("x",)),
        ("a-*", "a-b", ("b",)), ("*-a", "x-a", ("x",)), ("a*b*c", "a1b2c", ("1", "2")),
        ("a*b*c", "abc", ("", "")), ("a*b*c", "acb", None), ("ab*ba", "aba", None),
        ("*a*a*", "xaay", ("x", "", "y")), ("a*a", "a", None),
    ],
)  # fmt: skip
def test_pattern(pattern, name, expected):
    assert Pattern(pattern).captures(name) == expected


@given(st.lists(st.text("ab", max_size=3), min_size=2, max_size=4),
       st.lists(st.text("abc", max_size=3), min_size=4, max_size=4))  # fmt: skip
def test_a_filled_pattern_matches_what_it_was_filled_with(literals, texts):
    name = literals[0] + "".join(t + part for t, part in zip(texts, literals[1:], strict=False))
    found = Pattern("*".join(literals)).captures(name)
    assert found is not None
    again = literals[0] + "".join(t + part for t, part in zip(found, literals[1:], strict=True))
    assert again == name


def test_the_longest_literal_wins_then_the_first():
    index = PatternIndex([Pattern(p) for p in ("*", "claude-*", "*-mini", "claude-*-x", "*-nano")])
    assert index.best("claude-a")[0].text == "claude-*"
    assert index.best("claude-a-x") is not None
    assert index.best("claude-a-x")[0].text == "claude-*-x"
    assert index.best("claude-mini")[0].text == "claude-*"
    assert index.best("x-mini")[0].text == "*-mini"
    assert index.best("zzz")[0].text == "*"


def test_fold_keeps_the_spelling_of_what_it_caught():
    assert Pattern("GPT-*", fold=True).captures("gpt-Five") == ("Five",)
    assert fill("x-{2}-{1}", ("a", "b")) == "x-b-a"
