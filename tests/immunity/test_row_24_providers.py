"""Row 24: what a provider's own dialect takes away from a body is listed like any other loss."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from proxy.accounts.pool import Pool
from proxy.config.model import Candidate, Plan, Settings, Target
from proxy.convo.model import Capability, Lost, Reasoning
from proxy.explain import explain
from proxy.routing.table import Table
from proxy.upstream import _MODULES, get
from proxy.upstream.base import Client
from proxy.upstream.prepare import Ask, Work
from tests.scripted import ANSWER, FakeReply, FakeTransport, chain, credential, exchange

WIRES = {
    "openai-compat": ("chat",),
    "demo": ("chat",),
    "claude": ("anthropic",),
    "codex": ("responses",),
    "gemini": ("gemini",),
    "vertex": ("gemini",),
    "gemini-cli": ("gemini_cli",),
    "antigravity": ("gemini_cli",),
    "qwen": ("chat",),
    "iflow": ("chat",),
    "copilot": ("chat", "responses", "anthropic"),
}
"""Provider -> the wires that it is spoken to in."""
ONE_WAY = {"kiro"}
"""Those whose wire no client speaks: nothing reaches them but what their encoder made."""
SAID = {
    "chat": {
        "model": "m",
        "messages": [{"role": "user", "content": "q"}],
        "temperature": 0.5,
        "parallel_tool_calls": False,
        "store": True,
        "service_tier": "flex",
        "odd": {"a": 1},
        "max_tokens": 9,
        "max_completion_tokens": 9,
        "user": "u",
        "stream": False,
        "seed": 3,
        "prompt_cache_retention": "24h",
    },
    "responses": {
        "model": "m",
        "input": "q",
        "temperature": 0.5,
        "top_p": 0.5,
        "max_output_tokens": 9,
        "max_completion_tokens": 9,
        "max_tokens": 9,
        "previous_response_id": "r",
        "odd": 1,
        "prompt_cache_retention": "24h",
        "service_tier": "flex",
        "store": True,
        "user": "u",
        "parallel_tool_calls": False,
        "instructions": "s",
        "include": [],
        "stream": True,
        "truncation": "auto",
        "metadata": {"a": "b"},
        "top_logprobs": 3,
    },
    "anthropic": {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "q"}],
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "tool_choice": {"type": "any"},
        "metadata": {"user_id": "u"},
        "temperature": 0.5,
        "top_k": 3,
        "odd": 1,
        "stream": True,
    },
    "gemini": {
        "contents": [{"role": "user", "parts": [{"text": "q"}]}],
        "session_id": "s",
        "odd": 1,
        "generationConfig": {"topK": 3},
        "safetySettings": [],
        "cachedContent": "c",
    },
    "gemini_cli": {
        "model": "m",
        "project": "p",
        "user_prompt_id": "u",
        "odd": 1,
    },
}
"""Members that say something, for each wire."""
OTHERWISE = {
    "model": "stands in the URL",
    "stream": "said by the client's request as a whole",
    "input": "a text as the one item that it means",
    "include": "asks for more",
    "project": "the account's own",
    "max_completion_tokens": "the same number under the name that the model takes",
    "max_tokens": "the same number under the name that the model takes",
}
"""Members that go out otherwise, with the reason."""
KINDS = [
    (provider, wire, legacy)
    for provider, wires in WIRES.items()
    for wire in wires
    for legacy in (False, True)
]


def test_every_provider_is_asked() -> None:
    assert set(WIRES) == set(_MODULES) - ONE_WAY


@pytest.mark.parametrize(("provider", "wire", "legacy"), KINDS)
@given(st.data())
def test_what_is_taken_away_is_listed(provider: str, wire: str, legacy: bool, data) -> None:
    chosen = data.draw(st.sets(st.sampled_from(sorted(SAID[wire]))))
    said = {key: Raw(msgspec.json.encode(SAID[wire][key])) for key in chosen}
    action = data.draw(st.sampled_from(["generate", "stream"]))
    model = data.draw(st.sampled_from(["gpt-5", "gemini-3-pro", "claude-opus-4-5"]))
    one = Candidate(
        credential=credential("a", wire=wire, provider=provider, legacy=legacy), model=model
    )
    body, lost = dict(said), []
    get(provider).shape(body, one, action, Client(wire, [], top=said), lost)
    paths = [entry.path for entry in lost]
    assert len(paths) == len(set(paths))
    assert all(entry.why for entry in lost)
    changed = {key for key in said if bytes(msgspec.json.encode(body.get(key))) != bytes(said[key])}
    assert changed - set(paths) <= set(OTHERWISE)
    assert set(paths) <= changed


@pytest.mark.parametrize("value", [None, "auto", "default"])
def test_what_holds_anyway_is_no_loss(value: object) -> None:
    said = {"model": "m", "input": "q", "service_tier": value, "store": False, "temperature": None}
    body = {key: Raw(msgspec.json.encode(member)) for key, member in said.items()}
    one = Candidate(
        credential=credential("a", wire="responses", provider="codex", legacy=True), model="m"
    )
    lost: list[Lost] = []
    get("codex").shape(body, one, "stream", Client("responses", []), lost)
    assert lost == []


COPILOT = credential("copilot", provider="copilot")


async def test_warn_tells_what_the_provider_takes_away() -> None:
    transport = FakeTransport(FakeReply(200, [ANSWER]))
    plan = chain(COPILOT, on_loss="warn")
    out, _ = await exchange(transport, plan, parallel_tool_calls=False)
    assert dict(out.headers)[b"x-pointsman-lost"] == b"parallel_tool_calls"
    assert b"parallel_tool_calls" not in transport.calls[0].body


async def test_fail_asks_one_that_takes_nothing_away() -> None:
    transport = FakeTransport(FakeReply(200, [ANSWER]))
    plan = chain(COPILOT, "xai", on_loss="fail")
    out, _ = await exchange(transport, plan, parallel_tool_calls=False)
    assert dict(out.headers)[b"x-pointsman-target"] == b"xai"
    assert len(transport.calls) == 1


async def test_fail_tells_dialects_of_one_provider_apart() -> None:
    """A Codex key of `config.yaml` takes the dialect; one of routes.d the API itself."""
    codex = credential("codex", wire="responses", provider="codex", legacy=True)
    plain = credential("plain", wire="responses", provider="codex")
    answer = msgspec.json.encode(
        {"id": "r", "object": "response", "status": "completed", "output": []}
    )
    transport = FakeTransport(FakeReply(200, [answer]))
    plan = chain(codex, plain, on_loss="fail")
    out, _ = await exchange(transport, plan, wire="responses", input="q", temperature=0.5)
    assert dict(out.headers)[b"x-pointsman-target"] == b"plain"


async def test_nested_members_are_told_and_counted() -> None:
    claude = credential("claude", wire="anthropic", provider="claude")
    message = {"role": "user", "content": "q", "odd": 1}
    plan = chain(claude, "xai", on_loss="fail")
    transport = FakeTransport(FakeReply(200, [ANSWER]))
    out, live = await exchange(transport, plan, messages=[message])
    assert dict(out.headers)[b"x-pointsman-target"] == b"xai"
    assert "messages[0].odd" in "".join(live.log._lines)


def test_explain_looks_for_losses_whatever_the_route_does() -> None:
    message = {"role": "user", "content": "q", "odd": 1}
    body = msgspec.json.encode({"model": "m", "messages": [message] * 60})
    claude = credential("claude", wire="anthropic", provider="claude")
    table = Table(
        plans={"m": chain(claude)},
        accounts={},
        aliases=(),
        prefixes=(),
        listed=(),
        ask=lambda *_: None,
    )
    ask = Ask(wire="chat", body=body, headers=[])
    (choice,) = explain(ask, table, Settings(), Pool(), 0.0).choices
    assert choice.lost[0].startswith("messages[0].odd: ")
    assert (len(choice.lost), choice.lost[-1]) == (51, "and 10 more")


def work(on_loss: str) -> tuple[Work, Candidate, Plan]:
    message = {"role": "user", "content": "q", "odd": 1}
    body = msgspec.json.encode({"model": "m", "messages": [message]})
    one = Candidate(credential=credential("c", wire="anthropic", provider="claude"), model="m")
    targets = (Target(upstream="c", candidates=(one,)),)
    plan = Plan(asked="m", model="m", targets=targets, on_loss=on_loss)
    return Work(Ask(wire="chat", body=body, headers=[])), one, plan


def test_ignore_does_not_look(monkeypatch) -> None:
    monkeypatch.setattr(Work, "_unread", lambda *_: pytest.fail("nobody asked"))
    asked, one, plan = work("ignore")
    lost: list[Lost] = []
    asked.call(one, plan, Settings(), lost)
    assert lost == []


def test_a_request_is_looked_through_once(monkeypatch) -> None:
    from proxy.wire import unread

    found = []
    real = unread.unread
    monkeypatch.setattr(unread, "unread", lambda *args: found.append(1) or real(*args))
    asked, one, plan = work("warn")
    for _ in range(3):
        lost: list[Lost] = []
        asked.call(one, plan, Settings(), lost)
        assert [entry.path for entry in lost] == ["messages[0].odd"]
    assert found == [1]


@pytest.mark.parametrize("wire", ["gemini", "gemini_cli"])
def test_what_one_wire_keeps_another_loses(wire: str) -> None:
    """Signatures of another provider make a request of Gemini's own wire translated, too."""
    part = {"text": "q", "thoughtSignature": "pointsman/a/c2ln"}
    tools = [{"functionDeclarations": [{"name": "f", "odd": 1}]}]
    inner = {"contents": [{"role": "user", "odd": 1, "parts": [part]}], "tools": tools}
    body = {"model": "m", "request": inner} if wire == "gemini_cli" else inner
    ask = Ask(wire=wire, body=msgspec.json.encode(body), headers=[], model="m")
    asked, told = Work(ask), {}
    for upstream, provider in (("gemini", "gemini"), ("anthropic", "claude"), ("gemini", "vertex")):
        one = Candidate(credential=credential("c", wire=upstream, provider=provider), model="m")
        plan = Plan(asked="m", model="m", targets=(), on_loss="warn")
        lost: list[Lost] = []
        asked.call(one, plan, Settings(), lost)
        told[provider] = [entry.path for entry in lost if "odd" in entry.path]
    before = "request." if wire == "gemini_cli" else ""
    kept = [f"{before}contents[0].odd"]
    assert told["gemini"] == told["vertex"] == kept
    assert told["claude"] == [*kept, f"{before}tools[0].functionDeclarations[0].odd"]


def test_a_thinking_suffix_tells_what_does_not_go_with_it() -> None:
    body = {"model": "m", "max_tokens": 9000, "temperature": 0.5, "top_k": 3, "messages": []}
    one = Candidate(
        credential=credential("c", wire="anthropic", provider="claude"),
        model="m",
        capability=Capability(budget_max=30_000),
    )
    plan = Plan(
        asked="m(2000)",
        model="m",
        targets=(Target(upstream="c", candidates=(one,)),),
        reasoning=Reasoning(budget=2000),
        on_loss="warn",
    )
    asked = Work(Ask(wire="anthropic", body=msgspec.json.encode(body), headers=[]))
    lost: list[Lost] = []
    asked.call(one, plan, Settings(), lost)
    assert {entry.path for entry in lost} == {"temperature", "top_k"}
