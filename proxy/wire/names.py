"""Tool names that had to change for an upstream, turned back in its answer.

Each wire with a rule of its own has a module `names` with `client_names(request)`: name sent -> the
client's name. The rule depends on the request alone, so nothing has to be kept between the two.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

from proxy.convo import events as ev
from proxy.convo.model import ToolUse

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.convo.model import Answer, Request

_HOMES: Final = {
    "anthropic": "anthropic",
    "gemini": "gemini",
    "gemini_cli": "gemini",
    "kiro": "kiro",
    "responses": "responses",
}
"""Wire -> the package of its rule, imported when it is first needed, as the codecs are."""


def client_names(upstream: str, request: Request | None) -> dict[str, str]:
    """Name sent to this upstream wire -> the client's; {} as a rule."""
    home = _HOMES.get(upstream)
    if home is None or request is None:
        return {}
    module = import_module(f"proxy.wire.{home}.names")
    rule = cast("Callable[[Request], dict[str, str]]", module.client_names)
    return rule(request)


def restore_events(events: list[ev.Event], names: dict[str, str]) -> None:
    """Gives the calls that open in these events their own names, in place."""
    for event in events:
        if isinstance(event, ev.PartStart) and isinstance(event.part, ToolUse):
            event.part.name = names.get(event.part.name, event.part.name)


def restore_answer(answer: Answer, names: dict[str, str]) -> None:
    """Gives the calls of a whole answer their own names, in place."""
    if names:
        answer.own = None
    for choice in answer.choices:
        for part in choice.parts:
            if isinstance(part, ToolUse):
                part.name = names.get(part.name, part.name)
