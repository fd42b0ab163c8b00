"""The Messages API of Anthropic, both ways. Exports `WIRE`."""

from __future__ import annotations

from proxy.convo.model import Answer, ErrorInfo, Lost, Reasoning, Request
from proxy.errors import ProxyError
from proxy.jsonio import Body
from proxy.wire.anthropic import answer, encode, errors, request
from proxy.wire.anthropic.encoder import PING, Encoder
from proxy.wire.anthropic.stream import Decoder
from proxy.wire.anthropic.types import NAME
from proxy.wire.base import AnswerContext, StreamDecoder, StreamEncoder, Target, Wire


class _Anthropic:
    """The codec; the work is done in the modules of this package."""

    name = NAME
    keepalive = PING
    content_type = "text/event-stream; charset=utf-8"

    def decode_request(
        self, body: bytes, model: str = "", stream: bool | None = None, top: Body | None = None
    ) -> Request:
        return request.decode_request(body, model, stream, top)

    def encode_request(self, request: Request, target: Target, lost: list[Lost]) -> Body:
        return encode.encode_request(request, target, lost)

    def patch_reasoning(
        self, body: Body, reasoning: Reasoning, target: Target, lost: list[Lost]
    ) -> None:
        encode.patch_reasoning(body, reasoning, target, lost)

    def stream_decoder(self) -> StreamDecoder:
        return Decoder()

    def stream_encoder(self, context: AnswerContext) -> StreamEncoder:
        return Encoder(context)

    def decode_answer(self, body: bytes) -> Answer:
        return answer.decode_answer(body)

    def encode_answer(self, answer: Answer, context: AnswerContext) -> bytes:
        return _encode_answer(answer, context)

    def encode_error(self, error: ProxyError) -> bytes:
        return errors.encode_error(error)

    def decode_error(self, status: int, body: bytes) -> ErrorInfo:
        return errors.decode_error(status, body)

    def encode_count(self, tokens: int) -> bytes:
        return answer.encode_count(tokens)


_encode_answer = answer.encode_answer
WIRE: Wire = _Anthropic()
