"""Requests for Kiro: turns, tools, results, and what is told in words since there is no field for it."""

from __future__ import annotations

import msgspec
import pytest

from proxy.convo.model import Capability
from proxy.jsonio import decode, encode
from proxy.wire import get
from proxy.wire.base import Target
from proxy.wire.kiro.encode import model_of
from proxy.wire.kiro.names import client_names, sent

THINKS = Capability(
    thinking=True, budget_min=1024, budget_max=32_000, zero_allowed=True, dynamic_allowed=True
)
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
ASKED = {"role": "user", "content": "hi"}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "done"}


def encoded(messages, *, wire="chat", model="kiro-claude-sonnet-4-5", lost=None, **more):
    body = msgspec.json.encode({"model": "m", "messages": messages, **more})
    request = get(wire).decode_request(body)
    target = Target(model=model, capability=THINKS, provider="kiro")
    return decode(encode(get("kiro").encode_request(request, target, [] if lost is None else lost)))


def current(messages, **more):
    state = encoded(messages, **more)["conversationState"]
    return state["currentMessage"]["userInputMessage"]


def history(messages, **more):
    return encoded(messages, **more)["conversationState"].get("history", [])


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("kiro-claude-opus-4-5", "claude-opus-4.5"),
        ("kiro-claude-sonnet-4-5-agentic", "claude-sonnet-4.5"),
        ("kiro-claude-sonnet-4", "claude-sonnet-4"),
        ("amazonq-claude-haiku-4-5-chat", "claude-haiku-4.5"),
        ("claude-haiku-4.5", "claude-haiku-4.5"),
        ("kiro-auto", "auto"),
        ("Kiro-Claude-Sonnet-4-5", "claude-sonnet-4.5"),
    ],
)
def test_models(name, model):
    assert model_of(name) == model


def test_arguments_that_nest_too_deeply_are_none():
    function = {"name": "f", "arguments": '{"a":' * 3000 + "1" + "}" * 3000}
    called = {**CALLED, "tool_calls": [{**CALL, "function": function}]}
    turn = history([ASKED, called, RESULT])[1]["assistantResponseMessage"]
    assert turn["toolUses"][0]["input"] == {}


def test_one_message():
    body = encoded([ASKED])
    assert body == {
        "conversationState": {
            "chatTriggerType": "MANUAL",
            "conversationId": "",
            "currentMessage": {
                "userInputMessage": {
                    "content": "hi",
                    "modelId": "claude-sonnet-4.5",
                    "origin": "",
                }
            },
        }
    }


def test_limits():
    body = encoded([ASKED], max_tokens=99, temperature=0.5, top_p=0.9)
    assert body["inferenceConfig"] == {"maxTokens": 99, "temperature": 0.5, "topP": 0.9}


def test_the_system_text_stands_in_front_of_the_current_message():
    system = {"role": "system", "content": "Be terse."}
    answered = [{"role": "assistant", "content": "yes"}, {"role": "user", "content": "and?"}]
    messages = [system, ASKED, *answered]
    block = "--- SYSTEM PROMPT ---\nBe terse.\n--- END SYSTEM PROMPT ---\n\n"
    assert current(messages)["content"] == f"{block}and?"
    assert [list(turn) for turn in history(messages)] == [
        ["userInputMessage"],
        ["assistantResponseMessage"],
    ]
    assert history(messages)[0]["userInputMessage"]["content"] == "hi"


def test_a_tool_loop():
    messages = [ASKED, CALLED, RESULT]
    now = current(messages, tools=[TOOL])
    assert now["content"] == "Tool results provided."
    context = now["userInputMessageContext"]
    assert context["toolResults"] == [
        {"content": [{"text": "done"}], "status": "success", "toolUseId": "c1"}
    ]
    assert context["tools"] == [
        {
            "toolSpecification": {
                "name": "f",
                "description": "Tool: f",
                "inputSchema": {"json": {"type": "object"}},
            }
        }
    ]
    assert history(messages)[1] == {
        "assistantResponseMessage": {
            "content": "",
            "toolUses": [{"toolUseId": "c1", "name": "f", "input": {"a": 1}}],
        }
    }


def test_a_failed_result_says_so():
    result = {"type": "tool_result", "tool_use_id": "c1", "content": "no", "is_error": True}
    use = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
    messages = [
        ASKED,
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    now = current(messages, wire="anthropic", max_tokens=9)
    assert now["userInputMessageContext"]["toolResults"][0]["status"] == "error"


@pytest.mark.parametrize("messages", [[ASKED, CALLED], [ASKED, CALLED, ASKED]])
def test_a_call_without_a_result_gets_one(messages):
    (result,) = current(messages)["userInputMessageContext"]["toolResults"]
    assert (result["toolUseId"], result["status"]) == ("c1", "error")


def test_a_result_without_its_call_is_told_as_text():
    now = current([ASKED, {"role": "assistant", "content": "x"}, RESULT])
    assert now["content"] == "done"
    assert "userInputMessageContext" not in now


def test_roles_alternate_from_user_to_user():
    messages = [
        {"role": "assistant", "content": "first"},
        ASKED,
        {"role": "user", "content": "again"},
        {"role": "assistant", "content": "last"},
    ]
    turns = history(messages)
    assert [next(iter(turn)).removesuffix("Message") for turn in turns] == [
        "userInput",
        "assistantResponse",
        "userInput",
        "assistantResponse",
    ]
    assert turns[2]["userInputMessage"]["content"] == "hi\nagain"
    assert current(messages)["content"] == "Continue"


def test_images_go_with_their_data_only():
    lost = []
    parts = [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}},
    ]
    now = current([{"role": "user", "content": parts}], lost=lost)
    assert now["images"] == [{"format": "png", "source": {"bytes": "AAAA"}}]
    assert [one.path for one in lost] == ["messages[0].parts[2]"]


@pytest.mark.parametrize(
    ("effort", "tokens"), [("low", 1024), ("high", 24576), ("xhigh", 32000), ("auto", 32000)]
)
def test_thinking_is_asked_for_in_tags(effort, tokens):
    content = current([ASKED], reasoning_effort=effort)["content"]
    tags = "<thinking_mode>enabled</thinking_mode>\n"
    assert f"\n{tags}<max_thinking_length>{tokens}</max_thinking_length>\n" in content


def test_no_thinking():
    assert current([ASKED], reasoning_effort="none")["content"] == "hi"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"tool_choice": "required"}, "must call a tool"),
        ({"tool_choice": "none"}, "Call no tool"),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "must call the tool f"),
        ({"response_format": {"type": "json_object"}}, "one JSON object"),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": {"type": "object"}},
                }
            },
            '{"type":"object"}',
        ),
        ({"model": "kiro-claude-sonnet-4-5-agentic"}, "300 lines"),
    ],
)
def test_what_has_no_field_is_told_in_words(more, said):
    assert said in current([ASKED], tools=[TOOL], **more)["content"]


def test_a_chat_model_gets_no_tools():
    now = current([ASKED], tools=[TOOL], model="kiro-claude-sonnet-4-5-chat")
    assert "userInputMessageContext" not in now


def test_long_names_and_descriptions():
    long = "mcp__" + "server_with_a_long_name__" * 3 + "tool"
    function = {"name": long, "description": "é" * 6000, "parameters": {}}
    tools = [{"type": "function", "function": function}]
    body = msgspec.json.encode({"model": "m", "messages": [ASKED], "tools": tools})
    request = get("chat").decode_request(body)
    found = current([ASKED], tools=tools)["userInputMessageContext"]["tools"][0]
    specification = found["toolSpecification"]
    assert len(specification["name"]) == 64
    assert client_names(request) == {specification["name"]: long}
    assert sent(long + "2") != sent(long)
    assert len(specification["description"].encode()) <= 10_237
    assert specification["description"].endswith("... (description truncated)")


def test_what_is_lost_is_told():
    lost = []
    encoded([ASKED], lost=lost, stop=["x"], seed=1, odd=True)
    assert {one.path for one in lost} == {"stop", "seed", "odd"}
