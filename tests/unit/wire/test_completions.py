"""Legacy completions over the chat codec."""

from __future__ import annotations

import msgspec
import pytest

from proxy.convo import events as ev
from proxy.convo.fold import unfold
from proxy.convo.model import Answer, Choice, Finish, Text, Usage
from proxy.errors import ProxyError
from proxy.wire import get
from proxy.wire.base import AnswerContext

WIRE = get("completions")
CONTEXT = AnswerContext(request=None, model="m", stream=True, now=7, id="ab" * 12)
ANSWER = Answer(
    choices=[Choice(parts=[Text("Hi there")], finish=Finish("stop"))],
    model="m",
    usage=Usage(input=3, output=2),
)


def ask(**body):
    return WIRE.decode_request(msgspec.json.encode({"model": "m", **body}))


@pytest.mark.parametrize(
    ("prompt", "text"),
    [("Say hi", "Say hi"), (["a", "b"], "a\nb"), ("", "Complete this:"), (None, "Complete this:")],
)
def test_a_prompt_is_one_user_message(prompt, text) -> None:
    request = ask(prompt=prompt, max_tokens=5, logprobs=3)
    assert [part.text for part in request.messages[0].parts] == [text]
    assert (request.max_tokens, request.logprobs) == (5, True)


@pytest.mark.parametrize("prompt", [5, [1, 2], {"a": 1}])
def test_other_prompts_are_refused(prompt) -> None:
    with pytest.raises(ProxyError) as refused:
        ask(prompt=prompt)
    assert refused.value.status == 400


def test_a_whole_answer() -> None:
    body = msgspec.json.decode(WIRE.encode_answer(ANSWER, CONTEXT))
    assert body["object"] == "text_completion"
    assert body["choices"][0]["text"] == "Hi there"
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"]["prompt_tokens"] == 3


def test_a_stream_has_text_chunks_usage_and_an_end() -> None:
    out = WIRE.stream_encoder(CONTEXT).encode(unfold(ANSWER))
    blocks = [b[6:] for b in out.split(b"\n\n") if b]
    assert blocks[-1] == b"[DONE]"
    chunks = [msgspec.json.decode(b) for b in blocks[:-1]]
    assert {c["object"] for c in chunks} == {"text_completion"}
    assert "".join(c["choices"][0]["text"] for c in chunks if c["choices"]) == "Hi there"
    assert [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]][-1] == "stop"


def test_a_failure_is_an_error_chunk() -> None:
    from proxy.convo.model import ErrorInfo

    out = WIRE.stream_encoder(CONTEXT).encode([ev.Start(), ev.Failed(ErrorInfo("gone")), ev.End()])
    assert b'"error"' in out
    assert b"gone" in out
