"""A whole answer -> `convo.Answer`, and the pieces that stream and body have in common."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from proxy.convo.fold import fold
from proxy.convo.model import (
    Answer,
    Choice,
    ErrorInfo,
    Finish,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolUse,
    Usage,
)
from proxy.errors import Fault, ProxyError, Retry
from proxy.jsonio import encode, raw_of, text_of, top_level
from proxy.wire import sse
from proxy.wire.responses import types
from proxy.wire.responses.content import parts_of, picture
from proxy.wire.responses.errors import decode_error, info_of

_ENDED = ("completed", "incomplete")


class _Wrapped(msgspec.Struct):
    """`response.completed` as an object: what a Codex upstream's last event holds."""

    response: Raw = types.ABSENT
    object: str | None = None


_wrapped = msgspec.json.Decoder(_Wrapped)


class _Told(msgspec.Struct):
    """An event, as far as it tells a whole item or the whole response."""

    type: str = ""
    output_index: int = 0
    item: Raw = types.ABSENT
    response: Raw = types.ABSENT


_told = msgspec.json.Decoder(_Told)
_ITEM: Final = "response.output_item.done"
_LAST: Final = ("response.completed", "response.incomplete", "response.done")
_TOLD: Final = ("", _ITEM, *_LAST)


def decode_answer(body: bytes) -> Answer:
    """A response object, bare or inside its last event, or a whole stream of events."""
    if sse.looks_like_sse(body):
        from proxy.wire.responses.stream import StreamDecoder  # circular otherwise

        decoder = StreamDecoder()
        answer = fold(decoder.feed(body) + decoder.eof())
        answer.own = _last_object(body)
        return answer
    try:
        outer = _wrapped.decode(body)
        wrapped = types.given(outer.response) and not outer.object
        raw = outer.response if wrapped else body
        said = types.response.decode(raw)
        if said.output is None and said.id is None and not types.given(said.error):
            raise msgspec.ValidationError("no response object")
        return _answer(said, bytes(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ProxyError(
            "the upstream's answer is no response object",
            fault=Fault.UPSTREAM,
            status=502,
            kind="bad_answer",
            retry=Retry.CREDENTIAL,
        ) from None


def _last_object(body: bytes) -> Raw | None:
    """The response object of a stream's terminal event; None where there is none or it is malformed.

    The Codex backend leaves `output` empty there: the items of the stream are put in.
    """
    parser = sse.SseParser()
    items: dict[int, Raw] = {}
    try:
        for name, data in parser.feed(body) + parser.eof():
            if name.decode() not in _TOLD:
                continue
            told = _told.decode(data)
            if told.type == _ITEM:
                items[told.output_index] = told.item
            elif told.type in _LAST:
                said = top_level(bytes(told.response))
                if items and bytes(raw_of(said.get("output"))) in (b"null", b"[]"):
                    said["output"] = [items[place] for place in sorted(items)]
                return Raw(encode(said))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, sse.SseOverflow):
        return None
    return None


def _answer(said: types.ResponseBody, raw: bytes) -> Answer:
    answer = Answer([], said.id or "", said.model or "", int(said.created_at or 0))
    answer.service_tier = said.service_tier or ""
    answer.usage = usage_of(said.usage)
    failure = failure_of(said)
    if failure is None and said.output is None:
        failure = decode_error(0, raw)
    parts: list[Part] = []
    for item in said.output or ():
        parts += parts_of_item(item)
    if failure is not None:
        answer.error = failure
    finish = finish_of(said, parts) if failure is None else None
    answer.choices = [Choice(parts, finish)]
    return answer


def parts_of_item(raw: Raw) -> list[Part]:
    """The parts of one output item. Raises msgspec.DecodeError."""
    item = types.item.decode(raw)
    match item.type:
        case "message":
            return parts_of(item.content)
        case "reasoning":
            return thinking_of(item)
        case "function_call" | "custom_tool_call":
            return [call_of(item, whole=True)]
        case "image_generation_call" if item.result:
            return [picture(item)]
        case _:
            return [Opaque("responses", raw, item.type)]


def thinking_of(item: types.Item) -> list[Part]:
    """A reasoning item; nothing if it holds neither text nor proof."""
    text = thinking_text(item)
    if not text and not item.encrypted_content:
        return []
    raw = bool(text) and not item.summary
    return [Thinking(text, item.encrypted_content or "", "responses", id=item.id or "", raw=raw)]


def thinking_text(item: types.Item) -> str:
    """Summary parts, then raw reasoning, as paragraphs."""
    texts = [part.text for part in item.summary or () if part.text]
    texts += [part.text for part in parts_of(item.content) if isinstance(part, Text)]
    return "\n\n".join(texts)


def call_of(item: types.Item, *, whole: bool) -> ToolUse:
    """A call; `whole`: with its arguments."""
    custom = item.type == "custom_tool_call"
    given = item.input if custom else item.arguments
    arguments = ""
    if whole and types.given(given):
        quoted = bytes(given)[:1] == b'"'
        arguments = types.text.decode(given) if quoted else text_of(given)
    return ToolUse(item.call_id or item.id or "", item.name or "", arguments, custom=custom)


def usage_of(raw: Raw) -> Usage | None:
    """`usage`; None where there is none or it is malformed."""
    if not types.given(raw):
        return None
    try:
        said = types.usage.decode(raw)
    except msgspec.DecodeError:
        return None
    cached = said.input_tokens_details.cached_tokens if said.input_tokens_details else None
    details = said.output_tokens_details
    return Usage(
        said.input_tokens,
        said.output_tokens,
        cached,
        reasoning=details.reasoning_tokens if details else None,
        extras=raw,
    )


def failure_of(said: types.ResponseBody) -> ErrorInfo | None:
    """The error of a response that failed, or None."""
    if types.given(said.error):
        return info_of(said.error)
    if said.status in ("failed", "cancelled"):
        return ErrorInfo(f"the response was {said.status}", type=said.status, origin="responses")
    return None


def finish_of(said: types.ResponseBody, parts: list[Part]) -> Finish:
    """Why it ended: `incomplete_details.reason`, or what the items say."""
    if said.status == "incomplete" or (said.status is None and said.incomplete_details):
        reason = (said.incomplete_details.reason if said.incomplete_details else None) or ""
        word = reason or "incomplete"
        return Finish("filter" if reason == "content_filter" else "length", word, "responses")
    native = said.status or "completed"
    if any(isinstance(part, ToolUse) for part in parts):
        return Finish("tool", native, "responses")
    if any(isinstance(part, Refusal) for part in parts):
        return Finish("refusal", native, "responses")
    return Finish("stop", native, "responses")
