"""The Chat Completions API of OpenAI and everyone compatible with it, both ways. Exports `WIRE`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.wire.chat.answer import decode_answer, encode_answer, encode_count
from proxy.wire.chat.encode import encode_request, patch_reasoning
from proxy.wire.chat.encoder import KEEPALIVE, Encoder
from proxy.wire.chat.errors import decode_error, encode_error
from proxy.wire.chat.request import decode_request
from proxy.wire.chat.stream import Decoder
from proxy.wire.chat.types import NAME

if TYPE_CHECKING:
    from proxy.convo.model import Answer, ErrorInfo, Lost, Reasoning, Request
    from proxy.errors import ProxyError
    from proxy.jsonio import Body
    from proxy.wire.base import AnswerContext, Target, Wire


class Chat:
    """`proxy.wire.base.Wire` for Chat Completions."""

    name = NAME
    keepalive = KEEPALIVE
    content_type = "text/event-stream"

    def decode_request(
        self, body: bytes, model: str = "", stream: bool | None = None, top: Body | None = None
    ) -> Request:
        """A client's request."""
        return decode_request(body, model, stream, top)

    def encode_request(self, request: Request, target: Target, lost: list[Lost]) -> Body:
        """The upstream body by top-level key."""
        return encode_request(request, target, lost)

    def patch_reasoning(
        self, body: Body, reasoning: Reasoning, target: Target, lost: list[Lost]
    ) -> None:
        """Overwrites the thinking settings of a same-wire body."""
        patch_reasoning(body, reasoning, target, lost)

    def stream_decoder(self) -> Decoder:
        """A decoder for one upstream stream."""
        return Decoder()

    def stream_encoder(self, context: AnswerContext) -> Encoder:
        """An encoder for one client stream."""
        return Encoder(context)

    def decode_answer(self, body: bytes) -> Answer:
        """A whole upstream answer."""
        return decode_answer(body)

    def encode_answer(self, answer: Answer, context: AnswerContext) -> bytes:
        """A whole answer for the client."""
        return encode_answer(answer, context)

    def encode_error(self, error: ProxyError) -> bytes:
        """An error body."""
        return encode_error(error)

    def decode_error(self, status: int, body: bytes) -> ErrorInfo:
        """What an upstream's error answer says."""
        return decode_error(status, body)

    def encode_count(self, tokens: int) -> bytes:
        """The answer to a token count."""
        return encode_count(tokens)


WIRE: Wire = Chat()
