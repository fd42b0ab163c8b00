"""The offline models: correct chat answers and streams that say the same thing."""

from __future__ import annotations

import json

import pytest

from proxy import jsonio
from proxy.upstream import demo
from proxy.upstream.sample import sample_value

SHELL = {
    "type": "function",
    "function": {
        "name": "shell",
        "parameters": {
            "type": "object",
            "properties": {
                "command": {"type": "array", "items": {"type": "string"}},
                "timeout": {"type": "integer", "minimum": 5},
                "mode": {"enum": ["fast", "slow"]},
                "unused": {"type": "string"},
            },
            "required": ["command", "timeout", "mode"],
        },
    },
}


def body(model, text="hello there", **extra):
    return {"model": model, "messages": [{"role": "user", "content": text}], **extra}


def events(request):
    found = [piece.decode() for _, piece in demo.chunks(request)]
    assert all(e.startswith("data: ") and e.endswith("\n\n") for e in found)
    assert found.pop() == "data: [DONE]\n\n"
    return [json.loads(e[6:]) for e in found]


def joined(request):
    """(reasoning, text, tool name, arguments, finish reason) of a stream."""
    reasoning = text = name = arguments = ""
    finish = None
    for event in events(request):
        for choice in event["choices"]:
            assert finish is None
            delta = choice["delta"]
            reasoning += delta.get("reasoning_content", "")
            text += delta.get("content", "")
            for call in delta.get("tool_calls", []):
                name += call["function"].get("name", "")
                arguments += call["function"]["arguments"]
            finish = choice["finish_reason"]
    return reasoning, text, name, arguments, finish


def whole(request):
    status, headers, data = demo.answer(request)
    assert status == 200
    assert (b"content-type", b"application/json") in headers
    answer = json.loads(data)
    assert answer["object"] == "chat.completion"
    assert answer["usage"]["total_tokens"] > 1
    message = answer["choices"][0]["message"]
    call = (message.get("tool_calls") or [{"function": {"name": "", "arguments": ""}}])[0]
    return (
        message.get("reasoning_content", ""),
        message["content"] or "",
        call["function"]["name"],
        call["function"]["arguments"],
        answer["choices"][0]["finish_reason"],
    )


@pytest.mark.parametrize("model", [name for name in demo.MODELS if name != "demo-error"])
@pytest.mark.parametrize("tools", [None, [SHELL]])
def test_stream_and_answer_agree(model, tools):
    request = body(model, tools=tools)
    assert joined(request) == whole(request)


def test_echo_repeats_the_last_user_text():
    pieces = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {}}]
    request = body("demo-echo", pieces)
    request["messages"].append({"role": "assistant", "content": "b"})
    assert whole(request)[1] == "a"


def test_the_stream_is_paced():
    waits = [wait for wait, _ in demo.chunks(body("demo-stream")) if wait]
    assert len(waits) >= 20
    assert set(waits) == {0.05}


def test_tool_call_fits_the_schema_and_closes_after_the_result():
    request = body("demo-tool", tools=[SHELL])
    _, _, name, arguments, finish = joined(request)
    assert (name, finish) == ("shell", "tool_calls")
    assert json.loads(arguments) == {
        "command": ["echo hello from pointsman"],
        "timeout": 5,
        "mode": "fast",
    }
    request["messages"] += [
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "content": "42 degrees"},
    ]
    _, text, name, _, finish = joined(request)
    assert "42 degrees" in text
    assert (name, finish) == ("", "stop")


def test_thinking_comes_before_the_text():
    kinds = [
        key
        for event in events(body("demo-thinking"))
        for key in event["choices"][0]["delta"]
        if event["choices"][0]["delta"][key]
    ]
    assert kinds.index("reasoning_content") < kinds.index("content")
    assert "reasoning_content" not in kinds[kinds.index("content") :]


def test_usage_chunk_only_when_asked():
    assert not any("usage" in event for event in events(body("demo")))
    last = events(body("demo", stream_options={"include_usage": True}))[-1]
    assert last["choices"] == []
    assert last["usage"]["prompt_tokens"] > 0


def test_error_model_says_when_to_come_back():
    status, headers, data = demo.answer(body("demo-error"))
    assert status == 429
    assert dict(headers)[b"retry-after"] == b"1"
    assert json.loads(data)["error"]["code"] == "rate_limit_exceeded"


def test_unknown_model_and_bad_body_are_refused():
    assert demo.answer(body("gpt-9"))[0] == 404
    assert demo.answer({"model": "demo", "messages": 3})[0] == 400
    assert demo.refusal(body("demo")) is None


def test_raw_values_as_the_data_path_hands_them_over():
    request = jsonio.top_level(jsonio.encode(body("demo-echo", "raw")))
    assert whole(request)[1] == "raw"


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, {}),
        (True, {}),
        ({"type": "object"}, {}),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "number"}}}, 1.0),
        ({"anyOf": [{"type": "null"}, {"type": "STRING", "format": "date"}]}, "2026-01-01"),
        ({"type": ["null", "boolean"]}, False),
        ({"type": "integer", "exclusiveMinimum": 3}, 4),
        ({"type": "array", "items": {"type": "string"}, "minItems": 2}, ["pointsman"] * 2),
        ({"type": "array", "items": {"type": "null"}, "minItems": 10**9}, [None] * 4),
        ({"type": "object", "required": ["x"], "properties": {"y": {}}}, {}),
    ],
)
def test_sample_values(schema, value):
    assert sample_value(schema) == value


def test_a_schema_that_holds_itself_ends():
    node = {"$ref": "#"}
    properties = {"left": node, "right": node}
    schema = {"type": "object", "properties": properties, "required": ["left", "right"]}
    assert sample_value(schema)["left"]["right"]
    assert sample_value({"$ref": "#"}) is not None


def test_a_schema_that_holds_itself_many_times_is_bounded():
    names = [f"p{i}" for i in range(200)]
    schema = {"type": "object", "required": names, "properties": {n: {"$ref": "#"} for n in names}}
    assert len(jsonio.encode(sample_value(schema))) < 100_000
