"""Row 28: an error inside a 200 is a failure of its target, a notice is not, and no byte is sent twice."""

from __future__ import annotations

import msgspec
import pytest

from proxy import wire as wires
from proxy.wire.base import AnswerContext
from proxy.wire.lanes import lane
from tests.scripted import (
    ANSWER,
    DONE,
    ROLE,
    STREAM,
    FakeReply,
    FakeTransport,
    block,
    chain,
    chunk,
    claude_stream,
    credential,
    exchange,
    sse,
)

SSE = [(b"content-type", b"text/event-stream")]
JSON = [(b"content-type", b"application/json")]
PROVIDERS = {
    "chat": "openai-compat",
    "responses": "codex",
    "anthropic": "claude",
    "gemini": "gemini",
}
CREATED = {"id": "resp_1", "object": "response", "status": "in_progress", "output": []}


def event(kind: str, **fields) -> bytes:
    return f"event: {kind}\n".encode() + sse({"type": kind, **fields})


FRAMES = {
    "chat": [
        [sse({"error": {"message": "busy", "code": 529}})],
        [ROLE, sse({"error": {"message": "busy", "type": "server_error"}})],
        [b": ping\n\n", ROLE, b'event: error\ndata: {"message":"busy"}\n\n'],
    ],
    "responses": [
        [event("error", message="busy", code="server_error")],
        [
            event("response.created", response=CREATED),
            event(
                "response.failed",
                response={
                    **CREATED,
                    "status": "failed",
                    "error": {"code": "server_error", "message": "busy"},
                },
            ),
        ],
        [
            event("response.created", response=CREATED),
            sse({"type": "error", "error": {"type": "usage_limit_reached", "message": "busy"}}),
        ],
    ],
    "anthropic": [
        [block("error", error={"type": "overloaded_error", "message": "busy"})],
        [
            *claude_stream("x")[:2],
            block("ping"),
            block("error", error={"type": "api_error", "message": "busy"}),
        ],
    ],
    "gemini": [
        [sse({"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}})],
        [
            sse({"candidates": [{"content": {"role": "model", "parts": []}, "index": 0}]}),
            sse({"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}),
        ],
    ],
}
CASES = [
    (wire, number, client)
    for wire, frames in FRAMES.items()
    for number in range(len(frames))
    for client in sorted({"chat", "anthropic", wire})
    if client != "gemini"
]


@pytest.mark.parametrize(("wire", "number", "client"), CASES)
async def test_an_error_frame_before_content_moves_on(wire: str, number: int, client: str) -> None:
    transport = FakeTransport(
        FakeReply(200, FRAMES[wire][number], SSE), FakeReply(200, STREAM, SSE)
    )
    plan = chain(credential("u", wire=wire, provider=PROVIDERS[wire]), "b")
    more = {"input": "hi", "messages": None} if client == "responses" else {"max_tokens": 9}
    out, live = await exchange(transport, plan, wire=client, stream=True, **more)
    assert len(transport.calls) == 2
    assert b"busy" not in out.body
    assert out.body.count(b"Hello") >= 1
    assert dict(out.headers)[b"x-pointsman-target"] == b"b"
    failed, answered = [line for line in live.log._lines if " attempt " in line]
    assert "target=u" in failed
    assert "reason=" in failed
    assert "status=ok" in answered


WHOLE = {
    "chat": {"error": {"message": "busy", "type": "server_error"}},
    "anthropic": {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}},
    "responses": {
        **CREATED,
        "status": "failed",
        "error": {"code": "server_error", "message": "busy"},
    },
    "gemini": {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}},
}


@pytest.mark.parametrize("wire", WHOLE)
@pytest.mark.parametrize("same", [True, False])
async def test_an_error_as_a_whole_answer_moves_on(wire: str, same: bool) -> None:
    if same and wire == "gemini":
        pytest.skip("the model of a Gemini client stands in the URL")
    client = wire if same else ("chat" if wire == "anthropic" else "anthropic")
    transport = FakeTransport(
        FakeReply(200, [msgspec.json.encode(WHOLE[wire])], JSON), FakeReply(200, [ANSWER], JSON)
    )
    plan = chain(credential("u", wire=wire, provider=PROVIDERS[wire]), "b")
    more = {"input": "hi", "messages": None} if client == "responses" else {"max_tokens": 9}
    out, _ = await exchange(transport, plan, wire=client, **more)
    assert len(transport.calls) == 2
    assert out.status == 200
    assert b"busy" not in out.body


async def test_a_field_of_that_name_is_no_error() -> None:
    answer = ANSWER[:-1] + b',"error":null,"x":{"error":{"message":"of a tool"}}}'
    out, _ = await exchange(FakeTransport(FakeReply(200, [answer], JSON)), chain("a", "b"))
    assert out.body == answer


async def test_an_error_in_words_of_its_own_moves_on() -> None:
    told = b'{"status":"449","msg":"busy","body":null}'
    transport = FakeTransport(FakeReply(200, [told], JSON), FakeReply(200, [ANSWER], JSON))
    out, _ = await exchange(transport, chain("a", "b"))
    assert (len(transport.calls), out.status, out.body) == (2, 200, ANSWER)


async def test_a_null_error_in_every_chunk_is_no_error() -> None:
    pieces = [b'data: {"error":null,' + piece[7:] for piece in STREAM[:-1]] + [DONE]
    out, live = await exchange(
        FakeTransport(FakeReply(200, pieces, SSE)), chain("a", "b"), stream=True
    )
    assert out.body == b"".join(pieces)
    assert not any("broken" in line for line in live.log._lines)


NOTICES = {
    "responses": [
        event("codex.rate_limits", rate_limits={"primary": {"used_percent": 99}}),
        event("response.created", response=CREATED),
        event("response.in_progress", response=CREATED),
        event("keepalive"),
        event("response.queued", response=CREATED),
    ],
    "chat": [
        b": OPENROUTER PROCESSING\n\n",
        ROLE,
        chunk(content=""),
        sse({"choices": [], "prompt_filter_results": []}),
        sse({"type": "rate_limits", "remaining": 0}),
    ],
    "anthropic": [
        *claude_stream("x")[:2],
        block("ping"),
        block("content_block_delta", index=0, delta={"type": "text_delta", "text": ""}),
        block("rate_limits", remaining=0),
    ],
    "gemini": [
        b": ping\n\n",
        sse({"usageMetadata": {"promptTokenCount": 4}}),
        sse({"candidates": [{"content": {"role": "model", "parts": [{"text": ""}]}, "index": 0}]}),
    ],
}


@pytest.mark.parametrize("wire", NOTICES)
@pytest.mark.parametrize("client", ["chat", "responses", "anthropic", "gemini"])
@pytest.mark.parametrize("resumes", [False, True])
def test_a_notice_is_neither_useful_nor_a_failure(wire: str, client: str, resumes: bool) -> None:
    context = AnswerContext(request=None, model="m", stream=True, now=0, id="0" * 24)
    relayed = lane(wires.get(wire), wires.get(client), context, resumes=resumes)
    for notice in NOTICES[wire]:
        relayed.feed(notice)
        assert not relayed.useful, notice
        assert not relayed.finished, notice
        assert relayed.failed is None, notice


async def test_after_content_an_error_frame_is_passed_on_once() -> None:
    error = sse({"error": {"message": "busy", "code": 529}})
    transport = FakeTransport(FakeReply(200, [ROLE, chunk(content="Hello"), error], SSE))
    out, _ = await exchange(transport, chain("a", "b"), stream=True)
    assert len(transport.calls) == 1
    assert out.body.count(b"Hello") == 1
    assert out.body.count(b"busy") == 1


async def test_content_and_error_in_one_piece_send_nothing_of_it() -> None:
    error = sse({"error": {"message": "busy", "code": 529}})
    transport = FakeTransport(
        FakeReply(200, [ROLE + chunk(content="lost") + error], SSE), FakeReply(200, STREAM, SSE)
    )
    out, _ = await exchange(transport, chain("a", "b"), stream=True)
    assert out.body == b"".join(STREAM)


async def test_an_upstream_that_stays_open_after_its_error_does_not_hold_the_client(
    autojump_clock,
) -> None:
    error = sse({"error": {"message": "busy", "code": 529}})
    pieces = [ROLE, chunk(content="Hello"), error, 600.0]
    out, _ = await exchange(FakeTransport(FakeReply(200, pieces, SSE)), chain("a"), stream=True)
    assert out.ended
    assert b"busy" in out.body
