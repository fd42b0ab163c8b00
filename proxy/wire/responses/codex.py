"""What the Codex backend wants of a Responses request. Source: the Codex provider sheet.

It always streams, stores nothing, has no place for sampling parameters, and refuses the role `system`.
The caller's instructions stay as they are; there is no built-in prompt.
"""

from __future__ import annotations

from typing import Final, cast

import msgspec
from msgspec import Raw

from proxy.jsonio import Body, decode, raw_of
from proxy.wire.responses import types
from proxy.wire.responses.names import call_id, short

REFUSED: Final = (
    "previous_response_id",
    "max_output_tokens",
    "max_completion_tokens",
    "max_tokens",
    "temperature",
    "top_p",
    "prompt_cache_retention",
)
_ENCRYPTED: Final = "reasoning.encrypted_content"
_TIER: Final = b'"priority"'
"""The one tier that the backend takes (Codex's fast mode)."""
_LIMIT: Final = 64


def shape(body: Body) -> None:
    """Changes a Responses body in place. Members that are malformed stay as they are."""
    for key in REFUSED:
        body.pop(key, None)
    body["stream"] = True
    body["store"] = False
    body.setdefault("parallel_tool_calls", True)
    body.setdefault("instructions", "")
    if body["instructions"] is None or raw_of(body["instructions"]) == Raw(b"null"):
        body["instructions"] = ""
    if bytes(raw_of(body.get("service_tier"))) != _TIER:
        body.pop("service_tier", None)
    body["include"] = _include(body.get("include"))
    body["input"] = _input(body.get("input"))
    for key in ("tools", "tool_choice"):
        if key in body:
            body[key] = _renamed(body[key])


def _include(value: object) -> list[object]:
    try:
        said = decode(raw_of(value))
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = None
    listed = list(said) if isinstance(said, list) else []
    return listed if _ENCRYPTED in listed else [*listed, _ENCRYPTED]


def _input(value: object) -> object:
    """A list of items, without the role `system` and without names or ids that are too long."""
    raw = raw_of(value)
    data = bytes(raw)
    if data == b"null":
        return []
    if data[:1] == b'"':
        content = [{"type": "input_text", "text": types.text.decode(raw)}]
        return [{"type": "message", "role": "user", "content": content}]
    try:
        items = types.raws.decode(raw)
        return [_item(item) for item in items]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return value


def _item(raw: Raw) -> object:
    said = types.item.decode(raw)
    change: dict[str, object] = {}
    if said.role == "system":
        change["role"] = "developer"
    if said.name and len(said.name) > _LIMIT:
        change["name"] = short(said.name)
    if said.call_id and len(said.call_id) > _LIMIT:
        change["call_id"] = call_id(said.call_id)
    if not change:
        return raw
    return {**cast("dict[str, object]", decode(raw)), **change}


def _renamed(value: object) -> object:
    """`tools` or `tool_choice` with every name over the limit shortened."""
    raw = raw_of(value)
    try:
        said = decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return value
    return said if _shorten(said) else raw


def _shorten(node: object) -> bool:
    """Shortens the names of a tool, a choice, or a list of them in place; whether it changed one."""
    if isinstance(node, list):
        # A list, not a generator: all of them have to be seen.
        return any([_shorten(member) for member in node])  # noqa: C419  # see above
    if not isinstance(node, dict):
        return False
    changed = _shorten(node.get("tools"))
    name = node.get("name")
    if isinstance(name, str) and len(name) > _LIMIT:
        node["name"] = short(name)
        changed = True
    return changed
