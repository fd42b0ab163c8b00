"""Row 16: Gemini's signature of a call survives a Chat client that returns the call as it got it; for
one that keeps the standard fields only, the documented value stands in and the turn is no 400."""

from __future__ import annotations

import json

import pytest

from proxy import wire as wires
from proxy.wire.base import AnswerContext
from proxy.wire.lanes import lane
from tests.upstream_bodies import sent

MODEL = "gemini-3-pro-preview"
CONTEXT = AnswerContext(request=None, model="m", stream=True, now=1, id="ab12")
PART = {"functionCall": {"name": "ls", "args": {"path": "/"}}, "thoughtSignature": "c2lnbmF0dXJl"}
CHUNK = {"candidates": [{"content": {"parts": [PART], "role": "model"}, "finishReason": "STOP"}]}


def answered() -> dict:
    """The assistant message that a client of the Chat API puts together from the stream."""
    one = lane(wires.get("gemini"), wires.get("chat"), CONTEXT)
    data = one.feed(b"data: %b\n\n" % json.dumps(CHUNK).encode()) + one.eof()
    call: dict = {}
    for line in data.split(b"\n\n"):
        if not line.startswith(b"data: {"):
            continue
        for choice in json.loads(line[6:])["choices"]:
            for delta in choice["delta"].get("tool_calls") or ():
                function = delta.pop("function", {})
                call.setdefault("function", {"name": "", "arguments": ""})
                call["function"]["name"] += function.get("name") or ""
                call["function"]["arguments"] += function.get("arguments") or ""
                call.update({key: value for key, value in delta.items() if value is not None})
    call.pop("index")
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def signature_sent(said: dict) -> str:
    ident = said["tool_calls"][0]["id"]
    result = {"role": "tool", "tool_call_id": ident, "content": "a.txt"}
    messages = [{"role": "user", "content": "list"}, said, result]
    body = sent("chat", "gemini", {"model": "m", "messages": messages}, MODEL)
    (call,) = [p for c in body["contents"] for p in c["parts"] if "functionCall" in p]
    assert call["functionCall"]["args"] == {"path": "/"}
    return call["thoughtSignature"]


def test_a_call_that_comes_back_whole_keeps_its_signature():
    assert signature_sent(answered()) == "c2lnbmF0dXJl"


@pytest.mark.parametrize("kept", [("id", "type", "function")])
def test_standard_fields_only(kept):
    said = answered()
    said["tool_calls"] = [{key: said["tool_calls"][0][key] for key in kept}]
    assert signature_sent(said) == "skip_thought_signature_validator"
