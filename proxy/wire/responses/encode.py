"""`convo.Request` -> an upstream body. Source: API reference, "Create a model response"."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Raw

from proxy.convo.model import (
    Format,
    Lost,
    Media,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Request,
    Text,
    Thinking,
    Tool,
    ToolResult,
    ToolUse,
)
from proxy.convo.thinking import effort_of
from proxy.jsonio import Body, decode, raw_of, text_of, top_level
from proxy.wire import unsaid
from proxy.wire.base import Target
from proxy.wire.responses.names import call_id, upstream_names
from proxy.wire.responses.request import SHELL

Node = dict[str, object]
Names = dict[str, str]
"""Client's tool name -> name sent, where they differ."""

_TIERS: Final = ("auto", "default", "flex", "priority", "scale")
_UNSAYABLE: Final = (
    "stop",
    "seed",
    "n",
    "top_k",
    "presence_penalty",
    "frequency_penalty",
    "modalities",
)
_THINKING: Final = re.compile(r"(?:^|/)(?:gpt-(?:[5-9]|\d\d)|o\d|codex)", re.IGNORECASE)
_ENCRYPTED: Final = "reasoning.encrypted_content"
_OUTPUT_TYPES: Final = {
    "function_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
    "local_shell_call": "local_shell_call_output",
}


def encode_request(request: Request, target: Target, lost: list[Lost]) -> Body:
    """The body by top-level key; what the API has no place for goes on `lost`."""
    own = request.origin == "responses"
    names = upstream_names(request)
    body: Body = {"model": target.model, "input": Items(request, names, lost).items}
    if request.stream:
        body["stream"] = True
    instructions = "\n\n".join(_texts(request.system, "system", lost))
    if instructions:
        body["instructions"] = instructions
    _tools(body, request, names, lost)
    _settings(body, request, lost)
    _reasoning(body, request, target)
    _text(body, request)
    _state(body, request, target, lost)
    if request.reasoning is not None or request.format is not None:
        unsaid.of_settings(request, target, "responses", lost)
    for key, raw in request.extras.items():
        if own:
            body[key] = raw
        elif key not in request.implied:
            lost.append(Lost(key, f"unknown to this API, came by {request.origin}"))
    return body


def patch_reasoning(body: Body, reasoning: Reasoning, target: Target, lost: list[Lost]) -> None:
    """Overwrites the effort of a same-wire body; its other thinking settings stay."""
    unsaid.of_thinking(reasoning, target, lost)
    effort = effort_of(reasoning, target.capability)
    old = body.get("reasoning")
    said = top_level(bytes(raw_of(old))) if old is not None and raw_of(old) != Raw(b"null") else {}
    if target.capability.thinking is False:
        body.pop("reasoning", None)
        return
    if effort is None or effort == "auto":
        said.pop("effort", None)
    else:
        said["effort"] = "xhigh" if effort == "max" else effort
    if said:
        body["reasoning"] = said
    else:
        body.pop("reasoning", None)


class Items:
    """The conversation as `input` items."""

    def __init__(self, request: Request, names: Names, lost: list[Lost]) -> None:
        self.items: list[object] = []
        self._lost = lost
        self._names = names
        self._kinds: dict[str, str] = {}
        """Call id -> type of its call item."""
        functions = {tool.name for tool in request.tools if tool.kind == "function"}
        self._shell = request.origin == "responses" and SHELL not in functions
        for number, message in enumerate(request.messages):
            self._turn(message, f"messages[{number}]")

    def _turn(self, message: Message, path: str) -> None:
        role = "developer" if message.role == "system" else message.role
        open_content: list[Node] | None = None
        if message.name:
            unsaid.of_message(message, path, "responses", self._lost)
        for number, part in enumerate(message.parts):
            at = f"{path}.parts[{number}]"
            item = self._item(part, at)
            if item is not None:
                self.items.append(item)
                open_content = None
                continue
            node = content_of(part, role, at, self._lost)
            if node is None:
                continue
            if open_content is None:
                open_content = []
                self.items.append({"type": "message", "role": role, "content": open_content})
            open_content.append(node)

    def _item(self, part: Part, path: str) -> object | None:
        """An item of its own, or None for what is content of a message."""
        match part:
            case ToolUse():
                if part.signature:
                    unsaid.of_call(part, path, self._lost)
                return self._call(part)
            case ToolResult():
                return self._result(part, path)
            case Thinking(origin="responses"):
                return _reasoning_item(part)
            case Opaque(origin="responses") if not part.type.startswith(("input_", "output_")):
                return part.raw
            case _:
                return None

    def _call(self, call: ToolUse) -> Node:
        ident, name = call_id(call.id), self._names.get(call.name, call.name)
        if call.name == SHELL and self._shell and not call.custom:
            self._kinds[ident] = "local_shell_call"
            action = Raw(call.arguments.encode())
            return {
                "type": "local_shell_call",
                "call_id": ident,
                "status": "completed",
                "action": action,
            }
        if call.custom:
            self._kinds[ident] = "custom_tool_call"
            return {
                "type": "custom_tool_call",
                "call_id": ident,
                "name": name,
                "input": call.arguments,
            }
        self._kinds[ident] = "function_call"
        arguments = call.arguments or "{}"
        return {"type": "function_call", "call_id": ident, "name": name, "arguments": arguments}

    def _result(self, result: ToolResult, path: str) -> Node:
        ident = call_id(result.id)
        default = "custom_tool_call" if result.custom else "function_call"
        kind = _OUTPUT_TYPES[self._kinds.get(ident, default)]
        item: Node = {"type": kind, "call_id": ident, "output": self._output(result, path)}
        if kind == "local_shell_call_output":
            item["id"] = ident
        return item

    def _output(self, result: ToolResult, path: str) -> object:
        if result.value is not None:
            texts = [text_of(result.value)]
            nodes: list[Node] = []
        else:
            texts = [part.text for part in result.content if isinstance(part, Text)]
            nodes = [
                node
                for number, part in enumerate(result.content)
                if (node := content_of(part, "user", f"{path}.content[{number}]", self._lost))
            ]
        # The API has no mark for a failed call: the text has to say it.
        if result.is_error and not texts:
            texts = ["Error"]
        elif result.is_error and not texts[0].lower().lstrip('{"').startswith("error"):
            texts[0] = "Error: " + texts[0]
        if any(node["type"] != "input_text" for node in nodes):
            if result.is_error:
                nodes.insert(0, {"type": "input_text", "text": "Error"})
            return nodes
        return "\n".join(texts)


def _reasoning_item(part: Thinking) -> Node:
    item: Node = {"type": "reasoning", "summary": []}
    if part.id:
        item["id"] = part.id
    if part.text:
        if part.raw:
            item["content"] = [{"type": "reasoning_text", "text": part.text}]
        else:
            item["summary"] = [{"type": "summary_text", "text": part.text}]
    if part.signature:
        item["encrypted_content"] = part.signature
    return item


def content_of(part: Part, role: str, path: str, lost: list[Lost]) -> Node | None:
    """A content part of a message of this role; None where there is no way to say it."""
    out = role == "assistant"
    match part:
        case Text():
            if part.citations is not None or part.signature:
                unsaid.of_text(part, path, "responses", lost)
            if out:
                return {"type": "output_text", "text": part.text, "annotations": _notes(part)}
            return {"type": "input_text", "text": part.text}
        case Refusal():
            if out:
                return {"type": "refusal", "refusal": part.text}
            return {"type": "input_text", "text": part.text}
        case Media():
            if not out:
                unsaid.of_media(part, path, "responses", lost)
                return _media(part, path, lost)
            lost.append(Lost(path, f"{part.kind} in an assistant turn"))
            address = f"[{part.kind}: {part.url or part.name or part.mime}]"
            return {"type": "output_text", "text": address, "annotations": []}
        case Opaque():
            if part.origin == "responses":
                return dict(top_level(bytes(part.raw)))
            lost.append(Lost(path, f"{part.type or 'part'} of {part.origin}"))
            if part.text:
                return {"type": "output_text" if out else "input_text", "text": part.text}
            return None
        case Thinking():
            lost.append(Lost(path, "thinking of another provider"))
            return None
        case _:
            lost.append(Lost(path, f"{type(part).__name__} inside a tool result"))
            return None


def _notes(part: Text) -> object:
    if part.citations is not None and part.citations[0] == "responses":
        return part.citations[1]
    return []


def _media(media: Media, path: str, lost: list[Lost]) -> Node | None:
    url = media.url or (f"data:{media.mime};base64,{media.data}" if media.data else "")
    if media.text:
        name = f"{media.name}\n" if media.name else ""
        return {"type": "input_text", "text": name + media.text}
    if media.kind == "image":
        node: Node = {"type": "input_image", "detail": media.detail or "auto"}
        if media.file_id:
            node["file_id"] = media.file_id
        else:
            node["image_url"] = url
        return node
    if media.kind == "audio" and media.data:
        form = media.mime.rpartition("/")[2].removeprefix("x-")
        form = "mp3" if form in ("mpeg", "mp3") else form or "wav"
        return {"type": "input_audio", "input_audio": {"data": media.data, "format": form}}
    if media.kind == "video":
        lost.append(Lost(path, "video"))
    node = {"type": "input_file"}
    if media.file_id:
        node["file_id"] = media.file_id
    elif media.data:
        node["filename"] = media.name or "file." + (media.mime.rpartition("/")[2] or "bin")
        node["file_data"] = url
    else:
        node["file_url"] = url
    return node


def _texts(parts: list[Part], path: str, lost: list[Lost]) -> list[str]:
    out: list[str] = []
    for number, part in enumerate(parts):
        text = part.text if isinstance(part, Text | Opaque) else ""
        if text:
            out.append(text)
        elif not isinstance(part, Text):
            lost.append(Lost(f"{path}[{number}]", "instructions are text"))
    return out


def _tools(body: Body, request: Request, names: Names, lost: list[Lost]) -> None:
    own = request.origin == "responses"
    tools: list[object] = []
    for tool in request.tools:
        if tool.kind == "function":
            tools.append(_function(tool, names, own=own))
        elif tool.kind == "custom":
            tools.append(_custom(tool, names))
        elif tool.origin == "responses" and tool.raw is not None:
            tools.append(tool.raw)
        elif tool.type == "web_search":
            tools.append({"type": "web_search"})
        else:
            lost.append(Lost(f"tools.{tool.type}", f"a tool that the {tool.origin} provider runs"))
    if tools:
        body["tools"] = tools
    choice = request.tool_choice
    if choice is not None and (tools or own):
        body["tool_choice"] = _choice(request, names, lost)
    if request.parallel_tool_calls is not None and (tools or own):
        body["parallel_tool_calls"] = request.parallel_tool_calls


def _function(tool: Tool, names: Names, *, own: bool) -> Node:
    node: Node = {"type": "function", "name": names.get(tool.name, tool.name)}
    if tool.description:
        node["description"] = tool.description
    node["parameters"] = tool.schema or {"type": "object", "properties": {}}
    # The API takes a missing `strict` for true and then refuses most foreign schemas.
    strict = tool.strict if tool.strict is not None or own else False
    if strict is not None:
        node["strict"] = strict
    return node


def _custom(tool: Tool, names: Names) -> Node:
    node: Node = {"type": "custom", "name": names.get(tool.name, tool.name)}
    if tool.description:
        node["description"] = tool.description
    if tool.raw is not None:
        form = decode(tool.raw)
        if isinstance(form, dict) and isinstance(form.get("grammar"), dict):
            # Chat Completions nests what stands flat here.
            form = {"type": "grammar", **form["grammar"]}
        node["format"] = form
    return node


def _choice(request: Request, names: Names, lost: list[Lost]) -> object:
    choice = request.tool_choice
    if choice is None or choice.mode != "tool":
        if choice is not None and choice.names:
            listed = [named for name in choice.names if (named := _named(request, names, name))]
            return {"type": "allowed_tools", "mode": choice.mode, "tools": listed}
        return choice.mode if choice else "auto"
    named = _named(request, names, choice.name)
    if named is None:
        lost.append(Lost("tool_choice", f"no tool is called {choice.name}"))
        return "auto"
    return named


def _named(request: Request, names: Names, name: str) -> Node | None:
    for tool in request.tools:
        if tool.name == name and tool.kind != "server":
            return {"type": tool.kind, "name": names.get(name, name)}
        if tool.kind == "server" and name and name in (tool.name, tool.type):
            return {"type": tool.type}
    return (
        {"type": "function", "name": names.get(name, name)}
        if request.origin == "responses"
        else None
    )


def _settings(body: Body, request: Request, lost: list[Lost]) -> None:
    for key, value in (
        ("max_output_tokens", request.max_tokens),
        ("temperature", request.temperature),
        ("top_p", request.top_p),
        ("top_logprobs", request.top_logprobs),
        ("metadata", request.metadata),
    ):
        if value is not None:
            body[key] = value
    if request.user:
        body["user"] = request.user
    if request.cache_key:
        body["prompt_cache_key"] = request.cache_key
    if request.service_tier in _TIERS:
        body["service_tier"] = request.service_tier
    elif request.service_tier:
        lost.append(Lost("service_tier", f"no such tier: {request.service_tier}"))
    lost += [
        Lost(name, "the Responses API has no such parameter")
        for name in _UNSAYABLE
        if getattr(request, name) not in (None, [], ["text"])
    ]


def _reasoning(body: Body, request: Request, target: Target) -> None:
    own = request.origin == "responses"
    said = request.reasoning
    codex = target.provider == "codex"
    if target.capability.thinking is False:
        return
    node: Node = {}
    if said is not None:
        effort = effort_of(said, target.capability)
        if effort not in (None, "auto"):
            node["effort"] = "xhigh" if effort == "max" else effort
        if said.summary:
            node["summary"] = said.summary
        elif said.include or (said.include is None and not own and (effort != "none" or codex)):
            node["summary"] = "auto"
    if codex and not own and said is None and _thinks(target):
        # The backend's own models always think; what it sends by default is no summary at all.
        node = {"effort": "medium", "summary": "auto"}
    if node:
        body["reasoning"] = node


def _thinks(target: Target) -> bool:
    """Whether a model thinks; one that is not known, by its name. Others refuse `reasoning`."""
    known = target.capability.thinking
    return _THINKING.search(target.model) is not None if known is None else known


def _text(body: Body, request: Request) -> None:
    node: Node = {}
    form = _format(request.format)
    if form is not None:
        node["format"] = form
    if request.verbosity:
        node["verbosity"] = request.verbosity
    if node:
        body["text"] = node


def _format(form: Format | None) -> Node | None:
    if form is None:
        return None
    if form.kind != "schema":
        return {"type": "json_object" if form.kind == "json" else "text"}
    node: Node = {"type": "json_schema", "name": form.name or "answer"}
    node["schema"] = form.schema or {}
    if form.description:
        node["description"] = form.description
    if form.strict is not None:
        node["strict"] = form.strict
    return node


def _state(body: Body, request: Request, target: Target, lost: list[Lost]) -> None:
    """What is stored, and what an answer has to carry for the next turn because nothing is."""
    if request.store is not None:
        body["store"] = request.store
    if request.origin == "responses":
        return
    body.setdefault("store", False)
    include: list[str] = []
    if "reasoning" in body:
        include.append(_ENCRYPTED)
    if request.logprobs and target.provider != "codex":
        include.append("message.output_text.logprobs")
    elif request.logprobs:
        lost.append(Lost("logprobs", "the Codex backend gives none"))
    if include:
        body["include"] = include
