"""Requests with the login of a Claude subscription and of a ChatGPT plan: what the services demand is
there, what the client said of itself goes through, and nothing is made up."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import Raw

from proxy.config.model import (
    Candidate,
    Credential,
    Plan,
    ServiceOptions,
    Settings,
    Target,
)
from proxy.jsonio import encode
from proxy.secret import Secret
from proxy.upstream import get, losses
from proxy.upstream.base import Client
from proxy.upstream.prepare import Ask, Work

LINE = "You are Claude Code, Anthropic's official CLI for Claude."
CLAUDE_CODE = [
    (b"user-agent", b"claude-cli/2.1.0 (external, cli)"),
    (b"x-app", b"cli"),
    (b"x-stainless-lang", b"js"),
    (b"x-claude-code-session-id", b"s-1"),
    (b"anthropic-dangerous-direct-browser-access", b"true"),
    (b"anthropic-beta", b"claude-code-20250219,oauth-2025-04-20"),
    (b"anthropic-version", b"2023-06-01"),
    (b"x-api-key", b"client-key"),
    (b"authorization", b"Bearer client-key"),
    (b"cookie", b"c=1"),
]
CODEX_CLI = [
    (b"user-agent", b"codex_cli_rs/0.60.0 (Linux)"),
    (b"originator", b"codex_cli_rs"),
    (b"session_id", b"s-1"),
    (b"conversation_id", b"c-1"),
    (b"x-codex-turn-metadata", b"{}"),
    (b"openai-beta", b"responses=experimental"),
    (b"authorization", b"Bearer client-key"),
    (b"chatgpt-account-id", b"the-client's"),
]


def claude(**more):
    credential = Credential(
        id="a.json",
        provider="claude",
        wire="anthropic",
        base_url="https://api.anthropic.com",
        key=Secret("sk-ant-oat01-x"),
        account="a.json",
        **more,
    )
    return Candidate(credential=credential, model="claude-sonnet-4-5-20250929")


def codex(**more):
    credential = Credential(
        id="a.json",
        provider="codex",
        wire="responses",
        base_url="https://chatgpt.com/backend-api/codex",
        key=Secret("tok"),
        headers=(("Chatgpt-Account-Id", "acct-1"),),
        account="a.json",
        **more,
    )
    return Candidate(credential=credential, model="gpt-5")


def head(one, client, action="stream", body=None):
    made = get(one.credential.provider).headers(one, action, client, body or {})
    return [(name.decode().lower(), value.decode()) for name, value in made]


def sent(one, wire, body, headers=(), *, count=False):
    """The body as it goes to this candidate, and what is lost."""
    ask = Ask(wire, encode(body), list(headers), count=count)
    work, lost = Work(ask), []
    call = work.call(one, _plan(one), Settings(), lost)
    return msgspec.json.decode(call.body), [entry.path for entry in lost]


def _plan(one, **more):
    target = Target(upstream=one.credential.provider, candidates=(one,))
    return Plan(asked=one.model, model=one.model, targets=(target,), **more)


def test_claude_urls():
    provider, one, client = get("claude"), claude(), Client("anthropic", [])
    assert provider.url(one, "stream", client) == "https://api.anthropic.com/v1/messages?beta=true"
    assert provider.url(one, "count", client) == (
        "https://api.anthropic.com/v1/messages/count_tokens?beta=true"
    )


@pytest.mark.parametrize(("action", "accept"), [("stream", "text/event-stream"), ("generate", "application/json")])  # fmt: skip
def test_a_client_that_says_nothing_is_given_no_identity(action, accept):
    assert head(claude(), Client("anthropic", []), action) == [
        ("content-type", "application/json"),
        ("accept", accept),
        ("authorization", "Bearer sk-ant-oat01-x"),
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "oauth-2025-04-20"),
    ]


def test_claude_code_keeps_its_own_headers_and_no_key():
    assert dict(head(claude(), Client("anthropic", CLAUDE_CODE))) == {
        "content-type": "application/json",
        "accept": "text/event-stream",
        "authorization": "Bearer sk-ant-oat01-x",
        **{n.decode(): v.decode() for n, v in CLAUDE_CODE if n not in (b"x-api-key", b"authorization", b"cookie")},
    }  # fmt: skip


def test_betas_of_header_and_body_are_merged_with_the_one_that_logins_need():
    client = Client("anthropic", [(b"anthropic-beta", b"a-1, b-2")])
    body = {"betas": Raw(b'["b-2","c-3"]')}
    assert dict(head(claude(), client, body=body))["anthropic-beta"] == (
        "a-1,b-2,oauth-2025-04-20,c-3"
    )
    assert body == {}


def test_a_client_of_another_protocol_does_not_hand_on_its_sdk():
    client = Client("chat", [(b"user-agent", b"OpenAI/Python"), (b"x-stainless-lang", b"python")])
    found = dict(head(claude(), client))
    assert found["user-agent"] == "OpenAI/Python"
    assert "x-stainless-lang" not in found


def test_imitation_is_for_those_who_ask_for_it_and_not_for_claude_code_itself():
    one = claude(service=ServiceOptions(imitate=True))
    found = dict(head(one, Client("chat", [])))
    assert found["user-agent"].startswith("claude-cli/")
    assert found["x-stainless-lang"] == "js"
    assert found["authorization"] == "Bearer sk-ant-oat01-x"
    own = dict(head(one, Client("anthropic", CLAUDE_CODE)))
    assert own["user-agent"] == "claude-cli/2.1.0 (external, cli)"
    assert "x-stainless-os" not in own


BODY = {
    "model": "claude-sonnet-4-5-20250929",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "hi"}],
}
OWN = {"type": "text", "text": "Be terse.", "cache_control": {"type": "ephemeral"}}
FIRST = {"type": "text", "text": LINE}


@pytest.mark.parametrize(
    ("system", "becomes"),
    [
        ({}, [FIRST]),
        ({"system": None}, [FIRST]),
        ({"system": ""}, [FIRST]),
        ({"system": "Be terse."}, [FIRST, {"type": "text", "text": "Be terse."}]),
        ({"system": [OWN]}, [FIRST, OWN]),
        ({"system": [OWN, {"type": "odd", "x": 1.0}]}, [FIRST, OWN, {"type": "odd", "x": 1.0}]),
        ({"system": LINE}, LINE),
        ({"system": [{"type": "text", "text": LINE}, OWN]}, [FIRST, OWN]),
        (
            {"system": [{"type": "text", "text": "x-billing: 1"}, {"type": "text", "text": LINE}]},
            [{"type": "text", "text": "x-billing: 1"}, FIRST],
        ),
        (
            {"system": "You are a Claude agent, built on Anthropic's Claude Agent SDK."},
            "You are a Claude agent, built on Anthropic's Claude Agent SDK.",
        ),
        ({"system": 5}, 5),
        ({"system": ["odd"]}, [FIRST, "odd"]),
    ],
)
def test_the_line_that_subscriptions_are_served_with_comes_first(system, becomes):
    body, lost = sent(claude(), "anthropic", BODY | system)
    assert body["system"] == becomes
    assert (body["messages"], lost) == (BODY["messages"], [])


def test_who_speaks_another_protocol_keeps_the_system_text_too():
    chat = {
        "model": "claude-sonnet-4-5-20250929",
        "messages": [{"role": "system", "content": "Be terse."}, {"role": "user", "content": "hi"}],
    }
    body, _ = sent(claude(), "chat", chat)
    assert [block["text"] for block in body["system"]] == [LINE, "Be terse."]
    assert "metadata" not in body


def test_nothing_is_added_for_claude_code_for_counts_or_where_it_is_switched_off():
    assert sent(claude(), "anthropic", BODY | {"system": "x"}, CLAUDE_CODE)[0]["system"] == "x"
    assert "system" not in sent(claude(), "anthropic", BODY, CLAUDE_CODE)[0]
    assert "system" not in sent(claude(), "anthropic", BODY, count=True)[0]
    off = claude(service=ServiceOptions(system_line=False))
    assert "system" not in sent(off, "anthropic", BODY)[0]


def test_the_prefix_of_a_conversation_is_the_same_bytes_each_time():
    def prefix(messages):
        ask = Ask("anthropic", encode(BODY | {"system": [OWN], "messages": messages}), [])
        one = claude()
        return Work(ask).call(one, _plan(one), Settings(), []).body

    first = prefix([{"role": "user", "content": "hi"}])
    second = prefix([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}])
    assert first[: first.index(b"hi")] == second[: second.index(b"hi")]


def test_a_tool_keeps_its_name():
    tools = [{"name": "weather", "input_schema": {"type": "object"}}]
    assert sent(claude(), "anthropic", BODY | {"tools": tools})[0]["tools"] == tools


# Codex


def test_codex_url():
    url = get("codex").url(codex(), "generate", Client("chat", []))
    assert url == "https://chatgpt.com/backend-api/codex/responses"


def test_a_client_that_is_no_codex_goes_by_this_programs_name():
    client = Client("chat", [(b"user-agent", b"OpenAI/Python")])
    found = dict(head(codex(), client, "generate"))
    agent = found.pop("user-agent")
    assert agent.startswith("pointsman/")
    assert found == {
        "content-type": "application/json",
        "authorization": "Bearer tok",
        "accept": "text/event-stream",
        "originator": "pointsman",
        "chatgpt-account-id": "acct-1",
    }


def test_codex_cli_keeps_its_own_headers_but_not_its_account():
    found = head(codex(), Client("responses", CODEX_CLI), body={"prompt_cache_key": "k"})
    names = [name for name, _ in found]
    assert len(names) == len(set(names))
    assert dict(found) == {
        "content-type": "application/json",
        "authorization": "Bearer tok",
        "accept": "text/event-stream",
        "chatgpt-account-id": "acct-1",
        **{n.decode(): v.decode() for n, v in CODEX_CLI if n not in (b"authorization", b"chatgpt-account-id")},
    }  # fmt: skip


def test_a_conversation_with_a_cache_key_is_named_by_it():
    found = dict(head(codex(), Client("chat", []), body={"prompt_cache_key": "k-1"}))
    assert (found["session_id"], found["conversation_id"]) == ("k-1", "k-1")


@pytest.mark.parametrize("key", ["a\r\nx: y", "ключ", "two words", "k" * 300])
def test_a_cache_key_that_no_header_can_hold_names_nothing(key):
    assert "session_id" not in dict(
        head(codex(), Client("chat", []), body={"prompt_cache_key": key})
    )


def test_codex_is_imitated_for_those_who_ask_for_it():
    one = codex(service=ServiceOptions(imitate=True))
    found = dict(head(one, Client("chat", [])))
    assert found["originator"] == "codex_cli_rs"
    assert found["user-agent"].startswith("codex_cli_rs/")
    assert found["chatgpt-account-id"] == "acct-1"


def test_the_dialect_and_what_it_loses():
    given = {
        "model": "gpt-5",
        "instructions": "Be terse.",
        "input": "hi",
        "max_output_tokens": 5,
        "temperature": 1,
        "top_p": 1,
        "service_tier": "flex",
        "previous_response_id": "r",
        "user": "u",
        "metadata": {"a": "b"},
        "truncation": "auto",
        "safety_identifier": "s",
        "store": True,
        "text": {"verbosity": "low"},
    }
    body, lost = sent(codex(), "responses", given)
    assert body == {
        "model": "gpt-5",
        "instructions": "Be terse.",
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
        ],
        "store": False,
        "stream": True,
        "parallel_tool_calls": True,
        "include": ["reasoning.encrypted_content"],
        "text": {"verbosity": "low"},
    }
    assert sorted(lost) == [
        *("max_output_tokens", "metadata", "previous_response_id", "safety_identifier"),
        *("service_tier", "store", "temperature", "top_p", "truncation", "user"),
    ]


def test_instructions_are_the_clients_own():
    chat = {
        "model": "gpt-5",
        "messages": [{"role": "system", "content": "Be terse."}, {"role": "user", "content": "hi"}],
        "max_tokens": 7,
        "temperature": 0.5,
    }
    body, lost = sent(codex(), "chat", chat)
    assert body["instructions"] == "Be terse."
    assert [item["role"] for item in body["input"]] == ["user"]
    assert sorted(lost) == ["max_output_tokens", "temperature"]
    assert sent(codex(), "responses", {"model": "gpt-5", "input": []})[0]["instructions"] == ""


def test_a_claude_conversation_keeps_one_cache_key():
    body = BODY | {"model": "gpt-5", "metadata": {"user_id": "user-1"}}
    first, second = (sent(codex(), "anthropic", body)[0] for _ in range(2))
    assert first["prompt_cache_key"] == second["prompt_cache_key"]
    assert "user" not in first


def test_a_route_that_wants_nothing_lost_skips_a_plan_that_refuses_it():
    one = codex()
    work = Work(Ask("responses", encode({"model": "gpt-5", "input": "x", "temperature": 1}), []))
    told = []
    with pytest.raises(Exception, match="temperature"):
        losses.carriers(_plan(one, on_loss="fail"), work, lambda *words: told.append(words))
    assert told[0][2] == "temperature"
