"""Members of parts and settings that a wire has no place for: one table for all encoders. Pure.

Encoders list by themselves what they turn down as a whole; this is about what is left of the rest. Source:
the API references of the four wires.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.convo.model import Lost, Media, Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.convo.model import Message, Reasoning, Request, ToolUse
    from proxy.wire.base import Target

_MEDIA: Final = ("name", "detail", "context", "citations")
_DOCUMENT: Final = ("name", "context", "citations")
_PLACES: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "chat": {"image": ("detail",), "file": ("name",), "address": ("name",)},
    "responses": {"image": ("detail",), "file": ("name",), "text": ("name",)},
    "anthropic": dict.fromkeys(("file", "address", "id", "text"), _DOCUMENT),
    "gemini": {"text": ("name",)},
}
"""Wire -> form of media -> which of `_MEDIA` it can be told."""
_WHY: Final = "the protocol has no place for it"
_SUMMARIES: Final = ("", "auto", "none")
"""Wishes for a summary that say no more than whether thoughts are to be shown."""
_NAMELESS: Final = ("anthropic", "responses", "gemini")
_FORMATS_OF_SCHEMA: Final = ("anthropic", "gemini")
"""Wires that are told the schema of an answer and nothing about it."""
_SETTINGS: Final = (
    ("parallel_tool_calls", (None, True)),
    ("user", ("",)),
    ("metadata", (None,)),
    ("service_tier", ("",)),
    ("verbosity", ("",)),
    ("store", (None, False)),
)
"""What Gemini has no settings for, with the values that need no mention."""


def of_message(message: Message, path: str, wire: str, lost: list[Lost]) -> None:
    """What a turn loses besides its parts."""
    if message.name and wire in _NAMELESS:
        lost.append(Lost(f"{path}.name", _WHY))


def of_text(part: Text, path: str, wire: str, lost: list[Lost]) -> None:
    """What a text loses; to be asked where it has `citations` or a `signature`."""
    if part.citations is not None and part.citations[0] != wire:
        lost.append(Lost(f"{path}.citations", _WHY))
    if part.signature and part.origin != wire:
        lost.append(Lost(f"{path}.signature", f"a signature of the {part.origin} wire"))


def of_call(part: ToolUse, path: str, lost: list[Lost]) -> None:
    """The signature of a call that goes to another provider; to be asked where it has one."""
    lost.append(Lost(f"{path}.signature", f"a signature of the {part.origin} wire"))


def of_media(part: Media, path: str, wire: str, lost: list[Lost]) -> None:
    """What an image, sound or document loses."""
    places = _PLACES[wire].get(_form(part, wire), ())
    lost += [
        Lost(f"{path}.{member}", _WHY)
        for member in _MEDIA
        if member not in places and getattr(part, member) not in ("", "auto", None)
    ]


def _form(part: Media, wire: str) -> str:
    """The kind of media; of documents, also how they come. Responses alone takes an image as a file."""
    if part.mime.startswith("image/") and wire != "responses":
        return "image"
    if part.text:
        return "text"
    if part.kind != "file" or part.data:
        return part.kind
    return "address" if part.url else "id"


def of_thinking(reasoning: Reasoning, target: Target, lost: list[Lost]) -> None:
    """A wish that a model is to think, which is known not to."""
    off = reasoning.effort == "none" or reasoning.budget == 0
    if target.capability.thinking is False and not off:
        lost.append(Lost("reasoning", f"{target.model} does not think"))


def of_gemini(request: Request, lost: list[Lost]) -> None:
    """Parameters that Gemini has no settings for."""
    for name, silent in _SETTINGS:
        if getattr(request, name) not in silent:
            lost.append(Lost(name, "the Gemini API has no such setting"))


def of_settings(request: Request, target: Target, wire: str, lost: list[Lost]) -> None:
    """What is said about thinking and the format of the answer, and has no place; to be asked where
    something is said."""
    reasoning, form = request.reasoning, request.format
    if reasoning is not None:
        if reasoning.summary not in _SUMMARIES and wire != "responses":
            lost.append(Lost("reasoning.summary", _WHY))
        if reasoning.include is False and wire == "chat":
            lost.append(Lost("reasoning.include", "whether thoughts are shown is the upstream's"))
        if wire in ("chat", "responses"):
            of_thinking(reasoning, target, lost)
    if form is not None and form.description and wire in _FORMATS_OF_SCHEMA:
        lost.append(Lost("response_format.description", _WHY))
