"""Whole answers, both ways."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from proxy.convo.fold import fold
from proxy.convo.model import (
    Answer,
    Choice,
    Finish,
    Media,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolUse,
)
from proxy.errors import Fault, ProxyError, Retry
from proxy.jsonio import encode
from proxy.wire.base import AnswerContext
from proxy.wire.chat import types as t
from proxy.wire.chat.citations import annotations_of
from proxy.wire.chat.client_tools import ClientTools
from proxy.wire.chat.counts import finish_of, finish_word, usage_fields, usage_of
from proxy.wire.chat.errors import error_of
from proxy.wire.chat.loose import mend
from proxy.wire.chat.media import answer_image, audio_of, image_of
from proxy.wire.chat.proofs import call_extra, call_signature, client_entry, opaque_of, thinking_of
from proxy.wire.chat.stream import Decoder
from proxy.wire.sse import looks_like_sse


def decode_answer(body: bytes) -> Answer:
    """A whole upstream answer; an event stream is folded. Raises ProxyError (502) for anything else."""
    if looks_like_sse(body):
        decoder = Decoder()
        return fold([*decoder.feed(body), *decoder.eof()])
    try:
        given: t.Chunk | None = t.chunk.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        given = mend(body)
    if given is None or (given.choices is None and t.given(given.error) is None):
        raise ProxyError(
            "The upstream's answer is not a chat completion.",
            fault=Fault.UPSTREAM,
            status=502,
            kind="bad_answer",
            retry=Retry.CREDENTIAL,
        )
    answer = Answer(
        choices=[_choice(one) for one in given.choices or ()],
        id=given.id or "",
        model=given.model or "",
        created=int(given.created or 0),
        usage=usage_of(t.given(given.usage)),
        service_tier=given.service_tier or "",
    )
    if t.given(given.error) is not None and not answer.choices:
        answer.error = error_of(given.error)
    return answer


def _choice(given: t.ChunkChoice) -> Choice:
    message = given.message or given.delta or t.Delta()
    thought = message.reasoning_content or message.reasoning or message.reasoning_text or ""
    parts: list[Part] = [*thinking_of(thought, message.reasoning_details)]
    if message.reasoning_opaque:
        parts = [opaque_of(thought, message.reasoning_opaque)]
    sound, transcript = (
        audio_of(message.audio) if t.given(message.audio) is not None else (None, "")
    )
    text = message.content or transcript
    if text:
        noted = message.annotations
        parts.append(Text(text, citations=(t.NAME, Raw(encode(noted))) if noted else None))
    if message.refusal:
        parts.append(Refusal(message.refusal))
    parts += [image for raw in message.images or () if (image := image_of(raw))]
    if sound is not None:
        parts.append(sound)
    calls = list(message.tool_calls or ())
    if message.function_call is not None:
        calls.append(t.Call(function=message.function_call))
    parts += [_call(call, given.index, number) for number, call in enumerate(calls)]
    native = given.finish_reason or ""
    finish = finish_of(native, called=bool(calls), refused=bool(message.refusal))
    return Choice(
        parts, finish, given.logprobs.copy() if t.given(given.logprobs) is not None else None
    )


def _call(given: t.Call, choice: int, number: int) -> ToolUse:
    signature, origin = call_signature(t.given(given.extra_content))
    ident = given.id or f"call_{choice}_{number}"
    custom = given.custom
    if custom is not None:
        return ToolUse(ident, custom.name or "", custom.input or "", True, signature, origin)
    function = given.function or t.Function()
    return ToolUse(
        ident, function.name or "", function.arguments or "", signature=signature, origin=origin
    )


def encode_answer(answer: Answer, context: AnswerContext) -> bytes:
    """A whole answer for the client."""
    tools = ClientTools(context.request)
    body: dict[str, object] = {
        "id": answer.id or f"chatcmpl-{context.id}",
        "object": "chat.completion",
        "created": answer.created or context.now,
        "model": answer.model or context.model,
        "choices": [
            _choice_node(choice, number, context, tools)
            for number, choice in enumerate(answer.choices or [Choice(parts=[])])
        ],
    }
    if answer.usage is not None:
        body["usage"] = usage_fields(answer.usage)
    if answer.service_tier:
        body["service_tier"] = answer.service_tier
    return encode(body)


def _choice_node(
    choice: Choice, number: int, context: AnswerContext, tools: ClientTools
) -> dict[str, object]:
    message = _Message(context, tools)
    for part in choice.parts:
        message.add(part)
    finish = choice.finish or Finish("stop")
    word = finish_word(finish, called=bool(message.calls), refused=message.refusal is not None)
    node: dict[str, object] = {
        "index": number,
        "message": message.node(),
        "logprobs": choice.logprobs,
        "finish_reason": word,
    }
    if finish.native and finish.native != word:
        node["native_finish_reason"] = finish.native
    return node


class _Message:
    """A `message` while its parts come in: the wire keeps no order between kinds."""

    def __init__(self, context: AnswerContext, tools: ClientTools) -> None:
        self._context = context
        self._tools = tools
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._details: list[dict[str, object]] = []
        self._images: list[dict[str, object]] = []
        self._notes: list[Raw] = []
        self._audio: object = None
        self.calls: list[dict[str, object]] = []
        self.refusal: str | None = None

    def add(self, part: Part) -> None:
        """The next part of the answer."""
        match part:
            case Text(text=text, citations=citations):
                self._texts.append(text)
                if citations is not None:
                    self._notes += annotations_of(*citations)
            case Thinking():
                self._think(part)
            case Refusal(text=text):
                self.refusal = (self.refusal or "") + text
            case ToolUse():
                self.calls.append(self._call(part))
            case Media(kind="image"):
                self._images.append({"index": len(self._images), **answer_image(part)})
            case Media(kind="audio") if part.data:
                self._audio = {"data": part.data}
            case Media():
                address = part.url or f"data:{part.mime};base64,{part.data}"
                self._texts.append(f"[{part.name or part.kind}]({address})")
            case Opaque(text=text):
                self._texts.append(text)
            case _:
                pass

    def _think(self, part: Thinking) -> None:
        self._thoughts.append(part.text)
        if part.signature:
            entry = client_entry(part, len(self._details))
            if not part.redacted:
                entry["chars"] = len(part.text)
            self._details.append(entry)

    def _call(self, part: ToolUse) -> dict[str, object]:
        name = self._tools.name(part.name)
        node: dict[str, object] = {"id": part.id or f"call_{self._context.id}_{len(self.calls)}"}
        if part.custom or self._tools.custom(name):
            text = part.arguments if part.custom else self._tools.free_form(part.arguments)
            node |= {"type": "custom", "custom": {"name": name, "input": text}}
        else:
            function = {"name": name, "arguments": part.arguments or "{}"}
            node |= {"type": "function", "function": function}
        if part.signature:
            node["extra_content"] = call_extra(part.signature, part.origin)
        return node

    def node(self) -> dict[str, object]:
        """The message."""
        text = "".join(self._texts)
        bare = not text and (self.calls or self.refusal is not None or self._images)
        out: dict[str, object] = {"role": "assistant", "content": None if bare else text}
        thought = "".join(self._thoughts)
        if thought:
            out["reasoning_content"] = thought
        if self._details:
            out["reasoning_details"] = self._details
        out["refusal"] = self.refusal
        if self._notes:
            out["annotations"] = self._notes
        if self._images:
            out["images"] = self._images
        if self._audio is not None:
            out["audio"] = self._audio
        if self.calls:
            out["tool_calls"] = self.calls
        return out


def encode_count(tokens: int) -> bytes:
    """A token count; the API has no such answer, this is its `usage` object."""
    counts = {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens}
    return encode({"usage": counts})
