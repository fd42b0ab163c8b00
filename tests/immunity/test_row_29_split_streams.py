"""Rows 20, 22 and 29: a stream gives the same client bytes however the network cuts it, a call is one
call, and an answer with a call ends as one."""

from __future__ import annotations

import itertools
import json

import pytest

from proxy import wire as wires
from proxy.convo import events as ev
from proxy.convo.fold import fold
from proxy.convo.model import Finish, Text, Thinking, ToolUse, Usage
from proxy.wire.base import AnswerContext
from proxy.wire.lanes import lane
from tests.upstream_bodies import WIRES

CONTEXT = AnswerContext(request=None, model="m", stream=True, now=1, id="ab12")
SAID = [
    ev.Start("up-1", "real", 5),
    ev.PartStart(0, Thinking("")),
    ev.ThinkingDelta(0, "I list."),
    ev.PartEnd(0),
    ev.PartStart(1, Text("")),
    ev.TextDelta(1, "Élan \U0001f4a1"),
    ev.TextDelta(1, "\nline two"),
    ev.PartEnd(1),
    ev.PartStart(2, ToolUse("call_1", "ls", "")),
    ev.ArgumentsDelta(2, '{"path":'),
    ev.ArgumentsDelta(2, '"/tmp"}'),
    ev.PartEnd(2),
    ev.UsageSeen(Usage(10, 5)),
    ev.Finished(Finish("tool")),
    ev.End(),
]
PAIRS = [(u, c) for u, c in itertools.product(WIRES, WIRES) if u != c]


def recorded(wire: str) -> bytes:
    """What an upstream of this wire sends."""
    return wires.get(wire).stream_encoder(CONTEXT).encode(SAID)


def through(upstream: str, client: str, pieces: list[bytes]) -> bytes:
    one = lane(wires.get(upstream), wires.get(client), CONTEXT)
    return b"".join(one.feed(piece) for piece in pieces) + one.eof()


@pytest.mark.parametrize(("upstream", "client"), PAIRS)
def test_every_cut_gives_the_same_bytes(upstream, client):
    data = recorded(upstream)
    whole = through(upstream, client, [data])
    for at in range(1, len(data)):
        assert through(upstream, client, [data[:at], data[at:]]) == whole, at
    assert through(upstream, client, [bytes([byte]) for byte in data]) == whole
    assert through(upstream, client, [data.replace(b"\n", b"\r\n")]) == whole


@pytest.mark.parametrize(("upstream", "client"), PAIRS)
def test_data_over_several_lines(upstream, client):
    data = recorded(upstream)
    # A line break between members is white space in JSON, so any server may send it so.
    spread = data.replace(b',"', b',\ndata: "')
    assert through(upstream, client, [spread]) == through(upstream, client, [data])


@pytest.mark.parametrize("upstream", WIRES)
def test_one_call_in_one_call_out(upstream):
    """Deltas and the done event that repeats them are one call, whose end says so."""
    for client in WIRES:
        data = through(upstream, client, [recorded(upstream)])
        decoder = wires.get(client).stream_decoder()
        answer = fold(decoder.feed(data) + decoder.eof())
        (choice,) = answer.choices
        calls = [part for part in choice.parts if isinstance(part, ToolUse)]
        assert [(c.name, json.loads(c.arguments)) for c in calls] == [("ls", {"path": "/tmp"})]
        assert choice.finish.reason == "tool"
        assert "".join(p.text for p in choice.parts if isinstance(p, Text)) == (
            "Élan \U0001f4a1\nline two"
        )


@pytest.mark.parametrize("upstream", ["chat", "anthropic"])
def test_a_call_without_arguments_is_an_empty_object(upstream):
    said = [*SAID[:8], ev.PartStart(2, ToolUse("call_1", "ls", "")), *SAID[11:]]
    data = wires.get(upstream).stream_encoder(CONTEXT).encode(said)
    for client in WIRES:
        if client == upstream:
            continue
        out = through(upstream, client, [data])
        decoder = wires.get(client).stream_decoder()
        (choice,) = fold(decoder.feed(out) + decoder.eof()).choices
        (call,) = [part for part in choice.parts if isinstance(part, ToolUse)]
        assert json.loads(call.arguments or "{}") == {}
        assert choice.finish.reason == "tool"


@pytest.mark.parametrize(("upstream", "client"), [("chat", "anthropic"), ("anthropic", "chat")])
def test_a_stop_that_forgot_its_call_is_told_as_a_call(upstream, client):
    said = [*SAID[:-2], ev.Finished(Finish("stop")), ev.End()]
    data = wires.get(upstream).stream_encoder(CONTEXT).encode(said)
    out = through(upstream, client, [data])
    decoder = wires.get(client).stream_decoder()
    (choice,) = fold(decoder.feed(out) + decoder.eof()).choices
    assert choice.finish.reason == "tool"


def test_a_huge_event_passes_in_pieces():
    text = "x" * (20 << 20)
    said = [*SAID[:5], ev.TextDelta(1, text), *SAID[7:8], *SAID[-3:]]
    data = wires.get("chat").stream_encoder(CONTEXT).encode(said)
    pieces = [data[i : i + 65536] for i in range(0, len(data), 65536)]
    out = through("chat", "anthropic", pieces)
    assert out == through("chat", "anthropic", [data])
    assert text.encode() in out
