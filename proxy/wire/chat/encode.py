"""`convo.Request` to the body of a Chat Completions request."""

from __future__ import annotations

import re
from typing import Final

from proxy.convo.model import Lost, Reasoning, Request, Tool, ToolChoice
from proxy.jsonio import Body
from proxy.wire import unsaid
from proxy.wire.base import Target
from proxy.wire.chat import effort
from proxy.wire.chat import types as t
from proxy.wire.chat.messages import Messages

_NEW_LIMIT: Final = re.compile(r"(?:.*/)?(?:gpt-5|o\d)")
"""Models that refuse `max_tokens`; compatible servers know only that name."""
_SEARCH: Final = re.compile(r"search")
_MOST_STOPS: Final = 4
_FREE_FORM: Final = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
}
_SAME: Final = (
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "n",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    "parallel_tool_calls",
    "store",
)
"""Fields that both sides name alike; None = not said."""
_WORDS: Final = ("verbosity", "user", "service_tier", "modalities", "metadata")
"""As `_SAME`, empty = not said."""


def encode_request(request: Request, target: Target, lost: list[Lost]) -> Body:
    """The upstream body by top-level key; what cannot be carried is appended to `lost`."""
    body: Body = {
        "model": target.model,
        "messages": Messages(request, target, lost).build(),
        "stream": request.stream,
    }
    if request.stream:
        body["stream_options"] = {"include_usage": True}
    _set_tools(body, request, target, lost)
    _set_parameters(body, request, target, lost)
    if request.reasoning is not None:
        effort.set_effort(body, request.reasoning, target.capability)
    _set_format(body, request)
    if request.reasoning is not None or request.format is not None:
        unsaid.of_settings(request, target, t.NAME, lost)
    for key, value in request.extras.items():
        if request.origin == t.NAME:
            body.setdefault(key, value)
        elif key not in request.implied:
            lost.append(Lost(key, f"a field of the {request.origin} wire"))
    return body


def patch_reasoning(body: Body, reasoning: Reasoning, target: Target, lost: list[Lost]) -> None:
    """Overwrites the thinking settings of a chat body in place."""
    effort.patch_reasoning(body, reasoning, target.capability)
    unsaid.of_thinking(reasoning, target, lost)


def _set_parameters(body: Body, request: Request, target: Target, lost: list[Lost]) -> None:
    for name in _SAME:
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    for name in _WORDS:
        value = getattr(request, name)
        if value:
            body[name] = value
    if request.max_tokens is not None:
        new = _NEW_LIMIT.match(target.model) is not None
        body["max_completion_tokens" if new else "max_tokens"] = request.max_tokens
    if request.stop:
        body["stop"] = request.stop[:_MOST_STOPS]
        if len(request.stop) > _MOST_STOPS:
            lost.append(Lost("stop", "the API takes four stop sequences"))
    if request.cache_key and request.origin in (t.NAME, "responses"):
        body["prompt_cache_key"] = request.cache_key
    if not request.tools:
        body.pop("parallel_tool_calls", None)


def _set_format(body: Body, request: Request) -> None:
    wanted = request.format
    if wanted is None or wanted.kind == "text":
        return
    if wanted.kind == "json" or wanted.schema is None:
        body["response_format"] = {"type": "json_object"}
        return
    shape: dict[str, object] = {"name": wanted.name or "response", "schema": wanted.schema}
    if wanted.description:
        shape["description"] = wanted.description
    if wanted.strict is not None:
        shape["strict"] = wanted.strict
    body["response_format"] = {"type": "json_schema", "json_schema": shape}


def _set_tools(body: Body, request: Request, target: Target, lost: list[Lost]) -> None:
    tools: list[object] = []
    for tool in request.tools:
        if tool.kind == "server":
            _server_tool(body, tool, target, lost)
        elif tool.kind == "custom" and tool.origin == t.NAME:
            tools.append(_custom(tool))
        else:
            tools.append(_function(tool, request, lost))
    if tools:
        body["tools"] = tools
        choice = request.tool_choice
        if choice is not None:
            body["tool_choice"] = _choice(choice, request)
    elif request.tool_choice is not None and request.tool_choice.mode not in ("auto", "none"):
        lost.append(Lost("tool_choice", "there is no tool that the API takes"))


def _function(tool: Tool, request: Request, lost: list[Lost]) -> dict[str, object]:
    function: dict[str, object] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.kind == "custom":
        lost.append(Lost(f"tools.{tool.name}.format", "free-form input; sent as one string"))
        function["parameters"] = _FREE_FORM
    elif tool.schema is not None:
        function["parameters"] = tool.schema
    if tool.strict is not None and tool.kind == "function":
        function["strict"] = tool.strict
    out: dict[str, object] = {"type": "function", "function": function}
    if tool.cache is not None and request.origin == t.NAME:
        out["cache_control"] = tool.cache
    return out


def _custom(tool: Tool) -> dict[str, object]:
    custom: dict[str, object] = {"name": tool.name}
    if tool.description:
        custom["description"] = tool.description
    if tool.raw is not None:
        custom["format"] = tool.raw
    return {"type": "custom", "custom": custom}


def _server_tool(body: Body, tool: Tool, target: Target, lost: list[Lost]) -> None:
    """The API has web search only, as an option of models made for it."""
    if tool.type == "web_search" and _SEARCH.search(target.model):
        body["web_search_options"] = {}
    else:
        lost.append(Lost(f"tools.{tool.type}", f"a tool that the {tool.origin} provider runs"))


def _choice(choice: ToolChoice, request: Request) -> object:
    if choice.mode == "tool":
        return _named(choice.name, request)
    names = choice.names or []
    if not names:
        return choice.mode
    if choice.mode == "required" and len(names) == 1:
        return _named(names[0], request)
    allowed = {"mode": choice.mode, "tools": [_named(name, request) for name in names]}
    return {"type": "allowed_tools", "allowed_tools": allowed}


def _named(name: str, request: Request) -> dict[str, object]:
    custom = any(
        tool.name == name and tool.kind == "custom" and tool.origin == t.NAME
        for tool in request.tools
    )
    kind = "custom" if custom else "function"
    return {"type": kind, kind: {"name": name}}
