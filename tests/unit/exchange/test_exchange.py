"""The straight line against scripted upstreams: failover, commit point, terminal events."""

from __future__ import annotations

import msgspec
import pytest
import trio
import trio.testing

from proxy.accounts.pool import Pool
from proxy.config.model import Settings
from proxy.convo.model import Reasoning
from proxy.exchange import Live, run
from proxy.net.api import UpstreamBroken
from proxy.telemetry.log import Log
from proxy.upstream.prepare import Ask
from tests.scripted import (
    ANSWER,
    DONE,
    ROLE,
    STREAM,
    FakeClock,
    FakeReply,
    FakeTable,
    FakeTransport,
    Out,
    chain,
    chunk,
    credential,
    exchange,
    plan,
    sse,
)


async def test_the_same_wire_goes_through_byte_for_byte() -> None:
    transport = FakeTransport(FakeReply(200, [ANSWER]))
    out, _ = await exchange(transport, plan("a"), odd={"kept": 1.0})
    assert out.body == ANSWER
    sent = msgspec.json.decode(transport.calls[0].body)
    assert sent["model"] == "real"
    assert sent["odd"] == {"kept": 1.0}
    assert (b"Authorization", b"Bearer key-a") in transport.calls[0].headers


async def test_a_stream_goes_through_byte_for_byte() -> None:
    out, _ = await exchange(FakeTransport(FakeReply(200, STREAM)), plan("a"), stream=True)
    assert out.body == b"".join(STREAM)


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
async def test_a_refusal_moves_on_to_the_next_credential(status: int) -> None:
    refusal = FakeReply(status, [b'{"error":{"message":"no"}}'])
    transport = FakeTransport(refusal, FakeReply(200, [ANSWER]))
    out, _ = await exchange(transport, plan("a", "b"))
    assert (out.status, out.body) == (200, ANSWER)
    assert [call.url for call in transport.calls] == [
        "http://a.test/v1/chat/completions",
        "http://b.test/v1/chat/completions",
    ]


async def test_a_400_is_the_clients_own_and_asked_once() -> None:
    body = b'{"error":{"message":"bad","type":"invalid_request_error"}}'
    transport = FakeTransport(FakeReply(400, [body]))
    out, _ = await exchange(transport, plan("a", "b"))
    assert (out.status, out.body, len(transport.calls)) == (400, body, 1)


@pytest.mark.parametrize(
    "broken",
    [
        [UpstreamBroken("closed", "closed early")],
        [ROLE],
        [ROLE, UpstreamBroken("timeout", "too slow")],
        [sse({"error": {"message": "overloaded", "code": 529}})],
    ],
)
async def test_before_output_began_a_broken_stream_moves_on(broken: list) -> None:
    transport = FakeTransport(
        FakeReply(200, broken, [(b"content-type", b"text/event-stream")]), FakeReply(200, STREAM)
    )
    out, _ = await exchange(transport, plan("a", "b"), stream=True)
    assert out.body == b"".join(STREAM)


@pytest.mark.parametrize(
    "ending", [[], [UpstreamBroken("closed", "closed early")], [b'data: {"choi']]
)
async def test_after_output_began_a_break_is_told_and_nothing_repeated(ending: list) -> None:
    transport = FakeTransport(FakeReply(200, [ROLE, chunk(content="Hello"), *ending]))
    out, _ = await exchange(transport, plan("a", "b"), stream=True)
    assert len(transport.calls) == 1
    assert out.body.count(b"Hello") == 1
    last = out.body.strip().split(b"\n\n")[-1]
    assert b'"error"' in last
    assert b"[DONE]" not in out.body


async def test_every_credential_failing_tells_the_last_failure() -> None:
    replies = [FakeReply(503, [b"one"]), FakeReply(429, [b'{"error":{"message":"slow down"}}'])]
    out, _ = await exchange(FakeTransport(*replies), plan("a", "b"))
    assert out.status == 429
    assert b"slow down" in out.body


async def test_retry_after_is_passed_on() -> None:
    reply = FakeReply(429, [b"{}"], [(b"content-type", b"x"), (b"retry-after", b"7")])
    out, live = await exchange(FakeTransport(reply), plan("a"))
    assert (b"retry-after", b"7") in out.headers
    out2 = Out()
    await run(Ask(wire="chat", body=b'{"model":"m","messages":[]}', headers=[]), out2, live)
    assert out2.status == 429
    assert b"cooling down" in out2.body


async def test_request_retry_waits_for_a_short_cooldown(autojump_clock) -> None:
    replies = [
        FakeReply(429, [b"{}"], [(b"content-type", b"x"), (b"retry-after", b"2")]),
        FakeReply(200, [ANSWER]),
    ]
    settings = Settings(request_retry=1, max_retry_interval=5.0)
    before = trio.current_time()
    out, _ = await exchange(FakeTransport(*replies), plan("a"), settings=settings)
    assert out.body == ANSWER
    assert 2.0 <= trio.current_time() - before < 3.0


async def test_a_quiet_stream_is_kept_alive(autojump_clock) -> None:
    pieces = [ROLE, chunk(content="Hello"), 3.5, chunk(finish="stop"), DONE]
    settings = Settings(keepalive=1.0)
    out, _ = await exchange(
        FakeTransport(FakeReply(200, pieces)), plan("a"), stream=True, settings=settings
    )
    assert out.body.count(b": keep-alive\n\n") == 3
    assert out.body.endswith(DONE)


async def test_an_upstream_that_dallies_after_the_end_does_not_hold_the_client(
    autojump_clock,
) -> None:
    out, _ = await exchange(FakeTransport(FakeReply(200, [*STREAM, 600.0])), plan("a"), stream=True)
    assert out.body == b"".join(STREAM)
    assert trio.current_time() < 5.0


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"model":1}', b'{"messages":[]}', b'"x"'])
async def test_a_malformed_body_is_a_400_and_reaches_no_upstream(body: bytes) -> None:
    transport = FakeTransport()
    out = Out()
    live = Live(
        table=FakeTable(plan("a")),
        pool=Pool(),
        settings=Settings(),
        transport=transport,
        clock=FakeClock(),
        log=Log(descriptor=-1),
    )
    await run(Ask(wire="chat", body=body, headers=[]), out, live)
    assert (out.status, transport.calls) == (400, [])


@pytest.mark.parametrize(
    ("wire", "provider", "odd"),
    [
        ("responses", "openai-compat", {"input": "hi", "reasoning": 5}),
        ("anthropic", "claude", {"max_tokens": 9, "output_config": "x"}),
    ],
)
async def test_odd_thinking_settings_are_a_400_where_the_model_name_says_others(
    wire: str, provider: str, odd: dict[str, object]
) -> None:
    where = chain(credential("a", wire=wire, provider=provider), reasoning=Reasoning(effort="high"))
    transport = FakeTransport()
    out, _ = await exchange(transport, where, wire=wire, **odd)
    assert (out.status, transport.calls) == (400, [])
    assert b"thinking settings" in out.body


async def test_an_output_config_that_is_null_is_none() -> None:
    where = chain(
        credential("a", wire="anthropic", provider="claude"), reasoning=Reasoning(budget=2000)
    )
    transport = FakeTransport(FakeReply(200, [b"{}"]))
    out, _ = await exchange(transport, where, wire="anthropic", max_tokens=9000, output_config=None)
    assert out.status == 200
    assert msgspec.json.decode(transport.calls[0].body)["thinking"]["budget_tokens"] == 2000


async def test_cancelling_gives_credential_and_connection_back() -> None:
    reply = FakeReply(200, [ROLE, chunk(content="x"), 1000.0])
    transport = FakeTransport(reply)
    live = Live(
        table=FakeTable(plan("a")),
        pool=Pool(),
        settings=Settings(keepalive=0.0),
        transport=transport,
        clock=FakeClock(),
        log=Log(descriptor=-1),
    )
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true}'
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, Ask(wire="chat", body=body, headers=[]), Out(), live)
        await trio.testing.wait_all_tasks_blocked()
        assert live.pool.in_flight == {"a": 1}
        nursery.cancel_scope.cancel()
    assert reply.closed
    assert live.pool.in_flight == {}


async def test_a_keep_alive_never_splits_an_event(autojump_clock) -> None:
    text = chunk(content="Hello")
    half = len(text) // 2
    pieces = [text, text[:half], 20.0, text[half:-1], 20.0, text[-1:], 20.0, DONE]
    out, _ = await exchange(
        FakeTransport(FakeReply(200, pieces)),
        plan("a"),
        stream=True,
        settings=Settings(keepalive=15.0),
    )
    assert out.body == text + text + b": keep-alive\n\n" + DONE


@pytest.mark.parametrize("cut", [1, 2, 3])
async def test_an_error_never_lengthens_a_half_sent_event(cut: int) -> None:
    text = chunk(content="Hello")
    pieces = [text, text[:-cut], UpstreamBroken("closed", "reset")]
    out, _ = await exchange(FakeTransport(FakeReply(200, pieces)), plan("a"), stream=True)
    events = [event for event in out.body.split(b"\n\n") if event]
    assert [event.count(b"data: ") for event in events] == [1, 1, 1]


LONG = "mcp__server__" + "x" * 60
SHORT = ("mcp__" + "x" * 60)[:64]


def codex_answer(name: str) -> list[bytes]:
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": name}
    done = {**call, "arguments": "{}", "status": "completed"}
    answer = {"id": "resp_1", "object": "response", "model": "real", "output": []}
    events = [
        {"type": "response.created", "response": {**answer, "status": "in_progress"}},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**call, "arguments": ""},
        },
        {
            "type": "response.function_call_arguments.delta",
            "output_index": 0,
            "item_id": "fc_1",
            "delta": "{}",
        },
        {"type": "response.output_item.done", "output_index": 0, "item": done},
        {
            "type": "response.completed",
            "response": {**answer, "status": "completed", "output": [done]},
        },
    ]
    return [f"event: {e['type']}\n".encode() + sse(e) for e in events]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("legacy", [True, False])
async def test_names_that_were_shortened_on_the_way_are_turned_back(
    stream: bool, legacy: bool
) -> None:
    """By the Codex dialect; or because signatures of another provider made a translation necessary."""
    one = credential("a", provider="codex", wire="responses", legacy=legacy)
    the_plan = chain(one)
    sealed = {"type": "reasoning", "summary": [], "encrypted_content": "pointsman/g/abcd"}
    user = {"type": "message", "role": "user", "content": "hi"}
    transport = FakeTransport(
        FakeReply(200, codex_answer(SHORT), [(b"content-type", b"text/event-stream")])
    )
    out, _ = await exchange(
        transport,
        the_plan,
        wire="responses",
        stream=stream,
        input=[user] if legacy else [user, sealed],
        tools=[{"type": "function", "name": LONG, "parameters": {"type": "object"}}],
    )
    assert LONG not in transport.calls[0].body.decode()
    assert LONG in out.body.decode()
    assert f'"{SHORT}"' not in out.body.decode()
