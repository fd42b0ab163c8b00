"""A client's Messages request to `convo.Request`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, Protocol, TypeVar, cast

import msgspec
from msgspec import Raw

from proxy.convo.model import (
    Effort,
    Format,
    Message,
    Part,
    Reasoning,
    Request,
    Role,
    Text,
    Tool,
    ToolChoice,
)
from proxy.errors import bad_request
from proxy.jsonio import Body, raw_of, top_level
from proxy.wire.anthropic import types as t
from proxy.wire.anthropic.blocks import parts_of, parts_of_raw

_messages = msgspec.json.Decoder(list[t.MessageIn])
_loose_messages = msgspec.json.Decoder(list[t.LooseMessage])
_system = msgspec.json.Decoder(str | list[t.TextBlock])
_tools = msgspec.json.Decoder(list[dict[str, Raw]])
_text = msgspec.json.Decoder(str)
_maybe_text = msgspec.json.Decoder(str | None)
_maybe_bool = msgspec.json.Decoder(bool | None)
_maybe_int = msgspec.json.Decoder(int | None)
_maybe_float = msgspec.json.Decoder(float | None)
_stop = msgspec.json.Decoder(list[str] | str | None)
_thinking = msgspec.json.Decoder(t.ThinkingConfig | None)
_output_config = msgspec.json.Decoder(t.OutputConfig | None)
_format = msgspec.json.Decoder(t.FormatIn | None)
_tool_choice = msgspec.json.Decoder(t.ToolChoiceIn | None)
_metadata = msgspec.json.Decoder(dict[str, Raw] | None)

EFFORTS: Final = frozenset(("low", "medium", "high", "xhigh", "max"))
_ROLES: Final = frozenset(("user", "assistant", "system"))
_PLAIN_TOOL: Final = frozenset(
    ("type", "name", "description", "input_schema", "strict", "cache_control")
)
_TIERS: Final = {"standard_only": "default"}
"""Service tiers are kept in the words of Chat Completions."""
_Blocks = TypeVar("_Blocks")
_MODES: Final[dict[str, Literal["auto", "required", "none", "tool"]]] = {
    "auto": "auto",
    "any": "required",
    "none": "none",
    "tool": "tool",
}


def decode_request(
    body: bytes, model: str = "", stream: bool | None = None, top: Body | None = None
) -> Request:
    """A Messages request. Raises ProxyError (400) with the JSON path of what is wrong."""
    try:
        fields = cast("dict[str, Raw]", top_level(body) if top is None else top)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad_request(f"The request body is not a JSON object: {error}") from error
    request = Request(model=model, messages=[], origin=t.NAME)
    extras: dict[str, Raw] = {}
    for key, raw in fields.items():
        reader = _READERS.get(key)
        if reader is None:
            extras[key] = raw
            continue
        try:
            reader(request, raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise bad_request(_at(key, str(error))) from error
    if "messages" not in fields:
        raise bad_request("messages: Field required")
    if not model and "model" not in fields:
        raise bad_request("model: Field required")
    if model:
        request.model = model
    if stream is not None:
        request.stream = stream
    request.extras = extras
    _read_reasoning(request, fields)
    return request


def _at(key: str, message: str) -> str:
    """The decoder's message with the path from the top of the body."""
    text, found, path = message.partition(" - at `$")
    return f"{key}{path.removesuffix('`')}: {text}" if found else f"{key}: {message}"


def _read_messages(request: Request, raw: Raw) -> None:
    messages = _conversation(raw)
    lead = 0
    while lead < len(messages) and messages[lead].role == "system":
        request.system = [*request.system, *messages[lead].parts]
        lead += 1
    request.messages = messages[lead:]


def _conversation(raw: Raw) -> list[Message]:
    try:
        return [
            Message(_role(m.role), _content(m.content, parts_of)) for m in _messages.decode(raw)
        ]
    except msgspec.ValidationError:
        # A block that the union does not know (server tools, something new): slower and tolerant.
        return [
            Message(_role(m.role), _content(m.content, parts_of_raw))
            for m in _loose_messages.decode(raw)
        ]


def _content(
    content: str | list[_Blocks] | None, parts: Callable[[list[_Blocks]], list[Part]]
) -> list[Part]:
    if isinstance(content, str):
        return [Text(content)]
    return parts(content) if content else []


def _role(role: str) -> Role:
    if role not in _ROLES:
        raise msgspec.ValidationError(f"Invalid role '{role}'")
    return cast("Role", role)


def _read_system(request: Request, raw: Raw) -> None:
    if t.given(raw) is None:
        return
    value = _system.decode(raw)
    if isinstance(value, str):
        request.system = [Text(value), *request.system] if value else request.system
    else:
        request.system = [*parts_of(list(value)), *request.system]


def _read_tools(request: Request, raw: Raw) -> None:
    if t.given(raw) is not None:
        request.tools = [_tool(item) for item in _tools.decode(raw)]


def _tool(item: dict[str, Raw]) -> Tool:
    kind = _maybe_text.decode(item["type"]) if "type" in item else None
    name = _text.decode(item["name"]) if "name" in item else ""
    cache = item.get("cache_control")
    if kind not in (None, "custom"):
        word = "web_search" if kind.startswith("web_search") else kind
        return Tool(name, kind="server", type=word, origin=t.NAME, raw=raw_of(item), cache=cache)
    if not name:
        raise msgspec.ValidationError("A tool needs a name")
    tool = Tool(name, schema=item.get("input_schema"), cache=cache)
    if "description" in item:
        tool.description = _maybe_text.decode(item["description"]) or ""
    if "strict" in item:
        tool.strict = _maybe_bool.decode(item["strict"])
    if not item.keys() <= _PLAIN_TOOL:
        tool.origin, tool.raw = t.NAME, raw_of(item)
    return tool


def _read_tool_choice(request: Request, raw: Raw) -> None:
    choice = _tool_choice.decode(raw)
    if choice is None:
        return
    mode = _MODES.get(choice.type)
    if mode is None or (mode == "tool" and not choice.name):
        raise msgspec.ValidationError(f"Invalid tool choice '{choice.type}'")
    request.tool_choice = ToolChoice(mode, (choice.name or "") if mode == "tool" else "")
    if choice.disable_parallel_tool_use is not None:
        request.parallel_tool_calls = not choice.disable_parallel_tool_use


def _read_metadata(request: Request, raw: Raw) -> None:
    metadata = _metadata.decode(raw)
    if not metadata:
        return
    user = metadata.pop("user_id", None)
    if user is not None:
        request.user = _maybe_text.decode(user) or ""
    if metadata:
        request.metadata = raw_of(metadata)


def _read_format(request: Request, raw: Raw) -> None:
    _set_format(request, _format.decode(raw))


def _set_format(request: Request, value: t.FormatIn | None) -> None:
    if value is None or value.type == "text":
        return
    schema = t.given(value.schema)
    if value.type != "json_schema" or schema is None:
        raise msgspec.ValidationError(f"Invalid output format '{value.type}'")
    request.format = Format("schema", schema)


def _read_stop(request: Request, raw: Raw) -> None:
    value = _stop.decode(raw)
    request.stop = [value] if isinstance(value, str) else value or []


def _read_tier(request: Request, raw: Raw) -> None:
    tier = _maybe_text.decode(raw) or ""
    request.service_tier = _TIERS.get(tier, tier)


def _read_reasoning(request: Request, top: dict[str, Raw]) -> None:
    """`thinking` and `output_config` together: they are two halves of one setting."""
    thinking = effort = None
    try:
        if "thinking" in top:
            thinking = _thinking.decode(top["thinking"])
        if "output_config" in top:
            config = _output_config.decode(top["output_config"])
            if config is not None:
                effort = config.effort
                if config.format is not None:
                    _set_format(request, config.format)
    except msgspec.DecodeError as error:
        raise bad_request(f"thinking: {error}") from error
    if effort is not None and effort not in EFFORTS:
        raise bad_request(f"output_config.effort: Invalid effort '{effort}'")
    request.reasoning = _reasoning(thinking, effort)


def _reasoning(thinking: t.ThinkingConfig | None, effort: str | None) -> Reasoning | None:
    word = cast("Effort | None", effort)
    if thinking is None:
        return Reasoning(effort=word) if word else None
    if thinking.type == "disabled":
        return Reasoning(effort="none")
    if thinking.type not in ("enabled", "adaptive"):
        raise bad_request(f"thinking.type: Invalid type '{thinking.type}'")
    include = thinking.display != "omitted"
    if word:
        return Reasoning(effort=word, include=include)
    if thinking.type == "adaptive" or thinking.budget_tokens is None:
        return Reasoning(effort="auto", include=include)
    return Reasoning(budget=max(thinking.budget_tokens, 0), include=include)


class _Decoder(Protocol):
    def decode(self, buf: Raw, /) -> object: ...


def _field(name: str, decoder: _Decoder) -> Callable[[Request, Raw], None]:
    def read(request: Request, raw: Raw) -> None:
        value = decoder.decode(raw)
        if value is not None:
            setattr(request, name, value)

    return read


def _later(request: Request, raw: Raw) -> None:
    """Read by `_read_reasoning`."""


_READERS: Final[dict[str, Callable[[Request, Raw], None]]] = {
    "model": _field("model", _text),
    "messages": _read_messages,
    "system": _read_system,
    "tools": _read_tools,
    "tool_choice": _read_tool_choice,
    "max_tokens": _field("max_tokens", _maybe_int),
    "temperature": _field("temperature", _maybe_float),
    "top_p": _field("top_p", _maybe_float),
    "top_k": _field("top_k", _maybe_int),
    "stop_sequences": _read_stop,
    "stream": _field("stream", _maybe_bool),
    "metadata": _read_metadata,
    "service_tier": _read_tier,
    "thinking": _later,
    "output_config": _later,
    "output_format": _read_format,
}
