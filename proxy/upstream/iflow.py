"""iFlow: chat, signed requests, thinking switched as each family of models wants. Sheet: iflow, 5 and 9."""

from __future__ import annotations

import hmac
import time
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from proxy.config.model import Candidate
from proxy.convo.model import Capability, Lost
from proxy.convo.thinking import effort_of
from proxy.jsonio import Body, decode, raw_of
from proxy.net.api import Headers
from proxy.upstream.base import Action, Client, finish_headers, join
from proxy.upstream.qwen import THINKING, head, is_empty, unthinking
from proxy.wire.chat.effort import reasoning_of

if TYPE_CHECKING:
    from collections.abc import Callable

_ANY: Final = Capability()
_DECOY: Final = [
    {
        "type": "function",
        "function": {
            "name": "noop",
            "description": "A placeholder without any effect.",
            "parameters": {"type": "object"},
        },
    }
]


class IFlow:
    """Provider `iflow`. `now`: seconds since the epoch, for the signature."""

    always_streams = False
    counts = False

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now

    def url(self, candidate: Candidate, action: Action, client: Client) -> str:  # noqa: ARG002  # one endpoint for all
        """`{base}/chat/completions`, streamed or not."""
        return join(candidate.credential.base_url, "/chat/completions")

    def headers(self, candidate: Candidate, action: Action, client: Client, body: Body) -> Headers:  # noqa: ARG002  # nothing of the client is forwarded
        """Key, the table's headers, and the signature that the service checks."""
        credential = candidate.credential
        headers = finish_headers(head("iflow", candidate, action), credential)
        agent = next((value for name, value in headers if name.lower() == b"user-agent"), b"")
        session = f"session-{uuid4()}".encode()
        moment = str(int(self._now() * 1000)).encode()
        signed = b":".join((agent, session, moment))
        signature = hmac.digest(credential.key.reveal().encode(), signed, "sha256").hex()
        return [
            *headers,
            (b"Session-Id", session),
            (b"X-Iflow-Timestamp", moment),
            (b"X-Iflow-Signature", signature.encode()),
        ]

    def shape(
        self,
        body: Body,
        candidate: Candidate,
        action: Action,
        client: Client,  # noqa: ARG002  # same for all clients
        lost: list[Lost],
    ) -> None:
        """Thinking as the model's family switches it; no empty list of tools in a stream.

        Raises ProxyError (400) for an effort that is none.
        """
        if candidate.capability.thinking:
            asked: Body = {key: raw_of(body.pop(key)) for key in THINKING if key in body}
            if asked:
                _switch(body, candidate.model.lower(), asked)
        else:
            lost += unthinking(body)
        if action == "stream" and body.get("tools") is not None and is_empty(body["tools"]):
            body["tools"] = _DECOY


def _switch(body: Body, model: str, asked: Body) -> None:
    """Thinking on or off: iFlow's models know no levels."""
    reasoning = reasoning_of(asked)
    effort = effort_of(reasoning, _ANY) if reasoning is not None else None
    if effort is None:
        return
    on = effort != "none"
    if model.startswith("glm-4"):
        raw = body.get("chat_template_kwargs")
        given = decode(raw_of(raw)) if raw is not None else None
        switches = {"enable_thinking": on} | ({"clear_thinking": False} if on else {})
        body["chat_template_kwargs"] = (given if isinstance(given, dict) else {}) | switches
    elif model.startswith("minimax-m2"):
        body["reasoning_split"] = on


PROVIDER = IFlow()
