"""A client's `generateContent` or `countTokens` body to a conversation request.

Both spellings of every member are read (proto JSON). What the conversation model does not have stays
in `Request.extras` under its top-level name and in `Opaque` parts, for upstreams of the same wire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw

from proxy import jsonio
from proxy.convo.model import (
    Format,
    Message,
    Opaque,
    Part,
    Reasoning,
    Request,
    Role,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
)
from proxy.convo.thinking import BUDGETS
from proxy.errors import ProxyError, bad_request
from proxy.wire.gemini import parts as parts_of
from proxy.wire.gemini import schema, signatures, types

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROLES: Final[dict[str, Role]] = {
    "model": "assistant",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
}
_SEARCH: Final = frozenset({"googleSearch", "googleSearchRetrieval"})
_HEAD: Final = frozenset({"model", "contents", "systemInstruction", "tools", "generationConfig"})
_CONFIG_FIELDS: Final = frozenset(types.GenerationConfig.__struct_fields__)


def decode_request(
    body: bytes, model: str = "", stream: bool | None = None, top: jsonio.Body | None = None
) -> Request:
    """The request of a body; `model` and `stream` stand in the URL. Raises ProxyError (400)."""
    try:
        fields = jsonio.top_level(body) if top is None else top
        return _decode(fields, model, stream=bool(stream))
    except msgspec.MsgspecError as error:
        raise bad_request(f"Invalid JSON payload received. {error}") from error
    except (RecursionError, UnicodeDecodeError) as error:
        raise bad_request("Invalid JSON payload received. It is not readable as JSON.") from error


def _decode(body: jsonio.Body, model: str, *, stream: bool) -> Request:
    fields = _camel_keys(body)
    inner = fields.get("generateContentRequest")
    if inner is not None and "contents" not in fields:
        # countTokens may carry a whole request in place of contents.
        fields = _camel_keys(types.raw_object.decode(inner))
    request = Request(model=model or _model(fields), messages=[], origin="gemini", stream=stream)
    _Turns(request).read(fields)
    if types.given(fields.get("tools", types.ABSENT)):
        request.tools = list(_tools(fields["tools"]))
    extras = {name: raw for name, raw in fields.items() if name not in _HEAD}
    if types.given(fields.get("generationConfig", types.ABSENT)):
        rest = _config(request, fields["generationConfig"])
        if rest:
            extras["generationConfig"] = jsonio.raw_of(rest)
            request.implied = ("generationConfig",)
    if types.given(extras.get("toolConfig", types.ABSENT)):
        _tool_choice(request, extras)
    request.extras = {name: raw for name, raw in extras.items() if types.given(raw)}
    return request


def _camel_keys(fields: jsonio.Body | dict[str, Raw]) -> dict[str, Raw]:
    return {types.camel(name): jsonio.raw_of(value) for name, value in fields.items()}


def _model(fields: dict[str, Raw]) -> str:
    raw = fields.get("model", types.ABSENT)
    value = jsonio.decode(raw) if types.given(raw) else ""
    return value.removeprefix("models/") if isinstance(value, str) else ""


# ---------------------------------------------------------------- contents


class _Turns:
    """Contents to messages; gives ids to calls that have none and finds the call of each result."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._open: list[tuple[str, str]] = []
        """(id, name) of calls without a result so far."""
        self._count = 0

    def read(self, fields: dict[str, Raw]) -> None:
        """Fills `system` and `messages`."""
        system = fields.get("systemInstruction", types.ABSENT)
        if types.given(system):
            self._request.system = self._system(system)
        raw = fields.get("contents", types.ABSENT)
        if not types.given(raw):
            return
        if _begins(raw, b"{"):
            raw = Raw(b"[" + bytes(raw) + b"]")
        try:
            contents = types.contents.decode(raw)
        except msgspec.ValidationError as error:
            raise bad_request(_at("contents", error)) from error
        raws: list[types.RawContent] = []
        for number, content in enumerate(contents):
            parts = content.parts or []
            if not raws and not all(parts_of.known(part) for part in parts):
                raws = types.raw_contents.decode(raw)
            whole = (raws[number].parts or []) if raws else [types.ABSENT] * len(parts)
            self._turn(content, parts, whole)

    def _system(self, raw: Raw) -> list[Part]:
        if _begins(raw, b'"'):
            return [Text(str(jsonio.decode(raw)))]
        try:
            if _begins(raw, b"["):
                listed = types.parts.decode(raw)
            else:
                listed = types.content.decode(raw).parts or []
        except msgspec.ValidationError as error:
            raise bad_request(_at("systemInstruction", error)) from error
        return [Text(part.text) for part in listed if part.text]

    def _turn(self, content: types.Content, parts: list[types.Part], whole: list[Raw]) -> None:
        role = _ROLES.get(content.role or "", "user")
        out: list[Part] = []
        for part, raw in zip(parts, whole, strict=True):
            out += self._parts(part, raw)
        if role == "system":
            texts: list[Part] = [part for part in out if isinstance(part, Text)]
            if texts and not self._request.messages:
                self._request.system += texts
                return
            out = texts
        if out:
            self._request.messages.append(Message(role, out))

    def _parts(self, part: types.Part, raw: Raw) -> Iterator[Part]:
        call = part.functionCall or part.function_call
        answer = part.functionResponse or part.function_response
        if call is not None:
            yield self._call(call, parts_of.signature_of(part))
        elif answer is not None:
            yield self._result(answer)
        else:
            found = parts_of.plain(part, raw)
            if found is not None:
                yield found
        beside = parts_of.extras_of(part)
        if beside is not None:
            yield beside

    def _new_id(self) -> str:
        self._count += 1
        return f"{parts_of.SYNTHETIC}{self._count}"

    def _call(self, call: types.FunctionCall, value: str) -> ToolUse:
        signature, origin, _ = signatures.read(value)
        name = call.name or ""
        identity = call.id or self._new_id()
        self._open.append((identity, name))
        args = jsonio.text_of(call.args) if types.given(call.args) else "{}"
        return ToolUse(identity, name, args, signature=signature, origin=origin)

    def _result(self, answer: types.FunctionResponse) -> ToolResult:
        name = answer.name or ""
        identity = self._match(answer.id or "", name)
        raw = answer.response
        media = _media(answer.parts)
        text, is_error = _unwrap(raw)
        if text is None and not media:
            value = raw if types.given(raw) else Raw(b"{}")
            return ToolResult(identity, [], name, value=value)
        if text is None:
            text = jsonio.text_of(raw) if types.given(raw) else ""
        content: list[Part] = [Text(text)] if text else []
        return ToolResult(identity, content + media, name, is_error=is_error)

    def _match(self, identity: str, name: str) -> str:
        """The id of the call that this result answers: by id, else the oldest open one of its name."""
        calls = self._open
        exact = next((n for n, call in enumerate(calls) if identity and call[0] == identity), None)
        named = next((n for n, call in enumerate(calls) if call[1] == name), None)
        if exact is None and identity and (named is None or not _is_synthetic(calls[named][0])):
            return identity
        found = exact if exact is not None else named
        if found is None:
            found = 0 if calls else None
        return calls.pop(found)[0] if found is not None else self._new_id()


def _is_synthetic(identity: str) -> bool:
    return identity.startswith(parts_of.SYNTHETIC)


def _unwrap(raw: Raw) -> tuple[str | None, bool]:
    """(text, is an error) of `{"result": text}`, `{"output": text}`, `{"error": text}`; else None."""
    if not types.given(raw):
        return None, False
    value = jsonio.decode(raw)
    if isinstance(value, str):
        return value, False
    if isinstance(value, dict) and len(value) == 1:
        key, inner = next(iter(value.items()))
        if isinstance(inner, str) and key in ("result", "output", "error"):
            return inner, key == "error"
    return None, False


def _media(raw: Raw) -> list[Part]:
    if not types.given(raw):
        return []
    try:
        listed = [parts_of.plain(part, types.ABSENT) for part in types.parts.decode(raw)]
    except msgspec.ValidationError as error:
        raise bad_request(_at("functionResponse.parts", error)) from error
    return [part for part in listed if part is not None and not isinstance(part, Opaque)]


# ---------------------------------------------------------------- tools


def _tools(raw: Raw) -> Iterator[Tool]:
    if _begins(raw, b"{"):
        raw = Raw(b"[" + bytes(raw) + b"]")
    try:
        for group in types.raw_list.decode(raw):
            for key, value in _camel_keys(types.raw_object.decode(group)).items():
                if key == "functionDeclarations":
                    if types.given(value):
                        yield from map(_function, types.raw_list.decode(value))
                elif types.given(value):
                    kind = "web_search" if key in _SEARCH else key
                    whole = jsonio.raw_of({key: value})
                    yield Tool(key, kind="server", type=kind, origin="gemini", raw=whole)
    except msgspec.ValidationError as error:
        raise bad_request(_at("tools", error)) from error


def _function(raw: Raw) -> Tool:
    said = types.declaration.decode(raw)
    found = said.parametersJsonSchema or said.parameters_json_schema or said.parameters
    shape = schema.to_json_schema(found) if types.given(found) else None
    return Tool(said.name or "", said.description or "", shape, origin="gemini", raw=raw)


def _tool_choice(request: Request, extras: dict[str, Raw]) -> None:
    """Reads `toolConfig`, which stays in the extras for upstreams of this wire."""
    try:
        outer = _camel_keys(types.raw_object.decode(extras["toolConfig"]))
        calling = outer.get("functionCallingConfig", types.ABSENT)
        if not types.given(calling):
            return
        inner = _camel_keys(types.raw_object.decode(calling))
        config = types.calling_config.decode(jsonio.encode(inner))
    except msgspec.ValidationError as error:
        raise bad_request(_at("toolConfig", error)) from error
    mode = (config.mode or "AUTO").upper()
    names = config.allowedFunctionNames or []
    request.tool_choice = _choice(mode, names)
    if mode in ("AUTO", "ANY", "NONE", "MODE_UNSPECIFIED"):
        request.implied += ("toolConfig",)


def _choice(mode: str, names: list[str]) -> ToolChoice:
    if mode == "NONE":
        return ToolChoice("none")
    if mode == "ANY":
        if len(names) == 1:
            return ToolChoice("tool", name=names[0])
        return ToolChoice("required", names=names or None)
    return ToolChoice("auto", names=names or None)


# ---------------------------------------------------------------- generationConfig


def _config(request: Request, raw: Raw) -> dict[str, Raw]:
    """Sets what the conversation model has; returns the members that it has not."""
    try:
        fields = _camel_keys(types.raw_object.decode(raw))
        config = types.generation_config.decode(jsonio.encode(fields))
        request.reasoning = reasoning_of(config.thinkingConfig)
    except msgspec.ValidationError as error:
        raise bad_request(_at("generationConfig", error)) from error
    request.max_tokens = config.maxOutputTokens
    request.temperature = config.temperature
    request.top_p = config.topP
    request.top_k = int(config.topK) if config.topK is not None else None
    request.stop = config.stopSequences or []
    request.seed = config.seed
    request.n = config.candidateCount
    request.presence_penalty = config.presencePenalty
    request.frequency_penalty = config.frequencyPenalty
    request.logprobs = config.responseLogprobs
    request.top_logprobs = config.logprobs
    request.modalities = [word.lower() for word in config.responseModalities or []]
    request.format = _format(config)
    rest = {name: value for name, value in fields.items() if name not in _CONFIG_FIELDS}
    for name in ("responseSchema", "responseMimeType"):
        # In the API's own spelling they are more exact than what is made from the format.
        if name in fields and (name == "responseSchema" or request.format is None):
            rest[name] = fields[name]
    if request.reasoning is None and "thinkingConfig" in fields:
        rest["thinkingConfig"] = fields["thinkingConfig"]
    return {name: value for name, value in rest.items() if types.given(value)}


def reasoning_of(raw: Raw) -> Reasoning | None:
    """`thinkingConfig` in words of the conversation; None where it says nothing."""
    if not types.given(raw):
        return None
    fields = _camel_keys(types.raw_object.decode(raw))
    config = types.thinking_config.decode(jsonio.encode(fields))
    level = (config.thinkingLevel or "").lower()
    if level in BUDGETS:
        return Reasoning(effort=level, include=config.includeThoughts)  # type: ignore[arg-type]  # the keys of BUDGETS are Effort words
    if config.thinkingBudget is None and config.includeThoughts is None:
        return None
    return Reasoning(budget=config.thinkingBudget, include=config.includeThoughts)


def _format(config: types.GenerationConfig) -> Format | None:
    if types.given(config.responseJsonSchema):
        return Format("schema", schema.to_json_schema(config.responseJsonSchema))
    if types.given(config.responseSchema):
        return Format("schema", schema.to_json_schema(config.responseSchema))
    if config.responseMimeType == "application/json":
        return Format("json")
    return Format("text") if config.responseMimeType == "text/plain" else None


def _begins(raw: Raw, mark: bytes) -> bool:
    return bytes(memoryview(raw)[:1]) == mark


def _at(field: str, error: Exception) -> str:
    return f"Invalid value at '{field}': {error}"


__all__ = ["ProxyError", "decode_request", "reasoning_of"]
