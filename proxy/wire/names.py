"""Tool names that had to change for an upstream, turned back in its answer.

Each wire with a rule of its own has a module `names` with `client_names(request)`: name sent -> the
client's name. The rule depends on the request alone, so nothing has to be kept between the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.convo import events as ev
from proxy.convo.model import ToolUse
from proxy.wire.anthropic import names as anthropic
from proxy.wire.gemini import names as gemini
from proxy.wire.responses import names as responses

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.convo.model import Answer, Request

_RULES: Final[dict[str, Callable[[Request], dict[str, str]]]] = {
    "anthropic": anthropic.client_names,
    "gemini": gemini.client_names,
    "gemini_cli": gemini.client_names,
    "responses": responses.client_names,
}


def client_names(upstream: str, request: Request | None) -> dict[str, str]:
    """Name sent to this upstream wire -> the client's; {} as a rule."""
    rule = _RULES.get(upstream)
    return rule(request) if rule is not None and request is not None else {}


def restore_events(events: list[ev.Event], names: dict[str, str]) -> None:
    """Gives the calls that open in these events their own names, in place."""
    for event in events:
        if isinstance(event, ev.PartStart) and isinstance(event.part, ToolUse):
            event.part.name = names.get(event.part.name, event.part.name)


def restore_answer(answer: Answer, names: dict[str, str]) -> None:
    """Gives the calls of a whole answer their own names, in place."""
    for choice in answer.choices:
        for part in choice.parts:
            if isinstance(part, ToolUse):
                part.name = names.get(part.name, part.name)
