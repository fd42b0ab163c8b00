"""What clients of Chat Completions insist on in calls and images."""

from __future__ import annotations

import msgspec

from proxy.convo import events as ev
from proxy.convo.model import Answer, Choice, Finish, Media, ToolUse
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


def test_images_of_a_whole_answer_are_numbered() -> None:
    """As those of a stream are, by which clients put them together."""
    context = AnswerContext(request=None, model="m", stream=False, now=7, id="ab" * 12)
    images = [Media("image", "image/png", data="aGk="), Media("image", "image/png", data="aG8=")]
    out = msgspec.json.decode(get("chat").encode_answer(Answer([Choice([*images])]), context))
    listed = out["choices"][0]["message"]["images"]
    assert [image["index"] for image in listed] == [0, 1]
