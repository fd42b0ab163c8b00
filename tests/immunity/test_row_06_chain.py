"""Row 6: a chain across models, providers and protocols; the next one serves when the first is empty."""

from __future__ import annotations

import msgspec
import pytest

from proxy.config.model import Candidate, Plan, Target
from proxy.net.api import UpstreamBroken
from tests.scripted import (
    ANSWER,
    FakeReply,
    FakeTransport,
    HostTransport,
    chain,
    chat_stream,
    chunk,
    claude_stream,
    credential,
    exchange,
)

SSE = [(b"content-type", b"text/event-stream")]
CODEX = credential("codex", wire="responses", provider="codex")
CLAUDE = credential("claude", wire="anthropic", provider="claude")
GEMINI = credential("gemini", wire="gemini", provider="gemini")
CHAT = credential("xai")


def models(**names: str) -> Plan:
    """A chain whose targets have names of their own for the model."""
    by_name = {one.id: one for one in (CODEX, CLAUDE, GEMINI, CHAT)}
    targets = tuple(
        Target(upstream=name, candidates=(Candidate(credential=by_name[name], model=model),))
        for name, model in names.items()
    )
    return Plan(asked="best", model="best", targets=targets)


@pytest.mark.parametrize("status", [402, 403, 404, 429, 500, 503, 529])
async def test_the_next_target_serves_and_is_named(status: int) -> None:
    transport = FakeTransport(
        FakeReply(status, [b'{"error":{"message":"subscription is empty"}}']),
        FakeReply(200, claude_stream("Hello"), SSE),
    )
    plan = models(codex="gpt-5", claude="claude-opus-4-5")
    out, _ = await exchange(transport, plan, stream=True)
    first, second = transport.calls
    assert first.url.endswith("/responses")
    assert second.url.endswith("/v1/messages")
    assert msgspec.json.decode(first.body)["model"] == "gpt-5"
    body = msgspec.json.decode(second.body)
    assert body["model"] == "claude-opus-4-5"
    assert body["messages"][0]["role"] == "user"
    assert dict(out.headers)[b"x-pointsman-target"] == b"claude"
    assert dict(out.headers)[b"x-pointsman-attempts"] == b"2"
    assert b"Hello" in out.body
    assert out.body.endswith(b"data: [DONE]\n\n")


async def test_the_primary_is_always_tried_first() -> None:
    for _ in range(5):
        transport = FakeTransport(FakeReply(200, [ANSWER]))
        out, _ = await exchange(transport, models(xai="grok", claude="opus"))
        assert dict(out.headers)[b"x-pointsman-target"] == b"xai"


async def test_every_wire_of_a_chain_gets_a_body_of_its_own() -> None:
    refusal = b'{"error":{"message":"empty"}}'
    transport = FakeTransport(
        *(FakeReply(429, [refusal]) for _ in range(3)), FakeReply(200, [ANSWER])
    )
    plan = models(codex="a", claude="b", gemini="c", xai="d")
    tool = {"type": "function", "function": {"name": "ls", "parameters": {"type": "object"}}}
    out, _ = await exchange(transport, plan, tools=[tool], odd=1)
    bodies = [msgspec.json.decode(call.body) for call in transport.calls]
    assert "input" in bodies[0]
    assert bodies[1]["tools"][0]["input_schema"] == {"type": "object"}
    assert "functionDeclarations" in bodies[2]["tools"][0]
    # The last speaks the client's own wire: untouched but for the model.
    assert bodies[3]["tools"] == [tool]
    assert bodies[3]["odd"] == 1
    assert out.body == ANSWER


async def test_never_after_the_first_byte() -> None:
    broken = [chunk(content="Hello"), UpstreamBroken("closed", "reset")]
    transport = FakeTransport(FakeReply(200, broken, SSE))
    out, _ = await exchange(transport, models(xai="grok", claude="opus"), stream=True)
    assert len(transport.calls) == 1
    assert out.body.count(b"Hello") == 1


async def test_unless_the_route_says_so() -> None:
    broken = [chunk(content="Hello"), UpstreamBroken("closed", "reset")]
    transport = FakeTransport(
        FakeReply(200, broken, SSE), FakeReply(200, claude_stream(" world"), SSE)
    )
    out, _ = await exchange(transport, chain(CHAT, CLAUDE, on_break="resume"), stream=True)
    assert out.body.count(b"Hello") == 1
    assert b" world" in out.body
    assert out.body.endswith(b"data: [DONE]\n\n")


async def test_a_whole_chain_that_is_empty_says_the_last_word() -> None:
    transport = FakeTransport(
        FakeReply(429, [b'{"error":{"message":"first"}}']),
        FakeReply(402, [b'{"error":{"message":"second"}}']),
    )
    out, _ = await exchange(transport, models(xai="grok", claude="opus"))
    assert out.status == 402
    assert b"second" in out.body


async def test_racing_hops_do_not_change_each_others_request(autojump_clock) -> None:
    waits = {"claude": 1.0, "gemini": 1.0, "xai": 0.5}
    transport = HostTransport(
        **{name: (wait, FakeReply(200, chat_stream("x"), SSE)) for name, wait in waits.items()}
    )
    plan = msgspec.structs.replace(models(claude="b", gemini="c", xai="d"), policy="race")
    await exchange(transport, plan, stream=True, reasoning_effort="high")
    bodies = {call.url: msgspec.json.decode(call.body) for call in transport.calls}
    assert len(bodies) == 3
    assert {body.get("model", "c") for body in bodies.values()} == {"b", "c", "d"}
