"""Row 39: headers and log lines tell which route, target and account served a request."""

from __future__ import annotations

import re

import msgspec
import pytest
import trio

from proxy.config.model import Candidate, Plan, Target
from proxy.exchange import run
from proxy.upstream.prepare import Ask
from tests.scripted import (
    ANSWER,
    STREAM,
    FakeReply,
    FakeTransport,
    HostTransport,
    Out,
    chain,
    credential,
    exchange,
    live_of,
)

SSE = [(b"content-type", b"text/event-stream")]
NAMES = (
    b"x-pointsman-route",
    b"x-pointsman-target",
    b"x-pointsman-account",
    b"x-pointsman-attempts",
    b"x-request-id",
)


def fields(line: str) -> dict[str, str]:
    return dict(re.findall(r"(\w+)=('[^']*'|\S+)", line))


def lines(live, event: str) -> list[dict[str, str]]:
    return [fields(line) for line in live.log._lines if f" {event} " in line]


@pytest.mark.parametrize("stream", [False, True])
async def test_headers_name_route_target_account_and_attempts(stream: bool) -> None:
    answer = FakeReply(200, STREAM, SSE) if stream else FakeReply(200, [ANSWER])
    transport = FakeTransport(FakeReply(429, [b'{"error":{"message":"empty"}}']), answer)
    out, live = await exchange(transport, chain("a", "b"), stream=stream)
    told = dict(out.headers)
    assert all(name in told for name in NAMES)
    assert told[b"x-pointsman-route"] == b"m"
    assert told[b"x-pointsman-target"] == b"b"
    assert told[b"x-pointsman-attempts"] == b"2"
    assert re.fullmatch(rb"[0-9a-f]{8}", told[b"x-pointsman-account"])
    (served,) = lines(live, "served")
    assert served["id"] == told[b"x-request-id"].decode()
    assert served["account"] == told[b"x-pointsman-account"].decode()


async def test_one_line_per_attempt() -> None:
    transport = FakeTransport(
        FakeReply(429, [b'{"error":{"message":"is empty"}}']),
        FakeReply(503, [b"{}"]),
        FakeReply(200, [ANSWER]),
    )
    out, live = await exchange(transport, chain("a", "b", "c"))
    attempts = lines(live, "attempt")
    assert [line["target"] for line in attempts] == ["a", "b", "c"]
    assert [line["status"] for line in attempts] == ["429", "503", "ok"]
    assert [line["n"] for line in attempts] == ["1", "2", "3"]
    assert len({line["account"] for line in attempts}) == 3
    assert {line["id"] for line in attempts} == {dict(out.headers)[b"x-request-id"].decode()}
    assert attempts[0]["error"] == "'is empty'"
    assert all(line["ms"].isdigit() for line in attempts)


async def test_a_loser_has_its_line_too(autojump_clock) -> None:
    transport = HostTransport(
        a=(5.0, FakeReply(200, STREAM, SSE)), b=(1.0, FakeReply(200, STREAM, SSE))
    )
    _, live = await exchange(transport, chain("a", "b", policy="race"), stream=True)
    by_target = {line["target"]: line for line in lines(live, "attempt")}
    assert by_target["a"]["status"] == "left"
    assert by_target["b"]["status"] == "ok"
    assert by_target["b"]["ms"] == "1000"


async def test_served_tells_tokens_and_time(autojump_clock) -> None:
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5}}\n\n'
    pieces = [*STREAM[:2], 2.0, STREAM[2], usage, STREAM[3]]
    transport = FakeTransport(FakeReply(200, pieces, SSE))
    _, live = await exchange(transport, chain("a"), stream=True)
    (served,) = lines(live, "served")
    assert served["tokens"] == "3+5"
    assert served["ms"] == "2000"


async def test_a_refusal_has_an_id_as_well() -> None:
    transport = FakeTransport(FakeReply(429, [b"{}"]))
    out, live = await exchange(transport, chain("a"))
    (refused,) = lines(live, "refused")
    assert refused["id"] == dict(out.headers)[b"x-request-id"].decode()


async def test_a_whole_answer_of_another_wire_tells_its_tokens() -> None:
    transport = FakeTransport(FakeReply(200, [ANSWER]))
    _, live = await exchange(transport, chain("a"), wire="anthropic", max_tokens=9)
    assert lines(live, "served")[0]["tokens"] == "3+1"


async def test_names_that_would_break_a_header_are_escaped() -> None:
    one = Candidate(credential=credential("a", upstream="zwei\r\nx: y"), model="real")
    plan = Plan(asked="m", model="modèle 1", targets=(Target(upstream="u", candidates=(one,)),))
    live, out = live_of(FakeTransport(FakeReply(200, [ANSWER])), plan), Out()
    body = msgspec.json.encode({"model": "m", "messages": []})
    await run(Ask(wire="chat", body=body, headers=[]), out, live)
    told = dict(out.headers)
    assert told[b"x-pointsman-target"] == rb"zwei\r\nx: y"
    assert told[b"x-pointsman-route"] == rb"mod\xe8le 1"


async def test_ids_differ_and_labels_are_bounded() -> None:
    live = live_of(FakeTransport(), chain("a"))
    plans = [msgspec.structs.replace(chain("a"), model=f"m{n}") for n in range(5000)]
    for plan in plans:
        live.labels.of(plan, plan.targets[0].candidates[0])
    assert len(live.labels._known) <= 4096
    ids = {Ask(wire="chat", body=b"", headers=[]).id for _ in range(1000)}
    assert len(ids) == 1000
    await trio.lowlevel.checkpoint()


async def test_no_secret_is_told() -> None:
    transport = FakeTransport(FakeReply(429, [b"{}"]), FakeReply(200, [ANSWER]))
    out, live = await exchange(transport, chain("a", "b"))
    told = b"".join(value for _, value in out.headers).decode() + "".join(live.log._lines)
    assert "key-" not in told
