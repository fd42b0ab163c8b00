"""Structs of Chat Completions (https://platform.openai.com/docs/api-reference/chat). Only what is acted on.

Fields that only pass through are `Raw`. Compatible upstreams bend the types (content as a list, arguments
as an object); the strict Structs serve the usual chunk, `loose.py` mends the rest.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

NAME: Final = "chat"
NOTHING: Final = Raw()
"""An absent value; msgspec does not decode `Raw | None`."""
_NULL: Final = Raw(b"null")


def given(raw: Raw) -> Raw | None:
    """A field's value, None where it is absent or null."""
    return None if not raw or raw == _NULL else raw


def is_object(raw: Raw) -> bool:
    """Whether it holds a JSON object."""
    return bytes(memoryview(raw)[:1]) == b"{"


class Function(Struct, omit_defaults=True):
    """`function` of a call or delta, `function_call` of older APIs."""

    name: str | None = None
    arguments: str | None = None


class Custom(Struct, omit_defaults=True):
    """`custom` of a call: free-form input."""

    name: str | None = None
    input: str | None = None


class Call(Struct, omit_defaults=True):
    """A tool call, whole or a fragment. `extra_content.google.thought_signature`: Google's own form."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: Function | None = None
    custom: Custom | None = None
    extra_content: Raw = NOTHING


class Delta(Struct):
    """`delta` of a chunk's choice, and `message` of a whole answer."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[Call] | None = None
    reasoning_details: list[Raw] | None = None
    function_call: Function | None = None
    images: list[Raw] | None = None
    audio: Raw = NOTHING
    annotations: list[Raw] | None = None
    reasoning_text: str | None = None
    reasoning_opaque: str | None = None
    """Copilot's spelling of thinking and its signature."""


class ChunkChoice(Struct):
    """One choice of a chunk; some upstreams put a whole `message` into the last one."""

    index: int = 0
    delta: Delta | None = None
    finish_reason: str | None = None
    message: Delta | None = None
    logprobs: Raw = NOTHING


class CountDetails(Struct):
    """`prompt_tokens_details`, `completion_tokens_details`."""

    cached_tokens: int | float | None = None
    cache_write_tokens: int | float | None = None
    audio_tokens: int | float | None = None
    reasoning_tokens: int | float | None = None


class UsageIn(Struct):
    """`usage`; `prompt_cache_hit_tokens` is DeepSeek's, `reasoning_tokens` xAI's spelling."""

    prompt_tokens: int | float | None = None
    completion_tokens: int | float | None = None
    prompt_tokens_details: CountDetails | None = None
    completion_tokens_details: CountDetails | None = None
    prompt_cache_hit_tokens: int | float | None = None
    reasoning_tokens: int | float | None = None


class Chunk(Struct):
    """A chunk of a stream, and a whole answer (`message` in place of `delta`)."""

    choices: list[ChunkChoice] | None = None
    id: str | None = None
    model: str | None = None
    created: int | float | None = None
    usage: Raw = NOTHING
    error: Raw = NOTHING
    service_tier: str | None = None


class Url(Struct):
    """`image_url`, `video_url`."""

    url: str = ""
    detail: str | None = None


class Audio(Struct):
    """`input_audio`: base64 and `wav` or `mp3`."""

    data: str = ""
    format: str = ""


class File(Struct):
    """`file`: a data URL (or bare base64), an uploaded file's id, or an address."""

    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None


class PartIn(Struct):
    """A content part of a request; which field counts is said by `type`."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    image_url: str | Url | None = None
    video_url: str | Url | None = None
    input_audio: Audio | None = None
    file: File | None = None
    cache_control: Raw = NOTHING


class AudioRef(Struct):
    """`audio` of an assistant message."""

    id: str = ""


class MessageIn(Struct):
    """A message of a request."""

    role: str
    content: str | list[PartIn] | None = None
    name: str | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None
    function_call: Function | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Raw] | None = None
    reasoning_text: str | None = None
    reasoning_opaque: str | None = None
    audio: Raw = NOTHING


class RawContent(Struct):
    """A message whose parts are wanted as they were."""

    content: list[Raw] | str | None = None


class Detail(Struct, omit_defaults=True):
    """An entry of `reasoning_details` (OpenRouter). `chars`: how much of `reasoning_content` it proves."""

    type: str = ""
    text: str | None = None
    summary: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    format: str | None = None
    index: int | None = None
    chars: int | None = None


class FunctionDef(Struct):
    """`function` of a tool, an entry of `functions`."""

    name: str
    description: str | None = None
    parameters: Raw = NOTHING
    strict: bool | None = None


class CustomDef(Struct):
    """`custom` of a tool."""

    name: str
    description: str | None = None
    format: Raw = NOTHING


class ToolIn(Struct):
    """An entry of `tools`; flat function tools are the Responses spelling, which some clients send."""

    type: str | None = None
    function: FunctionDef | None = None
    custom: CustomDef | None = None
    name: str | None = None
    description: str | None = None
    parameters: Raw = NOTHING
    strict: bool | None = None
    cache_control: Raw = NOTHING


class Named(Struct):
    """A tool by name, nested or flat."""

    type: str | None = None
    name: str | None = None
    function: Function | None = None
    custom: Custom | None = None


class Allowed(Struct):
    """`allowed_tools` of a tool choice."""

    mode: str = "auto"
    tools: list[Named] = []


class ToolChoiceIn(Named):
    """`tool_choice` as an object."""

    allowed_tools: Allowed | None = None
    mode: str | None = None
    tools: list[Named] | None = None


class SchemaIn(Struct):
    """`json_schema` of a response format."""

    name: str = ""
    description: str | None = None
    schema: Raw = NOTHING
    strict: bool | None = None


class FormatIn(Struct):
    """`response_format`."""

    type: str = "text"
    json_schema: SchemaIn | None = None


class StreamOptions(Struct):
    """`stream_options`."""

    include_usage: bool | None = None


class ReasoningIn(Struct):
    """`reasoning` (OpenRouter) and `thinking` (others)."""

    effort: str | None = None
    max_tokens: int | None = None
    exclude: bool | None = None
    enabled: bool | None = None
    type: str | None = None
    budget_tokens: int | None = None


chunk = msgspec.json.Decoder(Chunk)
usage = msgspec.json.Decoder(UsageIn)
detail = msgspec.json.Decoder(Detail)
