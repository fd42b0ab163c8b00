import json

import pytest
from msgspec import Raw

from proxy.convo.model import (
    Capability,
    Format,
    Lost,
    Media,
    Message,
    Opaque,
    Reasoning,
    Request,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
)
from proxy.errors import ProxyError
from proxy.jsonio import encode, top_level
from proxy.wire import get
from proxy.wire.anthropic.names import client_names, read_id, signed_id, upstream_names
from proxy.wire.base import Target

WIRE = get("anthropic")


def decode(**fields):
    body = {"model": "m", "max_tokens": 10, "messages": [], **fields}
    return WIRE.decode_request(json.dumps(body).encode())


def sent(request, lost=None, **capability):
    target = Target(model="claude-up", capability=Capability(**capability))
    return json.loads(encode(WIRE.encode_request(request, target, [] if lost is None else lost)))


def chat(*messages, **fields):
    return Request("m", list(messages), origin="chat", **fields)


def user(*parts):
    return Message("user", [Text(p) if isinstance(p, str) else p for p in parts])


def assistant(*parts):
    return Message("assistant", [Text(p) if isinstance(p, str) else p for p in parts])


def roundtrip(messages, **fields):
    return sent(decode(messages=messages, **fields))["messages"]


BLOCKS = [
    {"type": "text", "text": "look", "cache_control": {"type": "ephemeral"}},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
    {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
    {"type": "image", "source": {"type": "file", "file_id": "file_01"}},
    {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
        "title": "T",
        "context": "C",
        "citations": {"enabled": True},
    },
    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "doc"}},
    {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
    {"type": "document", "source": {"type": "content", "content": "inner"}},
    {
        "type": "search_result",
        "source": "https://example.com",
        "title": "T",
        "content": [{"type": "text", "text": "found"}],
    },
    {"type": "container_upload", "file_id": "file_02"},
]


@pytest.mark.parametrize(
    "block",
    BLOCKS,
    ids=lambda b: (
        b["type"] + b.get("source", {}).get("type", "")
        if isinstance(b.get("source"), dict)
        else b["type"]
    ),
)
def test_user_blocks_survive(block):
    messages = [{"role": "user", "content": [block, {"type": "text", "text": "x"}]}]
    assert roundtrip(messages) == messages


def test_assistant_blocks_and_results_survive():
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "q"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "ZGF0YQ=="},
                {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1.50}},
                {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "one"},
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_2",
                    "content": [{"type": "text", "text": "a"}, BLOCKS[1], BLOCKS[8]],
                    "is_error": True,
                },
                {"type": "text", "text": "go on"},
            ],
        },
    ]
    assert roundtrip(messages) == messages


def test_a_document_of_mixed_content_gives_its_parts():
    inner = [{"type": "text", "text": "caption"}, BLOCKS[1]]
    block = {"type": "document", "source": {"type": "content", "content": inner}}
    parts = decode(messages=[{"role": "user", "content": [block]}]).messages[0].parts
    assert parts == [Text("caption"), Media("image", "image/png", "aGk=")]


def test_parameters():
    request = decode(
        system=[{"type": "text", "text": "be terse"}],
        temperature=1,
        top_p=0.5,
        top_k=7,
        stop_sequences=["END"],
        stream=True,
        metadata={"user_id": "u", "team": "a"},
        service_tier="standard_only",
        betas=["b"],
        tool_choice={"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        tools=[{"name": "f", "input_schema": {"type": "object"}, "input_examples": [{}]}],
        output_format={"type": "json_schema", "schema": {"type": "object"}},
    )
    assert request.system == [Text("be terse")]
    assert (request.temperature, request.top_p, request.top_k) == (1.0, 0.5, 7)
    assert (request.max_tokens, request.stop, request.stream) == (10, ["END"], True)
    assert (request.user, request.service_tier) == ("u", "default")
    assert request.tool_choice == ToolChoice("tool", "f")
    assert request.parallel_tool_calls is False
    assert list(request.extras) == ["betas"]
    body = sent(request)
    assert body["tools"][0]["input_examples"] == [{}]
    assert body["metadata"] == {"user_id": "u", "team": "a"}
    assert body["service_tier"] == "standard_only"
    assert body["betas"] == ["b"]
    assert body["output_config"]["format"]["schema"] == {"type": "object"}
    assert body["tool_choice"] == {
        "type": "tool",
        "name": "f",
        "disable_parallel_tool_use": True,
    }


def test_system_messages_lead_or_stay():
    messages = [
        {"role": "system", "content": "b"},
        {"role": "user", "content": "q"},
        {"role": "system", "content": "c"},
    ]
    request = decode(system="a", messages=messages)
    assert request.system == [Text("a"), Text("b")]
    assert [m.role for m in request.messages] == ["user", "system"]
    assert [b["text"] for b in sent(request)["system"]] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("fields", "reasoning"),
    [
        ({}, None),
        ({"thinking": {"type": "disabled"}}, Reasoning(effort="none")),
        ({"thinking": {"type": "adaptive"}}, Reasoning(effort="auto", include=True)),
        (
            {"thinking": {"type": "adaptive", "display": "omitted"}},
            Reasoning(effort="auto", include=False),
        ),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2000}},
            Reasoning(budget=2000, include=True),
        ),
        ({"output_config": {"effort": "low"}}, Reasoning(effort="low")),
        (
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
            Reasoning(effort="max", include=True),
        ),
    ],
)
def test_reasoning_is_read(fields, reasoning):
    assert decode(**fields).reasoning == reasoning


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"[]", "not a JSON object"),
        (b"{", "not a JSON object"),
        (b"\xff", "not a JSON object"),
        (b'{"model":"m"}', "messages"),
        (b'{"messages":[]}', "model"),
        (b'{"model":1,"messages":[]}', "model"),
        (b'{"model":"m","messages":[{"role":"user","content":5}]}', "messages[0].content"),
        (b'{"model":"m","messages":[{"role":"robot","content":"x"}]}', "messages"),
        (b'{"model":"m","messages":[],"max_tokens":"x"}', "max_tokens"),
        (b'{"model":"m","messages":[],"tools":[{"description":"x"}]}', "tools"),
        (b'{"model":"m","messages":[],"thinking":{"type":"loud"}}', "thinking"),
        (b'{"model":"m","messages":[],"tool_choice":{"type":"tool"}}', "tool_choice"),
        (b'{"model":"m","messages":[{"role":"user","content":[{"type":"image"}]}]}', "messages"),
        (b'{"model":"m","messages":[],"output_config":{"effort":"x"}}', "output_config.effort"),
        (b'{"model":"m","messages":' + b"[" * 100_000, "not a JSON object"),
    ],
)
def test_malformed_bodies_are_the_clients_fault(body, path):
    with pytest.raises(ProxyError) as caught:
        WIRE.decode_request(body)
    assert caught.value.status == 400
    assert path in caught.value.message


def test_a_sealed_signature_goes_home():
    block = {"type": "thinking", "thinking": "t", "signature": "pointsman/r/abc"}
    messages = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": [block, {"type": "text", "text": "a"}]},
    ]
    request = decode(messages=messages)
    assert request.messages[1].parts[0] == Thinking("t", "abc", "responses")
    lost: list[Lost] = []
    assert sent(request, lost)["messages"][1]["content"] == [{"type": "text", "text": "a"}]
    assert lost[0].path == "messages[1].parts[0]"


@pytest.mark.parametrize("signature", ["YWJj+/==", "abc", "é"])
def test_a_calls_signature_travels_in_its_id(signature):
    id = signed_id("call:1", signature, "gemini")
    content = [{"type": "tool_use", "id": id, "name": "f", "input": {}}]
    result = [{"type": "tool_result", "tool_use_id": id, "content": "r"}]
    request = decode(
        messages=[{"role": "assistant", "content": content}, {"role": "user", "content": result}]
    )
    call = request.messages[0].parts[0]
    assert call == ToolUse("call:1", "f", "{}", signature=signature, origin="gemini")
    assert request.messages[1].parts == [ToolResult("call:1", [Text("r")])]
    assert fitting_id(id.removeprefix("call:1"))


def fitting_id(id):
    return all(c.isascii() and (c.isalnum() or c in "-_") for c in id)


@pytest.mark.parametrize("id", ["", "a-pointsman-", "a-pointsman-x-A", "-pointsman-q-AA"])
def test_ids_that_only_look_signed_stay(id):
    assert read_id(id) == (id, "")


def test_results_stand_right_after_their_calls():
    request = chat(
        user("q"),
        assistant(ToolUse("a", "f", "{}"), ToolUse("b", "g", "")),
        user(ToolResult("b", [Text("B")])),
        assistant("between"),
        user("and", ToolResult("a", [Text("A")])),
    )
    messages = sent(request)["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant", "user", "assistant", "user"]
    assert [b["tool_use_id"] for b in messages[2]["content"]] == ["b", "a"]
    assert messages[4]["content"] == [{"type": "text", "text": "and"}]


def test_results_of_one_turn_keep_the_clients_order():
    request = chat(
        user("q"),
        assistant(ToolUse("a", "f", "{}"), ToolUse("b", "g", "{}")),
        user(ToolResult("b", [Text("B")]), ToolResult("a", [Text("A")])),
    )
    content = sent(request)["messages"][2]["content"]
    assert [b["tool_use_id"] for b in content] == ["b", "a"]


def test_a_call_without_result_gets_one_and_an_orphan_result_becomes_text():
    request = chat(
        user("q"),
        assistant(ToolUse("a", "f", "{}")),
        user("next", ToolResult("gone", [Text("orphan")])),
    )
    messages = sent(request)["messages"]
    first, *rest = messages[2]["content"]
    assert (first["tool_use_id"], first["is_error"]) == ("a", True)
    assert [b["text"] for b in rest] == ["next", "orphan"]


def test_ids_are_unique_and_fit():
    pair = [ToolUse("f:0", "f", "{}"), ToolUse("f:0", "f", "{}")]
    results = [ToolResult("f:0", [Text("1")]), ToolResult("f:0", [Text("2")])]
    messages = sent(chat(user("q"), assistant(*pair), user(*results)))["messages"]
    ids = [b["id"] for b in messages[1]["content"]]
    assert ids == ["f_0", "f_0_2"]
    assert [(b["tool_use_id"], b["content"]) for b in messages[2]["content"]] == [
        ("f_0", "1"),
        ("f_0_2", "2"),
    ]


def test_neighbours_merge_blanks_vanish_and_the_user_speaks_first():
    request = chat(assistant("hi", "  "), user("a"), user(""), user("b"), assistant("so: "))
    messages = sent(request)["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant", "user", "assistant"]
    assert [b["text"] for b in messages[2]["content"]] == ["a", "b"]
    assert messages[3]["content"][0]["text"] == "so:"


def test_a_request_of_instructions_only_still_has_a_message():
    body = sent(chat(system=[Text("be terse")]))
    assert (
        body["system"] == body["messages"][0]["content"] == [{"type": "text", "text": "be terse"}]
    )


@pytest.mark.parametrize(
    ("arguments", "custom", "expected"),
    [
        ("", False, {}),
        ('{"a":1}', False, {"a": 1}),
        ('{"a":', False, {"input": '{"a":'}),
        ("[1]", False, {"input": "[1]"}),
        ("raw {", True, {"input": "raw {"}),
    ],
)
def test_call_input_is_an_object(arguments, custom, expected):
    request = chat(user("q"), assistant(ToolUse("a", "f", arguments, custom=custom)))
    assert sent(request)["messages"][1]["content"][0]["input"] == expected


def test_odd_names_are_changed_everywhere_and_can_be_turned_back():
    tools = [Tool("fs.read", schema=Raw(b"{}")), Tool("fs_read"), Tool("x" * 200)]
    request = chat(
        user("q"),
        assistant(ToolUse("a", "fs.read", "{}")),
        tools=tools,
        tool_choice=ToolChoice("tool", "fs.read"),
    )
    body = sent(request)
    names = [tool["name"] for tool in body["tools"]]
    assert names[0] == body["messages"][1]["content"][0]["name"] == body["tool_choice"]["name"]
    assert len(set(names)) == 3
    assert max(map(len, names)) == 128
    assert {client_names(request)[new]: new for new in client_names(request)} == upstream_names(
        request
    )


def test_nameless_server_tools_rename_nothing():
    request = chat(user("q"), tools=[Tool("", kind="server", type="web_search", origin="chat")])
    assert client_names(request) == {}


def test_tools_of_other_providers():
    lost: list[Lost] = []
    raw = Raw(b'{"type":"web_search","filters":{"allowed_domains":["a.com"]}}')
    tools = [
        Tool("f", schema=Raw(b'{"properties":{}}'), strict=True, origin="chat"),
        Tool("patch", "d", kind="custom"),
        Tool("", kind="server", type="web_search", origin="responses", raw=raw),
        Tool("", kind="server", type="file_search", origin="responses"),
    ]
    body = sent(chat(user("q"), tools=tools, parallel_tool_calls=False), lost)
    assert [t.get("type") for t in body["tools"]] == [None, None, "web_search_20250305"]
    assert body["tools"][0]["input_schema"] == {"properties": {}, "type": "object"}
    assert body["tools"][2]["allowed_domains"] == ["a.com"]
    assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert "tools.file_search" in [entry.path for entry in lost]


def test_media_of_other_wires():
    lost: list[Lost] = []
    parts = [
        Media("image", data="/9j/4AAQ"),
        Media("file", "text/csv", data="YSxi", name="a.csv"),
        Media("audio", "audio/wav", data="AAAA"),
        Media("file", file_id="file-openai"),
        Opaque("gemini", Raw(b"{}"), "executableCode", "print(1)"),
        Opaque("gemini", Raw(b"{}"), "x"),
    ]
    content = sent(chat(user(*parts)), lost)["messages"][0]["content"]
    assert content[0]["source"]["media_type"] == "image/jpeg"
    assert content[1]["source"] == {"type": "text", "media_type": "text/plain", "data": "a,b"}
    assert content[2] == {"type": "text", "text": "print(1)"}
    assert len(lost) == 3


def test_defaults_and_parameters_without_a_place():
    lost: list[Lost] = []
    request = chat(
        user("q"),
        temperature=1.5,
        top_p=0.5,
        seed=1,
        n=2,
        stop=[" ", "x"],
        format=Format("schema", Raw(b'{"type":"object","properties":{"a":{"type":"object"}}}')),
        extras={"logit_bias": Raw(b"{}")},
    )
    body = sent(request, lost, output=8000)
    assert body["max_tokens"] == 8000
    assert sent(chat(user("q")))["max_tokens"] == 32000
    assert body["temperature"] == 1
    assert body["stop_sequences"] == ["x"]
    schema = body["output_config"]["format"]["schema"]
    assert schema["additionalProperties"] is schema["properties"]["a"]["additionalProperties"]
    assert {e.path for e in lost} == {"temperature", "top_p", "seed", "n", "stop", "logit_bias"}


@pytest.mark.parametrize(
    ("reasoning", "capability", "thinking", "max_tokens"),
    [
        (Reasoning(effort="high"), {}, {"type": "enabled", "budget_tokens": 24576}, 32000),
        (Reasoning(effort="minimal"), {}, {"type": "enabled", "budget_tokens": 1024}, 32000),
        (Reasoning(effort="none"), {}, {"type": "disabled"}, 32000),
        (Reasoning(budget=64000), {}, {"type": "enabled", "budget_tokens": 64000}, 96000),
        (
            Reasoning(budget=64000),
            {"output": 64000},
            {"type": "enabled", "budget_tokens": 59904},
            64000,
        ),
        (Reasoning(effort="high"), {"thinking": False}, None, 32000),
        (Reasoning(effort="auto"), {"levels": ("low", "high")}, {"type": "adaptive"}, 32000),
    ],
)
def test_reasoning_is_sent(reasoning, capability, thinking, max_tokens):
    body = sent(chat(user("q"), reasoning=reasoning), **capability)
    assert body.get("thinking") == thinking
    assert body["max_tokens"] == max_tokens


def test_a_budget_always_fits_below_max_tokens():
    for given in (1, 1000, 1024, 1025, 5000, 64000):
        for budget in (1, 1024, 5000, 64000, 200000):
            for output in (0, 1000, 8192, 64000):
                request = chat(user("q"), max_tokens=given, reasoning=Reasoning(budget=budget))
                body = sent(request, output=output)
                assert 1024 <= body["thinking"]["budget_tokens"] < body["max_tokens"]


def test_words_for_models_that_take_words():
    request = chat(user("q"), reasoning=Reasoning(effort="medium"), temperature=0.5, top_k=3)
    lost: list[Lost] = []
    body = sent(request, lost, levels=("low", "high"))
    assert body["output_config"] == {"effort": "high"}
    assert {e.path for e in lost} == {"temperature", "top_k"}
    assert not {"temperature", "top_k"} & body.keys()


def test_other_services_models_take_budgets_though_they_take_words_elsewhere():
    target = Target(model="glm-4.7", capability=Capability(levels=("low", "high")))
    body = WIRE.encode_request(chat(user("q"), reasoning=Reasoning(effort="low")), target, [])
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 1024}
    assert "output_config" not in body


def test_a_forced_tool_leaves_thinking_out():
    request = chat(
        user("q"),
        tools=[Tool("f")],
        tool_choice=ToolChoice("required"),
        reasoning=Reasoning(effort="high"),
    )
    lost: list[Lost] = []
    assert "thinking" not in sent(request, lost)
    assert [e.path for e in lost] == ["reasoning"]


def test_patch_reasoning_keeps_the_rest():
    raw = b'{"max_tokens":100,"messages":[],"thinking":{"type":"disabled"},"output_config":{"effort":"low","format":{"type":"json_schema"}},"temperature":0.5,"x":1.0}'
    body = top_level(raw)
    WIRE.patch_reasoning(body, Reasoning(budget=2000), Target(model="m"), [])
    out = json.loads(encode(body))
    assert out["thinking"] == {"type": "enabled", "budget_tokens": 2000}
    assert out["max_tokens"] == 2100
    assert out["output_config"] == {"format": {"type": "json_schema"}}
    assert "temperature" not in out
    assert b'"x":1.0' in encode(body)
