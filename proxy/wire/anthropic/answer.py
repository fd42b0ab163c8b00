"""Whole answers, both ways."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from proxy.convo.fold import fold
from proxy.convo.model import Answer, Choice, Part, Refusal, Text, Thinking, ToolUse
from proxy.convo.signature import seal
from proxy.errors import Fault, ProxyError, Retry
from proxy.jsonio import encode, object_of
from proxy.wire.anthropic import types as t
from proxy.wire.anthropic.blocks import part_of_raw
from proxy.wire.anthropic.citations import citations_of
from proxy.wire.anthropic.counts import (
    Counter,
    finish_of,
    stop_reason_of,
    tier_word,
    usage_fields,
)
from proxy.wire.anthropic.encoder import message_id, whole_block
from proxy.wire.anthropic.errors import error_of
from proxy.wire.anthropic.names import signed_id
from proxy.wire.anthropic.stream import Decoder
from proxy.wire.base import AnswerContext
from proxy.wire.sse import looks_like_sse

_message = msgspec.json.Decoder(t.MessageOut)


def decode_answer(body: bytes) -> Answer:
    """A whole answer, plain or as an event stream. Raises ProxyError (502) for anything else."""
    if looks_like_sse(body):
        decoder = Decoder()
        return fold([*decoder.feed(body), *decoder.eof()])
    try:
        message = _message.decode(body)
        if t.given(message.error) is not None:
            return Answer([], error=error_of(message.error))
        if message.content is None:
            raise _unreadable("it has no content")
        parts: list[Part] = []
        for raw in message.content:
            parts += part_of_raw(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(str(error)) from error
    called = any(isinstance(part, ToolUse) for part in parts)
    counter = Counter()
    usage = counter.add(message.usage)
    finish = finish_of(message.stop_reason, message.stop_sequence, called)
    return Answer(
        [Choice(parts, finish)],
        id=message.id or "",
        model=message.model or "",
        usage=usage,
        service_tier=counter.service_tier,
    )


def _unreadable(why: str) -> ProxyError:
    return ProxyError(
        f"The upstream's answer cannot be read: {why}",
        fault=Fault.UPSTREAM,
        status=502,
        kind="bad_answer",
        retry=Retry.CREDENTIAL,
    )


def encode_answer(answer: Answer, context: AnswerContext) -> bytes:
    """A whole answer for the client; of several choices the first."""
    choice = answer.choices[0] if answer.choices else Choice([])
    content: list[dict[str, object] | Raw] = []
    for number, part in enumerate(choice.parts):
        content += _blocks(part, f"toolu_{context.id}{number}")
    called = any(isinstance(part, ToolUse) for part in choice.parts)
    finish = choice.finish
    usage: dict[str, object] = {**usage_fields(answer.usage)}
    if answer.service_tier:
        usage["service_tier"] = tier_word(answer.service_tier)
    return encode(
        {
            "id": message_id(answer.id, context),
            "type": "message",
            "role": "assistant",
            "model": answer.model or context.model,
            "content": content,
            "stop_reason": stop_reason_of(finish, called),
            "stop_sequence": (finish.sequence or None) if finish else None,
            "usage": usage,
        }
    )


def _blocks(part: Part, spare_id: str) -> list[dict[str, object] | Raw]:
    match part:
        case Text(text=text):
            if not text:
                return []
            block: dict[str, object] = {"type": "text", "text": text}
            if part.citations is not None:
                block["citations"] = [Raw(one) for one in citations_of(*part.citations)]
            return [block]
        case Refusal(text=text):
            return [{"type": "text", "text": text}] if text else []
        case Thinking(redacted=False, text=text, signature=signature, origin=origin):
            if not text and not signature:
                return []
            sealed = seal(signature, origin, t.NAME)
            return [{"type": "thinking", "thinking": text, "signature": sealed}]
        case ToolUse():
            id = signed_id(part.id or spare_id, part.signature, part.origin)
            return [{"type": "tool_use", "id": id, "name": part.name, "input": _input(part)}]
        case _:
            whole = whole_block(part)
            return [] if whole is None else [whole]


def _input(part: ToolUse) -> object:
    """An object always: free text and arguments that were cut short go under `input`."""
    if part.custom:
        return {"input": part.arguments}
    if not part.arguments.strip():
        return {}
    value = object_of(part.arguments)
    return {"input": part.arguments} if value is None else value


def encode_count(tokens: int) -> bytes:
    """The answer of count_tokens."""
    return encode({"input_tokens": tokens})
