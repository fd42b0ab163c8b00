"""Structs of the Gemini wire (Generative Language API, v1beta `GenerateContent`).

The API is proto JSON: camelCase, and snake_case is taken as well. Members that clients or gateways are
known to send in both spellings are declared twice; `either` reads them. `Raw` members are empty, not
None, where they are absent (msgspec does not decode `Raw | None`). `gc=False`: decoded trees have no
cycles, and a stream makes four of them for each event.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

ABSENT: Final = Raw()


class FunctionCall(Struct, gc=False):
    """A call of the model; `args` is a JSON object."""

    name: str | None = None
    id: str | None = None
    args: Raw = ABSENT


class FunctionResponse(Struct, gc=False):
    """The client's result of a call; `parts` holds images and files that belong to it."""

    name: str | None = None
    id: str | None = None
    response: Raw = ABSENT
    parts: Raw = ABSENT


class Blob(Struct, gc=False):
    """Inline bytes in base64."""

    mimeType: str | None = None
    mime_type: str | None = None
    data: str | None = None
    displayName: str | None = None


class FileData(Struct, gc=False):
    """A file by address."""

    mimeType: str | None = None
    mime_type: str | None = None
    fileUri: str | None = None
    file_uri: str | None = None
    displayName: str | None = None


class ExecutableCode(Struct, gc=False):
    """Code that the model ran at the provider."""

    code: str | None = None
    language: str | None = None


class CodeExecutionResult(Struct, gc=False):
    """What that code printed."""

    output: str | None = None
    outcome: str | None = None


class Part(Struct, gc=False):
    """One part; which member is there tells its kind. None of them: a kind that we do not know."""

    text: str | None = None
    thought: bool | None = None
    thoughtSignature: str | None = None
    functionCall: FunctionCall | None = None
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    functionResponse: FunctionResponse | None = None
    function_response: FunctionResponse | None = None
    inlineData: Blob | None = None
    inline_data: Blob | None = None
    fileData: FileData | None = None
    file_data: FileData | None = None
    executableCode: ExecutableCode | None = None
    executable_code: ExecutableCode | None = None
    codeExecutionResult: CodeExecutionResult | None = None
    code_execution_result: CodeExecutionResult | None = None
    videoMetadata: Raw = ABSENT
    video_metadata: Raw = ABSENT


class Content(Struct, gc=False):
    """One turn of a request."""

    role: str | None = None
    parts: list[Part] | None = None


class RawContent(Struct):
    """The same turn with its parts as they are, for kinds that `Part` does not know."""

    parts: list[Raw] | None = None


class AnswerContent(Struct, gc=False):
    """What a candidate says in one chunk."""

    parts: list[Part] | None = None


class Candidate(Struct, gc=False):
    """One candidate of one chunk."""

    content: AnswerContent | None = None
    finishReason: str | None = None
    index: int | None = None
    finish_reason: str | None = None
    groundingMetadata: Raw = ABSENT
    citationMetadata: Raw = ABSENT
    urlContextMetadata: Raw = ABSENT


class PromptFeedback(Struct, gc=False):
    """Why a prompt was not answered."""

    blockReason: str | None = None
    block_reason: str | None = None


class Chunk(Struct, gc=False):
    """One chunk of a stream, or a whole answer."""

    candidates: list[Candidate] | None = None
    usageMetadata: Raw = ABSENT
    modelVersion: str | None = None
    responseId: str | None = None
    createTime: str | None = None
    promptFeedback: PromptFeedback | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: Raw = ABSENT
    model_version: str | None = None
    response_id: str | None = None
    error: Raw = ABSENT


class RawCandidate(Struct):
    """A candidate with its parts as they are."""

    content: RawContent | None = None


class RawChunk(Struct):
    """A chunk with its parts as they are."""

    candidates: list[RawCandidate] | None = None


class Envelope(Struct):
    """A Code Assist answer: the chunk stands in `response`."""

    response: Raw = ABSENT
    error: Raw = ABSENT


class Usage(Struct, gc=False):
    """`usageMetadata`. `candidatesTokenCount` leaves out the thoughts."""

    promptTokenCount: int | None = None
    candidatesTokenCount: int | None = None
    thoughtsTokenCount: int | None = None
    cachedContentTokenCount: int | None = None
    toolUsePromptTokenCount: int | None = None
    totalTokenCount: int | None = None


class ThinkingConfig(Struct):
    """`generationConfig.thinkingConfig`."""

    thinkingBudget: int | None = None
    thinkingLevel: str | None = None
    includeThoughts: bool | None = None


class GenerationConfig(Struct):
    """The members of `generationConfig` that the conversation model has."""

    maxOutputTokens: int | None = None
    temperature: float | None = None
    topP: float | None = None
    topK: float | None = None
    stopSequences: list[str] | None = None
    seed: int | None = None
    candidateCount: int | None = None
    presencePenalty: float | None = None
    frequencyPenalty: float | None = None
    responseLogprobs: bool | None = None
    logprobs: int | None = None
    responseModalities: list[str] | None = None
    responseMimeType: str | None = None
    responseSchema: Raw = ABSENT
    responseJsonSchema: Raw = ABSENT
    thinkingConfig: Raw = ABSENT


class FunctionDeclaration(Struct):
    """One function of a tool, with its parameters as Gemini `Schema` or as JSON Schema."""

    name: str | None = None
    description: str | None = None
    parameters: Raw = ABSENT
    parametersJsonSchema: Raw = ABSENT
    parameters_json_schema: Raw = ABSENT


class FunctionCallingConfig(Struct):
    """`toolConfig.functionCallingConfig`."""

    mode: str | None = None
    allowedFunctionNames: list[str] | None = None


class ApiError(Struct):
    """A google.rpc error."""

    code: int | str | None = None
    message: str | None = None
    status: str | None = None


contents = msgspec.json.Decoder(list[Content])
raw_contents = msgspec.json.Decoder(list[RawContent])
parts = msgspec.json.Decoder(list[Part])
content = msgspec.json.Decoder(Content)
chunk = msgspec.json.Decoder(Chunk)
raw_chunk = msgspec.json.Decoder(RawChunk)
envelope = msgspec.json.Decoder(Envelope)
usage = msgspec.json.Decoder(Usage)
# Not strict: proto JSON takes numbers as strings.
thinking_config = msgspec.json.Decoder(ThinkingConfig, strict=False)
generation_config = msgspec.json.Decoder(GenerationConfig, strict=False)
declaration = msgspec.json.Decoder(FunctionDeclaration)
calling_config = msgspec.json.Decoder(FunctionCallingConfig)
api_error = msgspec.json.Decoder(ApiError)
raw_list = msgspec.json.Decoder(list[Raw])
raw_object = msgspec.json.Decoder(dict[str, Raw])


def given(raw: Raw) -> bool:
    """Whether a `Raw` member was there and is not null."""
    return len(raw) > 0 and bytes(raw) != b"null"


def camel(name: str) -> str:
    """`generation_config` -> `generationConfig`; a camelCase name stays as it is."""
    if "_" not in name:
        return name
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)
