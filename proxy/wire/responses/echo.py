"""The response object: what it repeats of the request, and the rest around its `output`.

Source: API reference, "The response object".
"""

from __future__ import annotations

from typing import Final, cast

import msgspec
from msgspec import Raw

from proxy.convo.model import Request, Usage
from proxy.jsonio import encode, top_level
from proxy.wire.base import AnswerContext

_DEFAULTS: Final[dict[str, bytes]] = {
    "background": b"false",
    "instructions": b"null",
    "max_output_tokens": b"null",
    "max_tool_calls": b"null",
    "metadata": b"{}",
    "parallel_tool_calls": b"true",
    "previous_response_id": b"null",
    "prompt_cache_key": b"null",
    "reasoning": b'{"effort":null,"summary":null}',
    "safety_identifier": b"null",
    "store": b"false",
    "temperature": b"null",
    "text": b'{"format":{"type":"text"}}',
    "tool_choice": b'"auto"',
    "tools": b"[]",
    "top_logprobs": b"null",
    "top_p": b"null",
    "truncation": b'"disabled"',
    "user": b"null",
}
"""Members that repeat the request, and what the API answers where the client said nothing."""


def echoed(request: Request | None) -> bytes:
    """The members of the response object that repeat the request: `"background":false,...`."""
    said: dict[str, Raw] = {}
    if request is not None and request.echo is not None:
        try:
            said = cast("dict[str, Raw]", top_level(bytes(request.echo)))
        except msgspec.DecodeError:
            said = {}
    members = []
    for key, default in _DEFAULTS.items():
        raw = said.get(key)
        value = bytes(raw) if raw is not None and bytes(raw) != b"null" else default
        members.append(b'"%b":%b' % (key.encode(), value))
    return b",".join(members)


class Envelope:
    """The response object of one answer."""

    def __init__(self, context: AnswerContext) -> None:
        self.id = "resp_" + context.id
        self.model = context.model
        self.created = context.now
        self.tier = ""
        self._echo = echoed(context.request)

    def render(
        self,
        status: str,
        output: list[bytes],
        usage: bytes = b"null",
        *,
        error: bytes = b"null",
        reason: str = "",
    ) -> bytes:
        """The object as JSON. `output`: rendered items; `reason`: of an incomplete response."""
        details = encode({"reason": reason}) if reason else b"null"
        return (
            b'{"id":%b,"object":"response","created_at":%d,"status":"%b","error":%b,'
            b'"incomplete_details":%b,"model":%b,%b,"service_tier":%b,"output":[%b],"usage":%b}'
        ) % (
            encode(self.id),
            self.created,
            status.encode(),
            error,
            details,
            encode(self.model),
            self._echo,
            encode(self.tier or "default"),
            b",".join(output),
            usage,
        )


def usage_body(usage: Usage | None) -> bytes:
    """`usage` with every member that clients rely on; zeros where nothing was told."""
    usage = usage or Usage()
    read, written = usage.input or 0, usage.output or 0
    return encode(
        {
            "input_tokens": read,
            "input_tokens_details": {"cached_tokens": usage.cached or 0},
            "output_tokens": written,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
            "total_tokens": read + written,
        }
    )
