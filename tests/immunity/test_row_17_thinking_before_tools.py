"""Row 17: with thinking on, the assistant turn of an open tool loop begins with its own thinking, or
thinking is off for that call.

The Messages API answers 400 otherwise: "a final `assistant` message must start with a thinking block".
Clients of other protocols seldom return one.
"""

from __future__ import annotations

import json

import pytest

from proxy.convo.signature import seal
from tests.upstream_bodies import sent

CALL = {"id": "call_1", "type": "function", "function": {"name": "ls", "arguments": "{}"}}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "a"}
TOOLS = [{"type": "function", "function": {"name": "ls", "parameters": {"type": "object"}}}]
MODEL = "claude-sonnet-4-5"


def chat(*messages: dict) -> dict:
    first = {"role": "user", "content": "list"}
    return {
        "model": "m",
        "reasoning_effort": "high",
        "tools": TOOLS,
        "messages": [first, *messages],
    }


def test_thinking_is_off_where_the_loop_has_no_thought():
    body = sent(
        "chat", "anthropic", chat({"role": "assistant", "tool_calls": [CALL]}, RESULT), MODEL
    )
    assert "thinking" not in body


def test_thinking_stays_on_with_its_own_thought():
    thought = {
        "reasoning_content": "I list.",
        "reasoning_details": [
            {"type": "reasoning.text", "signature": seal("c2ln", "anthropic", "chat"), "index": 0}
        ],
    }
    said = {"role": "assistant", "tool_calls": [CALL], **thought}
    body = sent("chat", "anthropic", chat(said, RESULT), MODEL)
    assert body["thinking"]["type"] == "enabled"
    assert body["messages"][1]["content"][0]["type"] == "thinking"


def test_a_loop_that_is_over_does_not_matter():
    over = [{"role": "assistant", "tool_calls": [CALL]}, RESULT]
    over += [{"role": "assistant", "content": "done"}, {"role": "user", "content": "thanks"}]
    assert sent("chat", "anthropic", chat(*over), MODEL)["thinking"]["type"] == "enabled"


@pytest.mark.parametrize("signed", [True, False])
def test_a_wish_by_model_name_on_the_same_wire(signed):
    """`model(high)`: the body passes, but for its thinking."""
    from proxy import wire as wires
    from proxy.convo.model import Reasoning
    from proxy.jsonio import decode, encode, top_level
    from proxy.wire.base import Target

    use = {"type": "tool_use", "id": "t", "name": "ls", "input": {}}
    thought = [{"type": "thinking", "thinking": "x", "signature": "c2ln"}] if signed else []
    result = {"type": "tool_result", "tool_use_id": "t", "content": "a"}
    turns = [("user", "list"), ("assistant", [*thought, use]), ("user", [result])]
    messages = [{"role": role, "content": content} for role, content in turns]
    raw = json.dumps({"model": "m", "max_tokens": 9, "messages": messages}).encode()
    body = dict(top_level(raw))
    target = Target(model=MODEL)
    wires.get("anthropic").patch_reasoning(body, Reasoning(effort="high"), target, [])
    assert ("thinking" in decode(encode(body))) is signed
