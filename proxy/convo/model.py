"""Requests and answers as conversation: a superset of the wires, not a common denominator.

Every wire decodes into these and encodes from these. What a wire has and this model has not stays as
`Opaque(origin, raw)` (inside messages) or in `Request.extras` (top-level keys), and comes out again
only on a wire of the same origin. Whatever an encoder cannot carry goes on the `Lost` list.

Wire names (`origin`): chat, responses, anthropic, gemini.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Raw, Struct

Role: TypeAlias = Literal["user", "assistant", "system"]
MediaKind: TypeAlias = Literal["image", "audio", "video", "file"]
FinishReason: TypeAlias = Literal["stop", "tool", "length", "filter", "refusal", "pause", "error"]
Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max", "auto"]


class Text(Struct, omit_defaults=True):
    """Text. `citations`: (origin, raw list) as the origin wire spells annotations/citations."""

    text: str
    cache: Raw | None = None
    """Anthropic `cache_control`, a hint: other wires drop it without listing it."""
    citations: tuple[str, Raw] | None = None
    signature: str = ""
    """Gemini's thoughtSignature of a text part (`origin` = its wire); other wires drop it."""
    origin: str = ""


class Thinking(Struct, omit_defaults=True):
    """Reasoning text. `signature` is the provider's proof; `origin` the wire that issued it.

    A signature goes back only to its own origin; towards clients of another wire it travels sealed
    (`convo/signature.py`). For `responses`, `signature` is `encrypted_content` and `id` the item id.
    `redacted`: there is no readable text, `signature` holds Anthropic's `redacted_thinking.data`.
    `raw`: true reasoning text rather than a summary (Responses `reasoning_text`).
    """

    text: str
    signature: str = ""
    origin: str = ""
    id: str = ""
    redacted: bool = False
    raw: bool = False


class Media(Struct, omit_defaults=True):
    """An image, sound, video or document: inline (`data` = base64, no data: prefix), by url, or by id.

    `text` holds a plain-text document's text instead of `data`. `cache` as in `Text`.
    """

    kind: MediaKind
    mime: str = ""
    data: str = ""
    url: str = ""
    file_id: str = ""
    text: str = ""
    name: str = ""
    detail: str = ""
    context: str = ""
    cache: Raw | None = None
    citations: Raw | None = None
    """Anthropic's `citations` setting of a document, a hint like `cache`."""


class ToolUse(Struct, omit_defaults=True):
    """A call the model made. `arguments` is JSON text as the model wrote it (perhaps cut short).

    `custom`: a free-form tool; `arguments` is then the raw input, not JSON.
    `signature`/`origin`: Gemini's thoughtSignature of this call, or a sealed one.
    """

    id: str
    name: str
    arguments: str
    custom: bool = False
    signature: str = ""
    origin: str = ""
    cache: Raw | None = None


class ToolResult(Struct, omit_defaults=True):
    """What the tool answered. `content` holds Text, Media, Opaque. `name` when the wire gives it.

    `value`: the result as a JSON value where the wire has one (Gemini `functionResponse.response`);
    `content` is then empty and encoders of text wires send its JSON text.
    """

    id: str
    content: list[Part]
    name: str = ""
    is_error: bool = False
    value: Raw | None = None
    custom: bool = False
    cache: Raw | None = None


class Refusal(Struct, omit_defaults=True):
    """The model's refusal text, where the wire tells it apart from text."""

    text: str


class Opaque(Struct, omit_defaults=True):
    """A part this model does not know: re-emitted on its origin's wire, else listed as lost.

    `type` is its type word there; `text` a readable rendering for other wires, if there is one
    (Gemini executableCode, search results), which encoders send as Text instead of losing it.
    """

    origin: str
    raw: Raw
    type: str = ""
    text: str = ""


Part: TypeAlias = Text | Thinking | Media | ToolUse | ToolResult | Refusal | Opaque


class Message(Struct, omit_defaults=True):
    """One turn. Tool results are parts of a `user` message, in the order the wire had them."""

    role: Role
    parts: list[Part]
    name: str = ""


class Tool(Struct, omit_defaults=True):
    """A tool. kind `function`: name, description, schema. `custom`: free-form (`raw` = format).

    `server`: run by the provider (web search, code execution ...): `type` its type word, `raw` the
    whole declaration as its origin spells it. `web_search` is the one server tool all wires have:
    decoders set `type="web_search"` for every spelling of it.
    """

    name: str
    description: str = ""
    schema: Raw | None = None
    kind: Literal["function", "custom", "server"] = "function"
    strict: bool | None = None
    type: str = ""
    origin: str = ""
    raw: Raw | None = None
    cache: Raw | None = None


class ToolChoice(Struct, omit_defaults=True):
    """`tool` names one; `allowed` limits `auto` or `required` to `names`."""

    mode: Literal["auto", "none", "required", "tool"]
    name: str = ""
    names: list[str] | None = None


class Reasoning(Struct, omit_defaults=True):
    """How much to think, as the client said it. At most one of `effort` and `budget`.

    `budget`: tokens; 0 = off, -1 = dynamic. `effort="none"` = off, `"auto"` = dynamic (Anthropic
    `adaptive`, enabled without a budget). `include`: thoughts wanted in the answer; None = not said.
    `summary`: Responses' word (auto, concise, detailed).
    """

    effort: Effort | None = None
    budget: int | None = None
    include: bool | None = None
    summary: str = ""


class Format(Struct, omit_defaults=True):
    """Structured output: `json` (any object) or `schema`."""

    kind: Literal["text", "json", "schema"]
    schema: Raw | None = None
    name: str = ""
    description: str = ""
    strict: bool | None = None


class Request(Struct, omit_defaults=True):
    """A whole request, of any wire. None = the client did not say.

    `system`: system field / instructions / leading system and developer messages (Text parts).
    Later ones stay in `messages` with role `system`.
    `extras`: unknown top-level keys of wire `origin`, re-emitted only on that wire.
    """

    model: str
    messages: list[Message]
    origin: str = ""
    stream: bool = False
    system: list[Part] = []
    tools: list[Tool] = []
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: list[str] = []
    seed: int | None = None
    n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    reasoning: Reasoning | None = None
    format: Format | None = None
    verbosity: str = ""
    user: str = ""
    metadata: Raw | None = None
    service_tier: str = ""
    store: bool | None = None
    cache_key: str = ""
    """`prompt_cache_key`, or what tells one conversation from another."""
    include_usage: bool | None = None
    modalities: list[str] = []
    extras: dict[str, Raw] = {}
    implied: tuple[str, ...] = ()
    """Keys of `extras` that say nothing which other members do not hold, so that encoders list none.
    What nobody read inside of them finds `wire/unread.py`."""
    echo: Raw | None = None
    """The client's whole request where its answers echo fields of it (Responses)."""


class Usage(Struct, omit_defaults=True):
    """Tokens. `input` includes cached ones, `output` includes reasoning. None = not told."""

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    """Read from cache (part of input)."""
    cache_write: int | None = None
    """Written to cache (part of input)."""
    reasoning: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    extras: Raw | None = None
    """The origin's whole usage object, for its own wire."""


class Finish(Struct, omit_defaults=True):
    """Why it ended: `reason` in neutral words, `native` the upstream's word, `origin` its wire."""

    reason: FinishReason
    native: str = ""
    origin: str = ""
    sequence: str = ""
    """The stop sequence that matched, where told."""


class Choice(Struct, omit_defaults=True):
    """One candidate answer."""

    parts: list[Part]
    finish: Finish | None = None
    logprobs: Raw | None = None


class Answer(Struct, omit_defaults=True):
    """A whole (not streamed) answer."""

    choices: list[Choice]
    id: str = ""
    model: str = ""
    created: int = 0
    usage: Usage | None = None
    service_tier: str = ""
    error: ErrorInfo | None = None
    """An answer that is itself an error (200 with an error inside, `response.failed`)."""
    own: Raw | None = None
    """The answer as its upstream's last event has it whole, for a client of that wire (Responses)."""


class ErrorInfo(Struct, omit_defaults=True):
    """An error that came inside an answer or stream. `status` 0 = not told."""

    message: str
    type: str = ""
    code: str = ""
    status: int = 0
    origin: str = ""
    raw: Raw | None = None


class Lost(Struct, omit_defaults=True):
    """A field that a translation could not carry. With `more`: so many further ones, without a path."""

    path: str
    why: str
    more: int = 0


class Capability(Struct, frozen=True, omit_defaults=True):
    """What is known of an upstream model; the default is 'nothing known', which restricts nothing.

    `levels` non-empty: the model takes effort words only. `budget_max` > 0: it takes token budgets.
    `thinking=False`: it is known not to think (thinking settings are removed for it).
    """

    thinking: bool | None = None
    levels: tuple[str, ...] = ()
    budget_min: int = 0
    budget_max: int = 0
    zero_allowed: bool = False
    dynamic_allowed: bool = False
    context: int = 0
    output: int = 0
