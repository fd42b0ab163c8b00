"""Kiro's wire (AWS CodeWhisperer, Amazon Q): JSON out, AWS's event stream back. No client speaks it.

Source: kiro sheet, sections 5 and 6. What names the account and the call (`profileArn`, `conversationId`,
`origin`) is filled in by the provider.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.convo.fold import fold
from proxy.wire.kiro.encode import encode_request
from proxy.wire.kiro.errors import decode_error
from proxy.wire.kiro.stream import Decoder

if TYPE_CHECKING:
    from proxy.convo.model import Answer, ErrorInfo, Lost, Request
    from proxy.jsonio import Body
    from proxy.wire.base import Target, UpstreamWire


class Kiro:
    """`proxy.wire.base.UpstreamWire` for Kiro."""

    name = "kiro"

    def encode_request(self, request: Request, target: Target, lost: list[Lost]) -> Body:
        """The upstream body by top-level key."""
        return encode_request(request, target, lost)

    def stream_decoder(self) -> Decoder:
        """A decoder for one upstream stream."""
        return Decoder()

    def decode_answer(self, body: bytes) -> Answer:
        """A whole upstream answer, which is a stream too."""
        decoder = Decoder()
        return fold([*decoder.feed(body), *decoder.eof()])

    def decode_error(self, status: int, body: bytes) -> ErrorInfo:
        """What an upstream's error answer says."""
        return decode_error(status, body)


WIRE: UpstreamWire = Kiro()
