"""Stream events: what a decoder gives for upstream bytes and an encoder takes for client bytes.

Rules that every decoder keeps and every encoder may rely on:
1. `Start` comes first, once. `Finish` of each choice, then `End` come last; nothing follows `End`.
2. Parts are numbered from 0 per choice, contiguously, in order of their `PartStart`. A delta names
   an open part. Parts may overlap (parallel calls); text and thinking parts never do: a decoder of a
   wire without part borders (chat, gemini) closes the open text or thinking part when the kind changes.
3. All parts are ended before their choice's `Finished`; a decoder's `eof()` closes what is open.
4. A stream that ends without the wire's own terminal event gives `Failed` (kind `cut`), then `End`.
5. `UsageSeen` may come at any time and several times; later values replace earlier ones field-wise.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Raw, Struct

from proxy.convo.model import ErrorInfo, Finish, Part, Usage


class Start(Struct, omit_defaults=True):
    """The answer begins."""

    id: str = ""
    model: str = ""
    created: int = 0
    service_tier: str = ""


class PartStart(Struct, omit_defaults=True):
    """A part opens. `part` is its skeleton: empty Text, Thinking, Refusal; a ToolUse with id and name
    and empty arguments; or a whole Media / Opaque / redacted Thinking that gets no deltas."""

    index: int
    part: Part
    choice: int = 0


class TextDelta(Struct, omit_defaults=True):
    """More text of a Text or Refusal part."""

    index: int
    text: str
    choice: int = 0


class ThinkingDelta(Struct, omit_defaults=True):
    """More text of a Thinking part."""

    index: int
    text: str
    choice: int = 0


class ArgumentsDelta(Struct, omit_defaults=True):
    """More argument text of a ToolUse part."""

    index: int
    text: str
    choice: int = 0


class SignatureDelta(Struct, omit_defaults=True):
    """The signature of a Thinking, Text or ToolUse part, whole. `origin`: the wire that issued it."""

    index: int
    signature: str
    origin: str
    choice: int = 0
    id: str = ""


class CitationDelta(Struct, omit_defaults=True):
    """Annotations or citations of a Text part, as their origin spells one."""

    index: int
    origin: str
    raw: Raw
    choice: int = 0


class PartEnd(Struct, omit_defaults=True):
    """A part is whole."""

    index: int
    choice: int = 0


class UsageSeen(Struct, omit_defaults=True):
    """Token counts so far."""

    usage: Usage


class Finished(Struct, omit_defaults=True):
    """One choice is done."""

    finish: Finish
    choice: int = 0


class Failed(Struct, omit_defaults=True):
    """An error inside the stream; `End` follows."""

    error: ErrorInfo


class Ping(Struct):
    """A keep-alive of the upstream's own protocol. Never useful, never commits."""


class End(Struct):
    """Nothing follows."""


Event: TypeAlias = (
    Start
    | PartStart
    | TextDelta
    | ThinkingDelta
    | ArgumentsDelta
    | SignatureDelta
    | CitationDelta
    | PartEnd
    | UsageSeen
    | Finished
    | Failed
    | Ping
    | End
)
