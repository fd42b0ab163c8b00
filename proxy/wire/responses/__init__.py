"""The `responses` wire: OpenAI's Responses API. `codex.py` adds what the Codex backend wants."""

from __future__ import annotations

from typing import Final

from proxy.convo.fold import unfold
from proxy.convo.model import Answer, ErrorInfo, Lost, Reasoning, Request
from proxy.errors import ProxyError
from proxy.jsonio import Body
from proxy.wire.base import AnswerContext, Target, Wire
from proxy.wire.responses import answer, encode, errors, request, stream, stream_out


class Responses:
    """Implements `Wire`."""

    name = "responses"
    keepalive = b": keep-alive\n\n"
    content_type = "text/event-stream"

    def decode_request(
        self, body: bytes, model: str = "", stream: bool | None = None, top: Body | None = None
    ) -> Request:
        """As `Wire`."""
        return request.decode_request(body, model, stream, top)

    def encode_request(self, request: Request, target: Target, lost: list[Lost]) -> Body:
        """As `Wire`."""
        return encode.encode_request(request, target, lost)

    def patch_reasoning(
        self, body: Body, reasoning: Reasoning, target: Target, lost: list[Lost]
    ) -> None:
        """As `Wire`."""
        encode.patch_reasoning(body, reasoning, target, lost)

    def stream_decoder(self) -> stream.StreamDecoder:
        """As `Wire`."""
        return stream.StreamDecoder()

    def stream_encoder(self, context: AnswerContext) -> stream_out.StreamEncoder:
        """As `Wire`."""
        return stream_out.StreamEncoder(context)

    def decode_answer(self, body: bytes) -> Answer:
        """As `Wire`."""
        return answer.decode_answer(body)

    def encode_answer(self, answer: Answer, context: AnswerContext) -> bytes:
        """As `Wire`."""
        if answer.own is not None:
            return bytes(answer.own)
        return stream_out.encode_answer(unfold(answer), context)

    def encode_error(self, error: ProxyError) -> bytes:
        """As `Wire`."""
        return errors.encode_error(error)

    def decode_error(self, status: int, body: bytes) -> ErrorInfo:
        """As `Wire`."""
        return errors.decode_error(status, body)

    def encode_count(self, tokens: int) -> bytes:
        """The body of `POST /responses/input_tokens`."""
        return b'{"object":"response.input_tokens","input_tokens":%d}' % tokens


WIRE: Final[Wire] = Responses()
