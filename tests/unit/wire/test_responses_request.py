"""Responses requests: every kind of item in, and back out."""

import msgspec
import pytest

from proxy.convo.model import (
    Capability,
    Message,
    Opaque,
    Request,
    Text,
    Thinking,
    Tool,
    ToolResult,
    ToolUse,
)
from proxy.errors import ProxyError
from proxy.jsonio import decode, encode
from proxy.wire import get
from proxy.wire.base import Target
from proxy.wire.responses import codex, names, proofs

WIRE = get("responses")
TARGET = Target(model="m")
ITEMS = [
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
    {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "hm"}],
        "encrypted_content": "enc",
    },
    {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}'},
    {"type": "custom_tool_call", "call_id": "c2", "name": "patch", "input": "raw"},
    {"type": "local_shell_call", "call_id": "c3", "status": "completed", "action": {"x": 1}},
    {"type": "function_call_output", "call_id": "c1", "output": "one"},
    {"type": "custom_tool_call_output", "call_id": "c2", "output": "two"},
    {"type": "local_shell_call_output", "call_id": "c3", "output": "three", "id": "c3"},
    {"type": "item_reference", "id": "msg_1"},
    {"type": "something_new", "deep": {"er": [1, 2]}},
]


def decoded(**members):
    return WIRE.decode_request(encode({"model": "m", **members}))


def encoded(request, provider=""):
    lost = []
    body = WIRE.encode_request(request, Target(model="m", provider=provider), lost)
    return decode(encode(body)), lost


def test_items_become_turns():
    request = decoded(input=ITEMS)
    assert [m.role for m in request.messages] == ["user", "assistant", "user", "assistant"]
    thinking, call, patch, shell = request.messages[1].parts
    assert isinstance(thinking, Thinking)
    assert (thinking.text, thinking.signature, thinking.origin) == ("hm", "enc", "responses")
    assert (call.name, call.arguments, call.custom) == ("f", '{"a":1}', False)
    assert (patch.arguments, patch.custom) == ("raw", True)
    assert (shell.name, decode(shell.arguments)) == ("local_shell", {"x": 1})
    assert [p.content[0].text for p in request.messages[2].parts] == ["one", "two", "three"]
    assert all(isinstance(p, Opaque) for p in request.messages[3].parts)


def test_items_round_trip():
    body, lost = encoded(decoded(input=ITEMS))
    assert body["input"] == ITEMS
    assert not lost


def test_instructions_and_leading_system_items_are_the_system_text():
    request = decoded(
        instructions="a",
        input=[
            {"role": "developer", "content": "b"},
            {"role": "user", "content": "c"},
            {"role": "system", "content": "d"},
        ],
    )
    assert [p.text for p in request.system] == ["a", "b"]
    assert [m.role for m in request.messages] == ["user", "system"]
    body, _ = encoded(request)
    assert body["instructions"] == "a\n\nb"
    assert body["input"][-1]["role"] == "developer"


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"input": [{"type": "message", "role": "user", "content": [{"type": 7}]}]}, "$.input[0]"),
        ({"input": [{"type": "function_call", "name": []}]}, "$.input[0].name"),
        ({"input": "x", "temperature": "hot"}, "$.temperature"),
        ({"input": "x", "tools": [{"type": "function", "name": 1}]}, "$.tools[0].name"),
        ({"input": "x", "tool_choice": "sometimes"}, "$.tool_choice"),
        ({"input": "x", "reasoning": {"effort": "much"}}, "$.reasoning.effort"),
        ({}, "input"),
    ],
)
def test_a_malformed_body_is_refused_with_its_path(members, path):
    with pytest.raises(ProxyError) as caught:
        decoded(**members)
    assert caught.value.status == 400
    assert path in caught.value.message


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'"x"', b"\xff\xfe", b'{"input":' + b"[" * 3000]
)
def test_what_is_no_object_is_refused(body):
    with pytest.raises(ProxyError) as caught:
        WIRE.decode_request(body)
    assert caught.value.status == 400


def test_unknown_members_come_out_on_this_wire_only():
    request = decoded(input="x", truncation="auto", background=False)
    body, lost = encoded(request)
    assert body["truncation"] == "auto"
    assert not lost
    request.origin = "chat"
    body, lost = encoded(request)
    assert "truncation" not in body
    assert {entry.path for entry in lost} == {"truncation", "background"}


def test_what_the_api_cannot_say_is_listed():
    request = Request(
        "m", [Message("user", [Text("x")])], origin="chat", stop=["\n"], seed=7, top_k=3
    )
    _, lost = encoded(request)
    assert {entry.path for entry in lost} == {"stop", "seed", "top_k"}


def test_foreign_thinking_stays_behind_and_is_listed():
    parts = [Thinking("t", "sig", "anthropic"), Text("x")]
    body, lost = encoded(Request("m", [Message("assistant", parts)], origin="anthropic"))
    assert [item["type"] for item in body["input"]] == ["message"]
    assert len(lost) == 1


def test_a_sealed_call_signature_goes_to_the_next_call():
    sealed = proofs.show("gsig", "gemini", "call")
    items = [
        {"type": "reasoning", "summary": [], "encrypted_content": sealed},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    ]
    (call,) = decoded(input=items).messages[0].parts
    assert (call.signature, call.origin) == ("gsig", "gemini")


def test_sealed_redacted_thinking_comes_back_as_such():
    sealed = proofs.show("data", "anthropic", "redacted")
    items = [{"type": "reasoning", "summary": [], "encrypted_content": sealed}]
    (part,) = decoded(input=items).messages[0].parts
    assert (part.signature, part.origin, part.redacted) == ("data", "anthropic", True)


def test_a_foreign_function_is_not_strict():
    request = Request("m", [], origin="chat", tools=[Tool("f")])
    body, _ = encoded(request)
    assert body["tools"] == [
        {
            "type": "function",
            "name": "f",
            "parameters": {"type": "object", "properties": {}},
            "strict": False,
        }
    ]


def test_long_names_are_short_everywhere_and_turned_back():
    long = "mcp__a_server__" + "x" * 60
    twin = "mcp__another__" + "x" * 60
    tools = [{"type": "function", "name": name} for name in (long, twin)]
    request = decoded(
        input=[{"type": "function_call", "call_id": "c", "name": long, "arguments": "{}"}],
        tools=tools,
        tool_choice={"type": "function", "name": twin},
    )
    body, _ = encoded(request)
    sent = [tool["name"] for tool in body["tools"]]
    assert all(len(name) <= 64 for name in sent)
    assert len(set(sent)) == 2
    assert (body["input"][0]["name"], body["tool_choice"]["name"]) == tuple(sent)
    assert names.client_names(request) == dict(zip(sent, (long, twin), strict=True))


def test_an_error_result_says_so():
    parts = [ToolUse("c", "f", "{}")]
    results = [ToolResult("c", [Text("boom")], is_error=True)]
    request = Request(
        "m", [Message("assistant", parts), Message("user", results)], origin="anthropic"
    )
    body, _ = encoded(request)
    assert body["input"][1]["output"] == "Error: boom"


def test_codex_shape():
    long = "f" * 80
    body = {
        key: msgspec.Raw(encode(value))
        for key, value in {
            "model": "m",
            "instructions": "mine",
            "input": [
                {"role": "system", "content": "s"},
                {"type": "function_call", "call_id": "c" * 70, "name": long, "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c" * 70, "output": "x"},
            ],
            "tools": [{"type": "function", "name": long}],
            "tool_choice": {"type": "function", "name": long},
            "temperature": 1,
            "top_p": 1,
            "max_output_tokens": 5,
            "service_tier": "flex",
            "previous_response_id": "r",
            "include": ["other"],
        }.items()
    }
    codex.shape(body, [])
    out = decode(encode(body))
    assert out["input"][0]["role"] == "developer"
    assert (
        out["input"][1]["name"] == out["tools"][0]["name"] == out["tool_choice"]["name"] == "f" * 64
    )
    assert out["input"][1]["call_id"] == out["input"][2]["call_id"]
    assert len(out["input"][1]["call_id"]) <= 64
    assert out["instructions"] == "mine"
    assert out["include"] == ["other", "reasoning.encrypted_content"]
    assert (out["stream"], out["store"], out["parallel_tool_calls"]) == (True, False, True)
    assert set(out) == {
        "model", "instructions", "input", "tools", "tool_choice", "include", "stream", "store",
        "parallel_tool_calls",
    }  # fmt: skip


def test_codex_shape_of_a_text_input():
    body = {"model": "m", "input": "hi"}
    codex.shape(body, [])
    assert decode(encode(body))["input"][0]["content"] == [{"type": "input_text", "text": "hi"}]
    assert body["instructions"] == ""


@pytest.mark.parametrize(
    ("model", "thinking", "asked"),
    [
        ("m", True, True),
        ("m", None, False),
        ("gpt-4.1", None, False),
        ("gpt-7-codex", None, True),
        ("openai/o5", None, True),
        ("gpt-5-chat", False, False),
    ],
)
def test_only_models_that_think_get_an_effort_that_nobody_asked_for(model, thinking, asked):
    request = Request("m", [Message("user", [Text("hi")])], origin="chat")
    target = Target(model=model, provider="codex", capability=Capability(thinking=thinking))
    sent = {"effort": "medium", "summary": "auto"} if asked else None
    assert WIRE.encode_request(request, target, []).get("reasoning") == sent
