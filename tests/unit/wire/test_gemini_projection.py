"""JSON Schema cut down to Gemini's `Schema`: an allow-list (immunity row 21)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.jsonio import encode
from proxy.wire.gemini.projection import schema_of

DOCUMENTED = {
    *("type", "format", "title", "description", "nullable", "enum", "maxItems", "minItems"),
    *("properties", "required", "minProperties", "maxProperties", "minLength", "maxLength"),
    *("pattern", "example", "anyOf", "propertyOrdering", "default", "items", "minimum", "maximum"),
}


def member(schema):
    return schema_of({"type": "object", "properties": {"x": schema}})["properties"]["x"]


@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        ({"type": "string", "enum": ["a", "b"]}, {"type": "string", "enum": ["a", "b"]}),
        ({"const": "a"}, {"type": "string", "enum": ["a"]}),
        ({"type": "integer", "enum": [1, 2]}, {"type": "integer", "description": "(one of [1,2])"}),
        ({"type": ["null", "number"]}, {"type": "number", "nullable": True}),
        ({"type": "array"}, {"type": "array", "items": {"type": "string"}}),
        ({"items": {"type": "integer"}}, {"type": "array", "items": {"type": "integer"}}),
        (
            {"type": "string", "format": "uri", "description": "Where"},
            {"type": "string", "description": 'Where (format: "uri")'},
        ),
        (
            {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            {"type": "integer", "nullable": True},
        ),
        (
            {"oneOf": [{"type": "string"}, {"type": "object"}]},
            {"type": "string", "description": "(one of: string, object)"},
        ),
        (
            {
                "allOf": [
                    {"properties": {"a": {"type": "string"}}, "required": ["a"]},
                    {"properties": {"b": {"type": "string"}}, "required": ["b", "gone"]},
                ]
            },
            {
                "type": "object",
                "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
                "required": ["a", "b"],
            },
        ),
        (True, {"type": "string"}),
        ({}, {"type": "string"}),
    ],
)
def test_what_is_sent(schema, sent):
    assert member(schema) == sent


def test_references_are_filled_in_and_circles_end():
    schema = {
        "type": "object",
        "properties": {"tree": {"$ref": "#/$defs/node"}, "gone": {"$ref": "#/$defs/no"}},
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"next": {"$ref": "#/$defs/node"}, "name": {"type": "string"}},
            }
        },
    }
    found = schema_of(schema)
    tree = found["properties"]["tree"]
    assert tree["properties"]["next"]["properties"]["name"] == {"type": "string"}
    assert found["properties"]["gone"] == {"type": "string"}
    assert "$defs" not in found


def tree(*children):
    return {"type": "object", "properties": {name: {"$ref": "#/$defs/n"} for name in children}}


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"tree": {"$ref": "#/$defs/n"}}, "$defs": {"n": tree("left", "right")}},
        {"$ref": "#/$defs/n", "$defs": {"n": tree(*(f"child{i}" for i in range(10)))}},
        {"allOf": [{"$ref": "#"}, {"$ref": "#/"}, {"$ref": "#//"}]},
    ],
)
def test_what_branches_into_itself_stays_small(schema):
    assert len(encode(schema_of(schema))) < 20_000


def test_definitions_that_double_each_other_end():
    definitions = {
        f"n{i}": {"properties": {k: {"$ref": f"#/$defs/n{i + 1}"} for k in "ab"}} for i in range(20)
    }
    found = schema_of({"$ref": "#/$defs/n0", "$defs": definitions})
    assert len(encode(found)) < 1_000_000


def test_required_may_hold_anything():
    found = schema_of({"allOf": [{"required": [{}]}, {"required": [[], "a"]}, tree("a")]})
    assert found["required"] == ["a"]


KEYS = st.sampled_from(
    [
        *("type", "properties", "items", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"),
        *("format", "pattern", "minimum", "exclusiveMinimum", "additionalProperties", "not", "if"),
        *("description", "title", "$defs", "patternProperties", "prefixItems", "x-own", "required"),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["string", "object", "#"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def check(schema):
    assert set(schema) <= DOCUMENTED
    assert schema["type"] in {"string", "number", "integer", "boolean", "array", "object"}
    for inner in schema.get("properties", {}).values():
        check(inner)
    if "items" in schema:
        check(schema["items"])


@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_schema_comes_out_documented(schema):
    check(schema_of(schema))
