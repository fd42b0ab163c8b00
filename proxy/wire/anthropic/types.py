"""Structs of the Messages API (https://docs.anthropic.com/en/api/messages). Only what is acted on.

Fields that only pass through are `Raw`; unknown fields are dropped by the decoders, unknown tags raise
and are caught where a list of blocks is read (`request.py`) or an event arrives (`stream.py`).
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec
from msgspec import Raw, Struct

NAME: Final = "anthropic"
NOTHING: Final = Raw()
"""An absent value; msgspec does not decode `Raw | None`."""


def given(raw: Raw) -> Raw | None:
    """None for absent and for null."""
    return raw if raw and bytes(raw) != b"null" else None


class Source(Struct):
    """Where an image or document comes from: base64, url, file, text or content."""

    type: str = ""
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: Raw = NOTHING


class TextBlock(Struct, tag_field="type", tag="text"):
    """Text."""

    text: str = ""
    cache_control: Raw = NOTHING
    citations: Raw = NOTHING


class ImageBlock(Struct, tag_field="type", tag="image"):
    """An image."""

    source: Source
    cache_control: Raw = NOTHING


class DocumentBlock(Struct, tag_field="type", tag="document"):
    """A PDF or text document."""

    source: Source
    title: str | None = None
    context: str | None = None
    citations: Raw = NOTHING
    cache_control: Raw = NOTHING


class ThinkingBlock(Struct, tag_field="type", tag="thinking"):
    """Thinking with its proof."""

    thinking: str = ""
    signature: str | None = None


class RedactedBlock(Struct, tag_field="type", tag="redacted_thinking"):
    """Thinking that only Anthropic can read."""

    data: str = ""


class ToolUseBlock(Struct, tag_field="type", tag="tool_use"):
    """A call."""

    id: str
    name: str
    input: Raw = NOTHING
    cache_control: Raw = NOTHING


class ToolResultBlock(Struct, tag_field="type", tag="tool_result"):
    """The answer to a call."""

    tool_use_id: str
    content: str | list[ResultBlock] | None = None
    is_error: bool | None = None
    cache_control: Raw = NOTHING


class LooseToolResult(Struct):
    """A tool_result whose content holds a block that is not in `ResultBlock`."""

    tool_use_id: str
    content: list[Raw] = []
    is_error: bool | None = None
    cache_control: Raw = NOTHING


ResultBlock: TypeAlias = TextBlock | ImageBlock | DocumentBlock
Block: TypeAlias = (
    TextBlock
    | ToolUseBlock
    | ToolResultBlock
    | ThinkingBlock
    | ImageBlock
    | DocumentBlock
    | RedactedBlock
)


class MessageIn(Struct):
    """A message of known blocks."""

    role: str
    content: str | list[Block] | None = None


class LooseMessage(Struct):
    """A message that holds a block of an unknown type."""

    role: str
    content: str | list[Raw] | None = None


class Peek(Struct):
    """Just the type word."""

    type: str = ""


class ThinkingConfig(Struct):
    """`thinking`."""

    type: str = ""
    budget_tokens: int | None = None
    display: str | None = None


class FormatIn(Struct):
    """`output_format`, `output_config.format`."""

    type: str = ""
    schema: Raw = NOTHING


class OutputConfig(Struct):
    """`output_config`."""

    effort: str | None = None
    format: FormatIn | None = None


class ToolChoiceIn(Struct):
    """`tool_choice`."""

    type: str = "auto"
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class SearchResult(Struct):
    """A search_result block, as far as its readable text goes."""

    title: str | None = None
    source: str | None = None
    content: list[TextBlock] = []


class UsageIn(Struct):
    """Counts of an answer; `input_tokens` leaves out what was read from or written to the cache."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    service_tier: str | None = None


class ErrorBody(Struct):
    """`error` of an error body or event."""

    type: str | None = None
    message: str | None = None


class MessageOut(Struct):
    """A whole answer; also the `message` of message_start."""

    id: str | None = None
    type: str | None = None
    model: str | None = None
    content: list[Raw] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: Raw = NOTHING
    error: Raw = NOTHING


class TextDeltaIn(Struct, tag_field="type", tag="text_delta"):
    """More text."""

    text: str = ""


class ThinkingDeltaIn(Struct, tag_field="type", tag="thinking_delta"):
    """More thinking."""

    thinking: str = ""


class JsonDeltaIn(Struct, tag_field="type", tag="input_json_delta"):
    """More of a call's input."""

    partial_json: str = ""


class SignatureDeltaIn(Struct, tag_field="type", tag="signature_delta"):
    """The proof of a thinking block."""

    signature: str = ""


class CitationsDeltaIn(Struct, tag_field="type", tag="citations_delta"):
    """One more citation of a text."""

    citation: Raw


DeltaIn: TypeAlias = (
    TextDeltaIn | ThinkingDeltaIn | JsonDeltaIn | SignatureDeltaIn | CitationsDeltaIn
)


class BlockDelta(Struct, tag_field="type", tag="content_block_delta"):
    """More of an open block."""

    delta: DeltaIn
    index: int = 0


class BlockStart(Struct, tag_field="type", tag="content_block_start"):
    """A block opens."""

    content_block: Raw
    index: int = 0


class BlockStop(Struct, tag_field="type", tag="content_block_stop"):
    """A block is whole."""

    index: int = 0


class StopFields(Struct):
    """`delta` of message_delta."""

    stop_reason: str | None = None
    stop_sequence: str | None = None


class MessageDelta(Struct, tag_field="type", tag="message_delta"):
    """The stop reason and the final counts."""

    delta: StopFields | None = None
    usage: Raw = NOTHING


class MessageStart(Struct, tag_field="type", tag="message_start"):
    """The answer begins."""

    message: MessageOut


class MessageStop(Struct, tag_field="type", tag="message_stop"):
    """The answer ended."""


class PingIn(Struct, tag_field="type", tag="ping"):
    """Keep-alive."""


class ErrorIn(Struct, tag_field="type", tag="error"):
    """The answer broke off."""

    error: Raw = NOTHING


StreamEvent: TypeAlias = (
    BlockDelta
    | BlockStart
    | BlockStop
    | MessageDelta
    | MessageStart
    | MessageStop
    | PingIn
    | ErrorIn
)

peek = msgspec.json.Decoder(Peek)
raw_list = msgspec.json.Decoder(list[Raw])
block = msgspec.json.Decoder(Block)
usage = msgspec.json.Decoder(UsageIn)
search_result = msgspec.json.Decoder(SearchResult)
