"""`convo.Request` to the body of a Messages request."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from proxy.convo.model import Lost, Reasoning, Request, Text, Tool
from proxy.jsonio import Body, Json, decode, raw_of, top_level
from proxy.wire import unsaid
from proxy.wire.anthropic import types as t
from proxy.wire.anthropic.effort import MAX_TOKENS, set_reasoning
from proxy.wire.anthropic.names import upstream_names
from proxy.wire.anthropic.turns import Turns, text_block
from proxy.wire.base import Target

WEB_SEARCH: Final = "web_search_20250305"
_FREE_FORM: Final = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
}
_TIERS: Final = {"auto": "auto", "default": "standard_only"}
_NO_PLACE: Final = (
    ("seed", "seed"),
    ("presence_penalty", "presence_penalty"),
    ("frequency_penalty", "frequency_penalty"),
    ("logprobs", "logprobs"),
    ("top_logprobs", "top_logprobs"),
    ("verbosity", "verbosity"),
    ("store", "store"),
)
"""(field, path): what the Messages API has no parameter for."""


def encode_request(request: Request, target: Target, lost: list[Lost]) -> Body:
    """The upstream body by top-level key; what cannot be carried is appended to `lost`."""
    renamed = upstream_names(request)
    system = _system(request, lost)
    messages = Turns(request, lost, renamed).build()
    if not messages and system:
        # A request of nothing but instructions: the API wants a message, and they are all there is.
        messages = [{"role": "user", "content": system}]
    body: Body = {"model": target.model, "max_tokens": _max_tokens(request, target)}
    if system:
        body["system"] = system
    body["messages"] = messages
    body["stream"] = request.stream
    tools = [block for tool in request.tools for block in _tool(tool, renamed, lost)]
    if tools:
        body["tools"] = tools
        _set_tool_choice(body, request, renamed, lost)
    elif request.tool_choice is not None and request.tool_choice.mode not in ("auto", "none"):
        lost.append(Lost("tool_choice", "there is no tool that the API takes"))
    _set_parameters(body, request, lost)
    if request.format is not None:
        _set_format(body, request, lost)
    if request.reasoning is not None:
        set_reasoning(body, request.reasoning, target, lost)
    _set_extras(body, request, lost)
    if request.reasoning is not None or request.format is not None:
        unsaid.of_settings(request, target, t.NAME, lost)
    return body


def patch_reasoning(body: Body, reasoning: Reasoning, target: Target, lost: list[Lost]) -> None:
    """Overwrites the thinking settings of a Messages body in place."""
    body.pop("thinking", None)
    config = body.get("output_config")
    if config is not None and raw_of(config) != Raw(b"null"):
        values: Body = top_level(bytes(raw_of(config)))
        values.pop("effort", None)
        if values:
            body["output_config"] = values
        else:
            del body["output_config"]
    set_reasoning(body, reasoning, target, lost)


def _max_tokens(request: Request, target: Target) -> int:
    if request.max_tokens is not None:
        return request.max_tokens
    known = target.capability.output
    return min(MAX_TOKENS, known) if known > 0 else MAX_TOKENS


def _system(request: Request, lost: list[Lost]) -> list[dict[str, object]]:
    """System text; the API has no place for system messages further down but this one."""
    parts = list(request.system)
    for message in request.messages:
        if message.role == "system":
            parts += message.parts
    out = []
    for index, part in enumerate(parts):
        if not isinstance(part, Text):
            lost.append(Lost(f"system[{index}]", "only text can be system content"))
        elif part.text.strip():
            out.append(text_block(part))
    return out


def _tool(tool: Tool, renamed: dict[str, str], lost: list[Lost]) -> list[Body]:
    name = renamed.get(tool.name, tool.name)
    if tool.kind == "server":
        return _server_tool(tool, lost)
    if tool.kind == "custom":
        lost.append(Lost(f"tools.{tool.name}.format", "free-form input; sent as one string"))
        return [{"name": name, "description": tool.description, "input_schema": _FREE_FORM}]
    block: Body = {}
    if tool.origin == t.NAME and tool.raw is not None:
        block = top_level(bytes(tool.raw))
    block["name"] = name
    if tool.description:
        block["description"] = tool.description
    block["input_schema"] = _object_schema(tool.schema)
    if tool.cache is not None:
        block["cache_control"] = tool.cache
    if tool.strict is not None:
        # Strict mode elsewhere allows schemas that Anthropic's refuses, and older models have none.
        if tool.origin in ("", t.NAME) and tool.strict:
            block["strict"] = True
        elif tool.strict:
            lost.append(Lost(f"tools.{tool.name}.strict", "another provider's strict mode"))
    return [block]


def _object_schema(schema: Raw | None) -> object:
    """`input_schema` needs `type: object`."""
    if schema is None:
        return {"type": "object", "properties": {}}
    try:
        fields = top_level(bytes(schema))
    except msgspec.DecodeError:
        return {"type": "object", "properties": {}}
    kind = fields.get("type")
    if isinstance(kind, Raw) and bytes(kind) == b'"object"':
        return schema
    return {**fields, "type": "object"}


def _server_tool(tool: Tool, lost: list[Lost]) -> list[Body]:
    if tool.origin == t.NAME and tool.raw is not None:
        return [top_level(bytes(tool.raw))]
    if tool.type != "web_search":
        lost.append(Lost(f"tools.{tool.type}", f"a tool that the {tool.origin} provider runs"))
        return []
    block: Body = {"type": WEB_SEARCH, "name": "web_search"}
    given: Json = decode(tool.raw) if tool.raw is not None else {}
    if isinstance(given, dict):
        filters = given.get("filters")
        if isinstance(filters, dict) and filters.get("allowed_domains"):
            block["allowed_domains"] = filters["allowed_domains"]
        place = given.get("user_location")
        if isinstance(place, dict) and place.get("type") == "approximate":
            block["user_location"] = {k: v for k, v in place.items() if v is not None}
    return [block]


def _set_tool_choice(
    body: Body, request: Request, renamed: dict[str, str], lost: list[Lost]
) -> None:
    choice, out = request.tool_choice, {}
    if choice is not None:
        names = choice.names or []
        if choice.mode == "tool":
            out = {"type": "tool", "name": renamed.get(choice.name, choice.name)}
        elif choice.mode == "required" and len(names) == 1:
            out = {"type": "tool", "name": renamed.get(names[0], names[0])}
        else:
            out = {"type": "any" if choice.mode == "required" else choice.mode}
            if names:
                lost.append(Lost("tool_choice.names", "the API cannot limit the choice to a list"))
    body_choice: dict[str, object] = dict(out)
    if request.parallel_tool_calls is False and out.get("type") != "none":
        body_choice.setdefault("type", "auto")
        body_choice["disable_parallel_tool_use"] = True
    if body_choice:
        body["tool_choice"] = body_choice


def _set_parameters(body: Body, request: Request, lost: list[Lost]) -> None:
    _set_sampling(body, request, lost)
    stop = [word for word in request.stop if word.strip()]
    if stop:
        body["stop_sequences"] = stop
    if len(stop) < len(request.stop):
        lost.append(Lost("stop", "the API refuses blank stop sequences"))
    _set_metadata(body, request, lost)
    tier = request.service_tier
    if tier and tier in _TIERS:
        body["service_tier"] = _TIERS[tier]
    elif tier:
        lost.append(Lost("service_tier", f"no such tier: {tier}"))
    for field, path in _NO_PLACE:
        if getattr(request, field) not in (None, "", False):
            lost.append(Lost(path, "the API has no such parameter"))
    if request.n is not None and request.n > 1:
        lost.append(Lost("n", "the API gives one answer"))
    if any(word != "text" for word in request.modalities):
        lost.append(Lost("modalities", "the API answers in text"))


def _set_sampling(body: Body, request: Request, lost: list[Lost]) -> None:
    if request.temperature is not None:
        body["temperature"] = min(max(request.temperature, 0), 1)
        if request.temperature > 1:
            lost.append(Lost("temperature", "the API takes 0 to 1"))
        if request.top_p is not None:
            lost.append(Lost("top_p", "newer models take temperature or top_p, not both"))
    elif request.top_p is not None:
        body["top_p"] = request.top_p
    if request.top_k is not None:
        body["top_k"] = request.top_k


def _set_metadata(body: Body, request: Request, lost: list[Lost]) -> None:
    metadata: Body = {}
    if request.metadata is not None:
        if request.origin == t.NAME:
            metadata = top_level(bytes(request.metadata))
        else:
            lost.append(Lost("metadata", "the API takes a user id only"))
    if request.user:
        metadata["user_id"] = request.user
    if metadata:
        body["metadata"] = metadata


def _set_format(body: Body, request: Request, lost: list[Lost]) -> None:
    wanted = request.format
    if wanted is None or wanted.kind == "text":
        return
    if wanted.kind == "json" or wanted.schema is None:
        lost.append(Lost("response_format", "the API has no JSON mode without a schema"))
        return
    schema = wanted.schema if request.origin == t.NAME else _closed(decode(wanted.schema))
    body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}


def _closed(schema: Json) -> Json:
    """The schema with `additionalProperties: false` in every object: the API requires it said."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: _closed(value) for key, value in schema.items()}
    if out.get("type") == "object":
        out.setdefault("additionalProperties", False)
    return out


def _set_extras(body: Body, request: Request, lost: list[Lost]) -> None:
    for key, value in request.extras.items():
        if request.origin == t.NAME:
            body.setdefault(key, value)
        elif key not in request.implied:
            lost.append(Lost(key, f"a field of the {request.origin} wire"))
