"""Names that an upstream would refuse come back as the client's own."""

from __future__ import annotations

import pytest
from msgspec import Raw

from proxy import jsonio
from proxy import wire as wires
from proxy.convo import events as ev
from proxy.convo.model import Answer, Choice, Request, Tool, ToolUse
from proxy.wire import names
from proxy.wire.base import Target

LONG = "mcp__" + "x" * 140 + " odd"


def request():
    return Request(model="m", messages=[], origin="chat", tools=[Tool(LONG), Tool("fine")])


@pytest.mark.parametrize("upstream", ["anthropic", "gemini", "gemini_cli", "responses"])
def test_what_was_sent_is_turned_back(upstream):
    body = wires.get(upstream).encode_request(request(), Target(model="m"), [])
    (sent,) = names.client_names(upstream, request())
    text = jsonio.encode(body).decode()
    assert f'"{sent}"' in text
    assert LONG not in text

    events = [ev.PartStart(0, ToolUse("1", sent, "")), ev.PartStart(1, ToolUse("2", "fine", ""))]
    names.restore_events(events, names.client_names(upstream, request()))
    assert [event.part.name for event in events] == [LONG, "fine"]

    answer = Answer([Choice([ToolUse("1", sent, "{}"), ToolUse("2", "other", "{}")])])
    answer.own = Raw(b"{}")
    names.restore_answer(answer, names.client_names(upstream, request()))
    assert [part.name for part in answer.choices[0].parts] == [LONG, "other"]
    assert answer.own is None


def test_nothing_known_nothing_changed():
    assert names.client_names("gemini", None) == {}
    assert names.client_names("elsewhere", request()) == {}
