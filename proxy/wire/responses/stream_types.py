"""Stream events of the Responses API as one tagged union, keyed by `type`."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from proxy.wire.responses.types import ABSENT, ResponseBody


class _Named(Struct, tag_field="type"):
    """An event; `output_index` names the item, `content_index` the part of a message."""

    output_index: int = 0
    content_index: int = 0


class _Delta(_Named, gc=False):
    delta: str = ""


class TextDelta(_Delta, tag="response.output_text.delta"):
    """More text."""


class RefusalDelta(_Delta, tag="response.refusal.delta"):
    """More refusal text."""


class SummaryDelta(_Delta, tag="response.reasoning_summary_text.delta"):
    """More of a reasoning summary."""

    summary_index: int = 0


class ReasoningDelta(_Delta, tag="response.reasoning_text.delta"):
    """More raw reasoning."""


class ArgumentsDelta(_Delta, tag="response.function_call_arguments.delta"):
    """More arguments."""


class InputDelta(_Delta, tag="response.custom_tool_call_input.delta"):
    """More input of a free-form tool."""


class TextDone(_Named, tag="response.output_text.done"):
    """The whole text of a part."""

    text: str = ""


class RefusalDone(_Named, tag="response.refusal.done"):
    """The whole refusal."""

    refusal: str = ""


class SummaryDone(_Named, tag="response.reasoning_summary_text.done"):
    """A whole summary part."""

    text: str = ""
    summary_index: int = 0


class ReasoningDone(_Named, tag="response.reasoning_text.done"):
    """The whole raw reasoning."""

    text: str = ""


class ArgumentsDone(_Named, tag="response.function_call_arguments.done"):
    """The whole arguments."""

    arguments: str = ""


class InputDone(_Named, tag="response.custom_tool_call_input.done"):
    """The whole input of a free-form tool."""

    input: str = ""


class PartAdded(_Named, tag="response.content_part.added"):
    """A content part opens."""

    part: Raw = Raw(b"{}")


class PartDone(_Named, tag="response.content_part.done"):
    """A content part is whole."""

    part: Raw = Raw(b"{}")


class Annotation(_Named, tag="response.output_text.annotation.added"):
    """One annotation of a text."""

    annotation: Raw = Raw(b"{}")


class ItemAdded(_Named, tag="response.output_item.added"):
    """An output item opens."""

    item: Raw = Raw(b"{}")


class ItemDone(_Named, tag="response.output_item.done"):
    """An output item is whole."""

    item: Raw = Raw(b"{}")


class _State(Struct, tag_field="type"):
    response: ResponseBody | None = None


class Created(_State, tag="response.created"):
    """The answer begins."""


class Completed(_State, tag="response.completed"):
    """The end."""


class Done(_State, tag="response.done"):
    """The end, as older Codex backends say it."""


class Incomplete(_State, tag="response.incomplete"):
    """The end, cut short."""


class Failed(_State, tag="response.failed"):
    """The end by an error."""


class Cancelled(_State, tag="response.cancelled"):
    """The end by cancellation."""


class Error(Struct, tag_field="type", tag="error"):
    """An error in the stream; flat by the reference, nested by some servers."""

    message: str | None = None
    code: str | int | None = None
    error: Raw = ABSENT


class Keepalive(Struct, tag_field="type", tag="keepalive"):
    """Codex's ping."""


Terminal = Completed | Done | Incomplete | Failed | Cancelled
StreamEvent = (
    TextDelta
    | RefusalDelta
    | SummaryDelta
    | ReasoningDelta
    | ArgumentsDelta
    | InputDelta
    | TextDone
    | RefusalDone
    | SummaryDone
    | ReasoningDone
    | ArgumentsDone
    | InputDone
    | PartAdded
    | PartDone
    | Annotation
    | ItemAdded
    | ItemDone
    | Created
    | Completed
    | Done
    | Incomplete
    | Failed
    | Cancelled
    | Error
    | Keepalive
)

event: Final = msgspec.json.Decoder(StreamEvent)


class _Kind(Struct):
    type: str = ""


kind: Final = msgspec.json.Decoder(_Kind)
KINDS: Final = frozenset(
    str(member.__struct_config__.tag) for member in StreamEvent.__args__ if member is not Keepalive
)
