"""Token counts where the upstream has no counting endpoint: an estimate, and readers of counts.

No tokenizer is shipped: vocabularies are megabytes and differ per model. The estimate follows what
byte-pair encoders do with text: about four Latin letters a token, one per CJK character, and a few
tokens of frame per message and tool. It errs on the high side.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import DecodeError, Struct

from proxy.convo.model import (
    Media,
    Opaque,
    Part,
    Refusal,
    Request,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
)

_PIECES: Final = re.compile(r"[A-Za-z]+|[0-9]{1,3}|[^\sA-Za-z0-9]")
_MESSAGE_FRAME: Final = 4
_TOOL_FRAME: Final = 12
_IMAGE: Final = 1100
"""About what a megapixel image costs."""
_BYTES_PER_DOCUMENT_TOKEN: Final = 16


def of_text(text: str) -> int:
    """Tokens of a text, estimated in linear time."""
    total = 0
    for piece in _PIECES.finditer(text):
        letters = piece.end() - piece.start()
        total += 1 if letters <= 7 else (letters + 4) // 5
    return total


def estimate(request: Request) -> int:
    """Input tokens of a whole request."""
    total = 3 + sum(of_part(part) for part in request.system)
    if request.system:
        total += _MESSAGE_FRAME
    for message in request.messages:
        total += _MESSAGE_FRAME + sum(of_part(part) for part in message.parts)
    for tool in request.tools:
        total += _TOOL_FRAME + of_text(tool.name) + of_text(tool.description)
        for raw in (tool.schema, tool.raw):
            if raw is not None:
                total += of_text(bytes(raw).decode("utf-8", "replace"))
    return total


def of_part(part: Part) -> int:
    """Tokens of one part."""
    match part:
        case Text() | Thinking() | Refusal():
            return of_text(part.text)
        case ToolUse():
            return _MESSAGE_FRAME + of_text(part.name) + of_text(part.arguments)
        case ToolResult():
            inner = sum(of_part(inner) for inner in part.content)
            value = bytes(part.value).decode("utf-8", "replace") if part.value is not None else ""
            return _MESSAGE_FRAME + inner + of_text(value)
        case Media():
            if part.kind == "image":
                return _IMAGE
            return of_text(part.text) + len(part.data) // _BYTES_PER_DOCUMENT_TOKEN
        case Opaque():
            return of_text(bytes(part.raw).decode("utf-8", "replace"))


class _Count(Struct):
    input_tokens: int | None = None
    totalTokens: int | None = None  # noqa: N815  # Gemini's spelling


_decoder = msgspec.json.Decoder(_Count)


def read_count(body: bytes) -> int:
    """The figure in an upstream's count answer (Anthropic or Gemini); 0 if there is none."""
    try:
        count = _decoder.decode(body)
    except DecodeError:
        return 0
    return count.input_tokens if count.input_tokens is not None else count.totalTokens or 0
