"""Structs of the Responses API: request items, answer items, stream events.

Field names are the API reference's. Lenient on purpose: unknown members are ignored here, and what has
no Struct at all stays `Raw`.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

ABSENT: Final = Raw(b"null")
"""An optional member that is not there; msgspec takes no `Raw | None`."""


class Item(Struct):
    """One element of `input` or `output`, of any type; absent members are None."""

    type: str = ""
    role: str = ""
    content: str | list[Raw] | None = None
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: Raw = ABSENT
    input: Raw = ABSENT
    output: Raw = ABSENT
    summary: list[Content] | None = None
    encrypted_content: str | None = None
    action: Raw = ABSENT
    result: str | None = None
    output_format: str | None = None


class Content(Struct):
    """A content part of a message, of a tool's output, or of a reasoning item."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    image_url: str | ImageUrl | None = None
    detail: str | None = None
    file_id: str | None = None
    filename: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    input_audio: Audio | None = None
    annotations: list[Raw] | None = None


class ImageUrl(Struct):
    """Chat Completions' spelling of an image, which clients send here too."""

    url: str = ""
    detail: str | None = None


class Audio(Struct):
    """`input_audio`: base64 data and wav or mp3."""

    data: str = ""
    format: str = ""


class ReasoningSettings(Struct):
    """`reasoning` of a request."""

    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


class TextFormat(Struct):
    """`text.format`."""

    type: str = ""
    name: str | None = None
    description: str | None = None
    schema: Raw = ABSENT
    strict: bool | None = None


class TextSettings(Struct):
    """`text` of a request."""

    format: TextFormat | None = None
    verbosity: str | None = None


class ToolSpec(Struct):
    """An element of `tools`. `function`: Chat Completions' nesting, which clients send here too."""

    type: str = ""
    name: str | None = None
    description: str | None = None
    parameters: Raw = ABSENT
    strict: bool | None = None
    format: Raw = ABSENT
    function: ToolSpec | None = None


class Choice(Struct):
    """`tool_choice` as an object."""

    type: str = ""
    name: str | None = None
    mode: str | None = None
    tools: list[Choice] | None = None
    function: Choice | None = None


class RequestBody(Struct):
    """The members of a request that the conversation model knows."""

    model: str | None = None
    input: str | list[Raw] | None = None
    instructions: str | list[Raw] | None = None
    stream: bool | None = None
    tools: list[Raw] | None = None
    tool_choice: Raw = ABSENT
    parallel_tool_calls: bool | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    reasoning: ReasoningSettings | None = None
    text: TextSettings | None = None
    user: str | None = None
    metadata: Raw = ABSENT
    service_tier: str | None = None
    store: bool | None = None
    prompt_cache_key: str | None = None


KNOWN: Final = frozenset(RequestBody.__struct_fields__)


class InputDetails(Struct):
    """`usage.input_tokens_details`."""

    cached_tokens: int | None = None


class OutputDetails(Struct):
    """`usage.output_tokens_details`."""

    reasoning_tokens: int | None = None


class UsageBody(Struct):
    """`usage`: input includes cached tokens, output includes reasoning tokens."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None


class ErrorBody(Struct):
    """`error` of a response, of an `error` event and of an error answer."""

    message: str | None = None
    type: str | None = None
    code: str | int | None = None


class Incomplete(Struct):
    """`incomplete_details`."""

    reason: str | None = None


class ResponseBody(Struct):
    """The response object."""

    id: str | None = None
    object: str | None = None
    model: str | None = None
    created_at: float | None = None
    status: str | None = None
    output: list[Raw] | None = None
    error: Raw = ABSENT
    incomplete_details: Incomplete | None = None
    usage: Raw = ABSENT
    service_tier: str | None = None


def given(value: Raw) -> bool:
    """Whether an optional JSON member is there and not null."""
    return bytes(value) != b"null"


request_body: Final = msgspec.json.Decoder(RequestBody)
item: Final = msgspec.json.Decoder(Item)
content: Final = msgspec.json.Decoder(Content)
tool: Final = msgspec.json.Decoder(ToolSpec)
tool_choice: Final = msgspec.json.Decoder(str | Choice)
response: Final = msgspec.json.Decoder(ResponseBody)
usage: Final = msgspec.json.Decoder(UsageBody)
error: Final = msgspec.json.Decoder(ErrorBody)
raws: Final = msgspec.json.Decoder(list[Raw])
text: Final = msgspec.json.Decoder(str)
