"""`on-break = "resume"`: recorded streams cut at every event; the client sees one valid message."""

from __future__ import annotations

import json
import random

import msgspec
import pytest
import trio

from proxy import wire as wires
from proxy.config.model import Settings, Timeouts
from proxy.convo import events as ev
from proxy.convo.fold import Fold
from proxy.convo.model import ErrorInfo, Text, ToolUse
from proxy.exchange import run
from proxy.jsonio import object_of
from proxy.net.api import UpstreamBroken
from proxy.upstream.prepare import Ask
from proxy.wire.base import AnswerContext
from proxy.wire.lanes import lane
from tests.scripted import (
    DONE,
    ROLE,
    FakeReply,
    FakeTransport,
    Out,
    block,
    chain,
    chat_stream,
    chunk,
    claude_stream,
    credential,
    exchange,
    live_of,
    plan,
    sse,
)
from tests.shared_material import folder

RECORDED = {"chat": "openai", "responses": "codex", "anthropic": "claude", "gemini": "gemini"}
"""Our name of a wire -> the vectors' name of the upstream that speaks it."""
BREAK = UpstreamBroken("closed", "reset")
STARTS = {
    "chat": b'"role":"assistant"',
    "responses": b'"type":"response.created"',
    "anthropic": b'"type":"message_start"',
}


def recorded(wire: str) -> list[tuple[str, list[bytes]]]:
    """(case, frames) of up to 50 recorded streams of an upstream wire."""
    name = RECORDED[wire]
    path = folder("vectors") / f"openai__{name}.stream.jsonl"
    out = []
    for line in path.read_bytes().split(b"\n"):
        if not line:
            continue
        case = json.loads(line)
        text = "\n".join(case["upstream_events"]).rstrip("\n") + "\n\n"
        if wire in ("chat", "gemini"):
            text = "\n\n".join(one for one in text.split("\n") if one) + "\n\n"
        frames = [frame.encode() + b"\n\n" for frame in text.split("\n\n") if frame.strip()]
        out.append((case["case"], frames))
    return out[:50]


def events_of(wire: str, data: bytes) -> list[ev.Event]:
    decoder = wires.get(wire).stream_decoder()
    return decoder.feed(data) + decoder.eof()


def folded(events: list[ev.Event]):
    fold = Fold()
    fold.add(events)
    return fold.answer


def text_of(answer) -> str:
    return "".join(p.text for c in answer.choices[:1] for p in c.parts if isinstance(p, Text))


def call_of(part: ToolUse) -> tuple[str, object]:
    """Name and arguments; a free-form input is wrapped by some clients' wires, so it is left out."""
    raw = object_of(part.arguments or "{}")
    said = None if raw is None or part.custom else msgspec.json.decode(raw)
    return part.name, None if isinstance(said, dict) and set(said) == {"input"} else said


def calls_of(answer) -> list[tuple[str, object]]:
    return [
        call_of(part)
        for choice in answer.choices[:1]
        for part in choice.parts
        if isinstance(part, ToolUse)
    ]


def check_one_message(wire: str, data: bytes, told: object) -> None:
    """The rules of `convo/events.py`, read off what the client got."""
    events = events_of(wire, data)
    assert isinstance(events[0], ev.Start), told
    assert sum(isinstance(event, ev.Start) for event in events) == 1, told
    assert isinstance(events[-1], ev.End), told
    assert data.count(STARTS.get(wire, b"\0")) <= 1, told
    opened = [event.index for event in events if isinstance(event, ev.PartStart)]
    assert opened == list(range(len(opened))), told
    if wire == "anthropic":
        blocks = [
            json.loads(line[6:])["index"]
            for line in data.split(b"\n")
            if line.startswith(b"data: ") and b'"content_block_start"' in line
        ]
        assert blocks == list(range(len(blocks))), told


@pytest.mark.parametrize("upstream", RECORDED)
def test_cut_at_every_event_the_client_sees_one_message(upstream: str) -> None:
    rng = random.Random(upstream)
    resumed = 0
    for number, (case, frames) in enumerate(recorded(upstream)):
        whole = folded(events_of(upstream, b"".join(frames)))
        client = list(RECORDED)[number % 4]
        for cut in range(1, len(frames)):
            resumed += resume_once(upstream, client, frames, cut, whole, rng, case)
    assert resumed > 100


def resume_once(upstream, client, frames, cut, whole, rng, case) -> bool:
    told = (case, client, cut)
    context = AnswerContext(request=None, model="m", stream=True, now=0, id="0" * 24)
    first = lane(wires.get(upstream), wires.get(client), context, resumes=True)
    sent = b"".join(first.feed(frame) for frame in frames[:cut])
    if not first.useful or first.failed or first.finished:
        return False
    sent += first.fail(ErrorInfo("reset", status=502))
    if first.finished:
        check_one_message(client, sent, told)
        return False
    if not first.resumable:
        sent += first.give_up()
        check_one_message(client, sent, told)
        assert folded(events_of(client, sent)).error is not None, told
        return False
    request = wires.get("chat").decode_request(b'{"model":"m","messages":[]}')
    asked = first.resume(request)
    before = "".join(
        part.text
        for message in asked.messages[:1]
        for part in message.parts
        if isinstance(part, Text)
    )
    full = text_of(whole)
    if not full.startswith(before):
        return False
    overlap = rng.choice([0, min(len(before), 12), min(len(before), 60)])
    rest = full[len(before) - overlap :]
    pieces = [rest[at : at + 5] for at in range(0, len(rest), 5)]
    second = first.go_on(wires.get("chat"))
    for frame in chat_stream(*pieces):
        sent += second.feed(frame)
    assert second.finished, told
    check_one_message(client, sent, told)
    answer = folded(events_of(client, sent))
    assert answer.error is None, told
    got = text_of(answer)
    longest = max((n for n in range(1, len(rest) + 1) if before.endswith(rest[:n])), default=0)
    if longest == overlap != 0 or (longest < 4 and not overlap):
        # Else the text repeats itself there, and no rule could tell.
        assert got == full, (*told, overlap, before)
    sealed = [
        call_of(part)
        for message in asked.messages
        for part in message.parts
        if isinstance(part, ToolUse)
    ]
    assert calls_of(answer) == sealed, told
    if sealed:
        assert answer.choices[0].finish.reason == "tool", told
    return True


# Through the exchange

RESUME = {"on_break": "resume"}


async def test_a_broken_stream_goes_on_with_the_next_target() -> None:
    transport = FakeTransport(
        FakeReply(200, [ROLE, chunk(content="Hello, "), chunk(content="wor"), BREAK]),
        FakeReply(200, chat_stream("wor", "ld", " and all")),
    )
    out, _ = await exchange(transport, chain("a", "b", **RESUME), stream=True)
    answer = folded(events_of("chat", out.body))
    # "wor" is too short to be told from chance.
    assert text_of(answer) == "Hello, worworld and all"
    assert out.body.endswith(DONE)
    assert b": resumed\n\n" in out.body
    asked = msgspec.json.decode(transport.calls[1].body)["messages"]
    assert [one["role"] for one in asked] == ["user", "assistant", "user"]
    assert asked[1]["content"] == "Hello, wor"


async def test_a_repeated_ending_is_cut_off() -> None:
    transport = FakeTransport(
        FakeReply(200, [ROLE, chunk(content="The quick brown fox"), BREAK]),
        FakeReply(200, chat_stream("quick ", "brown ", "fox jumps")),
    )
    out, _ = await exchange(transport, chain("a", "b", **RESUME), stream=True)
    assert text_of(folded(events_of("chat", out.body))) == "The quick brown fox jumps"


async def test_a_continuation_in_another_wire_is_one_message_of_the_clients() -> None:
    broken = claude_stream("Hello ", "there")[:4]
    transport = FakeTransport(
        FakeReply(200, [*broken, BREAK], [(b"content-type", b"text/event-stream")]),
        FakeReply(200, chat_stream(", friend")),
    )
    upstreams = (credential("a", wire="anthropic", provider="claude"), credential("b"))
    out, _ = await exchange(
        transport, chain(*upstreams, **RESUME), wire="anthropic", stream=True, max_tokens=9
    )
    check_one_message("anthropic", out.body, None)
    assert text_of(folded(events_of("anthropic", out.body))) == "Hello there, friend"


async def test_without_the_setting_a_break_is_an_error() -> None:
    transport = FakeTransport(FakeReply(200, [ROLE, chunk(content="Hello"), BREAK]))
    out, _ = await exchange(transport, chain("a", "b"), stream=True)
    assert len(transport.calls) == 1
    assert b'"error"' in out.body


async def test_an_open_call_is_never_spliced() -> None:
    function = {"name": "rm", "arguments": '{"path": "/tm'}
    call = {"index": 0, "id": "call_1", "type": "function", "function": function}
    transport = FakeTransport(
        FakeReply(200, [ROLE, chunk(content="Hello"), chunk(tool_calls=[call]), BREAK])
    )
    out, _ = await exchange(transport, chain("a", "b", **RESUME), stream=True)
    assert len(transport.calls) == 1
    assert folded(events_of("chat", out.body)).error is not None


async def test_a_call_of_which_nothing_was_sent_is_begun_anew() -> None:
    function = {"name": "rm", "arguments": '{"path": "/tm'}
    call = {"index": 0, "id": "call_1", "type": "function", "function": function}
    last = chunk(tool_calls=[call]) + sse({"error": {"message": "overloaded"}})
    again = {**call, "id": "call_2", "function": {"name": "rm", "arguments": '{"path": "/tmp/x"}'}}
    transport = FakeTransport(
        FakeReply(200, [ROLE, chunk(content="Hello"), last]),
        FakeReply(200, [ROLE, chunk(tool_calls=[again]), chunk(finish="tool_calls"), DONE]),
    )
    out, _ = await exchange(transport, chain("a", "b", **RESUME), stream=True)
    answer = folded(events_of("chat", out.body))
    assert calls_of(answer) == [("rm", {"path": "/tmp/x"})]
    assert b"call_1" not in out.body


async def test_a_whole_call_is_kept_and_shown_to_the_next() -> None:
    function = {"name": "ls", "arguments": '{"path": "/"}'}
    call = {"index": 0, "id": "call_1", "type": "function", "function": function}
    transport = FakeTransport(
        FakeReply(200, [ROLE, chunk(tool_calls=[call]), BREAK]),
        FakeReply(200, chat_stream("Done.")),
    )
    out, _ = await exchange(transport, chain("a", "b", **RESUME), stream=True)
    answer = folded(events_of("chat", out.body))
    assert calls_of(answer) == [("ls", {"path": "/"})]
    assert answer.choices[0].finish.reason == "tool"
    asked = msgspec.json.decode(transport.calls[1].body)["messages"]
    assert [one["role"] for one in asked] == ["user", "assistant", "tool", "user"]


async def test_usage_is_summed() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
    tail = sse({"id": "c", "object": "chat.completion.chunk", "choices": [], "usage": usage})
    transport = FakeTransport(
        FakeReply(
            200,
            [*claude_stream("Hello ", "there")[:4], BREAK],
            [(b"content-type", b"text/event-stream")],
        ),
        FakeReply(200, [ROLE, chunk(content=", you"), chunk(finish="stop"), tail, DONE]),
    )
    upstreams = (credential("a", wire="anthropic", provider="claude"), credential("b"))
    out, _ = await exchange(
        transport, chain(*upstreams, **RESUME), wire="anthropic", stream=True, max_tokens=9
    )
    usage = folded(events_of("anthropic", out.body)).usage
    assert (usage.input, usage.output) == (17, 5)


async def test_two_resumes_at_most_and_then_the_error() -> None:
    broken = [FakeReply(200, [ROLE, chunk(content=f"<{n}>{n * 7}"), BREAK]) for n in range(4)]
    transport = FakeTransport(*broken)
    out, _ = await exchange(transport, plan("a", "b", "c", "d", **RESUME), stream=True)
    assert len(transport.calls) == 3
    answer = folded(events_of("chat", out.body))
    assert text_of(answer) == "<0>0<1>7<2>14"
    assert answer.error is not None


async def test_a_refusing_target_is_passed_over() -> None:
    transport = FakeTransport(
        FakeReply(200, [ROLE, chunk(content="Hello"), BREAK]),
        FakeReply(503, [b"{}"]),
        FakeReply(200, chat_stream(" world")),
    )
    out, _ = await exchange(transport, chain("a", "b", "c", **RESUME), stream=True)
    assert text_of(folded(events_of("chat", out.body))) == "Hello world"
    assert out.body.endswith(DONE)


ERROR = block("error", error={"type": "overloaded_error", "message": "busy"})


@pytest.mark.parametrize(
    "first",
    [
        [ERROR],
        [*claude_stream()[:2], ERROR],
        [b"".join([*claude_stream("Bye")[:3], ERROR])],
        [*claude_stream()[:2], 50.0],
        [block("ping", filler="x" * 1_000_000)] * 6,
    ],
)
@pytest.mark.parametrize("client", ["chat", "anthropic"])
async def test_a_continuation_counts_from_its_first_useful_event(
    first: list, client: str, autojump_clock
) -> None:
    """Those that fail, say nothing or chatter before it leave no trace and use up no resume."""
    events = [(b"content-type", b"text/event-stream")]
    bad = [FakeReply(200, list(first), events) for _ in range(3)]
    transport = FakeTransport(
        FakeReply(200, [*claude_stream("Hello")[:3], BREAK], events),
        *bad,
        FakeReply(200, claude_stream(" world"), events),
    )
    timeouts = Timeouts(first_event=2.0, idle=300.0)
    upstreams = [
        credential(name, wire="anthropic", provider="claude", timeouts=timeouts) for name in "abcde"
    ]
    begun = trio.current_time()
    out, _ = await exchange(
        transport, chain(*upstreams, **RESUME), wire=client, stream=True, max_tokens=9
    )
    assert trio.current_time() - begun < 10.0
    check_one_message(client, out.body, None)
    answer = folded(events_of(client, out.body))
    assert (text_of(answer), answer.error) == ("Hello world", None)


async def test_a_whole_answer_that_only_lacks_its_mark_is_not_resumed() -> None:
    transport = FakeTransport(
        FakeReply(200, [ROLE, chunk(content="Hello"), chunk(finish="stop"), BREAK])
    )
    out, _ = await exchange(transport, chain("a", "b", **RESUME), stream=True)
    assert len(transport.calls) == 1
    assert out.body.endswith(DONE)
    assert b'"error"' not in out.body


async def test_thoughts_are_not_replayed() -> None:
    transport = FakeTransport(
        FakeReply(
            200,
            [ROLE, chunk(reasoning_content="Hmm."), chunk(content="The answer"), BREAK],
        ),
        FakeReply(
            200,
            [ROLE, chunk(reasoning_content="Hm?"), chunk(content=" is 4."), chunk(finish="stop")],
        ),
    )
    out, _ = await exchange(transport, chain("a", "b", **RESUME), stream=True)
    assert text_of(folded(events_of("chat", out.body))) == "The answer is 4."
    assert b"Hm?" not in out.body
    assert b"Hmm" not in transport.calls[1].body


def test_every_wire_ends_in_its_own_error_when_nobody_goes_on() -> None:
    context = AnswerContext(request=None, model="m", stream=True, now=0, id="0" * 24)
    for client in RECORDED:
        first = lane(wires.get("chat"), wires.get(client), context, resumes=True)
        sent = b"".join(first.feed(one) for one in [ROLE, chunk(content="Hello")])
        assert first.fail(ErrorInfo("reset")) == b""
        sent += first.give_up()
        assert folded(events_of(client, sent)).error is not None
        check_one_message(client, sent, client)


def test_sealed_means_a_whole_object() -> None:
    assert object_of('{"a":1}') is not None
    assert object_of('{"a":') is None


def test_an_error_event_is_a_break_too() -> None:
    context = AnswerContext(request=None, model="m", stream=True, now=0, id="0" * 24)
    first = lane(wires.get("anthropic"), wires.get("anthropic"), context, resumes=True)
    error = block("error", error={"type": "overloaded_error", "message": "busy"})
    sent = b"".join(first.feed(one) for one in [*claude_stream("Hello")[:3], error])
    assert b"busy" not in sent
    assert first.resumable


async def test_a_json_array_stays_one_array_over_all_upstreams(autojump_clock) -> None:
    """With keep-alives in it, while the next upstream is awaited and where nobody goes on."""
    contents = [{"role": "user", "parts": [{"text": "hi"}]}]
    body = msgspec.json.encode({"contents": contents})
    for last in (FakeReply(200, chat_stream(", friend")), FakeReply(503, [b"{}"])):
        transport = FakeTransport(FakeReply(200, [ROLE, chunk(content="Hello"), 40.0, BREAK]), last)
        live = live_of(transport, chain("a", "b", **RESUME), Settings(keepalive=15.0))
        transport.replies.append(FakeReply(503, [b"{}"]))
        out = Out()
        ask = Ask(wire="gemini", body=body, headers=[], model="m", stream=True, framing="json")
        await run(ask, out, live)
        said = msgspec.json.decode(out.body)
        text = "".join(
            part.get("text", "")
            for one in said
            for candidate in one.get("candidates", ())
            for part in candidate.get("content", {}).get("parts", ())
        )
        whole = last.status == 200
        assert text == ("Hello, friend" if whole else "Hello")
        assert ("error" in said[-1]) is not whole
        assert live.pool.in_flight == {}
