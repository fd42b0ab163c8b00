"""Legacy completions (`/v1/completions`) as a dialect of chat: a prompt in, text out.

Source: OpenAI API reference, Completions; http-api sheet, section 6. Composition over the chat codec:
requests become a chat request of one user message, chat answers become text choices.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from proxy.convo.events import Event
from proxy.convo.model import Answer, ErrorInfo, Lost, Reasoning, Request
from proxy.errors import ProxyError, bad_request
from proxy.jsonio import Body, decode, encode, raw_of, top_level
from proxy.wire.base import AnswerContext, StreamDecoder, StreamEncoder, Target, Wire
from proxy.wire.chat import WIRE as CHAT

KEPT: Final = (
    *("model", "max_tokens", "temperature", "top_p", "frequency_penalty", "presence_penalty"),
    *("stop", "stream", "stream_options", "top_logprobs", "n", "seed", "user", "echo"),
)
_EMPTY_PROMPT: Final = "Complete this:"
"""What the reference sends for an empty prompt; chat upstreams refuse empty messages."""
_PREFIX: Final = b"data: "


class _Delta(Struct):
    content: str | None = None


class _Choice(Struct):
    index: int = 0
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None
    logprobs: Raw = Raw(b"null")


class _Chat(Struct):
    id: str = ""
    created: int = 0
    model: str = ""
    choices: list[_Choice] = []
    usage: Raw = Raw()
    error: Raw = Raw()


_chat = msgspec.json.Decoder(_Chat)


def _prompt(body: Body) -> str:
    raw = body.get("prompt")
    value = decode(raw_of(raw)) if raw is not None else ""
    if isinstance(value, list):
        if not all(isinstance(piece, str) for piece in value):
            raise bad_request("`prompt` as token numbers cannot be translated; send text")
        value = "\n".join(value)
    if value is None:
        value = ""
    if not isinstance(value, str):
        raise bad_request("`prompt` must be a string or a list of strings")
    return value or _EMPTY_PROMPT


def to_chat(data: bytes, top: Body | None = None) -> Body:
    """A completions body as a chat body. Raises ProxyError (400)."""
    try:
        given = top_level(data) if top is None else top
    except msgspec.DecodeError as error:
        raise bad_request(f"the body is not a JSON object: {error}") from None
    body: Body = {key: given[key] for key in KEPT if key in given}
    body["messages"] = [{"role": "user", "content": _prompt(given)}]
    count = given.get("logprobs")
    if count is not None and raw_of(count) not in (Raw(b"null"), Raw(b"false"), Raw(b"0")):
        body["logprobs"] = True
    return body


def _text(chat: _Chat) -> dict[str, object]:
    choices = []
    for choice in chat.choices:
        said = choice.delta or choice.message or _Delta()
        made_choice: dict[str, object] = {
            "text": said.content or "",
            "index": choice.index,
            "finish_reason": choice.finish_reason,
        }
        if choice.logprobs != Raw(b"null"):
            made_choice["logprobs"] = choice.logprobs
        choices.append(made_choice)
    made: dict[str, object] = {
        "id": chat.id,
        "object": "text_completion",
        "created": chat.created,
        "model": chat.model,
        "choices": choices,
    }
    if chat.usage and chat.usage != Raw(b"null"):
        made["usage"] = chat.usage
    return made


def _event(data: bytes) -> bytes:
    """One `data:` value of a chat stream; b"" for a chunk that says nothing in this protocol."""
    if not data.startswith(b"{"):
        return _PREFIX + data + b"\n\n"
    chat = _chat.decode(data)
    if chat.error:
        return _PREFIX + data + b"\n\n"
    silent = all(not (c.delta and c.delta.content) and not c.finish_reason for c in chat.choices)
    if silent and (not chat.usage or chat.usage == Raw(b"null")):
        return b""
    return _PREFIX + encode(_text(chat)) + b"\n\n"


class _Encoder:
    """The chat encoder's events, one by one."""

    def __init__(self, inner: StreamEncoder) -> None:
        self._inner = inner

    def encode(self, events: list[Event]) -> bytes:
        """See `StreamEncoder`."""
        out = []
        for block in self._inner.encode(events).split(b"\n\n"):
            if block.startswith(_PREFIX):
                out.append(_event(block[len(_PREFIX) :]))
            elif block:
                out.append(block + b"\n\n")
        return b"".join(out)


class Completions:
    """The wire of `/v1/completions`; a client's wire only."""

    name = "completions"
    keepalive = CHAT.keepalive
    content_type = CHAT.content_type

    def decode_request(
        self, body: bytes, model: str = "", stream: bool | None = None, top: Body | None = None
    ) -> Request:
        """See `Wire`."""
        return CHAT.decode_request(encode(to_chat(body, top)), model, stream)

    def encode_request(self, request: Request, target: Target, lost: list[Lost]) -> Body:
        """No upstream speaks this; chat is sent."""
        return CHAT.encode_request(request, target, lost)

    def patch_reasoning(
        self, body: Body, reasoning: Reasoning, target: Target, lost: list[Lost]
    ) -> None:
        """See `Wire`."""
        CHAT.patch_reasoning(body, reasoning, target, lost)

    def stream_decoder(self) -> StreamDecoder:
        """See `Wire`."""
        return CHAT.stream_decoder()

    def stream_encoder(self, context: AnswerContext) -> StreamEncoder:
        """See `Wire`."""
        return _Encoder(CHAT.stream_encoder(context))

    def decode_answer(self, body: bytes) -> Answer:
        """See `Wire`."""
        return CHAT.decode_answer(body)

    def encode_answer(self, answer: Answer, context: AnswerContext) -> bytes:
        """See `Wire`."""
        return encode(_text(_chat.decode(CHAT.encode_answer(answer, context))))

    def encode_error(self, error: ProxyError) -> bytes:
        """See `Wire`."""
        return CHAT.encode_error(error)

    def decode_error(self, status: int, body: bytes) -> ErrorInfo:
        """See `Wire`."""
        return CHAT.decode_error(status, body)

    def encode_count(self, tokens: int) -> bytes:
        """See `Wire`."""
        return CHAT.encode_count(tokens)


WIRE: Wire = Completions()
