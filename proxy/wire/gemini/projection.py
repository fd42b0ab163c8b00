"""JSON Schema 2020-12 cut down to Gemini's `Schema`, for upstreams that take nothing else.

An allow-list: what `Schema` documents is kept, the rest is said in the description, so that the model
still knows it. Source: Gemini API reference, Schema.
"""

from __future__ import annotations

from typing import Final

from proxy.jsonio import Json, encode

_TYPES: Final = frozenset({"string", "number", "integer", "boolean", "array", "object"})
_KEPT: Final = ("title", "nullable", "minimum", "maximum", "required")
_SILENT: Final = frozenset(
    {"$schema", "$id", "$defs", "definitions", "$comment", "$ref", "$anchor", "examples"}
    | {"type", "properties", "items", "enum", "const", "anyOf", "oneOf", "allOf", "description"}
    | {"propertyOrdering", "deprecated", "readOnly", "writeOnly"}
)
"""What is dealt with by name, or says nothing that a model could keep to."""
_DEEPEST: Final = 24
_MOST: Final = 5000
"""Most places of one schema with its references filled in."""
_CIRCLES: Final = 2
"""How often a definition is filled in along one path: one that branches into itself, as a tree does,
doubles with each round."""
_LONGEST: Final = 200


class _Whole:
    """The schema that references are of, and what of it is filled in."""

    def __init__(self, root: dict[str, Json]) -> None:
        self.root = root
        self.left = _MOST
        self.open: list[str] = []
        """References on the way to this place."""

    def target(self, reference: str) -> Json:
        """What is filled in for a reference; nothing where it goes round in circles."""
        if self.open.count(reference) >= _CIRCLES:
            return None
        self.open.append(reference)
        return _target(reference, self.root)


def schema_of(schema: dict[str, Json]) -> dict[str, Json]:
    """A function's parameters. Always an object."""
    found = _cut(schema, _Whole(schema), 0)
    if found.get("type") != "object":
        found = {**found, "type": "object"}
    found.setdefault("properties", {})
    return found


def _cut(schema: Json, whole: _Whole, depth: int) -> dict[str, Json]:
    if depth > _DEEPEST or whole.left <= 0:
        return {"type": "object"}
    if not isinstance(schema, dict):
        return {"type": "string"}
    way = len(whole.open)
    schema = _merged(schema, whole, depth)
    out: dict[str, Json] = {}
    notes: list[str] = []
    _type(schema, out)
    _values(schema, out, notes)
    for key in _KEPT:
        if key in schema:
            out[key] = schema[key]
    kind = out.get("type")
    if kind == "object":
        members = schema.get("properties")
        members = members if isinstance(members, dict) else {}
        out["properties"] = {name: _cut(m, whole, depth + 1) for name, m in members.items()}
        _require(out)
    else:
        out.pop("required", None)
    if kind == "array":
        items = schema.get("items")
        out["items"] = _cut(items if isinstance(items, dict) else {}, whole, depth + 1)
    del whole.open[way:]
    notes += [
        f"{key}: {encode(value).decode()[:_LONGEST]}"
        for key, value in schema.items()
        if key not in _SILENT and key not in _KEPT
    ]
    _describe(schema, out, notes)
    return out


def _merged(schema: dict[str, Json], whole: _Whole, depth: int) -> dict[str, Json]:
    """With what it refers to, all of `allOf`, and the first real choice of `anyOf` and `oneOf`."""
    out = dict(schema)
    whole.left -= 1
    if whole.left <= 0:
        return out
    reference = schema.get("$ref")
    if isinstance(reference, str):
        target = whole.target(reference) if depth < _DEEPEST else None
        found = _merged(target, whole, depth + 1) if isinstance(target, dict) else {}
        out = {**found, **{k: v for k, v in schema.items() if k != "$ref"}}
    for part in _dicts(schema.get("allOf")):
        if depth < _DEEPEST:
            out = _joined(out, _merged(part, whole, depth + 1))
    for key in ("anyOf", "oneOf"):
        choices = _dicts(schema.get(key))
        real = [choice for choice in choices if choice.get("type") != "null"]
        if len(real) < len(choices):
            out["nullable"] = True
        if real and depth < _DEEPEST:
            out = _joined(_merged(real[0], whole, depth + 1), out)
            if len(real) > 1:
                words = ", ".join(str(choice.get("type", "object")) for choice in real)
                out["description"] = f"{out.get('description', '')} (one of: {words})".strip()
    return out


def _joined(one: dict[str, Json], other: dict[str, Json]) -> dict[str, Json]:
    """Both; members of objects side by side. The second wins."""
    out = {**one, **other}
    for key in ("properties", "$defs"):
        if isinstance(one.get(key), dict) and isinstance(other.get(key), dict):
            out[key] = {**one[key], **other[key]}
    if isinstance(one.get("required"), list) and isinstance(other.get("required"), list):
        names = (name for name in (*one["required"], *other["required"]) if isinstance(name, str))
        out["required"] = list(dict.fromkeys(names))
    return out


def _target(reference: str, root: dict[str, Json]) -> Json:
    found: Json = root
    if not reference.startswith("#"):
        return None
    for step in filter(None, reference[1:].split("/")):
        name = step.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _dicts(value: Json) -> list[dict[str, Json]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _type(schema: dict[str, Json], out: dict[str, Json]) -> None:
    said = schema.get("type")
    words = [str(w).lower() for w in (said if isinstance(said, list) else [said]) if w]
    if "null" in words:
        out["nullable"] = True
    known = [word for word in words if word in _TYPES]
    if known:
        out["type"] = known[0]
    elif isinstance(schema.get("properties"), dict):
        out["type"] = "object"
    elif "items" in schema:
        out["type"] = "array"
    else:
        out["type"] = "string"


def _values(schema: dict[str, Json], out: dict[str, Json], notes: list[str]) -> None:
    """`enum` is one of texts; other values are told in words."""
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if not isinstance(values, list) or not values:
        return
    texts = [value for value in values if isinstance(value, str)]
    if out["type"] == "string" and texts:
        out["enum"] = texts
    else:
        notes.append(f"one of {encode(values).decode()[:_LONGEST]}")


def _require(out: dict[str, Json]) -> None:
    """Only what there is may be required."""
    required = out.pop("required", None)
    if isinstance(required, list):
        known = [name for name in required if isinstance(name, str) and name in out["properties"]]
        if known:
            out["required"] = known


def _describe(schema: dict[str, Json], out: dict[str, Json], notes: list[str]) -> None:
    said = schema.get("description")
    words = said if isinstance(said, str) else ""
    if notes:
        words = f"{words} ({'; '.join(notes)})".strip()
    if words:
        out["description"] = words
