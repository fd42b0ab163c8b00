"""Kiro's calls: both endpoints with what belongs to each, headers by kind of account, the account's profile."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from proxy.auth.files import parse
from proxy.auth.kinds.kiro import KIND
from proxy.config.model import AccountOptions, Candidate, ServiceOptions
from proxy.jsonio import encode
from proxy.secret import Secret
from proxy.upstream import get
from proxy.upstream.base import Client

FIRST = "https://codewhisperer.us-east-1.amazonaws.com/generateAssistantResponse"
SECOND = "https://q.us-east-1.amazonaws.com"
ARN = "arn:aws:codewhisperer:us-east-1:000000000000:profile/FAKE"
NOBODY = Client("chat", [])


def credential(options=None, **file):
    content = {"type": "kiro", "access_token": "fake-access", "profile_arn": ARN, **file}
    found = parse("kiro-a.json", encode(content))
    made = KIND.credential(found, None, options or AccountOptions(), "kiro")
    return Candidate(credential=made, model="claude-sonnet-4.5")


def at(candidate, url):

    moved = replace(candidate.credential, base_url=url, key=Secret("fake-access"))
    return replace(candidate, credential=moved)


def headers(candidate):
    found = get("kiro").headers(candidate, "stream", NOBODY, {})
    assert len({name.lower() for name, _ in found}) == len(found)
    return {name.decode(): value.decode() for name, value in found}


def body():
    said = {"userInputMessage": {"content": "hi", "origin": ""}}
    return {
        "conversationState": {
            "conversationId": "",
            "currentMessage": said,
            "history": [
                {"userInputMessage": {"content": "a", "origin": ""}},
                {"assistantResponseMessage": {"content": "b"}},
            ],
        }
    }


@pytest.mark.parametrize(
    ("url", "asked", "origin", "target"),
    [
        (
            FIRST,
            FIRST,
            "AI_EDITOR",
            "AmazonCodeWhispererStreamingService.GenerateAssistantResponse",
        ),
        (SECOND, f"{SECOND}/", "CLI", "AmazonQDeveloperStreamingService.SendMessage"),
        (
            "https://mine.example/x",
            "https://mine.example/x",
            "AI_EDITOR",
            "AmazonCodeWhispererStreamingService.GenerateAssistantResponse",
        ),
    ],
)
def test_what_belongs_to_an_address(url, asked, origin, target):
    candidate, shaped = at(credential(), url), body()
    assert get("kiro").url(candidate, "stream", NOBODY) == asked
    assert headers(candidate)["X-Amz-Target"] == target
    get("kiro").shape(shaped, candidate, "stream", NOBODY, [])
    state = shaped["conversationState"]
    assert state["currentMessage"]["userInputMessage"]["origin"] == origin
    assert state["history"][0]["userInputMessage"]["origin"] == origin
    assert state["history"][1] == {"assistantResponseMessage": {"content": "b"}}
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", state["conversationId"])
    assert shaped["profileArn"] == ARN


def test_headers():
    found = headers(at(credential(), FIRST))
    assert len(found.pop("Amz-Sdk-Invocation-Id")) == 36
    del found["X-Amz-Target"]
    assert found == {
        "Content-Type": "application/x-amz-json-1.0",
        "Accept": "*/*",
        "User-Agent": "aws-sdk-rust/1.3.9 os/macos lang/rust/1.87.0",
        "X-Amz-User-Agent": (
            "aws-sdk-rust/1.3.9 ua/2.1 api/ssooidc/1.88.0 os/macos lang/rust/1.87.0"
            " m/E app/AmazonQ-For-CLI"
        ),
        "Amz-Sdk-Request": "attempt=1; max=3",
        "Authorization": "Bearer fake-access",
    }


def test_headers_of_an_organization():
    found = headers(credential(auth_method="idc"))
    agent = re.fullmatch(
        r"aws-sdk-js/1\.0\.18 .* KiroIDE-0\.2\.13-([0-9a-f]{64})", found["User-Agent"]
    )
    assert found["X-Amz-User-Agent"] == f"aws-sdk-js/1.0.18 KiroIDE-0.2.13-{agent[1]}"
    assert found["X-Amzn-Kiro-Agent-Mode"] == "spec"
    said = AccountOptions(services={"kiro": ServiceOptions(headers=(("user-agent", "Mine"),))})
    own = headers(credential(said, auth_method="idc"))
    assert own["user-agent"] == "Mine"


@pytest.mark.parametrize(("method", "told"), [("social", ARN), ("builder-id", ""), ("idc", "")])
def test_only_social_logins_name_their_profile(method, told):
    shaped = body()
    get("kiro").shape(shaped, credential(auth_method=method), "stream", NOBODY, [])
    assert shaped.get("profileArn", "") == told


@pytest.mark.parametrize(
    ("file", "addresses"),
    [
        ({}, [FIRST, SECOND]),
        ({"preferred_endpoint": "AmazonQ"}, [SECOND, FIRST]),
        ({"preferred_endpoint": "cli"}, [SECOND, FIRST]),
        ({"preferred_endpoint": "ide"}, [FIRST, SECOND]),
        ({"preferred_endpoint": "odd"}, [FIRST, SECOND]),
        ({"preferred_endpoint": "q", "auth_method": "idc"}, [FIRST, SECOND]),
    ],
)
def test_which_endpoint_is_asked_first(file, addresses):
    found = credential(**file).credential
    assert [found.base_url, *found.mirrors] == addresses


def test_an_address_of_ones_own_is_the_only_one():
    said = AccountOptions(services={"kiro": ServiceOptions(base_url="https://mine.example/x")})
    found = credential(said).credential
    assert (found.base_url, found.mirrors) == ("https://mine.example/x", ())
