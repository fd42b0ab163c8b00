"""A client's Chat Completions request to `convo.Request`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, Protocol

import msgspec
from msgspec import Raw

from proxy.convo.model import Format, Request, Tool, ToolChoice
from proxy.errors import bad_request
from proxy.jsonio import Body, top_level
from proxy.wire.chat import types as t
from proxy.wire.chat.effort import reasoning_of
from proxy.wire.chat.turns import conversation

_text = msgspec.json.Decoder(str)
_maybe_text = msgspec.json.Decoder(str | None)
_maybe_bool = msgspec.json.Decoder(bool | None)
_maybe_int = msgspec.json.Decoder(int | float | None)
_maybe_float = msgspec.json.Decoder(float | None)
_stop = msgspec.json.Decoder(list[str] | str | None)
_words = msgspec.json.Decoder(list[str] | None)
_raws = msgspec.json.Decoder(list[Raw] | None)
_tool = msgspec.json.Decoder(t.ToolIn)
_functions = msgspec.json.Decoder(list[t.FunctionDef] | None)
_choice = msgspec.json.Decoder(str | t.ToolChoiceIn | None)
_format = msgspec.json.Decoder(t.FormatIn | None)
_options = msgspec.json.Decoder(t.StreamOptions | None)

_Mode = Literal["auto", "none", "required"]
_MODES: Final[dict[str, _Mode]] = {
    "auto": "auto",
    "none": "none",
    "required": "required",
    "any": "required",
}
_SEARCHES: Final = ("google_search", "googleSearch", "google_search_retrieval")
_REASONING: Final = ("reasoning_effort", "reasoning", "thinking", "extra_body", "google")


def decode_request(
    body: bytes, model: str = "", stream: bool | None = None, top: Body | None = None
) -> Request:
    """A Chat Completions request. Raises ProxyError (400) with the JSON path of what is wrong."""
    try:
        top = top_level(body) if top is None else top
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad_request(f"The request body is not a JSON object: {error}") from error
    request = Request(model=model, messages=[], origin=t.NAME)
    extras: dict[str, Raw] = {}
    for key, value in top.items():
        raw = value if isinstance(value, Raw) else Raw(b"null")
        reader = _READERS.get(key)
        try:
            if reader is not None:
                reader(request, raw)
            elif key not in _REASONING:
                extras[key] = raw
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise bad_request(_at(key, str(error))) from error
    if "messages" not in top:
        raise bad_request("messages: Field required")
    if not model and "model" not in top:
        raise bad_request("model: Field required")
    if model:
        request.model = model
    if stream is not None:
        request.stream = stream
    request.reasoning = reasoning_of(top)
    request.extras = extras
    _keep_unread(request, top)
    return request


def _at(key: str, message: str) -> str:
    """The decoder's message with the path from the top of the body."""
    text, found, path = message.partition(" - at `$")
    return f"{key}{path.removesuffix('`')}: {text}" if found else f"{key}: {message}"


def _keep_unread(request: Request, top: Body) -> None:
    """Reasoning settings in other dialects come out again on this wire only if nothing was read."""
    if request.reasoning is None:
        for key in _REASONING[1:]:
            raw = top.get(key)
            if isinstance(raw, Raw) and bytes(raw) != b"null":
                request.extras[key] = raw


def _read_messages(request: Request, raw: Raw) -> None:
    request.system, request.messages = conversation(raw)


def _read_tools(request: Request, raw: Raw) -> None:
    for item in _raws.decode(raw) or ():
        request.tools = [*request.tools, _one_tool(item)]


def _one_tool(raw: Raw) -> Tool:
    given = _tool.decode(raw)
    function, custom = given.function, given.custom
    cache = t.given(given.cache_control)
    if function is not None:
        return Tool(
            function.name,
            function.description or "",
            _schema(function.parameters),
            strict=function.strict,
            cache=cache,
        )
    if given.type == "custom" and custom is not None:
        return Tool(
            custom.name,
            custom.description or "",
            kind="custom",
            origin=t.NAME,
            raw=t.given(custom.format),
            cache=cache,
        )
    if given.type == "function" and given.name:
        return Tool(
            given.name,
            given.description or "",
            _schema(given.parameters),
            strict=given.strict,
            cache=cache,
        )
    if given.type == "function":
        raise msgspec.ValidationError("A function tool needs a name")
    return _server_tool(given, raw)


def _server_tool(given: t.ToolIn, raw: Raw) -> Tool:
    keys = top_level(bytes(raw))
    word = given.type or next((key for key in keys if key != "cache_control"), "")
    search = word.startswith("web_search") or word in _SEARCHES
    return Tool(
        given.name or "",
        kind="server",
        type="web_search" if search else word,
        origin=t.NAME,
        raw=raw,
        cache=t.given(given.cache_control),
    )


def _schema(raw: Raw) -> Raw | None:
    return None if bytes(memoryview(raw)[:1]) != b"{" else raw


def _read_functions(request: Request, raw: Raw) -> None:
    tools = [
        Tool(item.name, item.description or "", _schema(item.parameters), strict=item.strict)
        for item in _functions.decode(raw) or ()
    ]
    request.tools = [*request.tools, *tools]


def _read_search(request: Request, raw: Raw) -> None:
    if bytes(raw) != b"null":
        tool = Tool("", kind="server", type="web_search", origin=t.NAME, raw=raw)
        request.tools = [*request.tools, tool]


def _read_tool_choice(request: Request, raw: Raw) -> None:
    given = _choice.decode(raw)
    if given is None:
        return
    if isinstance(given, str):
        mode = _MODES.get(given)
        if mode is None:
            raise msgspec.ValidationError(f"Invalid tool choice '{given}'")
        request.tool_choice = ToolChoice(mode)
        return
    if given.type == "allowed_tools":
        allowed = given.allowed_tools or t.Allowed(given.mode or "auto", given.tools or [])
        names = [name for tool in allowed.tools if (name := _name(tool))]
        request.tool_choice = ToolChoice(_MODES.get(allowed.mode, "auto"), names=names or None)
        return
    name = _name(given)
    if name:
        request.tool_choice = ToolChoice("tool", name)
    elif given.type in _MODES:
        request.tool_choice = ToolChoice(_MODES[given.type])
    else:
        raise msgspec.ValidationError("A tool choice needs the tool's name")


def _name(given: t.Named) -> str:
    function, custom = given.function, given.custom
    nested = (function.name if function else None) or (custom.name if custom else None)
    return nested or given.name or ""


def _read_format(request: Request, raw: Raw) -> None:
    given = _format.decode(raw)
    if given is None or given.type == "text":
        return
    if given.type == "json_object":
        request.format = Format("json")
        return
    shape = given.json_schema
    if given.type != "json_schema" or shape is None:
        raise msgspec.ValidationError(f"Invalid response format '{given.type}'")
    request.format = Format(
        "schema", t.given(shape.schema), shape.name, shape.description or "", shape.strict
    )


def _read_stop(request: Request, raw: Raw) -> None:
    value = _stop.decode(raw)
    request.stop = [value] if isinstance(value, str) else value or []


def _read_options(request: Request, raw: Raw) -> None:
    options = _options.decode(raw)
    if options is not None:
        request.include_usage = options.include_usage


def _read_limit(request: Request, raw: Raw) -> None:
    """`max_completion_tokens` wins over the older `max_tokens`, in whatever order they stand."""
    value = _maybe_int.decode(raw)
    if value is not None:
        request.max_tokens = int(value)


def _read_old_limit(request: Request, raw: Raw) -> None:
    if request.max_tokens is None:
        _read_limit(request, raw)


def _read_metadata(request: Request, raw: Raw) -> None:
    if bytes(memoryview(raw)[:1]) == b"{":
        request.metadata = raw


class _Decoder(Protocol):
    def decode(self, buf: Raw, /) -> object: ...


def _field(
    name: str, decoder: _Decoder, kind: Callable[[object], object] | None = None
) -> Callable[[Request, Raw], None]:
    def read(request: Request, raw: Raw) -> None:
        value = decoder.decode(raw)
        if value is not None:
            setattr(request, name, value if kind is None else kind(value))

    return read


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) else value


_READERS: Final[dict[str, Callable[[Request, Raw], None]]] = {
    "model": _field("model", _text),
    "messages": _read_messages,
    "stream": _field("stream", _maybe_bool),
    "stream_options": _read_options,
    "tools": _read_tools,
    "functions": _read_functions,
    "web_search_options": _read_search,
    "tool_choice": _read_tool_choice,
    "function_call": _read_tool_choice,
    "parallel_tool_calls": _field("parallel_tool_calls", _maybe_bool),
    "max_completion_tokens": _read_limit,
    "max_tokens": _read_old_limit,
    "temperature": _field("temperature", _maybe_float),
    "top_p": _field("top_p", _maybe_float),
    "top_k": _field("top_k", _maybe_int, _whole),
    "stop": _read_stop,
    "seed": _field("seed", _maybe_int, _whole),
    "n": _field("n", _maybe_int, _whole),
    "presence_penalty": _field("presence_penalty", _maybe_float),
    "frequency_penalty": _field("frequency_penalty", _maybe_float),
    "logprobs": _field("logprobs", _maybe_bool),
    "top_logprobs": _field("top_logprobs", _maybe_int, _whole),
    "response_format": _read_format,
    "verbosity": _field("verbosity", _maybe_text),
    "user": _field("user", _maybe_text),
    "metadata": _read_metadata,
    "service_tier": _field("service_tier", _maybe_text),
    "store": _field("store", _maybe_bool),
    "prompt_cache_key": _field("cache_key", _maybe_text),
    "modalities": _field("modalities", _words),
}
