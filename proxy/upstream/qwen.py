"""Qwen: chat, with the address that comes with the token. Sheet: qwen, section 4."""

from __future__ import annotations

from typing import Final

import msgspec

from proxy.config.model import Candidate
from proxy.convo.model import Lost
from proxy.jsonio import Body, decode, raw_of
from proxy.net.api import Headers
from proxy.upstream import facts
from proxy.upstream.base import Action, Client, finish_headers, join

THINKING: Final = ("reasoning_effort", "reasoning", "thinking")
"""How clients say whether and how much to think."""
_DECOY: Final = [
    {
        "type": "function",
        "function": {
            "name": "do_not_call_me",
            "description": "A placeholder without any effect. Never call it.",
            "parameters": {
                "type": "object",
                "properties": {"operation": {"type": "number", "description": "Unused."}},
                "required": ["operation"],
            },
        },
    }
]


class Qwen:
    """Provider `qwen`."""

    always_streams = False
    counts = False

    def url(self, candidate: Candidate, action: Action, client: Client) -> str:  # noqa: ARG002  # one endpoint for all
        """`{base}/chat/completions`, streamed or not."""
        return join(candidate.credential.base_url, "/chat/completions")

    def headers(self, candidate: Candidate, action: Action, client: Client, body: Body) -> Headers:  # noqa: ARG002  # nothing of the client is forwarded
        """Token, the table's headers, SSE asked for when streaming."""
        return finish_headers(head("qwen", candidate, action), candidate.credential)

    def shape(
        self,
        body: Body,
        candidate: Candidate,
        action: Action,
        client: Client,  # noqa: ARG002  # same for all clients
        lost: list[Lost],
    ) -> None:
        """No thinking settings for models that do not think; streams report usage and declare a tool.

        Without any tool the model garbles its stream, so it is given one that does nothing.
        """
        if candidate.capability.thinking is not True:
            lost += unthinking(body)
        if action != "stream":
            return
        if is_empty(body.get("tools")):
            body["tools"] = _DECOY
        ask_usage(body)


def head(provider: str, candidate: Candidate, action: Action) -> Headers:
    """The headers of a chat call to a service with a table of its own."""
    headers = [(n.encode(), v.encode()) for n, v in facts.of(provider).headers.items()]
    key = candidate.credential.key.reveal().encode()
    accept = b"text/event-stream" if action == "stream" else b"application/json"
    return [
        (b"Content-Type", b"application/json"),
        *headers,
        (b"Authorization", b"Bearer " + key),
        (b"Accept", accept),
    ]


def unthinking(body: Body) -> list[Lost]:
    """Takes settings of thinking out of a body for a model that does not think."""
    return [
        Lost(key, "the model does not think")
        for key in THINKING
        if key in body and bytes(raw_of(body.pop(key))) != b"null"
    ]


def is_empty(tools: object) -> bool:
    """Whether a body declares no tool: it has no list, or one of nothing."""
    return tools is None or bytes(raw_of(tools)).split() in ([b"[]"], [b"[", b"]"], [b"null"])


def ask_usage(body: Body) -> None:
    """Makes the stream report its tokens; other stream options stay."""
    raw = body.get("stream_options")
    try:
        options = decode(raw_of(raw)) if raw is not None else {}
    except msgspec.DecodeError:
        options = {}
    body["stream_options"] = (options if isinstance(options, dict) else {}) | {
        "include_usage": True
    }


PROVIDER = Qwen()
