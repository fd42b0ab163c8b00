"""A plausible value for a JSON schema: what the demo model passes to a tool. Pure and bounded."""

from __future__ import annotations

from typing import Final, TypeAlias

from proxy.jsonio import Json

Schema: TypeAlias = dict[str, Json]

_DEPTH: Final = 8
"""Deepest nesting that is filled in; a schema may refer to itself."""
_ITEMS: Final = 4
"""Most items of an array."""
_NODES: Final = 500
"""Most values in all: depth alone does not bound a schema that holds itself many times."""
_WORDS: Final = (
    (("command", "cmd", "script"), "echo hello from pointsman"),
    (("path", "file", "dir"), "README.md"),
    (("url", "uri"), "https://example.com/"),
    (("pattern", "query", "search", "regex"), "pointsman"),
    (("description", "reason", "title", "explanation"), "Demo of a tool call"),
    (("city", "location", "place"), "Paris"),
)
"""What a text is called -> what could stand in it; the first that fits."""
_FORMATS: Final = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


class _Filler:
    """One walk over a schema, with what is left of its budget."""

    def __init__(self, root: Schema) -> None:
        self.root = root
        self.left = _NODES

    def value(self, schema: Schema, name: str = "", depth: int = 0) -> Json:
        schema = _resolved(schema, self.root)
        for key in ("const", "default"):
            if key in schema:
                return schema[key]
        for key in ("enum", "examples"):
            if isinstance(schema.get(key), list) and schema[key]:
                return schema[key][0]
        self.left -= 1
        if depth >= _DEPTH or self.left < 0:
            return None
        match _kind(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case "string":
                return _text(schema, name)
            case "integer" | "number" as kind:
                return _number(schema, kind)
            case "boolean":
                return False
            case _:
                return None

    def _object(self, schema: Schema, depth: int) -> Json:
        properties = schema.get("properties")
        required = schema.get("required")
        if not isinstance(properties, dict) or not isinstance(required, list):
            return {}
        return {
            name: self.value(properties[name], name, depth + 1)
            for name in required
            if isinstance(name, str) and isinstance(properties.get(name), dict)
        }

    def _array(self, schema: Schema, name: str, depth: int) -> Json:
        items = schema.get("items")
        least = schema.get("minItems")
        count = min(least, _ITEMS) if isinstance(least, int) and least > 0 else 1
        if not isinstance(items, dict):
            return []
        return [self.value(items, name, depth + 1) for _ in range(count)]


def sample_value(schema: Json) -> Json:
    """A value that fits the schema where it is plain; required properties only, `{}` for no schema."""
    return _Filler(schema).value(schema) if isinstance(schema, dict) and schema else {}


def _resolved(schema: Schema, root: Schema) -> Schema:
    """The schema behind a local `$ref` or the first branch of a choice; `{}` where there is none."""
    for _ in range(_DEPTH):
        reference = schema.get("$ref")
        if isinstance(reference, str):
            schema = _pointed(reference, root)
            continue
        choice = next((k for k in ("anyOf", "oneOf", "allOf") if schema.get(k)), None)
        if choice is None or not isinstance(schema[choice], list):
            return schema
        rest = {key: value for key, value in schema.items() if key != choice}
        first = next((b for b in schema[choice] if isinstance(b, dict) and _kind(b) != "null"), {})
        schema = {**rest, **first}
    return {}


def _pointed(reference: str, root: Schema) -> Schema:
    found: Json = root
    for step in filter(None, reference.removeprefix("#").split("/")):
        found = found.get(step) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _kind(schema: Schema) -> str:
    """JSON type in lower case (Gemini spells it in capitals), guessed from other keys if unsaid."""
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    if isinstance(kind, str):
        return kind.lower()
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def _text(schema: Schema, name: str) -> str:
    found = _FORMATS.get(str(schema.get("format")))
    if found is not None:
        return found
    lowered = name.lower()
    for names, text in _WORDS:
        if any(word in lowered for word in names):
            return text
    return "pointsman"


def _number(schema: Schema, kind: str) -> Json:
    for key in ("minimum", "exclusiveMinimum", "maximum"):
        bound = schema.get(key)
        if isinstance(bound, int | float) and not isinstance(bound, bool):
            return bound + 1 if key == "exclusiveMinimum" else bound
    return 1 if kind == "integer" else 1.0
