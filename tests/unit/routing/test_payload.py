import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.model import Credential, PayloadRule
from proxy.config.payload_path import bad_path
from proxy.routing.payload import apply, matching, protocol_of


def rule(action, params, models=(("*", ""),)):
    return PayloadRule(action=action, models=models, params=tuple(params.items()))


def edit(action, params, body, original=None):
    return apply([rule(action, params)], body, body if original is None else original)


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("a", {}, {"a": 9}),
        ("a.b.c", {"a": {"x": 1}}, {"a": {"x": 1, "b": {"c": 9}}}),
        ("a.1", {"a": [0, 1, 2]}, {"a": [0, 9, 2]}),
        ("a.3.b", {"a": [0]}, {"a": [0, None, None, {"b": 9}]}),
        ("a.-1", {"a": [0]}, {"a": [0, 9]}),
        ("a.-1", {}, {"a": [9]}),
        ("a.b", {"a": 5}, {"a": {"b": 9}}),
        (r"a\.b", {}, {"a.b": 9}),
        ("a.x", {"a": [1]}, {"a": [1]}),
        ("a.99999999999", {"a": [1]}, {"a": [1]}),
    ],
)
def test_override(path, body, expected):
    before = copy.deepcopy(body)
    assert edit("override", {path: 9}, body) == expected
    assert body == before


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("a", {"a": 1, "b": 2}, {"b": 2}),
        ("a.b", {"a": {"b": 1, "c": 2}}, {"a": {"c": 2}}),
        ("a.0", {"a": [1, 2]}, {"a": [2]}),
        ("a.-1", {"a": [1, 2]}, {"a": [1]}),
        ("a.-1", {"a": []}, {"a": []}),
        ("x.y.z", {"a": 1}, {"a": 1}),
        ("a.0.b", {"a": [{"b": 1}]}, {"a": [{}]}),
    ],
)
def test_remove(path, body, expected):
    assert edit("remove", {path: None}, body) == expected


def test_defaults_look_at_what_the_client_said():
    assert edit("default", {"t": 1}, {"t": 5}) == {"t": 5}
    assert edit("default", {"t": 1}, {}) == {"t": 1}
    assert edit("default", {"t": 1}, {"t": 5}, original={}) == {"t": 1}
    assert edit("default", {"t": 1}, {}, original={"t": None}) == {}


def test_the_first_default_and_the_last_override_win_and_removal_comes_last():
    rules = [
        rule("remove", {"gone": None}),
        rule("override", {"o": 1, "gone": 1}),
        rule("default", {"d": 1}),
        rule("default", {"d": 2}),
        rule("override", {"o": 2, "d2": 7}),
    ]
    assert apply(rules, {}, {}) == {"d": 1, "o": 2, "d2": 7}


def test_matching_is_by_name_and_wire():
    rules = [
        rule("override", {"a": 1}, (("gemini-*", "gemini"),)),
        rule("override", {"b": 1}, (("Alias", ""),)),
        rule("override", {"c": 1}, ()),
    ]
    assert matching(rules, ["gemini-2.5-pro"], "gemini") == (rules[0],)
    assert matching(rules, ["gemini-2.5-pro"], "chat") == ()
    assert matching(rules, ["up", "Alias"], "chat") == (rules[1],)
    assert matching(rules, ["alias"], "chat") == ()


def test_paths_are_of_the_request_inside_an_envelope():
    rules = [
        rule("override", {"config.topP": 1}),
        rule("default", {"config.k": 2}),
        rule("default", {"config.t": 2}),
        rule("remove", {"safety": None}),
    ]
    body = {"model": "m", "request": {"safety": [], "config": {"t": 5}}}
    original = {"request": {"config": {"t": 5}}}
    assert apply(rules, body, original, "gemini_cli") == {
        "model": "m",
        "request": {"config": {"t": 5, "topP": 1, "k": 2}},
    }
    assert body["request"] == {"safety": [], "config": {"t": 5}}


@pytest.mark.parametrize(
    ("provider", "wire", "protocol"),
    [
        ("gemini", "gemini", "gemini"),
        ("vertex", "gemini", "gemini"),
        ("gemini-cli", "gemini_cli", "gemini"),
        ("antigravity", "gemini_cli", "antigravity"),
        ("copilot", "chat", "chat"),
    ],
)
def test_by_which_protocol_rules_name_a_body(provider, wire, protocol):
    credential = Credential(id="i", provider=provider, wire=wire, base_url="http://h")
    assert protocol_of(credential) == protocol


def test_paths_that_are_refused():
    for path in ("", "a..b", "a.#", "a.#(x=1)", "a|b", "@this", "a.1000", ".".join("a" * 40)):
        assert bad_path(path), path
    for path in ("a", "a.0.b", r"a\.b", "a.-1", "a.999"):
        assert not bad_path(path), path


VALUES = st.recursive(
    st.integers(),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.sampled_from("ab01"), v, max_size=3),
    max_leaves=10,
)


@given(st.lists(st.sampled_from(["a", "b", "0", "1", "-1"]), min_size=1, max_size=4), VALUES)
def test_any_path_on_any_body(parts, value):
    path = ".".join(parts)
    body = {"a": value}
    for action in ("default", "override", "remove"):
        assert isinstance(edit(action, {path: 9}, body), dict)
    assert body == {"a": value}
