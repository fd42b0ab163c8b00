"""What a request is like, for rules: thinking, tools, images, tokens. Each is found when it is asked for.

A body that cannot be read has none of it: whether it is refused or goes through is decided elsewhere.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from msgspec import DecodeError

from proxy.clock import minute_of_day
from proxy.convo import tokens
from proxy.convo.model import Media, Part, ToolResult
from proxy.errors import ProxyError
from proxy.jsonio import decode, encode, raw_of
from proxy.routing.facts import Facts, client_of
from proxy.routing.rules import asks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from proxy.convo.model import Reasoning
    from proxy.jsonio import Json
    from proxy.upstream.prepare import Work

_LONG: Final = ("messages", "input", "contents", "system", "instructions", "tools", "request")
"""Keys that hold a conversation; what is asked of the model stands beside them."""
_BYTES_PER_TOKEN: Final = 4
_DECLARATIONS: Final = ("functionDeclarations", "function_declarations")


def facts_of(work: Work, minute: Callable[[], int] = minute_of_day) -> Facts:
    """The facts of a request. `minute`: of the day, by the clock of the server."""
    ask = work.ask
    return Facts(
        client=client_of(ask.headers),
        surface=ask.surface or ask.wire,
        key=ask.key,
        stream=work.stream,
        headers=ask.headers,
        size=len(ask.body),
        thinking=cache(lambda: _thinks(work)),
        tools=cache(lambda: tuple(_tools(work))),
        images=cache(lambda: _shows(work)),
        tokens=cache(lambda: _tokens(work)),
        minute=minute,
    )


def _thinks(work: Work) -> bool:
    body = work.ask.body
    if work.decoded is None and b"thinking" not in body and b"reasoning" not in body:
        # Anthropic's `output_config.effort` says how much, not whether.
        return False
    reasoning = _reasoning(work)
    return reasoning is not None and asks(reasoning)


def _reasoning(work: Work) -> Reasoning | None:
    """The request's setting. Of a long one, only what stands beside the conversation is decoded."""
    try:
        if work.decoded is not None or "request" in work.top:
            return work.request.reasoning
        short = {key: value for key, value in work.top.items() if key not in _LONG}
        body = encode({**short, "messages": [], "input": [], "contents": []})
        return work.client.decode_request(body, work.model, work.stream).reasoning
    except ProxyError:
        return None


def _tools(work: Work) -> Iterator[str]:
    """The names of the tools on offer; a provider's own tool goes by its type word."""
    top = work.top
    if "request" in top and "tools" not in top:
        inner = _read(top["request"])
        top = inner if isinstance(inner, dict) else {}
    for key in ("tools", "functions"):
        listed = _read(top[key]) if key in top else None
        for tool in listed if isinstance(listed, list) else ():
            if isinstance(tool, dict):
                yield from _tool_names(tool)


def _tool_names(tool: dict[str, Json]) -> Iterator[str]:
    declared = [item for key in _DECLARATIONS for item in tool.get(key) or ()]
    if declared:
        yield from (
            str(item["name"]) for item in declared if isinstance(item, dict) and "name" in item
        )
        return
    for holder in (tool, tool.get("function"), tool.get("custom")):
        if isinstance(holder, dict) and isinstance(holder.get("name"), str):
            yield holder["name"]
            return
    word = tool.get("type")
    yield word if isinstance(word, str) else next(iter(tool), "")


def _read(value: object) -> Json:
    try:
        return decode(raw_of(value))
    except (DecodeError, RecursionError):
        return None


def _shows(work: Work) -> bool:
    if b"image" not in work.ask.body:
        return False
    try:
        return any(_images(message.parts) for message in work.request.messages)
    except ProxyError:
        return False


def _images(parts: Iterable[Part]) -> bool:
    return any(
        (isinstance(part, Media) and part.kind == "image")
        or (isinstance(part, ToolResult) and _images(part.content))
        for part in parts
    )


def _tokens(work: Work) -> int:
    try:
        return tokens.estimate(work.request)
    except ProxyError:
        return len(work.ask.body) // _BYTES_PER_TOKEN
