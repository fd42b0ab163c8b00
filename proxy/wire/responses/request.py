"""A client's request -> `convo.Request`. Source: API reference, "Create a model response".

Items become turns: neighbouring assistant items (text, reasoning, calls) are one turn, neighbouring tool
outputs are one turn. A reasoning item that carries a foreign signature of a call gives it to the call
that follows.
"""

from __future__ import annotations

import re
from typing import Final, cast, get_args

import msgspec
from msgspec import Raw

from proxy.convo.model import (
    Effort,
    Format,
    Message,
    Opaque,
    Part,
    Reasoning,
    Request,
    Role,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
)
from proxy.errors import ProxyError, bad_request
from proxy.jsonio import Body, raw_of, text_of, top_level
from proxy.wire.responses import proofs, types
from proxy.wire.responses.content import parts_of

_EFFORTS: Final = frozenset(get_args(Effort))
_SYSTEM_ROLES: Final = ("system", "developer")
_OUTPUTS: Final = ("function_call_output", "custom_tool_call_output", "local_shell_call_output")
_WISHES: Final = re.compile(
    rb'"reasoning\.encrypted_content"|"message\.output_text\.logprobs"|^null$'
)
"""What `include` may ask that clients of any upstream are given: signatures, and logprobs by their own
member."""
SHELL: Final = "local_shell"


def decode_request(
    body: bytes, model: str = "", stream: bool | None = None, top: Body | None = None
) -> Request:
    """The request; raises ProxyError (400) with the JSON path of what is wrong."""
    try:
        fields = cast("dict[str, Raw]", top_level(body) if top is None else top)
        said = types.request_body.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise bad_request(str(wrong)) from None
    if said.input is None and not {"prompt", "previous_response_id", "conversation"} & set(fields):
        raise bad_request("Missing required parameter: 'input'")
    request = Request(model or said.model or "", [], origin="responses", echo=Raw(body))
    request.stream = bool(said.stream) if stream is None else stream
    request.extras = {key: raw for key, raw in fields.items() if key not in types.KNOWN}
    _turns(request, said)
    _tools(request, said)
    _settings(request, said)
    return request


def _turns(request: Request, said: types.RequestBody) -> None:
    turns = Turns()
    if isinstance(said.instructions, str):
        if said.instructions:
            turns.system.append(Text(said.instructions))
    else:
        for number, raw in enumerate(said.instructions or ()):
            turns.add(raw, f"$.instructions[{number}]")
    if isinstance(said.input, str):
        turns.turn("user").append(Text(said.input))
    else:
        for number, raw in enumerate(said.input or ()):
            turns.add(raw, f"$.input[{number}]")
    request.system, request.messages = turns.system, turns.messages


class Turns:
    """Items as they come, collected into turns."""

    def __init__(self) -> None:
        self.system: list[Part] = []
        self.messages: list[Message] = []
        self._results = False
        """The last turn holds tool outputs, which further ones join."""
        self._proof = ("", "")
        """Signature of the next call, and its origin."""

    def add(self, raw: Raw, path: str) -> None:
        """Takes one item. Raises ProxyError with the path."""
        try:
            item = types.item.decode(raw)
        except msgspec.DecodeError as wrong:
            raise _wrong(wrong, path) from None
        kind = item.type or ("message" if item.role else "")
        match kind:
            case "message":
                self._message(item, path)
            case "function_call" | "custom_tool_call" | "local_shell_call":
                call = _call(item, kind)
                call.signature, call.origin = self._proof
                self._proof = ("", "")
                self.turn("assistant").append(call)
            case "reasoning":
                self._reasoning(item, path)
            case _ if kind in _OUTPUTS:
                self._output(item, kind, path)
            case _:
                self.turn("assistant").append(Opaque("responses", raw, kind))

    def turn(self, role: Role) -> list[Part]:
        """The parts of the open turn of this role, or of a new one; user turns are never joined."""
        last = self.messages[-1] if self.messages else None
        if last is None or last.role != role or role != "assistant":
            last = Message(role, [])
            self.messages.append(last)
        self._results = False
        return last.parts

    def _message(self, item: types.Item, path: str) -> None:
        try:
            parts = parts_of(item.content)
        except msgspec.DecodeError as wrong:
            raise _wrong(wrong, path + ".content") from None
        if item.role in _SYSTEM_ROLES:
            if self.messages:
                self.turn("system").extend(parts)
            else:
                self.system += parts
        elif item.role == "assistant":
            self.turn("assistant").extend(parts)
        elif item.role in ("user", ""):
            self.turn("user").extend(parts)
        else:
            raise bad_request(f"unknown role {item.role!r} - at `{path}.role`")

    def _reasoning(self, item: types.Item, path: str) -> None:
        signature, origin, place = proofs.read(item.encrypted_content or "")
        parts = self.turn("assistant")
        if place == "call":
            self._proof = (signature, origin)
            return
        texts = [part.text for part in item.summary or () if part.text]
        summarised = bool(texts)
        try:
            content = parts_of(item.content)
        except msgspec.DecodeError as wrong:
            raise _wrong(wrong, path + ".content") from None
        texts += [part.text for part in content if isinstance(part, Text)]
        parts.append(
            Thinking(
                "\n\n".join(texts),
                signature,
                origin,
                id=item.id or "",
                redacted=place == "redacted",
                raw=bool(texts) and not summarised,
            )
        )

    def _output(self, item: types.Item, kind: str, path: str) -> None:
        result = ToolResult(item.call_id or item.id or "", [], custom=kind != _OUTPUTS[0])
        output = item.output
        if types.given(output):
            first = bytes(output)[:1]
            try:
                if first == b'"':
                    result.content.append(Text(types.text.decode(output)))
                elif first == b"[":
                    result.content.extend(parts_of(types.raws.decode(output)))
                else:
                    result.value = output
            except msgspec.DecodeError as wrong:
                raise _wrong(wrong, path + ".output") from None
        if not (self._results and self.messages):
            self.turn("user")
            self._results = True
        self.messages[-1].parts.append(result)


def _wrong(wrong: msgspec.DecodeError, path: str) -> ProxyError:
    text = str(wrong)
    return bad_request(
        text.replace("`$", f"`{path}", 1) if "`$" in text else f"{text} - at `{path}`"
    )


def _call(item: types.Item, kind: str) -> ToolUse:
    ident = item.call_id or item.id or ""
    if kind == "local_shell_call":
        return ToolUse(ident, SHELL, text_of(item.action) if types.given(item.action) else "{}")
    if kind == "custom_tool_call":
        return ToolUse(ident, item.name or "", _string(item.input), custom=True)
    return ToolUse(ident, item.name or "", _string(item.arguments))


def _string(raw: Raw) -> str:
    """A member that is a string by the reference; clients also send the object itself."""
    if not types.given(raw):
        return ""
    return types.text.decode(raw) if bytes(raw)[:1] == b'"' else text_of(raw)


def _tools(request: Request, said: types.RequestBody) -> None:
    for number, raw in enumerate(said.tools or ()):
        try:
            request.tools.append(_tool(types.tool.decode(raw), raw))
        except msgspec.DecodeError as wrong:
            raise _wrong(wrong, f"$.tools[{number}]") from None
    if types.given(said.tool_choice):
        try:
            request.tool_choice = _choice(types.tool_choice.decode(said.tool_choice))
        except msgspec.DecodeError as wrong:
            raise _wrong(wrong, "$.tool_choice") from None
        if request.tool_choice is None:
            # A tool of the provider's own is named: only this wire can say it.
            request.extras["tool_choice"] = said.tool_choice


def _tool(said: types.ToolSpec, raw: Raw) -> Tool:
    if said.type == "function" or (not said.type and said.name):
        spec = said.function or said
        return Tool(
            spec.name or "",
            spec.description or "",
            spec.parameters if types.given(spec.parameters) else None,
            strict=spec.strict,
            origin="responses",
            raw=raw,
        )
    if said.type == "custom":
        return Tool(
            said.name or "",
            said.description or "",
            kind="custom",
            origin="responses",
            raw=said.format if types.given(said.format) else None,
        )
    word = "web_search" if said.type.startswith("web_search") else said.type
    return Tool(said.name or "", kind="server", type=word, origin="responses", raw=raw)


def _choice(said: str | types.Choice) -> ToolChoice | None:
    if isinstance(said, str):
        match said:
            case "none" | "required" | "auto":
                return ToolChoice(said)
            case _:
                raise bad_request(f"unknown choice {said!r} - at `$.tool_choice`")
    if said.type == "allowed_tools":
        names = [tool.name for tool in said.tools or () if tool.name]
        return ToolChoice("required" if said.mode == "required" else "auto", names=names)
    name = said.name or (said.function.name if said.function else None)
    return ToolChoice("tool", name) if said.type in ("function", "custom") and name else None


def _settings(request: Request, said: types.RequestBody) -> None:
    request.parallel_tool_calls = said.parallel_tool_calls
    request.max_tokens = said.max_output_tokens
    request.temperature = said.temperature
    request.top_p = said.top_p
    include = bytes(request.extras.get("include", b""))
    if include and not _WISHES.sub(b"", include).strip(b"[], \t\r\n"):
        request.implied = ("include",)
    if b"message.output_text.logprobs" in include:
        request.logprobs, request.top_logprobs = True, said.top_logprobs
    elif said.top_logprobs is not None:
        # Without `include` the API gives none, whatever their number: only this wire may ask so.
        request.extras["top_logprobs"] = raw_of(said.top_logprobs)
    request.user = said.user or ""
    request.metadata = said.metadata if types.given(said.metadata) else None
    request.service_tier = said.service_tier or ""
    request.store = said.store
    request.cache_key = said.prompt_cache_key or ""
    if said.reasoning is not None:
        request.reasoning = _reasoning(said.reasoning)
    if said.text is not None:
        request.verbosity = said.text.verbosity or ""
        request.format = _format(said.text.format)


def _reasoning(said: types.ReasoningSettings) -> Reasoning | None:
    effort = said.effort.lower() if said.effort else None
    if effort is not None and effort not in _EFFORTS:
        raise bad_request(f"unknown effort {said.effort!r} - at `$.reasoning.effort`")
    summary = said.summary or said.generate_summary or ""
    if effort is None and not summary:
        return None
    include = (summary != "none") if summary else None
    return Reasoning(cast("Effort | None", effort), include=include, summary=summary)


def _format(said: types.TextFormat | None) -> Format | None:
    if said is None or not said.type:
        return None
    if said.type == "json_schema":
        schema = said.schema if types.given(said.schema) else None
        return Format("schema", schema, said.name or "", said.description or "", strict=said.strict)
    return Format("json" if said.type == "json_object" else "text")
