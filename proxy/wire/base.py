"""What a wire codec is. One object per wire, registered in `proxy/wire/__init__.py`.

Everything here is pure: bytes and events in, bytes and events out. Decoders raise
`errors.bad_request(...)` for a client's malformed body and never anything else; stream decoders never
raise on upstream garbage: they give `Failed`.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from proxy.convo.events import Event
from proxy.convo.model import Answer, Capability, ErrorInfo, Lost, Reasoning, Request
from proxy.errors import ProxyError
from proxy.jsonio import Body


class Target(Struct, frozen=True, kw_only=True):
    """Where an encoded request goes: the upstream's name of the model and what is known of it."""

    model: str
    capability: Capability = Capability()
    provider: str = ""
    """Provider key (`openai-compat`, `claude`, `gemini`, `codex`, `vertex`); for dialects."""


class AnswerContext(Struct, frozen=True, kw_only=True):
    """What an encoder of answers may need of the request it answers.

    `request` is None on nothing but `unknown`; `model` is the name to show when the upstream gave none.
    `ids` makes identifiers and `now` is seconds: injected, so that codecs stay pure.
    """

    request: Request | None
    model: str
    stream: bool
    now: int
    id: str
    """Hex digits unique to this answer; encoders put their wire's prefix before it."""
    framing: str = "sse"
    """`sse`, or `json` for a Gemini client that streams without `alt=sse` (a JSON array)."""


class StreamDecoder(Protocol):
    """Upstream bytes to events. A transcript of any chunking gives the same events."""

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete."""
        ...

    def eof(self) -> list[Event]:
        """The upstream closed. Ends with `End` unless `End` was given already."""
        ...


class StreamEncoder(Protocol):
    """Events to client bytes, framed."""

    def encode(self, events: list[Event]) -> bytes:
        """Bytes for these events; may be empty. Handles `Failed` and `End` by the wire's own terminal events."""
        ...


class UpstreamWire(Protocol):
    """One wire format towards upstreams."""

    name: str

    def encode_request(self, request: Request, target: Target, lost: list[Lost]) -> Body:
        """The upstream body by top-level key; appends what cannot be carried to `lost`."""
        ...

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for one upstream stream."""
        ...

    def decode_answer(self, body: bytes) -> Answer:
        """A whole upstream answer. A body that is a stream is decoded as one and folded.

        Raises ProxyError (502) for a body that is none.
        """
        ...

    def decode_error(self, status: int, body: bytes) -> ErrorInfo:
        """What an upstream's error answer says; any body at all, HTML or empty too."""
        ...


class Wire(UpstreamWire, Protocol):
    """One wire format in both directions."""

    keepalive: bytes
    """Bytes that a client of this wire ignores while it waits in an open stream."""
    content_type: str
    """Media type of a stream."""

    def decode_request(
        self, body: bytes, model: str = "", stream: bool | None = None, top: Body | None = None
    ) -> Request:
        """A client's request. `model`/`stream` are given where they stand in the URL (gemini).

        `top` is the body's top level if it was parsed already; it is read, never changed.

        Raises ProxyError (400) with the JSON path of what is wrong.
        """
        ...

    def patch_reasoning(
        self, body: Body, reasoning: Reasoning, target: Target, lost: list[Lost]
    ) -> None:
        """Overwrites the thinking settings of a same-wire body in place (thinking suffix); `lost` takes
        what does not go with the new ones."""
        ...

    def stream_encoder(self, context: AnswerContext) -> StreamEncoder:
        """An encoder for one client stream."""
        ...

    def encode_answer(self, answer: Answer, context: AnswerContext) -> bytes:
        """A whole answer for the client. `answer.error` is raised by the caller before."""
        ...

    def encode_error(self, error: ProxyError) -> bytes:
        """The error body of this wire (not streamed)."""
        ...

    def encode_count(self, tokens: int) -> bytes:
        """The answer to a token count."""
        ...
