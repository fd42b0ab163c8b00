"""Gemini bodies to conversations and back: both spellings, pairing, thinking, tools, extras."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy import jsonio
from proxy.convo.model import (
    Capability,
    Format,
    Media,
    Message,
    Opaque,
    Reasoning,
    Refusal,
    Request,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
)
from proxy.errors import ProxyError
from proxy.wire.base import Target
from proxy.wire.gemini import WIRE, names, signatures

PNG = "iVBORw0KGgo="


def decode(body):
    return WIRE.decode_request(json.dumps(body).encode(), "gemini-2.5-pro", stream=False)


def encode(request, model="gemini-2.5-pro", lost=None, **capability):
    target = Target(model=model, capability=Capability(**capability))
    lost = [] if lost is None else lost
    return json.loads(jsonio.encode(WIRE.encode_request(request, target, lost)))


def same(body):
    """The body after a round through the conversation, without the added safety settings."""
    out = encode(decode(body))
    if "safetySettings" not in body:
        del out["safetySettings"]
    return out


def convo(*messages, **more):
    return Request(model="m", messages=list(messages), origin="chat", **more)


USER = {"role": "user", "parts": [{"text": "hi"}]}


def test_roles_and_spellings():
    request = decode(
        {
            "system_instruction": {"parts": [{"text": "a"}, {"text": "b"}]},
            "contents": [
                {"parts": [{"text": "no role"}]},
                {"role": "model", "parts": [{"text": "yes"}, {"text": ""}]},
                {
                    "role": "function",
                    "parts": [{"inline_data": {"mime_type": "image/png", "data": PNG}}],
                },
                {"role": "user", "parts": []},
            ],
        }
    )
    assert request.system == [Text("a"), Text("b")]
    assert [m.role for m in request.messages] == ["user", "assistant", "user"]
    assert request.messages[1].parts == [Text("yes")]
    assert request.messages[2].parts == [Media("image", "image/png", data=PNG)]


def test_one_content_and_text_system():
    request = decode({"contents": USER, "systemInstruction": "be brief"})
    assert request.system == [Text("be brief")]
    assert request.messages == [Message("user", [Text("hi")])]


def test_count_tokens_request():
    request = decode({"generateContentRequest": {"model": "models/x", "contents": [USER]}})
    assert request.messages == [Message("user", [Text("hi")])]


def call(name, **more):
    return {"functionCall": {"name": name, "args": {}, **more}}


def result(name, value, **more):
    return {"functionResponse": {"name": name, "response": {"result": value}, **more}}


def test_results_pair_by_name_and_order():
    request = decode(
        {
            "contents": [
                {"role": "model", "parts": [call("a"), call("b"), call("a")]},
                {"role": "user", "parts": [result("a", "1"), result("a", "3"), result("b", "2")]},
            ]
        }
    )
    calls, results = request.messages[0].parts, request.messages[1].parts
    assert len({c.id for c in calls}) == 3
    assert [r.id for r in results] == [calls[0].id, calls[2].id, calls[1].id]


def test_results_pair_by_id_first():
    request = decode(
        {
            "contents": [
                {"role": "model", "parts": [call("a", id="x"), call("a", id="y")]},
                {"role": "user", "parts": [result("a", "2", id="y"), result("a", "1")]},
            ]
        }
    )
    assert [r.id for r in request.messages[1].parts] == ["y", "x"]


def test_result_without_call_keeps_its_id():
    request = decode({"contents": [{"role": "user", "parts": [result("a", "1", id="z")]}]})
    assert request.messages[0].parts[0].id == "z"


@pytest.mark.parametrize(
    ("response", "content", "value", "is_error"),
    [
        ({"result": "t"}, [Text("t")], None, False),
        ({"output": "t"}, [Text("t")], None, False),
        ({"error": "t"}, [Text("t")], None, True),
        ({"result": {"a": 1}}, [], {"result": {"a": 1}}, False),
        ({"rows": []}, [], {"rows": []}, False),
    ],
)
def test_result_forms(response, content, value, is_error):
    part = {"functionResponse": {"name": "a", "response": response}}
    found = decode({"contents": [{"parts": [part]}]}).messages[0].parts[0]
    assert found.content == content
    assert (None if found.value is None else jsonio.decode(found.value)) == value
    assert found.is_error is is_error


def test_result_with_image():
    part = result("a", "see")
    part["functionResponse"]["parts"] = [{"inlineData": {"mimeType": "image/png", "data": PNG}}]
    found = decode({"contents": [{"parts": [part]}]}).messages[0].parts[0]
    assert found.content == [Text("see"), Media("image", "image/png", data=PNG)]


@pytest.mark.parametrize(
    "body",
    [
        {"contents": [USER]},
        {"contents": [USER], "safetySettings": [{"category": "X", "threshold": "Y"}]},
        {"contents": [USER], "cachedContent": "cachedContents/a", "labels": {"t": "a"}},
        {"contents": [USER], "tools": [{"googleSearch": {}}, {"urlContext": {}}]},
        {
            "contents": [USER],
            "tools": [
                {
                    "functionDeclarations": [
                        {"name": "a", "parameters": {"type": "OBJECT"}, "behavior": "B"}
                    ]
                }
            ],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["a"]}},
        },
        {
            "contents": [USER],
            "toolConfig": {
                "functionCallingConfig": {"mode": "VALIDATED"},
                "retrievalConfig": {"languageCode": "pt"},
            },
        },
        {
            "contents": [
                {"role": "model", "parts": [call("a", id="x")]},
                {"role": "user", "parts": [result("a", "1", id="x")]},
            ]
        },
        {
            "contents": [
                {"role": "model", "parts": [call("a"), {"text": "t", "thoughtSignature": "c2ln"}]},
                {"role": "user", "parts": [result("a", "1")]},
                {
                    "role": "model",
                    "parts": [{"text": "hm", "thought": True, "thoughtSignature": "AAAA"}],
                },
                {
                    "role": "user",
                    "parts": [{"newKind": {"x": 1.0}}, {"executableCode": {"code": "1"}}],
                },
                {
                    "role": "user",
                    "parts": [
                        {
                            "fileData": {"mimeType": "video/mp4", "fileUri": "https://e.com/a"},
                            "videoMetadata": {"startOffset": "1s"},
                        }
                    ],
                },
            ]
        },
        {
            "contents": [USER],
            "generationConfig": {
                "temperature": 0.5,
                "topK": 40,
                "maxOutputTokens": 10,
                "stopSequences": ["a"],
                "candidateCount": 2,
                "responseLogprobs": True,
                "logprobs": 3,
                "seed": 7,
                "responseMimeType": "application/json",
                "responseSchema": {"type": "OBJECT", "properties": {"type": {"type": "STRING"}}},
                "responseModalities": ["TEXT", "IMAGE"],
                "imageConfig": {"aspectRatio": "16:9"},
                "thinkingConfig": {"thinkingBudget": -1, "includeThoughts": True},
            },
        },
        {"contents": [USER], "generationConfig": {"thinkingConfig": {"thinkingLevel": "HIGH"}}},
        {"contents": [USER], "generationConfig": {"thinkingConfig": {"includeThoughts": False}}},
    ],
)
def test_same_wire_round_trip(body):
    assert same(body) == body


names_ = st.sampled_from(["get", "read_file", "a.b:c-d"])
ids_ = st.sampled_from(["", "x1", "x2", "call_9"])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
wire_parts = st.one_of(
    st.builds(lambda t: {"text": t}, st.text(min_size=1)),
    st.builds(lambda t: {"text": t, "thought": True}, st.text(min_size=1)),
    st.builds(
        lambda n, a: {"functionCall": {"name": n, "args": a}},
        names_,
        st.dictionaries(st.text(max_size=4), values, max_size=3),
    ),
    st.builds(lambda d: {"inlineData": {"mimeType": "image/png", "data": d}}, st.just(PNG)),
)
turns = st.lists(
    st.builds(
        lambda role, parts: {"role": role, "parts": parts},
        st.sampled_from(["user", "model"]),
        st.lists(wire_parts, min_size=1, max_size=4),
    ),
    max_size=5,
)


@given(turns)
def test_contents_round_trip_law(contents):
    assert same({"contents": contents})["contents"] == contents


def outcome(body):
    """None for a request that can be encoded too, else the status of the refusal."""
    try:
        request = WIRE.decode_request(body)
    except ProxyError as error:
        return error.status
    encode(request)
    return None


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_the_clients_mistake(body):
    assert outcome(body) in (None, 400)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "contents",
                "systemInstruction",
                "tools",
                "toolConfig",
                "generationConfig",
                "model",
                "x",
            ]
        ),
        values,
    )
)
def test_any_json_is_a_request_or_the_clients_mistake(body):
    assert outcome(json.dumps(body).encode()) in (None, 400)


def test_deep_nesting_is_refused():
    deep = b'{"tools":[{"functionDeclarations":[{"name":"a","parameters":' + b'{"items":' * 5000
    with pytest.raises(ProxyError) as caught:
        WIRE.decode_request(deep + b"1" + b"}" * 5000 + b"}]}]}")
    assert caught.value.status == 400


def test_error_names_the_path():
    with pytest.raises(ProxyError, match=r"contents.*\[0\]\.parts\[0\]\.text"):
        decode({"contents": [{"parts": [{"text": 5}]}]})


# ---------------------------------------------------------------- thinking


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({"thinkingBudget": 0}, Reasoning(budget=0)),
        ({"thinking_budget": "512", "include_thoughts": True}, Reasoning(budget=512, include=True)),
        ({"thinkingLevel": "LOW"}, Reasoning(effort="low")),
        ({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}, None),
    ],
)
def test_thinking_decoded(config, wanted):
    body = {"contents": [USER], "generationConfig": {"thinkingConfig": config}}
    assert decode(body).reasoning == wanted


@pytest.mark.parametrize(
    ("model", "reasoning", "wanted"),
    [
        (
            "gemini-2.5-pro",
            Reasoning(effort="high"),
            {"thinkingBudget": 24576, "includeThoughts": True},
        ),
        (
            "gemini-2.5-pro",
            Reasoning(effort="max"),
            {"thinkingBudget": 32768, "includeThoughts": True},
        ),
        ("gemini-2.5-pro", Reasoning(effort="none"), {"thinkingBudget": 0}),
        ("gemini-2.5-pro", Reasoning(budget=-1), {"thinkingBudget": -1, "includeThoughts": True}),
        (
            "gemini-3-pro-preview",
            Reasoning(effort="medium"),
            {"thinkingLevel": "high", "includeThoughts": True},
        ),
        (
            "gemini-3-flash-preview",
            Reasoning(effort="medium"),
            {"thinkingLevel": "medium", "includeThoughts": True},
        ),
        (
            "gemini-3-pro-preview",
            Reasoning(budget=1000),
            {"thinkingLevel": "low", "includeThoughts": True},
        ),
        ("models/gemini-3.1-pro", Reasoning(effort="auto"), {"includeThoughts": True}),
    ],
)
def test_thinking_encoded(model, reasoning, wanted):
    body = encode(convo(Message("user", [Text("q")]), reasoning=reasoning), model)
    assert body["generationConfig"]["thinkingConfig"] == wanted


def test_thinking_of_a_model_that_does_not_think():
    lost = []
    request = convo(Message("user", [Text("q")]), reasoning=Reasoning(effort="high"))
    assert "generationConfig" not in encode(request, lost=lost, thinking=False)
    assert [one.path for one in lost] == ["reasoning"]


def test_patch_reasoning():
    body = {
        "generation_config": jsonio.raw_of({"topK": 1, "thinking_config": {"thinkingBudget": 1}})
    }
    WIRE.patch_reasoning(body, Reasoning(effort="low"), Target(model="gemini-3-pro"), [])
    assert list(body) == ["generationConfig"]
    assert jsonio.decode(body["generationConfig"]) == {
        "topK": 1,
        "thinkingConfig": {"thinkingLevel": "low", "includeThoughts": True},
    }


# ---------------------------------------------------------------- towards the upstream


def test_results_follow_their_calls_in_order():
    body = encode(
        convo(
            Message("assistant", [ToolUse("1", "a", '{"x":1}'), ToolUse("2", "b", "")]),
            Message("user", [ToolResult("2", [Text("two")])]),
            Message("user", [ToolResult("1", [Text("one")]), Text("go on")]),
        )
    )
    assert [c["role"] for c in body["contents"]] == ["model", "user"]
    first, second, third = body["contents"][1]["parts"]
    assert first["functionResponse"] == {"id": "1", "name": "a", "response": {"result": "one"}}
    assert second["functionResponse"]["name"] == "b"
    assert third == {"text": "go on"}


def test_call_without_result_gets_one():
    lost = []
    body = encode(
        convo(Message("assistant", [ToolUse("1", "a", "{}")]), Message("user", [Text("well?")])),
        lost=lost,
    )
    assert body["contents"][1]["parts"][0]["functionResponse"]["response"] == {"result": ""}
    assert lost


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("", {}),
        ("null", {}),
        ('{"a":1.0}', {"a": 1.0}),
        ("[1]", {"input": [1]}),
        ('{"a', {"input": '{"a'}),
    ],
)
def test_arguments_are_an_object(text, args):
    body = encode(convo(Message("assistant", [ToolUse("1", "a", text)])))
    assert body["contents"][0]["parts"][0]["functionCall"]["args"] == args


@pytest.mark.parametrize(
    "model",
    ["gemini-3-pro-preview", "models/gemini-3.5-flash", "gemini-4-pro", "gemini-flash-latest"],
)
def test_skip_signature_on_the_first_call_only_and_from_gemini_3_on_only(model):
    turn = Message("assistant", [ToolUse("1", "a", "{}"), ToolUse("2", "b", "{}")])
    parts = encode(convo(turn), model)["contents"][0]["parts"]
    assert [p.get("thoughtSignature") for p in parts] == [signatures.SKIP, None]
    parts = encode(convo(turn), "gemini-2.5-pro")["contents"][0]["parts"]
    assert not any("thoughtSignature" in p for p in parts)


def test_own_signature_is_restored_and_a_foreign_one_is_not_sent():
    turn = Message(
        "assistant",
        [
            Thinking("mine", "U0lH", "gemini"),
            Thinking("theirs", "sig", "anthropic"),
            Thinking("bare"),
            ToolUse("1", "a", "{}", signature="Q0FMTA==", origin="gemini"),
        ],
    )
    lost = []
    parts = encode(convo(turn), "gemini-3-pro", lost)["contents"][0]["parts"]
    assert parts[0] == {"text": "mine", "thought": True, "thoughtSignature": "U0lH"}
    assert parts[1] == {"text": "bare", "thought": True}
    assert parts[2]["thoughtSignature"] == "Q0FMTA=="
    assert [one.path for one in lost] == ["messages.thinking"]


def test_empty_turns_are_left_out_and_late_system_text_is_kept():
    body = encode(
        convo(
            Message("user", [Text("q")]),
            Message("assistant", [Text("")]),
            Message("system", [Text("later")]),
            Message("user", [Refusal("no")]),
            system=[Text("first")],
        )
    )
    assert body["contents"] == [
        {"role": "user", "parts": [{"text": "q"}]},
        {"role": "user", "parts": [{"text": "no"}]},
    ]
    assert body["systemInstruction"] == {"parts": [{"text": "first"}, {"text": "later"}]}


def test_images_of_results():
    turn = [
        Message("assistant", [ToolUse("1", "a", "{}")]),
        Message("user", [ToolResult("1", [Text("t"), Media("image", "image/png", data=PNG)])]),
    ]
    blob = {"inlineData": {"mimeType": "image/png", "data": PNG}}
    assert encode(convo(*turn))["contents"][1]["parts"][1] == blob
    parts = encode(convo(*turn), "gemini-3-pro")["contents"][1]["parts"]
    assert parts[0]["functionResponse"]["parts"] == [blob]


@pytest.mark.parametrize(
    ("media", "part"),
    [
        (
            Media("image", url="https://e.com/a.jpg?x=1"),
            {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://e.com/a.jpg?x=1"}},
        ),
        (Media("file", text="body", name="a.txt"), {"text": "a.txt\nbody"}),
        (
            Media("audio", "audio/wav", data=PNG),
            {"inlineData": {"mimeType": "audio/wav", "data": PNG}},
        ),
    ],
)
def test_media(media, part):
    assert encode(convo(Message("user", [media])))["contents"][0]["parts"] == [part]


def test_what_cannot_be_carried_is_listed():
    lost = []
    encode(
        convo(
            Message(
                "user", [Media("file", file_id="f"), Opaque("responses", jsonio.raw_of({}), "x")]
            ),
            parallel_tool_calls=False,
            user="u",
            service_tier="flex",
            n=20,
            stop=list("abcdefg"),
            tools=[Tool("bash", kind="server", type="bash_20250124", origin="anthropic")],
            extras={"logit_bias": jsonio.raw_of({})},
        ),
        lost=lost,
    )
    assert {one.path for one in lost} == {
        "messages.media",
        "messages.x",
        "parallel_tool_calls",
        "user",
        "service_tier",
        "n",
        "stop",
        "tools.bash_20250124",
        "logit_bias",
    }


def test_nothing_said_nothing_lost():
    lost = []
    encode(convo(Message("user", [Text("q")]), parallel_tool_calls=True), lost=lost)
    assert lost == []


def test_tools_and_choice():
    shape = jsonio.raw_of(
        {"$schema": "s", "type": "object", "properties": {"a": {"type": "string"}}}
    )
    body = encode(
        convo(
            Message("user", [Text("q")]),
            tools=[
                Tool("get", "Get", shape),
                Tool("patch", "Apply", kind="custom"),
                Tool("bare"),
                Tool("w", kind="server", type="web_search", origin="anthropic"),
            ],
            tool_choice=ToolChoice("tool", name="get"),
            format=Format("schema", jsonio.raw_of({"type": "object"})),
        )
    )
    functions, search = body["tools"]
    assert search == {"googleSearch": {}}
    assert functions["functionDeclarations"][0] == {
        "name": "get",
        "description": "Get",
        "parametersJsonSchema": {"type": "object", "properties": {"a": {"type": "string"}}},
    }
    assert functions["functionDeclarations"][1]["parametersJsonSchema"]["required"] == ["input"]
    assert functions["functionDeclarations"][2] == {"name": "bare"}
    assert body["toolConfig"]["functionCallingConfig"] == {
        "mode": "ANY",
        "allowedFunctionNames": ["get"],
    }
    assert body["generationConfig"]["responseJsonSchema"] == {"type": "object"}
    assert body["generationConfig"]["responseMimeType"] == "application/json"


def test_schema_types_in_lower_case_for_others():
    body = {
        "contents": [USER],
        "tools": [
            {
                "function_declarations": [
                    {
                        "name": "a",
                        "parameters": {
                            "type": "OBJECT",
                            "properties": {
                                "type": {
                                    "type": "ARRAY",
                                    "minItems": "1",
                                    "items": {"type": "STRING"},
                                }
                            },
                        },
                    }
                ]
            }
        ],
    }
    assert jsonio.decode(decode(body).tools[0].schema) == {
        "type": "object",
        "properties": {"type": {"type": "array", "minItems": 1, "items": {"type": "string"}}},
    }


@given(st.text(max_size=120), st.text(max_size=120))
def test_names_fit_and_stay_apart(one, other):
    for name in (names.fit(one), names.fit(other)):
        assert len(name) <= 64
        assert names.fit(name) == name
    if one != other:
        assert names.fit(one) != names.fit(other) or names.fit(one) in (one, other)


def test_names_turn_back():
    request = convo(
        Message("assistant", [ToolUse("1", "bad name", "{}")]), tools=[Tool("x" * 80), Tool("ok")]
    )
    back = names.client_names(request)
    assert set(back.values()) == {"bad name", "x" * 80}
    assert all(names.fit(name) == sent for sent, name in back.items())


@given(st.text(min_size=1), st.sampled_from(["anthropic", "responses", "chat"]), st.booleans())
def test_foreign_signatures_survive_as_base64(signature, origin, redacted):
    import base64

    shown = signatures.show(signature, origin, redacted=redacted)
    base64.b64decode(shown, validate=True)
    found = signatures.read(shown)
    if not redacted and signature.startswith("redacted"):
        return
    assert found == (signature, origin, redacted)


def test_own_signature_and_skip_value():
    assert signatures.show("abc", "gemini") == "abc"
    assert signatures.read("abc") == ("abc", "gemini", False)
    assert signatures.read(signatures.SKIP) == ("", "", False)


def test_image_settings_of_a_chat_client():
    lost = []
    request = convo(
        Message("user", [Text("draw")]),
        modalities=["image", "text"],
        extras={"image_config": jsonio.raw_of({"aspect_ratio": "16:9"})},
    )
    config = encode(request, lost=lost)["generationConfig"]
    assert config == {
        "responseModalities": ["IMAGE", "TEXT"],
        "imageConfig": {"aspectRatio": "16:9"},
    }
    assert lost == []
