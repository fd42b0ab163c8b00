"""Qwen's calls: each row of the sheet's header table, and what its dialect asks of a body."""

from __future__ import annotations

import msgspec
import pytest

from proxy.config.model import Candidate, Credential
from proxy.convo.model import Capability
from proxy.jsonio import encode, top_level
from proxy.secret import Secret
from proxy.upstream import get
from proxy.upstream.base import Client

TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


def candidate(model="qwen3-coder-plus", *, thinking=None, **more):
    credential = Credential(
        id="q",
        provider="qwen",
        wire="chat",
        base_url="https://portal.qwen.ai/v1",
        key=Secret("fake-access"),
        account="q",
        **more,
    )
    return Candidate(credential=credential, model=model, capability=Capability(thinking=thinking))


def shaped(body, action="stream", **more):
    top = top_level(msgspec.json.encode(body))
    get("qwen").shape(top, candidate(**more), action, Client("chat", []), [])
    return msgspec.json.decode(encode(top))


@pytest.mark.parametrize(
    ("action", "accept"), [("stream", "text/event-stream"), ("generate", "application/json")]
)
def test_headers(action, accept):
    found = get("qwen").headers(candidate(), action, Client("chat", [(b"user-agent", b"x")]), {})
    assert {name.decode(): value.decode() for name, value in found} == {
        "Content-Type": "application/json",
        "Authorization": "Bearer fake-access",
        "User-Agent": "google-api-nodejs-client/9.15.1",
        "X-Goog-Api-Client": "gl-node/22.17.0",
        "Client-Metadata": "ideType=IDE_UNSPECIFIED,platform=PLATFORM_UNSPECIFIED,pluginType=GEMINI",
        "X-Dashscope-Authtype": "qwen-oauth",
        "X-Dashscope-Cachecontrol": "enable",
        "Accept": accept,
    }
    assert len(found) == 8


def test_headers_of_the_configuration_come_last():
    chosen = candidate(headers=(("user-agent", "QwenCode/1"),))
    found = get("qwen").headers(chosen, "stream", Client("chat", []), {})
    agents = [value for name, value in found if name.lower() == b"user-agent"]
    assert agents == [b"QwenCode/1"]


def test_the_url():
    url = get("qwen").url(candidate(), "stream", Client("chat", []))
    assert url == "https://portal.qwen.ai/v1/chat/completions"


@pytest.mark.parametrize("tools", [{}, {"tools": []}, {"tools": None}])
def test_a_stream_without_tools_is_given_one_that_does_nothing(tools):
    body = shaped({"messages": [], "stream": True, **tools})
    (tool,) = body["tools"]
    assert tool["type"] == "function"
    assert tool["function"]["name"] == "do_not_call_me"
    assert tool["function"]["parameters"]["required"] == ["operation"]
    assert tool["function"]["parameters"]["properties"]["operation"]["type"] == "number"


def test_tools_of_the_client_are_left_alone():
    assert shaped({"tools": [TOOL]})["tools"] == [TOOL]


@pytest.mark.parametrize("tools", [{}, {"tools": []}])
def test_a_whole_answer_needs_no_tool(tools):
    body = {"messages": [], **tools}
    assert shaped(body, "generate") == body


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, {"include_usage": True}),
        ({"stream_options": None}, {"include_usage": True}),
        ({"stream_options": {"include_usage": False}}, {"include_usage": True}),
        ({"stream_options": {"x": 1}}, {"x": 1, "include_usage": True}),
        ({"stream_options": "odd"}, {"include_usage": True}),
    ],
)
def test_streams_report_usage(given, sent):
    assert shaped(given)["stream_options"] == sent


@pytest.mark.parametrize(
    "setting",
    [
        {"reasoning_effort": "low"},
        {"reasoning": {"effort": "low"}},
        {"thinking": {"type": "enabled"}},
    ],
)
def test_thinking_settings_are_for_models_that_think(setting):
    assert shaped(setting, "generate") == {}
    assert shaped(setting, "generate", thinking=True) == setting
