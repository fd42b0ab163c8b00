"""Gemini's reasoning over Copilot: kept from an answer, given back in the next turn."""

from __future__ import annotations

import msgspec
import pytest
import trio

from proxy.config.model import Candidate
from proxy.jsonio import top_level
from proxy.net.api import Call
from proxy.net.tap import tapped
from proxy.upstream.copilot import Copilot
from proxy.upstream.copilot_reasoning import MOST, Capture, Reasoning
from tests.unit.auth.mock_github import Reply
from tests.unit.upstream.test_copilot import client, credential

CALLS = [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
TURN = {"role": "assistant", "content": None, "tool_calls": CALLS}


def delta(**said):
    return b"data: " + msgspec.json.encode({"choices": [{"index": 0, "delta": said}]}) + b"\n\n"


STREAM = b"".join(
    [
        delta(role="assistant", content=""),
        delta(reasoning_text="I "),  # before the call: kept as well
        delta(reasoning_text="think"),
        delta(tool_calls=CALLS, reasoning_opaque="AAAA"),
        delta(content=None),
        b"data: [DONE]\n\n",
    ]
)


def given(kept, turn=TURN, account="a.json"):
    body = top_level(msgspec.json.encode({"messages": [{"role": "user"}, turn]}))
    kept.give_back(account, body)
    return msgspec.json.decode(msgspec.json.encode(body))["messages"][1]


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_a_stream_in_any_pieces(size):
    kept = Reasoning()
    capture = Capture(kept, "a.json", stream=True)
    for start in range(0, len(STREAM), size):
        capture(STREAM[start : start + size])
    capture(b"")
    assert given(kept) == {**TURN, "reasoning_opaque": "AAAA", "reasoning_text": "I think"}


def test_a_whole_answer():
    kept = Reasoning()
    capture = Capture(kept, "a.json", stream=False)
    message = {"role": "assistant", "tool_calls": CALLS, "reasoning_opaque": "BBBB"}
    capture(msgspec.json.encode({"choices": [{"index": 0, "message": message}]}))
    capture(b"")
    assert given(kept) == {**TURN, "reasoning_opaque": "BBBB"}


@pytest.mark.parametrize(
    "turn",
    [
        {**TURN, "reasoning_opaque": "own"},
        {**TURN, "reasoning_text": "own"},
        {**TURN, "tool_calls": [{"id": "call_2"}]},
        {**TURN, "role": "user"},
        {"role": "assistant", "content": "x"},
        {"role": "assistant", "tool_calls": "odd"},
    ],
)
def test_what_is_left_as_it_is(turn):
    kept = Reasoning()
    kept.keep("a.json", "call_1", "AAAA", "")
    assert given(kept, turn) == turn


def test_accounts_do_not_share_it():
    kept = Reasoning()
    kept.keep("a.json", "call_1", "AAAA", "")
    assert given(kept, account="b.json") == TURN


def test_it_is_bounded():
    kept = Reasoning()
    for number in range(MOST + 50):
        kept.keep("a.json", f"call_{number}", "x", "")
    assert len(kept) == MOST
    kept.keep("a.json", "huge", "x" * 300_000, "")
    assert len(kept) == MOST
    for number in range(200):
        kept.keep("a.json", f"large_{number}", "x" * 250_000, "")
    assert kept._size <= 16 * 1024 * 1024


@pytest.mark.parametrize(
    "noise", [b"data: {", b"data: [1]\n", b'data: {"tool_calls" \xff\n', b"\n" * 9]
)
def test_noise_is_no_reasoning(noise):
    kept = Reasoning()
    capture = Capture(kept, "a.json", stream=True)
    capture(noise)
    capture(b"")
    assert len(kept) == 0


async def test_from_the_answer_to_the_next_request() -> None:
    provider = Copilot()
    candidate = Candidate(credential=credential(), model="gemini-3-pro-preview")
    tap = provider.tap(candidate, "stream")
    call = Call(method=b"POST", url="https://x.test", headers=[], body=b"", tap=tap)
    reply = tapped(Reply(200, STREAM), call)
    data = b""
    with trio.fail_after(5):
        while piece := await reply.receive():
            data += piece
    assert data == STREAM
    body = top_level(msgspec.json.encode({"messages": [TURN]}))
    provider.shape(body, candidate, "stream", client({}), [])
    assert b'"reasoning_opaque":"AAAA"' in msgspec.json.encode(body)
    assert provider.tap(Candidate(credential=credential(), model="gpt-4.1"), "stream") is None
    other = Candidate(credential=credential("responses"), model="gemini-x")
    assert provider.tap(other, "stream") is None
