"""Row 24: what a translation cannot carry is ignored, told or refused, as the route says."""

from __future__ import annotations

import re

import msgspec
import pytest

from proxy.accounts.pool import Pool
from proxy.config.model import Candidate, Plan, Settings, Target
from proxy.convo.model import Lost
from proxy.exchange import run
from proxy.explain import explain
from proxy.net.api import UpstreamBroken
from proxy.routing.table import Table
from proxy.upstream import losses
from proxy.upstream.prepare import Ask
from tests.scripted import (
    ANSWER,
    STREAM,
    FakeReply,
    FakeTransport,
    HostTransport,
    Out,
    chain,
    claude_stream,
    credential,
    exchange,
    live_of,
)

SSE = [(b"content-type", b"text/event-stream")]
CLAUDE = credential("claude", wire="anthropic", provider="claude")
CLAUDE_2 = credential("claude2", wire="anthropic", provider="claude")
GEMINI = credential("gemini", wire="gemini", provider="gemini")
CODEX = credential("codex", wire="responses", provider="codex")
CHAT = credential("xai")
LOST = b"x-pointsman-lost"
CHAT_BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
CLAUDE_ANSWER = msgspec.json.encode(
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "real",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 7, "output_tokens": 1},
    }
)


def logged(live, event: str) -> list[dict[str, str]]:
    return [
        dict(re.findall(r"(\w+)=('[^']*'|\S+)", line))
        for line in live.log._lines
        if f" {event} " in line
    ]


def claude_answers() -> FakeReply:
    return FakeReply(200, [CLAUDE_ANSWER])


# The three words


async def test_ignore_says_nothing() -> None:
    transport = FakeTransport(claude_answers())
    out, live = await exchange(transport, chain(CLAUDE), seed=7, odd=1)
    assert out.status == 200
    assert LOST not in dict(out.headers)
    assert "lost=" not in "".join(live.log._lines)


@pytest.mark.parametrize("stream", [False, True])
async def test_warn_names_the_fields(stream: bool) -> None:
    reply = FakeReply(200, claude_stream("Hello"), SSE) if stream else claude_answers()
    plan = chain(CLAUDE, on_loss="warn")
    out, live = await exchange(FakeTransport(reply), plan, stream=stream, seed=7, odd=1)
    assert out.status == 200
    assert set(dict(out.headers)[LOST].split(b",")) == {b"seed", b"odd"}
    for event in ("attempt", "served"):
        (line,) = logged(live, event)
        assert line["lost"] == dict(out.headers)[LOST].decode()


async def test_warn_says_nothing_where_nothing_is_lost() -> None:
    plan = chain(CLAUDE, on_loss="warn")
    out, live = await exchange(FakeTransport(claude_answers()), plan, temperature=0.5)
    assert LOST not in dict(out.headers)
    assert "lost=" not in "".join(live.log._lines)


async def test_one_answers_warning_is_not_anothers() -> None:
    plan = chain(CLAUDE, on_loss="warn")
    transport = FakeTransport(claude_answers())
    _, live = await exchange(transport, plan, seed=7)
    label = live.labels.of(plan, plan.targets[0].candidates[0])
    assert LOST not in dict(label.headers([], 1))
    assert LOST in dict(label.headers([], 1, "seed"))
    assert LOST not in dict(label.headers([], 1))


@pytest.mark.parametrize("wire", ["chat", "anthropic", "responses"])
async def test_fail_sends_nothing_and_names_field_and_upstream(wire: str) -> None:
    transport = FakeTransport()
    request = {"input": "hi"} if wire == "responses" else {"max_tokens": 9}
    plan = chain(GEMINI, on_loss="fail")
    out, live = await exchange(transport, plan, wire=wire, odd=1, **request)
    assert transport.calls == []
    assert out.status == 400
    message = msgspec.json.decode(out.body)["error"]["message"]
    assert "gemini" in message
    assert "odd" in message
    assert live.pool.view(0.0) == ()
    assert logged(live, "attempt") == []
    assert logged(live, "skipped")[0]["target"] == "gemini"


async def test_the_error_has_its_kind() -> None:
    plan = chain(GEMINI, on_loss="fail")
    out, _ = await exchange(FakeTransport(), plan, odd=1)
    error = msgspec.json.decode(out.body)["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "unsupported_parameter")


@pytest.mark.parametrize("stream", [False, True])
async def test_fail_lets_through_what_is_carried(stream: bool) -> None:
    reply = FakeReply(200, claude_stream("Hello"), SSE) if stream else claude_answers()
    plan = chain(CLAUDE, on_loss="fail")
    out, _ = await exchange(FakeTransport(reply), plan, stream=stream, temperature=0.5)
    assert out.status == 200
    assert LOST not in dict(out.headers)


@pytest.mark.parametrize("word", ["warn", "fail"])
async def test_the_same_wire_loses_nothing(word: str) -> None:
    plan = chain("a", on_loss=word)
    out, _ = await exchange(FakeTransport(FakeReply(200, [ANSWER])), plan, seed=7, odd={"a": 1})
    assert out.body == ANSWER
    assert LOST not in dict(out.headers)


async def test_a_count_is_no_answer() -> None:
    transport = FakeTransport(FakeReply(200, [b'{"totalTokens":3}']))
    live, out = live_of(transport, chain(GEMINI, on_loss="fail")), Out()
    body = b'{"model":"m","max_tokens":9,"odd":1,"messages":[{"role":"user","content":"hi"}]}'
    await run(Ask(wire="anthropic", body=body, headers=[], count=True), out, live)
    assert (out.status, out.body) == (200, b'{"input_tokens":3}')


# Along a chain


async def test_a_target_that_carries_is_asked_instead() -> None:
    transport = FakeTransport(FakeReply(200, [ANSWER]))
    out, live = await exchange(transport, chain(CLAUDE, GEMINI, CHAT, on_loss="fail"), odd=1)
    (call,) = transport.calls
    assert call.url.startswith("http://xai.test/")
    told = dict(out.headers)
    assert (told[b"x-pointsman-target"], told[b"x-pointsman-attempts"]) == (b"xai", b"1")
    assert [line["target"] for line in logged(live, "skipped")] == ["claude", "gemini"]
    assert live.pool.view(0.0) == ()


async def test_a_limit_of_the_one_that_carries_is_what_the_client_is_told() -> None:
    limited = FakeReply(429, [b'{"error":{"message":"slow down"}}'])
    transport = FakeTransport(limited)
    out, _ = await exchange(transport, chain(CHAT, CLAUDE, on_loss="fail"), odd=1)
    assert (out.status, len(transport.calls)) == (429, 1)
    assert b"slow down" in out.body


async def test_keys_of_one_target_that_speak_different_wires() -> None:
    both = tuple(Candidate(credential=c, model="real") for c in (CLAUDE, CLAUDE_2, CHAT))
    plan = Plan(
        asked="m",
        model="m",
        targets=(Target(upstream="u", candidates=both),),
        on_loss="fail",
        strategy="fill-first",
    )
    transport = FakeTransport(FakeReply(200, [ANSWER]))
    out, _ = await exchange(transport, plan, odd=1)
    assert out.status == 200
    assert [call.url.split("/")[2] for call in transport.calls] == ["xai.test"]


async def test_many_keys_of_one_upstream_are_asked_about_once() -> None:
    keys = tuple(
        Candidate(credential=credential(f"k{n}", wire="gemini", provider="gemini"), model="real")
        for n in range(500)
    )
    plan = Plan(
        asked="m", model="m", targets=(Target(upstream="u", candidates=keys),), on_loss="fail"
    )
    out, live = await exchange(FakeTransport(), plan, odd=1)
    assert out.status == 400
    assert len(logged(live, "skipped")) == 1


async def test_a_refusal_of_many_targets_is_short() -> None:
    many = [credential(f"g{n}", wire="gemini", provider="gemini") for n in range(50)]
    fields = {f"field_{n}": n for n in range(500)}
    out, _ = await exchange(FakeTransport(), chain(*many, on_loss="fail"), **fields)
    assert out.status == 400
    assert len(out.body) < 4000
    assert b"47 more" in out.body


async def test_a_break_is_not_taken_up_by_one_that_loses() -> None:
    broken = FakeReply(200, [*STREAM[:2], UpstreamBroken("closed", "reset")], SSE)
    rest = FakeReply(200, [*STREAM], SSE)
    plan = chain(CHAT, CLAUDE, on_break="resume", on_loss="fail")
    transport = FakeTransport(broken, rest)
    await exchange(transport, plan, stream=True, odd=1)
    assert {call.url.split("/")[2] for call in transport.calls} == {"xai.test"}


class Book:
    """An account whose model turns out to be served on another wire."""

    loaded = True

    def __init__(self, other: Candidate) -> None:
        self.other = other

    async def ready(self, one):
        return one

    def learn(self, _candidate, _error):
        return self.other


@pytest.mark.parametrize(
    ("wire", "word", "status", "lost"),
    [
        ("chat", "warn", 200, None),
        ("responses", "warn", 200, b"odd"),
        ("responses", "fail", 400, None),
    ],
)
async def test_an_account_that_is_asked_on_another_wire(wire, word, status, lost) -> None:
    first = credential("a", wire="anthropic" if wire == "chat" else "responses", account="f")
    refusal = FakeReply(400, [b'{"error":{"message":"not here"}}'])
    transport = FakeTransport(refusal, FakeReply(200, [ANSWER]))
    live, out = live_of(transport, chain(first, on_loss=word)), Out()
    live.accounts = Book(Candidate(credential=credential("a", account="f"), model="real"))
    said = {"model": "m", "input": "hi"} if wire == "responses" else CHAT_BODY
    body = msgspec.json.encode({**said, "odd": 1})
    await run(Ask(wire=wire, body=body, headers=[]), out, live)
    assert out.status == status
    assert dict(out.headers).get(LOST) == lost
    assert len(transport.calls) == (2 if status == 200 else 1)
    assert live.pool.view(0.0) == ()


def test_explain_tells_who_cannot_be_asked() -> None:
    body = msgspec.json.encode({**CHAT_BODY, "odd": 1})
    plan = chain(CLAUDE, CHAT, on_loss="fail")
    table = Table(
        plans={"m": plan}, accounts={}, aliases=(), prefixes=(), listed=(), ask=lambda *_: None
    )
    ask = Ask(wire="chat", body=body, headers=[])
    first, second = explain(ask, table, Settings(), Pool(), 0.0).choices
    assert "odd" in first.problem
    assert [entry.split(":")[0] for entry in first.lost] == ["odd"]
    assert (second.problem, second.lost) == ("", ())


# Side by side


@pytest.mark.parametrize("policy", ["race", "hedge"])
@pytest.mark.parametrize(
    ("waits", "winner", "lost"),
    [
        ((1.0, 5.0, 5.0), b"claude", {b"seed", b"odd", b"logit_bias"}),
        ((5.0, 1.0, 5.0), b"gemini", {b"odd", b"logit_bias"}),
        ((5.0, 5.0, 1.0), b"xai", None),
    ],
)
async def test_only_the_winners_losses_are_told(
    policy: str, waits: tuple, winner: bytes, lost: set | None, autojump_clock
) -> None:
    gemini = (
        b'data: {"candidates":[{"content":{"role":"model","parts":[{"text":"Hi"}]},'
        b'"finishReason":"STOP"}]}\n\n'
    )
    streams = {"claude": claude_stream("Hi"), "gemini": [gemini], "xai": STREAM}
    transport = HostTransport(
        **{
            name: (wait, FakeReply(200, pieces, SSE))
            for (name, pieces), wait in zip(streams.items(), waits, strict=True)
        }
    )
    plan = chain(CLAUDE, GEMINI, CHAT, policy=policy, on_loss="warn")
    hedge = msgspec.structs.replace(plan.hedge, after=0.1, max=5, budget=10.0)
    plan = msgspec.structs.replace(plan, hedge=hedge)
    out, _ = await exchange(transport, plan, stream=True, seed=7, odd=1, logit_bias={"1": 1})
    assert len(transport.calls) == 3
    told = dict(out.headers)
    assert told[b"x-pointsman-target"] == winner
    assert (set(told[LOST].split(b",")) if LOST in told else None) == lost


async def test_one_that_loses_does_not_race(autojump_clock) -> None:
    transport = HostTransport(xai=(1.0, FakeReply(200, STREAM, SSE)))
    plan = chain(CLAUDE, CHAT, policy="race", on_loss="fail")
    out, _ = await exchange(transport, plan, stream=True, odd=1)
    assert dict(out.headers)[b"x-pointsman-target"] == b"xai"
    assert len(transport.calls) == 1


# What a header may hold


def header(*names: str) -> str:
    return losses.paths([Lost(name, "") for name in names])


def test_each_path_once_and_in_order() -> None:
    assert header("b", "a", "b") == "b,a"


@pytest.mark.parametrize("name", ["a\r\nx: y", "a,b", "é", "a b", "\x7f", "\U0001f600", "\ud800"])
def test_a_name_cannot_leave_its_place(name: str) -> None:
    told = header(name, "z")
    assert re.fullmatch(r"[!-+\--~]+,z", told)


def test_further_ones_without_a_name_are_counted() -> None:
    assert losses.paths([Lost("a", ""), Lost("", "", 7)]) == "a,+7"
    many = [*(Lost(f"field_{n}", "") for n in range(1000)), Lost("", "", 7)]
    told = losses.paths(many).split(",")
    assert told[-1] == f"+{1007 - len(told) + 1}"


def test_the_header_is_bounded() -> None:
    told = header(*(f"field_{n}" for n in range(1000)))
    assert len(told) <= 1010
    shown = told.split(",")
    assert shown[-1] == f"+{1000 - len(shown) + 1}"
    assert len(header("x" * 5000)) <= 210
    assert len(header("é" * 5000, "é" * 4999 + "x")) <= 1010
