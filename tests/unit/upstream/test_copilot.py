"""Copilot's headers: each row of the sheet's tables (sections 5 to 8), for every client protocol."""

from __future__ import annotations

import msgspec
import pytest

from proxy.config.model import Candidate, CopilotOptions, Credential
from proxy.convo.model import Capability
from proxy.jsonio import top_level
from proxy.secret import Secret
from proxy.upstream.base import Client
from proxy.upstream.copilot import Copilot, list_headers, profile

USER = {"role": "user", "content": "hi"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": "done"}


def credential(wire="chat", **options):
    return Credential(
        id="a.json",
        provider="copilot",
        wire=wire,
        base_url="https://api.individual.githubcopilot.com",
        key=Secret("tid=1"),
        account="a.json",
        copilot=CopilotOptions(**options),
    )


def client(body, *, wire="chat", headers=()):
    return Client(wire, list(headers), top=top_level(msgspec.json.encode(body)))


def initiator(body, *, provider=None, wire="chat", headers=(), **options):
    options.setdefault("persist", False)
    seen = client(body, wire=wire, headers=headers)
    return (provider or Copilot()).initiator(seen, CopilotOptions(**options)).decode()


def header(headers, name):
    found = [value.decode() for key, value in headers if key.lower() == name.lower().encode()]
    assert len(found) < 2, "a header is sent twice"
    return found[0] if found else None


@pytest.mark.parametrize(
    ("body", "who"),
    [
        ({"messages": [USER]}, "user"),
        ({"messages": [USER, USER]}, "user"),
        ({"messages": [USER], "tools": []}, "user"),
        ({"messages": [USER], "functions": []}, "user"),
        ({"messages": [USER], "tool_choice": "none"}, "user"),
        ({"input": [{"type": "message", **USER}]}, "user"),
        ({"messages": [USER], "input": [USER]}, "user"),
        ({"prompt": "legacy"}, "user"),
        ({"messages": [USER], "previous_response_id": None}, "agent"),
        ({"messages": [USER], "previous_response_id": "resp_1"}, "agent"),
        ({"messages": [USER], "tools": [TOOL]}, "agent"),
        ({"messages": [USER], "functions": [{"name": "f"}]}, "agent"),
        ({"messages": [USER], "tool_choice": "auto"}, "agent"),
        ({"messages": [USER], "tool_choice": None}, "agent"),
        ({"messages": [USER], "tool_choice": {"type": "function"}}, "agent"),
        ({"messages": [{"role": "system", "content": "x"}, USER]}, "agent"),
        ({"messages": [{"role": "developer", "content": "x"}, USER]}, "agent"),
        ({"messages": [USER, {"role": "assistant", "content": "x"}, USER]}, "agent"),
        ({"messages": [USER, {"role": "tool", "tool_call_id": "c", "content": "x"}]}, "agent"),
        ({"input": [USER, {"role": "assistant", "content": "x"}]}, "agent"),
        ({"messages": []}, "agent"),
        ({"input": []}, "agent"),
        ({"input": "a plain text"}, "agent"),
        ({}, "agent"),
        ({"messages": [USER, {"content": "no role"}]}, "agent"),
        ({"messages": [USER], "input": [{"content": "no role"}]}, "agent"),
        ({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}, "agent"),
    ],
)
def test_who_sends_it_by_the_payload(body, who):
    assert initiator(body) == who


@pytest.mark.parametrize(
    "kind",
    [
        "function_call",
        "function_call_output",
        "computer_call",
        "computer_call_output",
        "web_search_call",
        "file_search_call",
        "code_interpreter_call",
        "local_shell_call",
        "local_shell_call_output",
        "mcp_call",
        "mcp_list_tools",
        "mcp_approval_request",
        "mcp_approval_response",
        "image_generation_call",
        "reasoning",
    ],
)
def test_an_item_of_an_agents_kind_makes_it_an_agents(kind):
    assert initiator({"input": [USER, {"type": kind}, USER]}) == "agent"


@pytest.mark.parametrize("word", ["1", "true", "T", "YES", "y", "on"])
def test_the_header_forces_an_agent(word):
    headers = [(b"force-copilot-agent", word.encode())]
    assert initiator({"messages": [USER]}, headers=headers) == "agent"


@pytest.mark.parametrize("word", ["0", "false", "no", ""])
def test_other_words_in_the_header_force_nothing(word):
    headers = [(b"force-copilot-agent", word.encode())]
    assert initiator({"messages": [USER]}, headers=headers) == "user"


def test_force_agent_call_is_off_unless_it_is_switched_on():
    assert CopilotOptions().force_agent is False
    assert initiator({"messages": [USER]}, force_agent=True) == "agent"


@pytest.mark.parametrize(
    "key", [{"prompt_cache_key": " t1 "}, {"metadata": {"prompt_cache_key": "t1"}}]
)
def test_later_requests_under_a_cache_key_are_the_agents(key):
    provider = Copilot()
    body = {"messages": [USER]}
    say = [
        initiator({**body, **key}, provider=provider, persist=True),
        initiator({**body, "prompt_cache_key": "t1"}, provider=provider, persist=True),
        initiator({**body, "prompt_cache_key": "t2"}, provider=provider, persist=True),
        initiator(body, provider=provider, persist=True),
        initiator({**body, "prompt_cache_key": "t1"}, provider=provider, persist=False),
    ]
    assert say == ["user", "agent", "user", "user", "user"]
    assert provider.calls == {b"user": 4, b"agent": 1}


def test_an_agents_call_under_the_key_does_not_use_it_up():
    provider = Copilot()
    agent = {"messages": [USER], "tools": [TOOL], "prompt_cache_key": "t"}
    assert initiator(agent, provider=provider, persist=True) == "agent"
    mine = {"messages": [USER], "prompt_cache_key": "t"}
    assert initiator(mine, provider=provider, persist=True) == "user"


def test_the_keys_are_bounded():
    provider = Copilot()
    for number in range(10_050):
        initiator(
            {"messages": [USER], "prompt_cache_key": f"k{number}"}, provider=provider, persist=True
        )
    assert len(provider._keys) == 10_000


def test_a_second_account_for_the_same_request_is_told_the_same():
    provider = Copilot()
    seen = client({"messages": [USER], "prompt_cache_key": "t"})
    candidate = Candidate(credential=credential(), model="gpt-4.1")
    told = [header(provider.headers(candidate, "generate", seen, {}), "x-initiator") for _ in "ab"]
    assert told == ["user", "user"]
    assert provider.calls == {b"user": 1, b"agent": 0}


@pytest.mark.parametrize(
    ("body", "who"),
    [
        ({"messages": [{"role": "system", "content": "x"}, USER], "tools": [TOOL]}, "user"),
        ({"messages": [USER, {"role": "assistant", "content": "x"}, USER]}, "user"),
        ({"messages": [USER, {"role": "tool", "tool_call_id": "c", "content": "x"}]}, "agent"),
        ({"messages": [USER, {"role": "user", "content": [RESULT]}]}, "agent"),
        ({"messages": [{"role": "user", "content": [RESULT, {"type": "text"}]}]}, "agent"),
        ({"input": "a plain text"}, "user"),
        ({"prompt": "legacy"}, "user"),
        (
            {"input": [USER, {"type": "function_call_output", "call_id": "c", "output": "x"}]},
            "agent",
        ),
        ({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}, "user"),
        ({"contents": [{"parts": [{"functionResponse": {"name": "f"}}]}]}, "agent"),
        ({"request": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}}, "user"),
        ({"messages": []}, "agent"),
    ],
)
def test_who_sends_it_by_the_last_turn(body, who):
    assert initiator(body, initiator="turn") == who


@pytest.mark.parametrize("name", [b"x-claude-code-agent-id", b"x-parent-session-id"])
def test_a_task_that_was_handed_on_is_no_persons_word(name):
    body = {"messages": [USER]}
    assert initiator(body, initiator="turn", headers=[(name, b"a1")]) == "agent"
    assert initiator(body, initiator="turn", headers=[(name, b"")]) == "user"
    assert initiator(body, headers=[(name, b"a1")]) == "user"  # CLIProxyAPI looks at the body alone


@pytest.mark.parametrize(
    ("model", "options", "expected"),
    [
        ("", {"header_profile": "vscode-chat"}, "cli"),
        ("gpt-4", {"vscode_models": ("gpt-4",)}, "cli"),
        ("grok-code-fast-1", {"cli_models": ("grok-code-fast-1",)}, "cli"),
        ("gpt-5", {"cli_models": ("gpt-5",), "vscode_models": ("gpt-5",)}, "cli"),
        ("gpt-5", {"vscode_models": ("gpt-5",)}, "vscode-chat"),
        ("gpt-5", {"header_profile": "vscode-chat"}, "vscode-chat"),
        ("grok-code-fast-1", {"header_profile": "cli"}, "cli"),
        (" Copilot-GPT-5 ", {}, "cli"),
        ("gemini-3-pro-preview", {}, "cli"),
        ("gemini-2.5-pro", {}, "vscode-chat"),
    ],
)
def test_which_header_profile(model, options, expected):
    assert profile(model, CopilotOptions(**options)) == expected


def headers_for(body, *, wire="chat", upstream="chat", sent=None, **options):
    candidate = Candidate(credential=credential(upstream, **options), model="gpt-4.1")
    sent = sent if sent is not None else top_level(msgspec.json.encode(body))
    return Copilot().headers(candidate, "stream", client(body, wire=wire), sent)


def test_the_cli_profile_is_the_sheets_table():
    headers = headers_for({"model": "gpt-4.1", "messages": [USER]})
    expected = {
        "Content-Type": "application/json",
        "Authorization": "Bearer tid=1",
        "Copilot-Integration-Id": "copilot-developer-cli",
        "Editor-Version": "vscode/1.95.0",
        "Editor-Plugin-Version": "copilot/0.0.363",
        "User-Agent": "copilot/0.0.363 (linux v22.15.0)",
        "Openai-Intent": "conversation-agent",
        "X-Github-Api-Version": "2025-05-01",
        "X-Vscode-User-Agent-Library-Version": "electron-fetch",
        "X-Interaction-Type": "conversation-agent",
        "X-Stainless-Retry-Count": "0",
        "X-Stainless-Lang": "js",
        "X-Stainless-Package-Version": "5.20.1",
        "X-Stainless-Os": "Linux",
        "X-Stainless-Arch": "arm64",
        "X-Stainless-Runtime": "node",
        "X-Stainless-Runtime-Version": "v22.15.0",
        "X-Initiator": "user",
    }
    assert {name: header(headers, name) for name in expected} == expected
    assert len(headers) == len(expected) + 2  # and two fresh ids
    assert header(headers, "X-Request-Id") != header(headers, "X-Interaction-Id")
    assert header(headers, "Copilot-Vision-Request") is None


def test_the_chat_profile_changes_what_the_sheet_says():
    headers = headers_for({"model": "gemini-2.5-pro", "messages": [USER]})
    nil = "00000000-0000-0000-0000-000000000000"
    expected = {
        "Copilot-Integration-Id": "vscode-chat",
        "Editor-Plugin-Version": "copilot-chat/0.35.2",
        "Editor-Version": "vscode/1.108.0-insider",
        "Vscode-Sessionid": nil,
        "Vscode-Machineid": nil,
        "Openai-Intent": "conversation-agent",
    }
    assert {name: header(headers, name) for name in expected} == expected


def test_a_gemini_body_names_no_model_so_it_gets_the_cli_profile():
    headers = headers_for({"contents": []}, wire="gemini", sent={})
    assert header(headers, "Copilot-Integration-Id") == "copilot-developer-cli"


def test_the_model_list_is_asked_with_the_first_headers_only():
    names = {name.decode() for name, _ in list_headers(credential())}
    assert "X-Initiator" not in names
    assert not any(name.startswith("X-Stainless") for name in names)


def test_headers_of_the_configuration_come_last():
    own = (("Editor-Version", "vscode/9"), ("X-Mine", "1"))
    candidate = Candidate(
        credential=msgspec.structs.replace(credential(), headers=own), model="gpt-4.1"
    )
    headers = Copilot().headers(candidate, "stream", client({"messages": [USER]}), {})
    assert header(headers, "Editor-Version") == "vscode/9"
    assert header(headers, "X-Mine") == "1"


@pytest.mark.parametrize(
    ("sent", "image"),
    [
        ({"messages": [{"role": "user", "content": [PICTURE]}]}, True),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, True),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]}, True),
        (
            {
                "messages": [
                    {"role": "user", "content": [{**RESULT, "content": [{"type": "image"}]}]}
                ]
            },
            True,
        ),
        ({"input": [{"type": "function_call_output", "output": [{"type": "input_image"}]}]}, True),
        ({"messages": [{"role": "user", "content": 'the word "image_url"'}]}, False),
        ({"messages": [USER]}, False),
        ({}, False),
    ],
)
def test_the_vision_header_goes_with_an_image(sent, image):
    headers = headers_for({}, sent=top_level(msgspec.json.encode(sent)))
    assert header(headers, "Copilot-Vision-Request") == ("true" if image else None)


@pytest.mark.parametrize(
    ("model", "most", "wanted", "expected"),
    [
        ("gpt-4.1", 16384, {"max_tokens": 100}, {"max_tokens": 100}),
        ("gpt-4.1", 16384, {"max_tokens": 16384}, {}),
        ("gpt-4.1", 16384, {"max_completion_tokens": 9}, {"max_tokens": 9}),
        ("gpt-5-mini", 0, {"max_tokens": 9}, {"max_completion_tokens": 9}),
        ("gpt-4.1", 0, {"max_tokens": None}, {}),
        ("gpt-4.1", 0, {"max_tokens": True}, {}),
        ("gpt-4.1", 0, {"parallel_tool_calls": False}, {}),
    ],
)
def test_a_chat_body(model, most, wanted, expected):
    candidate = Candidate(credential=credential(), model=model, capability=Capability(output=most))
    body = {"messages": [USER], **wanted}
    Copilot().shape(body, candidate, "generate", client({}), [])
    assert msgspec.json.decode(msgspec.json.encode(body)) == {
        "messages": [USER],
        "stream": False,
        **expected,
    }


@pytest.mark.parametrize(
    ("wire", "path"),
    [("chat", "/chat/completions"), ("responses", "/responses"), ("anthropic", "/v1/messages")],
)
def test_where_each_wire_is_served(wire, path):
    candidate = Candidate(credential=credential(wire), model="m")
    url = Copilot().url(candidate, "stream", client({}))
    assert url == "https://api.individual.githubcopilot.com" + path


@pytest.mark.parametrize(
    "text",
    [
        b'{"model":5,"messages":1,"tool_choice":{},"max_tokens":1e999}',
        b'{"model":"m","messages":[{"role":"user","type":["reasoning"]}]}',
        b'{"model":[],"messages":[1,null,"x",{"role":5,"content":[1]}],"metadata":"x"}',
        b'{"model":"m","input":{"a":1},"tools":{},"prompt_cache_key":5,"contents":[[]]}',
        b'{"model":"m","messages":[{"role":"user","content":[{"type":["image"]}]}]}',
        b'{"model":"m","messages":[{"role":["x"],"type":{"reasoning":1}}]}',
    ],
)
@pytest.mark.parametrize("options", [{}, {"initiator": "turn"}])
def test_odd_bodies_go_through(text, options):
    body = top_level(text)
    candidate = Candidate(credential=credential(**options), model="gemini-x")
    seen = Client("chat", [], top=dict(body))
    provider = Copilot()
    provider._reasoning.keep("a.json", "c", "x", "")
    provider.shape(body, candidate, "stream", seen, [])
    assert provider.headers(candidate, "stream", seen, body)


def test_a_messages_upstream_is_told_its_version():
    headers = headers_for({"messages": [USER]}, wire="anthropic", upstream="anthropic")
    assert header(headers, "Anthropic-Version") == "2023-06-01"
