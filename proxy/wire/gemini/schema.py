"""JSON Schema and Gemini's `Schema` (OpenAPI 3.0 subset, upper-case type words)."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Raw

from proxy import jsonio

_MAPS: Final = frozenset({"properties", "$defs", "definitions", "patternProperties"})
_ONES: Final = frozenset({"items", "additionalProperties", "not", "if", "then", "else", "contains"})
_LISTS: Final = frozenset({"anyOf", "oneOf", "allOf", "prefixItems", "items"})
_COUNTS: Final = frozenset(
    {"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"}
)
_COUNT: Final = re.compile(r"[0-9]{1,18}")
_SPELLINGS: Final = {
    "any_of": "anyOf",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_length": "minLength",
    "max_length": "maxLength",
    "property_ordering": "propertyOrdering",
}


def to_json_schema(schema: Raw) -> Raw:
    """Gemini's spelling as JSON Schema: type words in lower case, counts (int64, so strings) as numbers.

    What is JSON Schema already comes back as it is, but for the dialect mark `$schema`.
    """
    return jsonio.raw_of(_convert(jsonio.decode(schema)))


def parameters(schema: Raw | None) -> Raw | None:
    """A function's JSON Schema for `parametersJsonSchema`; None for a function without parameters."""
    if schema is None:
        return None
    value = jsonio.decode(schema)
    if not isinstance(value, dict):
        return None
    if "$schema" in value:
        value = {name: member for name, member in value.items() if name != "$schema"}
    if not value or value == {"type": "object"}:
        return None
    if not isinstance(value.get("type"), str):
        # The API takes objects only; a union of objects may stand beside the word.
        value = {**value, "type": "object"}
    return jsonio.raw_of(value)


def _convert(value: object) -> object:
    if not isinstance(value, dict):
        return value
    out: dict[str, object] = {}
    for key, member in value.items():
        name = str(_SPELLINGS.get(key, key))
        if name == "type":
            out[name] = _lower(member)
        elif name in _COUNTS and isinstance(member, str) and _COUNT.fullmatch(member):
            out[name] = int(member)
        elif name in _MAPS and isinstance(member, dict):
            out[name] = {inner: _convert(schema) for inner, schema in member.items()}
        elif name in _LISTS and isinstance(member, list):
            out[name] = [_convert(schema) for schema in member]
        elif name in _ONES:
            out[name] = _convert(member)
        else:
            out[name] = member
    out.pop("$schema", None)
    return out


def _lower(member: object) -> object:
    if isinstance(member, str):
        return member.lower()
    if isinstance(member, list):
        return [_lower(word) for word in member]
    return member
