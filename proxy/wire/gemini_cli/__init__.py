"""The Code Assist dialect of Gemini CLI (`/v1internal:*`): the Gemini wire in an envelope.

In: `{"model", "project", "request": {...}}`; out: `{"response": {...}}` around each chunk and answer.
Errors and token counts have no envelope.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import msgspec

from proxy import jsonio
from proxy.errors import bad_request
from proxy.wire import gemini
from proxy.wire.gemini import types
from proxy.wire.gemini.answer import Encoder
from proxy.wire.gemini.stream import Decoder, decode_answer

if TYPE_CHECKING:
    from msgspec import Raw

    from proxy.convo.model import Answer, ErrorInfo, Lost, Reasoning, Request
    from proxy.errors import ProxyError
    from proxy.jsonio import Body
    from proxy.wire.base import AnswerContext, Target, Wire

_BEFORE: Final = b'{"response":'
_AFTER: Final = b"}"
_INNER: Final = gemini.WIRE
_SESSION: Final = ("session_id", "sessionId")
"""The client's session inside `request`: the API proper refuses it as an unknown field."""


class GeminiCli:
    """`proxy.wire.base.Wire` for Code Assist clients and upstreams."""

    name = "gemini_cli"
    keepalive = _INNER.keepalive
    content_type = _INNER.content_type

    def decode_request(
        self, body: bytes, model: str = "", stream: bool | None = None, top: Body | None = None
    ) -> Request:
        """A client's request; the model stands in the envelope, the method in the URL."""
        outer = _outer(body) if top is None else cast("dict[str, Raw]", top)
        raw = outer.get("request", types.ABSENT)
        inner = bytes(raw) if types.given(raw) else b"{}"
        request = _INNER.decode_request(inner, model or _text(outer, "model"), stream)
        for name in _SESSION:
            session = request.extras.pop(name, None)
            if session is not None and not request.cache_key:
                request.cache_key = _string(session)
        return request

    def encode_request(self, request: Request, target: Target, lost: list[Lost]) -> Body:
        """The upstream body; `project` is the credential's and is filled in by the provider."""
        inner = _INNER.encode_request(request, target, lost)
        return {"model": target.model, "project": "", "request": inner}

    def patch_reasoning(
        self, body: Body, reasoning: Reasoning, target: Target, lost: list[Lost]
    ) -> None:
        """Overwrites the thinking settings of a same-wire body."""
        inner: Body = dict(types.raw_object.decode(jsonio.raw_of(body.get("request", {}))))
        _INNER.patch_reasoning(inner, reasoning, target, lost)
        body["request"] = inner

    def stream_decoder(self) -> Decoder:
        """A decoder for one upstream stream."""
        return Decoder(unwrap=True)

    def stream_encoder(self, context: AnswerContext) -> Encoder:
        """An encoder for one client stream."""
        return Encoder(context, before=_BEFORE, after=_AFTER)

    def decode_answer(self, body: bytes) -> Answer:
        """A whole upstream answer."""
        return decode_answer(body, unwrap=True)

    def encode_answer(self, answer: Answer, context: AnswerContext) -> bytes:
        """A whole answer for the client."""
        return _BEFORE + _INNER.encode_answer(answer, context) + _AFTER

    def encode_error(self, error: ProxyError) -> bytes:
        """An error body."""
        return _INNER.encode_error(error)

    def decode_error(self, status: int, body: bytes) -> ErrorInfo:
        """What an upstream's error answer says."""
        return _INNER.decode_error(status, body)

    def encode_count(self, tokens: int) -> bytes:
        """The answer of `countTokens`."""
        return _INNER.encode_count(tokens)


def _outer(body: bytes) -> dict[str, Raw]:
    try:
        return types.raw_object.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise bad_request(f"Invalid JSON payload received. {error}") from error


def _text(outer: dict[str, Raw], name: str) -> str:
    raw = outer.get(name, types.ABSENT)
    return _string(raw).removeprefix("models/") if types.given(raw) else ""


def _string(raw: Raw) -> str:
    value = jsonio.decode(raw)
    return value if isinstance(value, str) else ""


WIRE: Wire = GeminiCli()
