"""A conversation request to the body of `generateContent`. The model stands in the URL."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw

from proxy import jsonio
from proxy.convo.model import (
    Lost,
    Media,
    Message,
    Opaque,
    Part,
    Refusal,
    Request,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
)
from proxy.wire import unsaid
from proxy.wire.gemini import names, schema, signatures, thinking, types
from proxy.wire.gemini import parts as parts_of
from proxy.wire.gemini.parts import WirePart

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.convo.model import Reasoning
    from proxy.jsonio import Body
    from proxy.wire.base import Target

SAFETY: Final = jsonio.raw_of(
    [
        {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"},
        {"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "OFF"},
        {"category": "HARM_CATEGORY_SEXUALLY_EXPLICIT", "threshold": "OFF"},
        {"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "threshold": "OFF"},
        {"category": "HARM_CATEGORY_CIVIC_INTEGRITY", "threshold": "BLOCK_NONE"},
    ]
)
"""Sent where the client set none: a proxy for coding tools must not filter exploits and slang."""
_NO_PARTS: Final = re.compile(rb'"parts"\s*:\s*\[\s*\]')
_ONE: Final = Raw(b"0")
_turns = msgspec.json.Decoder(list[dict[str, Raw]])
_IMAGE_CONFIG: Final = "image_config"
"""Chat clients spell `imageConfig` so (OpenRouter, Image generation guide)."""
_STOPS: Final = 5
"""`stopSequences`: up to five (GenerationConfig reference)."""
_CANDIDATES: Final = 8
_RESULT_MEDIA: Final = ("image/", "application/pdf", "text/plain")
"""What `functionResponse.parts` may hold (Function calling guide, multimodal responses)."""


def encode_request(request: Request, target: Target, lost: list[Lost]) -> Body:
    """The upstream body by top-level key; appends what cannot be carried to `lost`."""
    own = request.origin == "gemini"
    body: Body = {}
    writer = _Writer(request, target, lost)
    contents = writer.contents()
    if not contents and not own:
        # The API wants a turn; an empty input of another wire is one without words.
        contents.append({"role": "user", "parts": [{"text": ""}]})
    body["contents"] = contents
    system = writer.system()
    if system:
        body["systemInstruction"] = {"parts": system}
    tools = _tools(request.tools, lost)
    if tools:
        body["tools"] = tools
    if request.tool_choice is not None and (tools or own):
        body["toolConfig"] = {"functionCallingConfig": _choice(request.tool_choice, lost, own=own)}
    config = _config(request, target, lost)
    if own:
        _own_extras(body, config, request)
    if config:
        body["generationConfig"] = config
    body.setdefault("safetySettings", SAFETY)
    _note_lost(request, lost)
    if request.reasoning is not None or request.format is not None:
        unsaid.of_settings(request, target, "gemini", lost)
    unsaid.of_gemini(request, lost)
    return body


def patch_reasoning(body: Body, reasoning: Reasoning, target: Target, lost: list[Lost]) -> None:
    """Overwrites `generationConfig.thinkingConfig` of a same-wire body."""
    unsaid.of_thinking(reasoning, target, lost)
    said = body.get("generationConfig", body.pop("generation_config", None))
    found = jsonio.decode(jsonio.raw_of(said)) if said is not None else {}
    config = dict(found) if isinstance(found, dict) else {}
    config.pop("thinking_config", None)
    config.pop("thinkingConfig", None)
    wanted = thinking.thinking_config(reasoning, target, own=False)
    if wanted:
        config["thinkingConfig"] = wanted
    if config:
        body["generationConfig"] = jsonio.raw_of(config)
    else:
        body.pop("generationConfig", None)


def complete(body: Body) -> None:
    """What a body of this wire gets on its way from client to upstream, in place: the default
    `safetySettings`, and no turns without parts, which the API refuses."""
    if "safety_settings" not in body:
        body.setdefault("safetySettings", SAFETY)
    raw = body.get("contents")
    if isinstance(raw, Raw) and _NO_PARTS.search(memoryview(raw)) is not None:
        try:
            turns = _turns.decode(raw)
        except msgspec.MsgspecError:
            # The upstream says what is wrong with it.
            return
        kept = [turn for turn in turns if bytes(turn.get("parts", _ONE)).strip(b"[] \r\n\t")]
        body["contents"] = jsonio.raw_of(kept)


def _own_extras(body: Body, config: dict[str, object], request: Request) -> None:
    """Puts back what only this wire has."""
    for name, raw in request.extras.items():
        if name == "generationConfig":
            more = jsonio.decode(raw)
            if "responseSchema" in more:
                config.pop("responseJsonSchema", None)
            config.update({key: value for key, value in more.items() if key not in config})
        elif name == "toolConfig":
            body["toolConfig"] = raw
        else:
            body[name] = raw


def _note_lost(request: Request, lost: list[Lost]) -> None:
    if request.origin != "gemini":
        lost += [
            Lost(name, f"a member of the {request.origin} wire only")
            for name in request.extras
            if name not in request.implied and (name != _IMAGE_CONFIG or request.origin != "chat")
        ]


# ---------------------------------------------------------------- contents


class _Writer:
    """Messages to contents: pairs results with calls, keeps roles, carries signatures."""

    def __init__(self, request: Request, target: Target, lost: list[Lost]) -> None:
        self._request = request
        self._own = request.origin == "gemini"
        self._checks = thinking.checks_signatures(target.model)
        self._media_inside = thinking.is_gemini_3(target.model)
        self._proofs = ("gemini", "anthropic") if "claude" in target.model.lower() else ("gemini",)
        """Whose signatures the model knows: Claude's hold on every platform that serves it (Extended
        thinking guide)."""
        self._lost = lost
        self._late_system: list[WirePart] = []
        self._called: dict[str, str] = {}
        """Call id -> function name, as it is sent."""
        self._open: list[str] = []
        """Ids of the last model turn's calls, in order, until the results came."""

    def contents(self) -> list[dict[str, object]]:
        """`contents`; turns that would be empty are left out."""
        out: list[dict[str, object]] = []
        for turn in self._turns():
            if turn.role == "system":
                for part in turn.parts:
                    if isinstance(part, Text):
                        self._late_system += [parts_of.text_part(part.text)] if part.text else []
                    else:
                        self._lose("messages.system", "only text fits into systemInstruction")
                continue
            parts = self._model(turn) if turn.role == "assistant" else self._user(turn)
            if parts:
                role = "model" if turn.role == "assistant" else "user"
                out.append({"role": role, "parts": parts})
        return out

    def system(self) -> list[WirePart]:
        """Parts of `systemInstruction`; call after `contents`. Later system messages come last."""
        parts: list[WirePart] = []
        for part in self._request.system:
            if isinstance(part, Text):
                if part.text:
                    parts.append(parts_of.text_part(part.text))
            else:
                self._lose("system", "only text fits into systemInstruction")
        return parts + self._late_system

    def _turns(self) -> Iterable[Message]:
        """The messages; neighbours of one role are one turn, so that results stand together."""
        held: Message | None = None
        for message in self._request.messages:
            if message.name:
                unsaid.of_message(message, "messages", "gemini", self._lost)
            if held is None or held.role != message.role or (self._own and not _results(held)):
                if held is not None:
                    yield held
                held = Message(message.role, list(message.parts))
            else:
                held.parts += message.parts
        if held is not None:
            yield held

    def _lose(self, path: str, why: str) -> None:
        self._lost.append(Lost(path, why))

    # -- model turns

    def _model(self, turn: Message) -> list[WirePart]:
        out: list[WirePart] = []
        self._open = []
        for part in turn.parts:
            match part:
                case ToolUse():
                    out.append(self._call(part))
                case Thinking():
                    self._thought(part, out)
                case _:
                    self._plain(part, out)
        return out

    def _call(self, call: ToolUse) -> WirePart:
        name = self._name(call.name)
        signature = call.signature if call.origin == "gemini" else ""
        if call.signature and not signature:
            unsaid.of_call(call, "messages", self._lost)
        if not signature and self._checks and not self._open:
            signature = signatures.SKIP
        self._called[call.id] = name
        self._open.append(call.id)
        return parts_of.call_part(call, name, signature)

    def _name(self, name: str) -> str:
        return name if self._own else names.fit(name)

    def _thought(self, part: Thinking, out: list[WirePart]) -> None:
        if part.signature and (part.origin not in self._proofs or part.redacted):
            self._lose("messages.thinking", f"its signature belongs to the {part.origin} wire")
        elif part.text or part.signature:
            out.append(parts_of.thought_part(part.text, part.signature))

    def _plain(self, part: Part, out: list[WirePart]) -> None:
        match part:
            case Text(text=text):
                signature = part.signature if part.origin == "gemini" else ""
                if text or signature:
                    out.append(parts_of.text_part(text, signature))
                if part.citations is not None or part.signature:
                    unsaid.of_text(part, "messages", "gemini", self._lost)
            case Refusal(text=text):
                if text:
                    out.append(parts_of.text_part(text))
            case Media():
                found = parts_of.media_part(part)
                if found is not None:
                    out.append(found)
                    unsaid.of_media(part, "messages.media", "gemini", self._lost)
                else:
                    self._lose("messages.media", "a file of another provider has no address here")
            case Opaque():
                self._opaque(part, out)
            case _:
                self._lose("messages", f"{type(part).__name__} has no place in this turn")

    def _opaque(self, part: Opaque, out: list[WirePart]) -> None:
        if part.origin == "gemini":
            value = jsonio.decode(part.raw)
            if part.type == "videoMetadata" and out:
                out[-1].update(value)
            elif isinstance(value, dict):
                out.append(value)
        elif part.text:
            out.append(parts_of.text_part(part.text))
        else:
            self._lose(f"messages.{part.type}", f"a part of the {part.origin} wire only")

    # -- user turns

    def _user(self, turn: Message) -> list[WirePart]:
        """Results first and in the order of their calls, then what belongs to them, then the rest."""
        results = [part for part in turn.parts if isinstance(part, ToolResult)]
        rest: list[WirePart] = []
        for part in turn.parts:
            if isinstance(part, Thinking):
                self._thought(part, rest)
            elif isinstance(part, ToolUse):
                rest.append(self._call(part))
            elif not isinstance(part, ToolResult):
                self._plain(part, rest)
        media: list[WirePart] = []
        out = [self._result(result, media) for result in self._paired(results)]
        self._open = []
        return out + media + rest

    def _paired(self, results: list[ToolResult]) -> list[ToolResult]:
        """As many results as calls, in their order: the API refuses a turn that differs."""
        if self._own:
            return results
        order = {identity: place for place, identity in enumerate(self._open)}
        known = {result.id for result in results}
        for identity in self._open:
            if identity not in known:
                self._lose("messages", "a call had no result; an empty one was sent")
                results.append(ToolResult(identity, []))
        return sorted(results, key=lambda result: order.get(result.id, len(order)))

    def _result(self, result: ToolResult, media: list[WirePart]) -> WirePart:
        inner: WirePart = {}
        if result.id and not result.id.startswith(parts_of.SYNTHETIC):
            inner["id"] = result.id
        inner["name"] = self._called.get(result.id) or self._name(result.name or "unknown")
        own: list[WirePart] = []
        texts: list[str] = []
        for part in result.content:
            match part:
                case Text(text=text) | Refusal(text=text) | Opaque(text=text):
                    if text:
                        texts.append(text)
                    elif isinstance(part, Opaque):
                        self._lose("messages.tool_result", f"a part of the {part.origin} wire only")
                case Media():
                    unsaid.of_media(part, "messages.tool_result", "gemini", self._lost)
                    self._attach(part, own, media)
                case _:
                    self._lose("messages.tool_result", f"{type(part).__name__} in a result")
        inner["response"] = _response(result, "\n".join(texts))
        if own:
            inner["parts"] = own
        return {"functionResponse": inner}

    def _attach(self, part: Media, own: list[WirePart], media: list[WirePart]) -> None:
        found = parts_of.media_part(part)
        if found is None:
            self._lose("messages.tool_result", "a file of another provider has no address here")
            return
        plain = bool(part.data) and part.mime.startswith(_RESULT_MEDIA)
        inside = self._own or (self._media_inside and plain)
        (own if inside else media).append(found)


def _results(message: Message) -> bool:
    return any(isinstance(part, ToolResult) for part in message.parts)


def _response(result: ToolResult, text: str) -> object:
    if result.value is not None:
        value = jsonio.decode(result.value)
        return result.value if isinstance(value, dict) else {"result": value}
    if result.is_error:
        return {"error": text}
    found = jsonio.object_of(text)
    if found is None:
        return {"result": text}
    # `error` alone would mean that the call failed, which nobody said.
    return {"result": found} if list(types.raw_object.decode(found)) == ["error"] else found


# ---------------------------------------------------------------- tools


def _tools(tools: list[Tool], lost: list[Lost]) -> list[object]:
    functions: list[object] = []
    servers: list[object] = []
    for tool in tools:
        if tool.kind != "server":
            functions.append(_function(tool))
            if tool.kind == "custom":
                lost.append(
                    Lost(f"tools.{tool.name}.format", "free-form input; sent as one string")
                )
            elif tool.strict:
                lost.append(Lost(f"tools.{tool.name}.strict", "Gemini has no such setting"))
        else:
            found = _server(tool, alone=all(other.kind == "server" for other in tools))
            if found is None:
                lost.append(Lost(f"tools.{tool.type or tool.name}", "Gemini has no such tool here"))
            elif found not in servers:
                servers.append(found)
    head: list[object] = [{"functionDeclarations": functions}] if functions else []
    return head + servers


def _function(tool: Tool) -> object:
    if tool.origin == "gemini" and tool.raw is not None:
        return tool.raw
    out: dict[str, object] = {"name": names.fit(tool.name), "description": tool.description}
    if not tool.description:
        del out["description"]
    if tool.kind == "custom":
        out["parametersJsonSchema"] = {
            "type": "object",
            "properties": {"input": {"type": "string"}},
            "required": ["input"],
        }
        return out
    shape = schema.parameters(tool.schema)
    if shape is not None:
        out["parametersJsonSchema"] = shape
    return out


def _server(tool: Tool, *, alone: bool) -> object | None:
    """A tool of the provider. `alone`: no functions beside it, with which most models refuse it."""
    if tool.origin == "gemini":
        return tool.raw
    if tool.type == "web_search":
        return {"googleSearch": {}}
    if alone and tool.type.startswith(("code_execution", "code_interpreter")):
        return {"codeExecution": {}}
    return {"urlContext": {}} if alone and tool.type.startswith("web_fetch") else None


def _choice(choice: ToolChoice, lost: list[Lost], *, own: bool) -> dict[str, object]:
    allowed = [name if own else names.fit(name) for name in choice.names or []]
    match choice.mode:
        case "none":
            return {"mode": "NONE"}
        case "tool":
            return {
                "mode": "ANY",
                "allowedFunctionNames": [choice.name if own else names.fit(choice.name)],
            }
        case "required":
            return {"mode": "ANY", "allowedFunctionNames": allowed} if allowed else {"mode": "ANY"}
    if allowed:
        lost.append(Lost("tool_choice", "AUTO cannot be limited to some of the functions"))
    return {"mode": "AUTO"}


# ---------------------------------------------------------------- generationConfig


def _config(request: Request, target: Target, lost: list[Lost]) -> dict[str, object]:
    out: dict[str, object] = {}
    _limits(request, out, lost)
    if request.reasoning is not None:
        found = thinking.thinking_config(request.reasoning, target, own=request.origin == "gemini")
        if found:
            out["thinkingConfig"] = found
        elif target.capability.thinking is False:
            lost.append(Lost("reasoning", "the model is known not to think"))
    wanted = request.format
    if wanted is not None:
        if wanted.kind != "text":
            out["responseMimeType"] = "application/json"
        if wanted.kind == "schema" and wanted.schema is not None:
            out["responseJsonSchema"] = schema.to_json_schema(wanted.schema)
    if request.modalities:
        out["responseModalities"] = [word.upper() for word in request.modalities]
    wanted_image = request.extras.get(_IMAGE_CONFIG)
    if wanted_image is not None and request.origin == "chat":
        said = jsonio.decode(wanted_image)
        if isinstance(said, dict):
            out["imageConfig"] = {types.camel(name): value for name, value in said.items()}
    return out


def _limits(request: Request, out: dict[str, object], lost: list[Lost]) -> None:
    count, stop = request.n, request.stop
    own = request.origin == "gemini"
    if not own:
        if count is not None and count > _CANDIDATES:
            lost.append(Lost("n", f"at most {_CANDIDATES} candidates"))
            count = _CANDIDATES
        if len(stop) > _STOPS:
            lost.append(Lost("stop", f"at most {_STOPS} stop sequences"))
            stop = stop[:_STOPS]
    if not own and (request.logprobs or request.top_logprobs):
        lost.append(Lost("logprobs", "the answer has no place for Gemini's"))
    members: dict[str, object] = {
        "maxOutputTokens": request.max_tokens,
        "temperature": request.temperature,
        "topP": request.top_p,
        "topK": request.top_k,
        "stopSequences": stop or None,
        "seed": request.seed,
        "candidateCount": count,
        "presencePenalty": request.presence_penalty,
        "frequencyPenalty": request.frequency_penalty,
        "responseLogprobs": request.logprobs if own else None,
        "logprobs": request.top_logprobs if own else None,
    }
    out.update({name: value for name, value in members.items() if value is not None})
