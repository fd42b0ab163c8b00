"""What the Codex backend wants of a Responses request. Source: the Codex provider sheet.

It always streams, stores nothing, has no place for sampling parameters, and refuses the role `system`.
The caller's instructions stay as they are; there is no built-in prompt.
"""

from __future__ import annotations

from typing import Final, cast

import msgspec
from msgspec import Raw

from proxy.convo.model import Lost
from proxy.jsonio import Body, Json, decode, raw_of
from proxy.wire.responses import types
from proxy.wire.responses.names import LIMIT, call_id, sent_names

REFUSED: Final = (
    "previous_response_id",
    "max_output_tokens",
    "max_completion_tokens",
    "max_tokens",
    "temperature",
    "top_p",
    "prompt_cache_retention",
)
REFUSED_OF_LOGINS: Final = (
    "user",
    "metadata",
    "truncation",
    "safety_identifier",
    "context_management",
    "presence_penalty",
    "frequency_penalty",
)
"""What ChatGPT's backend refuses besides (400, "Unsupported parameter")."""
_ENCRYPTED: Final = "reasoning.encrypted_content"
_TIER: Final = b'"priority"'
"""The one tier that the backend takes (Codex's fast mode)."""
_NO_TIER: Final = (b"null", b'"auto"', b'"default"')
_NULL: Final = Raw(b"null")
_TRUE: Final = Raw(b"true")


def shape(body: Body, lost: list[Lost], *, login: bool = False) -> None:
    """Changes a Responses body in place. Members that are malformed stay as they are.

    `lost` takes what is left out, unless it says what holds anyway.
    """
    lost += [
        Lost(key, "the Codex backend refuses it")
        for key in (REFUSED + REFUSED_OF_LOGINS if login else REFUSED)
        if key in body and raw_of(body.pop(key)) != _NULL
    ]
    body["stream"] = True
    if raw_of(body.get("store")) == _TRUE:
        lost.append(Lost("store", "the Codex backend keeps no answers"))
    body["store"] = False
    body.setdefault("parallel_tool_calls", True)
    body.setdefault("instructions", "")
    if body["instructions"] is None or raw_of(body["instructions"]) == _NULL:
        body["instructions"] = ""
    tier = bytes(raw_of(body.get("service_tier")))
    if tier != _TIER:
        body.pop("service_tier", None)
        if tier not in _NO_TIER:
            lost.append(Lost("service_tier", "the Codex backend has `priority` only"))
    body["include"] = _include(body.get("include"))
    body["input"] = _input(body.get("input"))
    _shorten_names(body)


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
    if said.call_id and len(said.call_id) > LIMIT:
        change["call_id"] = call_id(said.call_id)
    if not change:
        return raw
    return {**cast("dict[str, object]", decode(raw)), **change}


def _shorten_names(body: Body) -> None:
    """Shortens what is too long among the names of tools, calls and the choice."""
    try:
        tools = decode(raw_of(body.get("tools")))
        choice = decode(raw_of(body.get("tool_choice")))
        items = body["input"]
        calls = (
            [types.item.decode(raw_of(item)) for item in items] if isinstance(items, list) else []
        )
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    listed = [tool.get("name") for tool in tools or () if isinstance(tool, dict)]
    listed += [call.name for call in calls]
    names = sent_names(name for name in listed if isinstance(name, str))
    if not names:
        return
    _rename(tools, names)
    _rename(choice, names)
    if "tools" in body:
        body["tools"] = tools
    if "tool_choice" in body:
        body["tool_choice"] = choice
    for number, call in enumerate(calls):
        if call.name in names and isinstance(items, list):
            node = cast("dict[str, object]", decode(raw_of(items[number])))
            items[number] = {**node, "name": names[call.name]}


def _rename(node: Json, names: dict[str, str]) -> None:
    """Renames a tool, a choice, or a list of them in place."""
    if isinstance(node, list):
        for member in node:
            _rename(member, names)
    elif isinstance(node, dict):
        _rename(node.get("tools"), names)
        if node.get("name") in names:
            node["name"] = names[node["name"]]
