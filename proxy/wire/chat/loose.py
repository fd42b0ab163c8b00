"""Chunks and answers whose fields have other types than documented, mended into the Structs.

Seen in the wild: `content` as a list of parts (with `thinking` parts), `arguments` as an object, numeric
ids, `tool_calls` with nulls. What still does not fit is left out of its place; the rest is kept.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from proxy.jsonio import Json, decode, encode
from proxy.wire.chat import types as t


def mend(data: bytes | str | Raw) -> t.Chunk | None:
    """The chunk, or None where it is no JSON object at all."""
    try:
        given: Json = decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(given, dict):
        return None
    choices = given.get("choices")
    return t.Chunk(
        [_choice(item) for item in choices if isinstance(item, dict)]
        if isinstance(choices, list)
        else None,
        _word(given.get("id")),
        _word(given.get("model")),
        _number(given.get("created")),
        _raw(given.get("usage")),
        _raw(given.get("error")),
        _word(given.get("service_tier")),
    )


def mend_messages(raw: Raw) -> bytes | None:
    """`messages` with what clients commonly bend put straight; None if nothing was to be done.

    Arguments of calls as objects, content as one part or as a list with bare strings.
    """
    given: Json = decode(raw)
    if not isinstance(given, list):
        return None
    changed = False
    for message in given:
        if isinstance(message, dict):
            changed |= _mend_message(message)
    return encode(given) if changed else None


def _mend_message(message: dict[str, Json]) -> bool:
    changed = False
    content = message.get("content")
    if isinstance(content, dict):
        message["content"], changed = [content], True
    elif isinstance(content, list) and any(isinstance(part, str) for part in content):
        message["content"] = [
            {"type": "text", "text": part} if isinstance(part, str) else part for part in content
        ]
        changed = True
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and isinstance(function.get("arguments"), dict | list):
            function["arguments"] = encode(function["arguments"]).decode()
            changed = True
    return changed


def _choice(given: Json) -> t.ChunkChoice:
    return t.ChunkChoice(
        int(_number(given.get("index")) or 0),
        _delta(given.get("delta")),
        _word(given.get("finish_reason")),
        _delta(given.get("message")),
        _raw(given.get("logprobs")),
    )


def _delta(given: Json) -> t.Delta | None:
    if not isinstance(given, dict):
        return None
    text, thought = _content(given.get("content"))
    calls = given.get("tool_calls")
    legacy = given.get("function_call")
    return t.Delta(
        content=text,
        reasoning_content=_word(given.get("reasoning_content")) or thought or None,
        reasoning=_word(given.get("reasoning")),
        refusal=_word(given.get("refusal")),
        tool_calls=[_call(item) for item in calls if isinstance(item, dict)]
        if isinstance(calls, list)
        else None,
        reasoning_details=_raws(given.get("reasoning_details")),
        function_call=_function(legacy) if isinstance(legacy, dict) else None,
        images=_raws(given.get("images")),
        audio=_raw(given.get("audio")),
        annotations=_raws(given.get("annotations")),
        reasoning_text=_word(given.get("reasoning_text")),
        reasoning_opaque=_word(given.get("reasoning_opaque")),
    )


def _content(given: Json) -> tuple[str | None, str]:
    """(text, thinking) of content that may be a text or a list of parts."""
    if not isinstance(given, list):
        return _word(given), ""
    texts: list[str] = []
    thoughts: list[str] = []
    for part in given:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and part.get("type") == "thinking":
            inner = part.get("thinking")
            thoughts.append(_content(inner)[0] or "")
        elif isinstance(part, dict):
            texts.append(_word(part.get("text")) or _word(part.get("refusal")) or "")
    return "".join(texts), "".join(thoughts)


def _call(given: Json) -> t.Call:
    function, custom = given.get("function"), given.get("custom")
    index = given.get("index")
    return t.Call(
        index=index if isinstance(index, int) else None,
        id=_word(given.get("id")),
        type=_word(given.get("type")),
        function=_function(function) if isinstance(function, dict) else None,
        custom=t.Custom(_word(custom.get("name")), _word(custom.get("input")))
        if isinstance(custom, dict)
        else None,
        extra_content=_raw(given.get("extra_content")),
    )


def _function(given: Json) -> t.Function:
    arguments = given.get("arguments")
    if isinstance(arguments, dict | list):
        arguments = encode(arguments).decode()
    return t.Function(_word(given.get("name")), _word(arguments))


def _word(given: Json) -> str | None:
    if isinstance(given, str):
        return given
    return str(given) if isinstance(given, int | float) else None


def _number(given: Json) -> int | float | None:
    return given if isinstance(given, int | float) else None


def _raw(given: Json) -> Raw:
    return Raw() if given is None else Raw(encode(given))


def _raws(given: Json) -> list[Raw] | None:
    return [Raw(encode(item)) for item in given] if isinstance(given, list) else None
