"""iFlow's calls: headers and signature, thinking by family of models, lists of tools that are empty."""

from __future__ import annotations

import hashlib
import hmac
import re

import msgspec
import pytest

from proxy.config.model import Candidate, Credential
from proxy.convo.model import Capability
from proxy.errors import ProxyError
from proxy.jsonio import encode, top_level
from proxy.routing.builtin import capability_of
from proxy.secret import Secret
from proxy.upstream import get
from proxy.upstream.base import Client
from proxy.upstream.iflow import IFlow

TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


def candidate(model="glm-4.6", **more):
    credential = Credential(
        id="i",
        provider="iflow",
        wire="chat",
        base_url="https://apis.iflow.cn/v1",
        key=Secret("sk-fake-key"),
        account="i",
        **more,
    )
    return Candidate(credential=credential, model=model, capability=capability_of(model))


def shaped(body, model="glm-4.6", action="stream"):
    top = top_level(msgspec.json.encode(body))
    get("iflow").shape(top, candidate(model), action, Client("chat", []), [])
    return msgspec.json.decode(encode(top))


def headers(action="stream", **more):
    provider = IFlow(lambda: 1_750_000_000.25)
    found = provider.headers(candidate(**more), action, Client("chat", []), {})
    assert len({name.lower() for name, _ in found}) == len(found)
    return {name.decode(): value.decode() for name, value in found}


@pytest.mark.parametrize(
    ("action", "accept"), [("stream", "text/event-stream"), ("generate", "application/json")]
)
def test_headers(action, accept):
    found = headers(action)
    del found["Session-Id"], found["X-Iflow-Timestamp"], found["X-Iflow-Signature"]
    assert found == {
        "Content-Type": "application/json",
        "Authorization": "Bearer sk-fake-key",
        "User-Agent": "iFlow-Cli",
        "Accept": accept,
    }


@pytest.mark.parametrize(
    ("own", "agent"), [((), "iFlow-Cli"), ((("user-agent", "Mine/1"),), "Mine/1")]
)
def test_the_signature(own, agent):
    found = headers(headers=own)
    session, moment = found["Session-Id"], found["X-Iflow-Timestamp"]
    assert re.fullmatch(r"session-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", session)
    assert moment == "1750000000250"
    signed = f"{agent}:{session}:{moment}".encode()
    expected = hmac.new(b"sk-fake-key", signed, hashlib.sha256).hexdigest()
    assert found["X-Iflow-Signature"] == expected
    assert headers()["Session-Id"] != session


@pytest.mark.parametrize(
    ("model", "given", "sent"),
    [
        ("glm-4.6", {"reasoning_effort": "low"}, "glm on"),
        ("GLM-4.7", {"reasoning_effort": "none"}, "glm off"),
        ("glm-4.7", {"reasoning": {"effort": "high"}}, "glm on"),
        ("glm-4.7", {"thinking": {"type": "disabled"}}, "glm off"),
        ("glm-4.7", {"thinking": {"type": "enabled", "budget_tokens": 2000}}, "glm on"),
        ("minimax-m2", {"reasoning_effort": "high"}, {"reasoning_split": True}),
        ("minimax-m2.1", {"reasoning_effort": "none"}, {"reasoning_split": False}),
        ("kimi-k2", {"reasoning_effort": "high"}, {}),
        ("deepseek-r1", {"thinking": {"type": "enabled"}}, {}),
        ("glm-4.6", {"reasoning_effort": None}, {}),
        ("glm-4.6", {}, {}),
    ],
)
def test_thinking_is_switched_as_the_family_wants(model, given, sent):
    on = {"chat_template_kwargs": {"enable_thinking": True, "clear_thinking": False}}
    off = {"chat_template_kwargs": {"enable_thinking": False}}
    known = {"glm on": on, "glm off": off}
    assert shaped(given, model) == (known[sent] if isinstance(sent, str) else sent)


def test_other_switches_of_the_client_stay():
    body = {"chat_template_kwargs": {"x": 1}, "reasoning_effort": "none"}
    assert shaped(body)["chat_template_kwargs"] == {"x": 1, "enable_thinking": False}


def test_an_effort_that_is_none_is_the_clients_mistake():
    with pytest.raises(ProxyError) as caught:
        shaped({"reasoning_effort": "loud"})
    assert caught.value.status == 400


def test_a_stream_has_no_empty_list_of_tools():
    (tool,) = shaped({"tools": []})["tools"]
    assert tool["function"]["name"] == "noop"
    assert shaped({"tools": []}, action="generate") == {"tools": []}
    assert shaped({}) == {}
    assert shaped({"tools": [TOOL]}) == {"tools": [TOOL]}


def test_models_that_think_are_known():
    think = {"glm-4.6", "glm-4.7", "minimax-m2", "minimax-m2.1"}
    assert all(capability_of(model).thinking for model in think)
    assert capability_of("kimi-k2") == Capability()
