"""Values and places of YAML, TOML and JSON texts; limits; no exception but ConfigError."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.config import jsontext, tomlio, yamlio
from proxy.config.diagnose import ConfigError

TOML = """\
# comment with [brackets] = and "quotes"
top = 1
a.b."c d" = [1, [2, 3], { x = 'y', "z.w" = 2 }]   # [not] = this

[upstreams.zai]
headers = { X-Title = "a = [b]", Two = \"\"\"one
two"\"\"\"\" }
keys = [
  "k1", # first
  { key = 'k2' },
]

[[payload]]
models = ["a"]
[[payload]]
  models = ["b"]
  [payload.override]
  "x.y" = true
[models."m.1"]
to = ["zai"]
"""


@pytest.mark.parametrize(
    ("path", "key", "expected"),
    [
        (("top",), True, (2, 1)),
        (("top",), False, (2, 7)),
        (("a", "b", "c d"), True, (3, 5)),
        (("a", "b", "c d", 1, 1), False, (3, 21)),
        (("a", "b", "c d", 2, "z.w"), True, (3, 36)),
        (("upstreams", "zai"), True, (5, 12)),
        (("upstreams", "zai", "headers", "Two"), True, (6, 34)),
        (("upstreams", "zai", "keys"), False, (8, 8)),
        (("upstreams", "zai", "keys", 0), False, (9, 3)),
        (("upstreams", "zai", "keys", 1, "key"), False, (10, 11)),
        (("payload", 0, "models", 0), False, (14, 11)),
        (("payload", 1, "models"), True, (16, 3)),
        (("payload", 1, "override", "x.y"), False, (18, 11)),
        (("models", "m.1", "to"), True, (20, 1)),
        (("models", "m.1", "to", 7, "deep"), False, (20, 6)),
        (("nowhere",), False, (1, 1)),
    ],
)
def test_toml_places(path, key, expected):
    document = tomlio.parse("f.toml", TOML)
    assert document.value == tomllib.loads(TOML)
    assert document.position(path, key=key) == expected


def paths(value, path=()):
    yield path
    if isinstance(value, dict | list):
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths(item, (*path, name))


def test_toml_every_value_has_a_place():
    document = tomlio.parse("f.toml", TOML)
    marks = document.marks
    for path in paths(document.value):
        assert not path or path in marks.values or path in marks.keys, path


def test_yaml_reads_words_as_the_core_schema_does():
    text = "a: yes\nb: 010\nc: 1.0\nd: 2024-01-01\ne: ~\nf: 0x10\ng: 'true'\nh: 1_000\ni: 1e3\n"
    assert yamlio.parse("f", text).value == {
        "a": "yes", "b": 10, "c": 1.0, "d": "2024-01-01", "e": None, "f": 16, "g": "true",
        "h": "1_000", "i": 1000.0,
    }  # fmt: skip


def test_yaml_merges_and_aliases():
    text = "base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\nlist: [*b]\n"
    value = yamlio.parse("f", text).value
    assert value["use"] == {"x": 1, "y": 3}
    assert value["list"] == [{"x": 1, "y": 2}]


def test_yaml_places():
    document = yamlio.parse("f", "a:\n  - b: 1\n    c: [x, y]\n")
    assert document.position(("a", 0, "c"), key=True) == (3, 5)
    assert document.position(("a", 0, "c", 1)) == (3, 12)


def test_empty_yaml_says_nothing():
    assert yamlio.parse("f", "# only a comment\n").value == {}


def test_json_places():
    text = '[\n {"a": 1,\n  "b\\u0041": {"c": [1, "]", {"d": null}]}}\n]'
    document = jsontext.parse("f", text)
    assert document.position((0, "bA"), key=True) == (3, 3)
    assert document.position((0, "bA", "c", 1)) == (3, 24)
    assert document.position((0, "bA", "c", 2, "d")) == (3, 35)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (yamlio.parse, "[" * 100_000),
        (yamlio.parse, "a: " + "{x: " * 5000),
        (yamlio.parse, "\n".join(" " * i + "a:" for i in range(3000))),
        (tomlio.parse, "a = " + "[" * 100_000),
        (tomlio.parse, "a = " + "[" * 100 + "]" * 100),
        (tomlio.parse, ".".join(["a"] * 5000) + " = 1"),
        (tomlio.parse, "a = " + "9" * 10_000),
        (jsontext.parse, "[" * 100_000),
        (jsontext.parse, "[" * 100 + "]" * 100),
        (yamlio.parse, "a: \x00"),
        (yamlio.parse, "a: \ud800"),
        (jsontext.parse, '["\ud800"]'),
    ],
    ids=range(12),
)
def test_bombs_are_refused(parse, text):
    with pytest.raises(ConfigError):
        parse("f", text)


LINES = st.lists(
    st.sampled_from(
        ["a: b", "- x", "  y: [1, {z: *q}]", "&q w", "<<: *q", "? k", "|", "---", "\t", "!!str 1",
         "[a]", "[[a]]", "[a.b]", 'x = "y"', "x.y = [1,", "{ a = 1 }", "'''", '"""', "#", "}", "]",
         '[{"model": "a"}]', '"', "\\", "\ud800", "\x00", "é"]
    ),
    max_size=12,
).map("\n".join)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=200), LINES), st.sampled_from([yamlio, tomlio, jsontext]))
def test_any_text_is_read_or_refused(text, module):
    try:
        document = module.parse("f", text)
    except ConfigError:
        return
    for path in paths(document.value):
        line, column = document.position(path)
        assert 1 <= line <= text.count("\n") + 1
        assert column >= 1
