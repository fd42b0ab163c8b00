"""`convo.Request` to Kiro's body. It knows one current message, a history of pairs, tools; no system
text, no choice of tools, no formats: these are told in words in front of the current message.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

import msgspec

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
    ToolResult,
    ToolUse,
)
from proxy.convo.thinking import budget_of
from proxy.jsonio import Body, Json, decode, raw_of, text_of
from proxy.wire.base import Target
from proxy.wire.kiro import names

AGENTIC: Final = "-agentic"
_CHAT: Final = "-chat"
_PREFIX: Final = re.compile(r"(?:kiro|amazonq)-")
_VERSION: Final = re.compile(r"-(\d)-(\d)(?=$|-)")
_CONTINUE: Final = "Continue"
_RESULTS: Final = "Tool results provided."
_NO_RESULT: Final = "No result: the call was not carried out."
_MOST_TEXT: Final = 10_237
_CUT: Final = "... (description truncated)"
_DYNAMIC: Final = 32_000
"""Tokens of thought where the client leaves it to the model."""
_IN_PIECES: Final = (
    "Write files in pieces: at most 300 lines with one call, and what is longer with further calls that"
    " append. One call that writes more is cut off before its end."
)
_UNKNOWN: Final = (
    *("top_k", "seed", "n", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs"),
    *("parallel_tool_calls", "metadata", "service_tier", "verbosity", "user", "stop", "modalities"),
)


class _Turn:
    """Adjacent messages of one side, as one."""

    def __init__(self, role: str) -> None:
        self.role = role
        self.texts: list[str] = []
        self.images: list[Body] = []
        self.results: list[Body] = []
        self.uses: list[Body] = []


def encode_request(request: Request, target: Target, lost: list[Lost]) -> Body:
    """The upstream body by top-level key; what cannot be carried is appended to `lost`."""
    model = model_of(target.model)
    turns = _turns(request, lost)
    message = _user(turns.pop(), model)
    message["content"] = _preamble(request, target) + str(message["content"])
    tools = _tools(request, lost) if not _base(target.model).endswith(_CHAT) else []
    if tools:
        context = message.setdefault("userInputMessageContext", {})
        if isinstance(context, dict):
            context["tools"] = tools
    state: Body = {
        "chatTriggerType": "MANUAL",
        "conversationId": "",
        "currentMessage": {"userInputMessage": message},
    }
    if turns:
        state["history"] = [_past(turn, model) for turn in turns]
    body: Body = {"conversationState": state}
    limits = {
        "maxTokens": request.max_tokens,
        "temperature": request.temperature,
        "topP": request.top_p,
    }
    said = {key: value for key, value in limits.items() if value is not None}
    if said:
        body["inferenceConfig"] = said
    lost += [Lost(name, "Kiro does not take it") for name in _UNKNOWN if getattr(request, name)]
    lost += [
        Lost(key, f"a field of the {request.origin} wire")
        for key in request.extras
        if key not in request.implied
    ]
    return body


def _base(name: str) -> str:
    return name.lower().removesuffix(AGENTIC)


def model_of(name: str) -> str:
    """Kiro's own name: without our prefixes and suffixes, versions with a point."""
    base = _PREFIX.sub("", _base(name).removesuffix(_CHAT), count=1)
    return _VERSION.sub(r"-\1.\2", base)


def _turns(request: Request, lost: list[Lost]) -> list[_Turn]:
    """Roles alternate; the first and the last one are the user's."""
    turns: list[_Turn] = []
    for number, message in enumerate(request.messages):
        role = "assistant" if message.role == "assistant" else "user"
        if not turns and role == "assistant":
            turns.append(_Turn("user"))
        if not turns or turns[-1].role != role:
            turns.append(_Turn(role))
        _add(turns[-1], message, f"messages[{number}]", lost)
    if not turns or turns[-1].role == "assistant":
        turns.append(_Turn("user"))
    _answer(turns)
    return turns


def _add(turn: _Turn, message: Message, path: str, lost: list[Lost]) -> None:
    for index, part in enumerate(message.parts):
        where = f"{path}.parts[{index}]"
        match part:
            case Text() | Refusal() | Opaque():
                if part.text:
                    turn.texts.append(part.text)
                elif isinstance(part, Opaque):
                    lost.append(Lost(where, f"a part of the {part.origin} wire"))
            case ToolUse():
                turn.uses.append(
                    {
                        "toolUseId": part.id,
                        "name": names.sent(part.name),
                        "input": _arguments(part),
                    }
                )
            case ToolResult():
                _add_result(turn, part, where, lost)
            case Media():
                _add_image(turn, part, where, lost)
            case Thinking():
                lost.append(Lost(where, "thoughts do not go back to Kiro"))


def _arguments(call: ToolUse) -> Json:
    if call.custom:
        return {"input": call.arguments}
    try:
        found = decode(call.arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _add_result(turn: _Turn, part: ToolResult, path: str, lost: list[Lost]) -> None:
    if any(result["toolUseId"] == part.id for result in turn.results):
        return
    texts: list[str] = []
    if part.value is not None:
        texts.append(text_of(part.value))
    for inner in part.content:
        if isinstance(inner, Media):
            _add_image(turn, inner, path, lost)
        else:
            texts.append(_text(inner))
    text = "\n".join(filter(None, texts)) or "(no output)"
    status = "error" if part.is_error else "success"
    turn.results.append({"content": [{"text": text}], "status": status, "toolUseId": part.id})


def _text(part: Part) -> str:
    return part.text if isinstance(part, Text | Refusal | Opaque) else ""


def _add_image(turn: _Turn, part: Media, path: str, lost: list[Lost]) -> None:
    if part.kind == "image" and part.data:
        kind = part.mime.partition("/")[2] or "png"
        turn.images.append({"format": kind, "source": {"bytes": part.data}})
    elif part.text:
        turn.texts.append(part.text)
    else:
        lost.append(
            Lost(path, "Kiro takes images with their data, no addresses and no other media")
        )


def _answer(turns: list[_Turn]) -> None:
    """Each call has its result in the next turn, and no result stands without its call."""
    for turn, after in pairwise(turns):
        given = {result["toolUseId"] for result in after.results}
        after.results += [
            {"content": [{"text": _NO_RESULT}], "status": "error", "toolUseId": use["toolUseId"]}
            for use in turn.uses
            if use["toolUseId"] not in given
        ]
    called: set[object] = set()
    for turn in turns:
        if turn.role == "assistant":
            called = {use["toolUseId"] for use in turn.uses}
        elif turn.results:
            orphans = [r for r in turn.results if r["toolUseId"] not in called]
            turn.results = [r for r in turn.results if r["toolUseId"] in called]
            turn.texts += [_words(result) for result in orphans]


def _words(result: Body) -> str:
    content: Json = result["content"]
    return str(content[0]["text"])


def _user(turn: _Turn, model: str) -> Body:
    content = "\n".join(turn.texts) or (_RESULTS if turn.results else _CONTINUE)
    message: Body = {"content": content, "modelId": model, "origin": ""}
    if turn.images:
        message["images"] = turn.images
    if turn.results:
        message["userInputMessageContext"] = {"toolResults": turn.results}
    return message


def _past(turn: _Turn, model: str) -> Body:
    if turn.role == "user":
        return {"userInputMessage": _user(turn, model)}
    message: Body = {"content": "\n".join(turn.texts)}
    if turn.uses:
        message["toolUses"] = turn.uses
    return {"assistantResponseMessage": message}


def _tools(request: Request, lost: list[Lost]) -> list[Body]:
    found: list[Body] = []
    for tool in request.tools:
        if tool.kind == "server":
            lost.append(Lost(f"tools.{tool.type}", f"a tool that the {tool.origin} provider runs"))
        else:
            found.append({"toolSpecification": _tool(tool)})
    return found


def _tool(tool: Tool) -> Body:
    schema: Json = {"type": "object", "properties": {}}
    if tool.kind == "custom":
        schema = {
            "type": "object",
            "properties": {"input": {"type": "string"}},
            "required": ["input"],
        }
    elif tool.schema is not None:
        schema = decode(raw_of(tool.schema)) or schema
    text = tool.description if tool.description.strip() else f"Tool: {tool.name}"
    if len(text.encode()) > _MOST_TEXT:
        kept = text.encode()[: _MOST_TEXT - len(_CUT) - 3]
        text = kept.decode("utf-8", "ignore") + _CUT
    return {"name": names.sent(tool.name), "description": text, "inputSchema": {"json": schema}}


def _preamble(request: Request, target: Target) -> str:
    """What Kiro has no place for, in front of the current message."""
    blocks: list[str] = []
    budget = budget_of(request.reasoning, target.capability) if request.reasoning else None
    if budget:
        tokens = budget if budget > 0 else _DYNAMIC
        blocks.append(
            "<thinking_mode>enabled</thinking_mode>\n"
            f"<max_thinking_length>{tokens}</max_thinking_length>"
        )
    blocks += filter(None, (_text(part) for part in request.system))
    if target.model.lower().endswith(AGENTIC):
        blocks.append(_IN_PIECES)
    blocks += _hints(request)
    if not blocks:
        return ""
    text = "\n\n".join(blocks)
    return f"--- SYSTEM PROMPT ---\n{text}\n--- END SYSTEM PROMPT ---\n\n"


def _hints(request: Request) -> list[str]:
    found: list[str] = []
    choice = request.tool_choice
    if choice is not None and request.tools:
        if choice.mode == "none":
            found.append("Call no tool in your next answer.")
        elif choice.mode == "required":
            found.append("Your next answer must call a tool.")
        elif choice.mode == "tool":
            found.append(f"Your next answer must call the tool {names.sent(choice.name)}.")
    wanted = request.format
    if wanted is not None and wanted.kind != "text":
        found.append("Answer with one JSON object and nothing else.")
        if wanted.schema is not None:
            found.append(f"The object follows this JSON schema: {text_of(wanted.schema)}")
    return found
