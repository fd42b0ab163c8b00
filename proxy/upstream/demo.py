"""The offline upstream: models that answer on the `chat` wire without any account.

They exist so that every client protocol can be tried a minute after the first start. Pure: the same
body gives the same bytes; the transport in front of it paces the pieces of `chunks`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
from msgspec import Raw, Struct

from proxy import jsonio
from proxy.upstream.sample import sample_value

if TYPE_CHECKING:
    from proxy.jsonio import Body

Chunks: TypeAlias = list[tuple[float, bytes]]
Response: TypeAlias = tuple[int, list[tuple[bytes, bytes]], bytes]

MODELS: Final = {
    "demo": "Says what these models are for",
    "demo-echo": "Repeats the last message of the user",
    "demo-stream": "Twenty words, 50 ms apart",
    "demo-tool": "Calls the first tool on offer, then tells what it answered",
    "demo-thinking": "Thinks before it answers",
    "demo-error": "Always answers 429",
}

PACE: Final = 0.05
"""Seconds between the words of `demo-stream`."""
RETRY_AFTER: Final = 1
"""Seconds that `demo-error` asks the client to wait."""
_SHOWN: Final = 2000
"""Longest part of a tool's result that is repeated, in characters."""

_HELP: Final = (
    "Pointsman works: this answer came from its built-in demo model, no account was used. "
    "Try demo-echo, demo-stream, demo-tool, demo-thinking and demo-error, then put a file with "
    "your own upstreams into routes.d/."
)
_WORDS: Final = (
    "Each of these twenty words leaves the server on its own, fifty milliseconds after the one "
    "before, as real models do."
)
_THOUGHTS: Final = (
    "The user wants to see thinking. First I think a little, in a part of the answer that clients "
    "show apart; then I answer."
)
_NO_TOOL: Final = "I would call a tool, but this request offers none."


class _Function(Struct, frozen=True):
    name: str = "tool"
    parameters: Raw = Raw(b"{}")


class _Tool(Struct, frozen=True):
    function: _Function = _Function()


class _Piece(Struct, frozen=True):
    text: str | None = None


class _Message(Struct, frozen=True):
    role: str = ""
    content: str | list[_Piece] | None = None

    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "\n".join(piece.text for piece in self.content or () if piece.text)


class _StreamOptions(Struct, frozen=True):
    include_usage: bool | None = None


class _Request(Struct, frozen=True):
    """The few fields of a chat request that the demo models look at."""

    model: str = ""
    messages: list[_Message] = []
    tools: list[_Tool] | None = None
    stream_options: _StreamOptions | None = None


class _Reply(Struct, frozen=True):
    """What a model says: text after thoughts, or one tool call."""

    text: str = ""
    thoughts: str = ""
    tool: str = ""
    arguments: str = ""
    pace: float = 0.0


_decoder = msgspec.json.Decoder(_Request)


def answer(body: Body) -> Response:
    """The whole answer to a chat request.

    Returns: status, headers, JSON body. 400 for a body that is no chat request, 404 for an unknown
        model, 429 for `demo-error`; those hold for a streamed request too, see `refusal`.
    """
    refused = refusal(body)
    if refused is not None:
        return refused
    request = _decoder.decode(jsonio.encode(body))
    reply = _reply(request)
    message: dict[str, object] = {"role": "assistant", "content": reply.text or None}
    if reply.thoughts:
        message["reasoning_content"] = reply.thoughts
    if reply.tool:
        message["tool_calls"] = [_call(request, reply)]
    return _json(
        200,
        {
            **_head(request, "chat.completion"),
            "choices": [{"index": 0, "message": message, "finish_reason": _finish(reply)}],
            "usage": _usage(request, reply),
        },
    )


def chunks(body: Body) -> Chunks:
    """The stream of a chat request that `refusal` lets pass.

    Returns: (seconds to wait before, bytes) in order; each is one whole SSE event.
    """
    request = _decoder.decode(jsonio.encode(body))
    reply = _reply(request)
    deltas: list[tuple[float, dict[str, object]]] = [(0.0, {"role": "assistant", "content": ""})]
    deltas += [(0.0, {"reasoning_content": word}) for word in _pieces(reply.thoughts)]
    deltas += [(reply.pace, {"content": word}) for word in _pieces(reply.text)]
    if reply.tool:
        opened = {**_call(request, reply), "function": {"name": reply.tool, "arguments": ""}}
        deltas.append((0.0, {"tool_calls": [{"index": 0, **opened}]}))
        deltas += [
            (0.0, {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
            for piece in _slices(reply.arguments)
        ]
    head = _head(request, "chat.completion.chunk")
    out = [
        (wait, _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}))
        for wait, delta in deltas
    ]
    end = {"index": 0, "delta": {}, "finish_reason": _finish(reply)}
    out.append((0.0, _event({**head, "choices": [end]})))
    if request.stream_options is not None and request.stream_options.include_usage:
        out.append((0.0, _event({**head, "choices": [], "usage": _usage(request, reply)})))
    out.append((0.0, b"data: [DONE]\n\n"))
    return out


def refusal(body: Body) -> Response | None:
    """The error answer to this request, or None if a model will answer it."""
    try:
        request = _decoder.decode(jsonio.encode(body))
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        return _error(400, str(error), "invalid_request_error", "invalid_request")
    if request.model not in MODELS:
        message = f"The demo upstream has no model {request.model!r}."
        return _error(404, message, "invalid_request_error", "model_not_found")
    if request.model == "demo-error":
        message = f"demo-error is always busy. Please try again in {RETRY_AFTER}s."
        status, headers, data = _error(429, message, "rate_limit_error", "rate_limit_exceeded")
        return status, [*headers, (b"retry-after", str(RETRY_AFTER).encode())], data
    return None


def _reply(request: _Request) -> _Reply:
    said = next((m.text() for m in reversed(request.messages) if m.role == "user"), "")
    match request.model:
        case "demo-echo":
            return _Reply(text=said or "(nothing was said)")
        case "demo-stream":
            return _Reply(text=_WORDS, pace=PACE)
        case "demo-thinking":
            return _Reply(text=f"Now I answer: you said {said!r}.", thoughts=_THOUGHTS)
        case "demo-tool":
            return _tool_reply(request)
        case _:
            return _Reply(text=_HELP)


def _tool_reply(request: _Request) -> _Reply:
    """A call of the first tool; the closing text once its result is the last thing said."""
    if request.messages and request.messages[-1].role == "tool":
        return _Reply(text=f"The tool answered: {request.messages[-1].text()[:_SHOWN]}")
    if not request.tools:
        return _Reply(text=_NO_TOOL)
    function = request.tools[0].function
    arguments = sample_value(jsonio.decode(function.parameters))
    return _Reply(
        tool=function.name,
        arguments=jsonio.encode(arguments if isinstance(arguments, dict) else {}).decode(),
    )


def _call(request: _Request, reply: _Reply) -> dict[str, object]:
    # The number of messages grows with every turn, so ids stay unique within a conversation.
    return {
        "id": f"call_demo_{len(request.messages)}",
        "type": "function",
        "function": {"name": reply.tool, "arguments": reply.arguments},
    }


def _finish(reply: _Reply) -> str:
    return "tool_calls" if reply.tool else "stop"


def _head(request: _Request, kind: str) -> dict[str, object]:
    return {
        "id": f"chatcmpl-demo-{len(request.messages)}",
        "object": kind,
        "created": 0,
        "model": request.model,
    }


def _usage(request: _Request, reply: _Reply) -> dict[str, object]:
    """Counts by the rule of thumb of four characters a token."""
    prompt = sum(len(message.text()) for message in request.messages) // 4 + 1
    thought = (len(reply.thoughts) + 3) // 4
    completion = thought + (len(reply.text) + len(reply.arguments)) // 4 + 1
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": thought},
    }


def _pieces(text: str) -> list[str]:
    """Words with the blank before them; joined they are the text."""
    words = text.split(" ")
    return [word if i == 0 else " " + word for i, word in enumerate(words)] if text else []


def _slices(text: str, size: int = 16) -> list[str]:
    return [text[i : i + size] for i in range(0, len(text), size)]


def _event(value: dict[str, object]) -> bytes:
    return b"data: " + jsonio.encode(value) + b"\n\n"


def _json(status: int, value: dict[str, object]) -> Response:
    return status, [(b"content-type", b"application/json")], jsonio.encode(value)


def _error(status: int, message: str, kind: str, code: str) -> Response:
    error = {"message": message, "type": kind, "param": None, "code": code}
    return _json(status, {"error": error})
