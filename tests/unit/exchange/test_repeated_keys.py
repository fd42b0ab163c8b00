"""Upstreams that repeat the key that they were sent, inside an answer of status 200: nobody reads it."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from proxy.config.model import Settings
from proxy.exchange import run
from proxy.secret import Secret
from proxy.upstream.prepare import Ask
from tests.scripted import (
    ROLE,
    FakeReply,
    FakeTransport,
    Out,
    block,
    chain,
    chunk,
    claude_stream,
    credential,
    live_of,
    sse,
)

KEY = "sk-verysecret-0123456789"
WORDS = f"Incorrect API key provided: {KEY}. Find yours at example.com"
EVENTS = [(b"content-type", b"text/event-stream")]
WIRES = {
    "chat": ("openai-compat", [ROLE, chunk(content="Hello")], [sse({"error": {"message": WORDS}})]),
    "anthropic": (
        "claude",
        claude_stream("Hello")[:3],
        [block("error", error={"type": "authentication_error", "message": WORDS})],
    ),
    "responses": (
        "openai-compat",
        [
            sse({"type": "response.created", "response": {"id": "r", "output": []}}),
            sse(
                {
                    "type": "response.output_item.added",
                    "output_index": 0,
                    "item": {"type": "message", "id": "m", "role": "assistant", "content": []},
                }
            ),
            sse(
                {
                    "type": "response.content_part.added",
                    "item_id": "m",
                    "output_index": 0,
                    "content_index": 0,
                    "part": {"type": "output_text", "text": ""},
                }
            ),
            sse(
                {
                    "type": "response.output_text.delta",
                    "item_id": "m",
                    "output_index": 0,
                    "content_index": 0,
                    "delta": "Hello",
                }
            ),
        ],
        [
            sse(
                {
                    "type": "response.failed",
                    "response": {"id": "r", "error": {"code": "bad_key", "message": WORDS}},
                }
            )
        ],
    ),
    "gemini": (
        "gemini",
        [sse({"candidates": [{"content": {"role": "model", "parts": [{"text": "Hello"}]}}]})],
        [sse({"error": {"code": 400, "message": WORDS, "status": "INVALID_ARGUMENT"}})],
    ),
}


async def ask(upstream: str, client: str, pieces: list, *, stream: bool = True, **plan) -> str:
    """All that the client and the log get to read."""
    keyed = replace(credential("a", wire=upstream, provider=WIRES[upstream][0]), key=Secret(KEY))
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    if client == "responses":
        body = {"model": "m", "input": "hi"}
    elif client == "gemini":
        body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    raw = msgspec.json.encode(body if client == "gemini" else {**body, "stream": stream})
    headers = EVENTS if stream else [(b"content-type", b"application/json")]
    replies = [FakeReply(200, pieces, headers) for _ in range(3)]
    live, out = live_of(FakeTransport(*replies), chain(keyed, **plan)), Out()
    live.settings = Settings(keepalive=0.0)
    asked = Ask(
        wire=client,
        body=raw,
        headers=[],
        model="m" if client == "gemini" else "",
        stream=stream if client == "gemini" else None,
    )
    await run(asked, out, live)
    told = out.body.decode() + "".join(live.log._lines)
    assert "Incorrect API key" in told
    return told


@pytest.mark.parametrize("client", list(WIRES))
@pytest.mark.parametrize("upstream", list(WIRES))
@pytest.mark.parametrize("began", [True, False])
async def test_an_error_event_does_not_repeat_the_key(upstream, client, began) -> None:
    _, before, error = WIRES[upstream]
    told = await ask(upstream, client, [*(before if began else []), *error])
    assert KEY not in told
    assert "***" in told
    assert ("Hello" in told) == began


@pytest.mark.parametrize("wire", list(WIRES))
async def test_nor_does_it_in_two_pieces(wire) -> None:
    """What is relayed as it comes leaves in pieces too."""
    _, before, error = WIRES[wire]
    whole = b"".join(error)
    for cut in range(1, len(whole)):
        told = await ask(wire, wire, [*before, whole[:cut], whole[cut:]])
        assert KEY not in told, cut
        assert "***" in told


@pytest.mark.parametrize("wire", list(WIRES))
async def test_nor_does_it_byte_by_byte(wire) -> None:
    _, before, error = WIRES[wire]
    told = await ask(wire, wire, [*before, *(bytes([one]) for one in b"".join(error))])
    assert KEY not in told
    assert "***" in told


async def test_a_line_that_is_no_error_in_the_end_comes_through_whole() -> None:
    line = b'data: {"error": null, "id": "c", "choices": [{"index": 0, "delta": {"content": "!"}}]}\n\n'
    error = WIRES["chat"][2]
    for cut in range(1, len(line)):
        pieces = [ROLE, chunk(content="Hello"), line[:cut], line[cut:], chunk(content="."), *error]
        told = await ask("chat", "chat", pieces)
        assert told.startswith(b"".join([*pieces[:2], line, pieces[4]]).decode()), cut


@pytest.mark.parametrize("client", ["chat", "anthropic"])
async def test_a_whole_answer_does_not_repeat_the_key(client) -> None:
    body = msgspec.json.encode({"error": {"message": WORDS, "type": "invalid_request_error"}})
    told = await ask("chat", client, [body], stream=False)
    assert KEY not in told
    assert "***" in told


async def test_a_stream_that_nobody_goes_on_with_does_not_repeat_the_key() -> None:
    _, before, error = WIRES["chat"]
    told = await ask("chat", "anthropic", [*before, *error], on_break="resume")
    assert KEY not in told
    assert "***" in told


async def test_an_error_that_stops_half_way_is_told_as_far_as_it_came(autojump_clock) -> None:
    _, before, error = WIRES["anthropic"]
    whole = b"".join(error)
    half = whole[: whole.index(b"Find yours")]
    told = await ask("anthropic", "anthropic", [*before, half, 60.0, b""])
    assert KEY not in told
    assert "key provided: ***." in told.split("route=")[0]
