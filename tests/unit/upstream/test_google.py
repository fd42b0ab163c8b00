"""URL, headers and body of Code Assist, Antigravity and Vertex by service account, against their sheets."""

from __future__ import annotations

import re

import msgspec
import pytest

from proxy.config.model import Candidate, Credential
from proxy.convo.model import Capability
from proxy.errors import ProxyError
from proxy.jsonio import decode, encode, top_level
from proxy.secret import Secret
from proxy.upstream import get
from proxy.upstream.base import Client

BASES = {
    "gemini-cli": "https://cloudcode-pa.googleapis.com",
    "antigravity": "https://h",
    "vertex": "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4",
}
CONTENTS = [
    {"role": "user", "parts": [{"text": "Name three rivers in France."}, {"text": "Please."}]},
    {"role": "model", "parts": [{"text": "No."}]},
]
SESSION = "-2034007399689146045"


def candidate(provider, model="gemini-2.5-pro", capability=None, **more):
    return Candidate(
        credential=Credential(
            id="a",
            provider=provider,
            wire="gemini" if provider == "vertex" else "gemini_cli",
            base_url=BASES[provider],
            key=Secret("ya29.x"),
            account="a.json",
            **({"project": "p1"} | more),
        ),
        model=model,
        capability=capability or Capability(),
    )


def headers(one, action="generate", client=None):
    made = get(one.credential.provider).headers(one, action, client or Client("chat", []), {})
    names = [name.lower() for name, _ in made]
    assert len(names) == len(set(names))
    return {name.decode().lower(): value.decode() for name, value in made}


def shaped(one, inner, action="generate", wire="chat", **envelope):
    body = top_level(encode({"model": "asked", "project": "mine", "request": inner, **envelope}))
    get(one.credential.provider).shape(body, one, action, Client(wire, []), [])
    return decode(encode(body))


@pytest.mark.parametrize(
    ("provider", "model", "action", "path"),
    [
        ("gemini-cli", "m", "generate", "/v1internal:generateContent"),
        ("gemini-cli", "m", "stream", "/v1internal:streamGenerateContent?alt=sse"),
        ("gemini-cli", "m", "count", "/v1internal:countTokens"),
        ("antigravity", "gemini-3-flash", "generate", "/v1internal:generateContent"),
        ("antigravity", "Claude-x", "generate", "/v1internal:streamGenerateContent?alt=sse"),
        (
            "antigravity",
            "gemini-3-pro-high",
            "generate",
            "/v1internal:streamGenerateContent?alt=sse",
        ),
        ("antigravity", "claude-x", "count", "/v1internal:countTokens"),
        ("vertex", "m", "generate", "/publishers/google/models/m:generateContent"),
        ("vertex", "m/x", "stream", "/publishers/google/models/m/x:streamGenerateContent?alt=sse"),
        ("vertex", "m", "count", "/publishers/google/models/m:countTokens"),
    ],
)
def test_urls(provider, model, action, path):
    made = get(provider).url(candidate(provider, model), action, Client("chat", []))
    assert made == BASES[provider] + path


def test_headers_of_code_assist_are_the_clients_where_it_has_some():
    one = candidate("gemini-cli")
    assert headers(one) == {
        "content-type": "application/json",
        "accept": "application/json",
        "authorization": "Bearer ya29.x",
        "user-agent": "google-api-nodejs-client/9.15.1",
        "x-goog-api-client": "gl-node/22.17.0",
        "client-metadata": (
            "ideType=IDE_UNSPECIFIED,platform=PLATFORM_UNSPECIFIED,pluginType=GEMINI"
        ),
    }
    client = Client("gemini", [(b"user-agent", b"GeminiCLI/0.9"), (b"x-goog-api-client", b"c")])
    own = headers(one, "stream", client)
    assert own["accept"] == "text/event-stream"
    assert (own["user-agent"], own["x-goog-api-client"]) == ("GeminiCLI/0.9", "c")


def test_headers_of_antigravity_are_its_own():
    client = Client("gemini", [(b"user-agent", b"GeminiCLI/0.9")])
    assert headers(candidate("antigravity"), "generate", client) == {
        "content-type": "application/json",
        "accept": "application/json",
        "authorization": "Bearer ya29.x",
        "user-agent": "antigravity/1.104.0 darwin/arm64",
    }
    own = candidate("antigravity", "claude-x", headers=(("User-Agent", "mine/1"),))
    assert headers(own)["user-agent"] == "mine/1"
    assert headers(own)["accept"] == "text/event-stream"


def test_a_service_account_sends_its_token_and_a_key_stays_a_key():
    assert headers(candidate("vertex")) == {
        "content-type": "application/json",
        "authorization": "Bearer ya29.x",
    }
    keyed = msgspec.structs.replace(
        candidate("vertex").credential, account="", base_url="https://h"
    )
    one = Candidate(credential=keyed, model="m")
    assert headers(one)["x-goog-api-key"] == "ya29.x"
    url = get("vertex").url(one, "generate", Client("chat", []))
    assert url == "https://h/v1/publishers/google/models/m:generateContent"


# Code Assist


def test_the_envelope_is_the_accounts_and_the_rest_of_it_stays():
    body = shaped(candidate("gemini-cli"), {"contents": CONTENTS}, user_prompt_id="u1")
    assert body["model"] == "gemini-2.5-pro"
    assert (body["project"], body["user_prompt_id"]) == ("p1", "u1")
    assert body["request"]["contents"] == CONTENTS
    assert len(body["request"]["safetySettings"]) == 5


def test_a_native_clients_request_stays_as_it_came():
    inner = {"contents": CONTENTS, "session_id": "s", "anything": {"a": 1.0}}
    body = shaped(candidate("gemini-cli"), inner, wire="gemini_cli")
    assert body["request"] == inner


def test_without_a_project_none_is_named():
    assert "project" not in shaped(candidate("gemini-cli", project=""), {"contents": CONTENTS})
    assert "project" not in shaped(candidate("antigravity", project=""), {"contents": CONTENTS})


@pytest.mark.parametrize("provider", ["gemini-cli", "antigravity"])
def test_a_count_names_neither_model_nor_project(provider):
    inner = {"contents": CONTENTS, "safetySettings": [], "tools": []}
    body = shaped(candidate(provider), inner, "count", "gemini")
    assert body == {"request": {"contents": CONTENTS, "tools": []}}


@pytest.mark.parametrize("inner", ["text", [1], 5, None])
def test_an_envelope_without_a_request_is_the_clients_mistake(inner):
    for provider in ("gemini-cli", "antigravity"):
        with pytest.raises(ProxyError) as caught:
            shaped(candidate(provider), inner, wire="gemini_cli")
        assert caught.value.status == 400


# Antigravity


def test_the_body_of_antigravity():
    inner = {
        "contents": CONTENTS,
        "systemInstruction": {"parts": [{"text": "Be terse."}]},
        "safetySettings": [],
        "generationConfig": {"maxOutputTokens": 50, "temperature": 0.5},
    }
    body = shaped(candidate("antigravity", "gemini-3-flash"), inner)
    assert re.fullmatch(r"agent-[0-9a-f-]{36}", body.pop("requestId"))
    assert body == {
        "model": "gemini-3-flash",
        "project": "p1",
        "userAgent": "antigravity",
        "requestType": "agent",
        "request": {
            "contents": CONTENTS,
            "systemInstruction": {"role": "user", "parts": [{"text": "Be terse."}]},
            "generationConfig": {"temperature": 0.5},
            "sessionId": SESSION,
            "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}},
        },
    }


def test_nothing_is_added_to_the_system_prompt():
    for model in ("claude-sonnet-4-5", "gemini-3-pro-high"):
        body = shaped(candidate("antigravity", model), {"contents": CONTENTS})
        assert "systemInstruction" not in body["request"]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (None, {"mode": "VALIDATED"}),
        ({"mode": "AUTO"}, {"mode": "VALIDATED"}),
        ({"mode": "NONE"}, {"mode": "NONE"}),
        (
            {"mode": "ANY", "allowedFunctionNames": ["f"]},
            {"mode": "ANY", "allowedFunctionNames": ["f"]},
        ),
    ],
)
def test_a_clients_choice_of_tools_stays(given, sent):
    inner = {"contents": CONTENTS}
    if given is not None:
        inner["toolConfig"] = {"functionCallingConfig": given}
    body = shaped(candidate("antigravity", "gemini-3-flash"), inner)
    assert body["request"]["toolConfig"] == {"functionCallingConfig": sent}


def test_requests_of_a_conversation_have_one_session():
    one = candidate("antigravity", "gemini-3-flash")
    longer = [*CONTENTS, {"role": "user", "parts": [{"text": "And now?"}]}]
    assert shaped(one, {"contents": longer})["request"]["sessionId"] == SESSION
    assert shaped(one, {"contents": CONTENTS, "sessionId": "s"})["request"]["sessionId"] == "s"
    image = [{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}]}]
    assert re.fullmatch(r"-\d+", shaped(one, {"contents": image})["request"]["sessionId"])


@pytest.mark.parametrize(
    ("config", "sent"),
    [
        ({"maxOutputTokens": 900}, {"maxOutputTokens": 900}),
        (
            {"maxOutputTokens": 2000, "thinkingConfig": {"thinkingBudget": 1500}},
            {"maxOutputTokens": 2000, "thinkingConfig": {"thinkingBudget": 1500}},
        ),
        (
            {"maxOutputTokens": 2000, "thinkingConfig": {"thinkingBudget": 8000}},
            {"maxOutputTokens": 2000, "thinkingConfig": {"thinkingBudget": 1999}},
        ),
        (
            {"maxOutputTokens": 900, "thinkingConfig": {"thinkingBudget": 8000}},
            {"maxOutputTokens": 900},
        ),
        (
            {"thinkingConfig": {"thinkingBudget": 8000}},
            {"maxOutputTokens": 64000, "thinkingConfig": {"thinkingBudget": 8000}},
        ),
        (
            {"thinkingConfig": {"thinkingBudget": -1}},
            {"maxOutputTokens": 64000, "thinkingConfig": {"thinkingBudget": -1}},
        ),
    ],
)
def test_claudes_budget_for_thinking_lies_below_its_limit(config, sent):
    capability = Capability(thinking=True, budget_min=1024, budget_max=200_000, output=64_000)
    one = candidate("antigravity", "claude-sonnet-4-5-thinking", capability)
    body = shaped(one, {"contents": CONTENTS, "generationConfig": config})
    assert body["request"]["generationConfig"] == sent


def test_claudes_tools_come_in_geminis_schema():
    tools = [
        {
            "functionDeclarations": [
                {
                    "name": "read",
                    "parametersJsonSchema": {
                        "type": "object",
                        "properties": {"n": {"type": ["integer", "null"], "exclusiveMinimum": 0}},
                        "additionalProperties": False,
                    },
                },
                {"name": "stop"},
            ]
        },
        {"googleSearch": {}},
    ]
    inner = {"contents": CONTENTS, "tools": tools}
    claude = shaped(candidate("antigravity", "claude-x"), inner)["request"]["tools"]
    read, stop = claude[0]["functionDeclarations"]
    assert read == {
        "name": "read",
        "parameters": {
            "type": "object",
            "properties": {
                "n": {"type": "integer", "nullable": True, "description": "(exclusiveMinimum: 0)"}
            },
            "description": "(additionalProperties: false)",
        },
    }
    assert stop["parameters"] == {"type": "object", "properties": {}}
    assert claude[1] == {"googleSearch": {}}
    flash = shaped(candidate("antigravity", "gemini-3-flash"), inner)["request"]["tools"]
    assert flash == tools


@pytest.mark.parametrize(
    "inner",
    [
        {"contents": 5},
        {"contents": [{"role": "user", "parts": 5}]},
        {"contents": [{"role": "user", "parts": "abc"}]},
        {"tools": [{"functionDeclarations": 5}]},
        {"tools": [{"functionDeclarations": [{"parameters": 5}]}]},
    ],
)
def test_a_native_clients_mistakes_are_left_to_the_service(inner):
    body = shaped(candidate("antigravity", "claude-sonnet-4-5"), inner, "stream", "gemini_cli")
    assert body["project"]
