"""Messages of a Chat Completions request to the turns of a conversation."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from proxy.convo.model import (
    Message,
    Opaque,
    Part,
    Refusal,
    Text,
    ToolResult,
    ToolUse,
)
from proxy.wire.chat import media
from proxy.wire.chat import types as t
from proxy.wire.chat.loose import mend_messages
from proxy.wire.chat.proofs import call_signature, opaque_of, thinking_of

_messages = msgspec.json.Decoder(list[t.MessageIn])
_raw_messages = msgspec.json.Decoder(list[t.RawContent])
_part = msgspec.json.Decoder(t.PartIn)
_AUDIO: Final = "assistant_audio"


class _Legacy:
    """Ids for calls of the API before `tool_calls`, which had none: made by order, found by name."""

    def __init__(self) -> None:
        self._count = 0
        self._open: dict[str, list[str]] = {}

    def call(self, name: str) -> str:
        self._count += 1
        ident = f"call_legacy_{self._count}"
        self._open.setdefault(name, []).append(ident)
        return ident

    def result(self, name: str) -> str:
        waiting = self._open.get(name)
        return waiting.pop(0) if waiting else f"call_legacy_{name}"


def conversation(raw: Raw) -> tuple[list[Part], list[Message]]:
    """(leading system texts, messages). Raises msgspec.DecodeError with the path below `messages`."""
    try:
        given = _messages.decode(raw)
    except msgspec.ValidationError:
        mended = mend_messages(raw)
        if mended is None:
            raise
        given = _messages.decode(mended)
    raws: list[t.RawContent] | None = None
    legacy = _Legacy()
    system: list[Part] = []
    out: list[Message] = []
    for number, message in enumerate(given):
        content: list[Part] = []
        if isinstance(message.content, str):
            content.append(Text(message.content))
        elif message.content:
            for index, item in enumerate(message.content):
                part = _content_part(item)
                if part is None:
                    if raws is None:
                        raws = _raw_messages.decode(raw)
                    part = Opaque(t.NAME, raws[number].content[index], item.type, item.text or "")  # type: ignore[index, arg-type]  # a list in one reading is a list in the other
                content.append(part)
        _add(message, content, system, out, legacy)
    return system, out


def _add(
    message: t.MessageIn,
    content: list[Part],
    system: list[Part],
    out: list[Message],
    legacy: _Legacy,
) -> None:
    role = message.role
    name = message.name or ""
    if role in ("system", "developer"):
        if out:
            out.append(Message("system", content, name))
        else:
            system += content
    elif role in ("tool", "function"):
        result = ToolResult(message.tool_call_id or "", content)
        if role == "function":
            result.name, result.id = name, legacy.result(name)
        if out and out[-1].role == "user" and isinstance(out[-1].parts[-1], ToolResult):
            out[-1].parts.append(result)
        else:
            out.append(Message("user", [result]))
    elif role == "assistant":
        out.append(Message("assistant", _assistant(message, content, legacy), name))
    elif role == "user":
        out.append(Message("user", content or [Text("")], name))
    else:
        raise msgspec.ValidationError(f"Invalid role '{role}'")


def _content_part(item: t.PartIn) -> Part | None:
    """The part, or None where it is to be kept as it is."""
    match item.type:
        case "text" | "input_text" | "output_text" if item.text is not None:
            return Text(item.text, cache=t.given(item.cache_control))
        case "refusal" if item.refusal is not None:
            return Refusal(item.refusal)
        case "image_url" | "input_image" if item.image_url is not None:
            url = item.image_url
            detail = (url.detail or "") if isinstance(url, t.Url) else ""
            part = media.of_url("image", url.url if isinstance(url, t.Url) else url, detail)
        case "video_url" if item.video_url is not None:
            url = item.video_url
            part = media.of_url("video", url.url if isinstance(url, t.Url) else url)
        case "input_audio" if item.input_audio is not None:
            part = media.of_sound(item.input_audio)
        case "file" if item.file is not None:
            part = media.of_file(item.file)
        case _:
            return None
    part.cache = t.given(item.cache_control)
    return part


def _assistant(message: t.MessageIn, content: list[Part], legacy: _Legacy) -> list[Part]:
    thought = message.reasoning_content or message.reasoning or ""
    parts: list[Part] = [*thinking_of(thought, message.reasoning_details)]
    if message.reasoning_opaque:
        parts.append(opaque_of(message.reasoning_text or "", message.reasoning_opaque))
    parts += content
    if message.refusal and not any(isinstance(part, Refusal) for part in content):
        parts.append(Refusal(message.refusal))
    for call in message.tool_calls or ():
        parts.append(_call(call))
    function = message.function_call
    if function is not None:
        name = function.name or ""
        parts.append(ToolUse(legacy.call(name), name, function.arguments or ""))
    if t.given(message.audio) is not None:
        parts.append(Opaque(t.NAME, message.audio, _AUDIO))
    return parts


def _call(call: t.Call) -> ToolUse:
    signature, origin = call_signature(t.given(call.extra_content))
    custom = call.custom
    if custom is not None:
        return ToolUse(
            call.id or "", custom.name or "", custom.input or "", True, signature, origin
        )
    function = call.function or t.Function()
    return ToolUse(
        call.id or "",
        function.name or "",
        function.arguments or "",
        signature=signature,
        origin=origin,
    )
