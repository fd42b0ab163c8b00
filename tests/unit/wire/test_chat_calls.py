"""What clients of Chat Completions insist on in tool call fragments."""

from __future__ import annotations

import msgspec

from proxy.convo import events as ev
from proxy.convo.model import Finish, ToolUse
from proxy.wire import get
from proxy.wire.base import AnswerContext


def test_every_fragment_of_a_call_has_a_function() -> None:
    """AI SDK clients (opencode) end the turn over a fragment without one."""
    context = AnswerContext(request=None, model="m", stream=True, now=7, id="ab" * 12)
    out = (
        get("chat")
        .stream_encoder(context)
        .encode(
            [
                ev.Start(model="m"),
                ev.PartStart(0, ToolUse("call_1", "bash", "")),
                ev.ArgumentsDelta(0, '{"command":"ls"}'),
                ev.SignatureDelta(0, "cHJvb2Y=", "gemini"),
                ev.PartEnd(0),
                ev.Finished(Finish("tool")),
                ev.End(),
            ]
        )
    )
    chunks = [msgspec.json.decode(b[6:]) for b in out.split(b"\n\n") if b.startswith(b"data: {")]
    deltas = [c["choices"][0]["delta"] for c in chunks if c["choices"]]
    calls = [call for delta in deltas for call in delta.get("tool_calls", [])]
    assert len(calls) >= 2
    assert all("function" in call for call in calls)
    assert "".join(call["function"].get("arguments", "") for call in calls) == '{"command":"ls"}'
    assert any(call.get("extra_content") for call in calls)
