"""URL, headers and dialect of each key-based provider, against its sheet."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import Raw

from proxy.config.model import Candidate, Credential
from proxy.convo.model import ErrorInfo
from proxy.errors import Fault, Retry
from proxy.jsonio import Body
from proxy.secret import Secret
from proxy.upstream import get
from proxy.upstream.base import Client, refusal, retry_after

NOBODY = Client("chat", [])


def candidate(provider: str, wire: str, base: str, **more) -> Candidate:
    more = {"key": Secret("k"), "legacy": True} | more
    return Candidate(
        credential=Credential(id="i", provider=provider, wire=wire, base_url=base, **more),
        model="the/model",
    )


def headers(
    one: Candidate, action: str = "generate", client: Client = NOBODY, body: Body | None = None
):
    made = get(one.credential.provider).headers(one, action, client, {} if body is None else body)
    names = [name.lower() for name, _ in made]
    assert len(names) == len(set(names))
    return {name.decode().lower(): value.decode() for name, value in made}


@pytest.mark.parametrize(
    ("provider", "wire", "base", "action", "url"),
    [
        ("openai-compat", "chat", "http://h/v1", "stream", "http://h/v1/chat/completions"),
        ("openai-compat", "chat", "http://h/v1/", "generate", "http://h/v1/chat/completions"),
        ("claude", "anthropic", "http://h", "generate", "http://h/v1/messages?beta=true"),
        (
            "claude",
            "anthropic",
            "http://h/",
            "count",
            "http://h/v1/messages/count_tokens?beta=true",
        ),
        ("codex", "responses", "http://h/v1", "generate", "http://h/v1/responses"),
        ("gemini", "gemini", "http://h", "count", "http://h/v1beta/models/the/model:countTokens"),
        (
            "gemini",
            "gemini",
            "http://h",
            "stream",
            "http://h/v1beta/models/the/model:streamGenerateContent?alt=sse",
        ),
        (
            "vertex",
            "gemini",
            "http://h/api",
            "generate",
            "http://h/api/v1/publishers/google/models/the/model:generateContent",
        ),
    ],
)
def test_urls(provider: str, wire: str, base: str, action: str, url: str) -> None:
    assert get(provider).url(candidate(provider, wire, base), action, NOBODY) == url


def test_a_model_name_cannot_leave_its_place_in_the_path() -> None:
    one = msgspec.structs.replace(candidate("gemini", "gemini", "http://h"), model="x?y#z w")
    assert get("gemini").url(one, "generate", NOBODY) == (
        "http://h/v1beta/models/x%3Fy%23z%20w:generateContent"
    )


def test_no_key_no_authorization() -> None:
    for provider, wire in (
        ("openai-compat", "chat"),
        ("claude", "anthropic"),
        ("codex", "responses"),
    ):
        sent = headers(candidate(provider, wire, "http://h", key=Secret("")))
        assert "authorization" not in sent
        assert "x-api-key" not in sent


def test_the_anthropic_key_goes_where_the_host_wants_it() -> None:
    official = headers(candidate("claude", "anthropic", "https://api.anthropic.com"))
    assert official["x-api-key"] == "k"
    assert "authorization" not in official
    other = headers(candidate("claude", "anthropic", "https://other.test"))
    assert other["authorization"] == "Bearer k"
    assert "x-api-key" not in other


def test_routes_d_sends_no_borrowed_identity() -> None:
    sent = headers(candidate("claude", "anthropic", "https://other.test", legacy=False))
    assert sent == {
        "content-type": "application/json",
        "accept": "application/json",
        "x-api-key": "k",
        "anthropic-version": "2023-06-01",
    }


def test_client_betas_and_body_betas_are_one_header() -> None:
    client = Client("anthropic", [(b"anthropic-beta", b"one, two")])
    body: Body = {"betas": Raw(b'["two","three"]'), "model": Raw(b'"m"')}
    sent = headers(candidate("claude", "anthropic", "http://h"), client=client, body=body)
    assert sent["anthropic-beta"] == "one,two,oauth-2025-04-20,three"
    assert "betas" not in body


def test_forced_tools_exclude_thinking() -> None:
    body: Body = {"thinking": Raw(b"{}"), "tool_choice": Raw(b'{"type":"any"}')}
    get("claude").shape(body, candidate("claude", "anthropic", "http://h"), "generate", NOBODY, [])
    assert "thinking" not in body


def test_gemini_counts_the_conversation_alone() -> None:
    body: Body = {"contents": Raw(b"[]"), "tools": Raw(b"[]"), "generationConfig": Raw(b"{}")}
    get("gemini").shape(
        body, candidate("gemini", "gemini", "http://h", legacy=False), "count", NOBODY, []
    )
    assert set(body) == {"contents"}


@pytest.mark.parametrize(
    ("name", "value", "seconds"),
    [
        (b"retry-after", b"7", 7.0),
        (b"retry-after-ms", b"1500", 1.5),
        (b"retry-after", b"Thu, 01 Jan 1970 00:01:40 GMT", 40.0),
        (b"retry-after", b"Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
        (b"retry-after", b"soon", None),
        (b"retry-after", b"99999999999", None),
        (b"retry-after", b"nan", None),
        (b"x-other", b"7", None),
    ],
)
def test_retry_after(name: bytes, value: bytes, seconds: float | None) -> None:
    assert retry_after([(name, value)], now=60.0) == seconds


@pytest.mark.parametrize(
    ("status", "retry"),
    [(400, Retry.NEVER), (422, Retry.NEVER), (401, Retry.CREDENTIAL), (529, Retry.CREDENTIAL)],
)
def test_what_may_be_retried(status: int, retry: Retry) -> None:
    error = refusal(status, [], ErrorInfo("m"), b"", "chat", 0.0)
    assert (error.status, error.retry, error.fault) == (status, retry, Fault.UPSTREAM)
