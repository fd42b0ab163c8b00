"""What rules see of a request, in every client protocol; a body that cannot be read has none of it."""

import msgspec
import pytest

from proxy.convo import tokens
from proxy.errors import ProxyError
from proxy.upstream.prepare import Ask, Work
from proxy.upstream.request_facts import facts_of

PIXEL = "iVBORw0KGgo="


def facts(wire, body, **more):
    data = {"model": "m", **body}
    if wire == "gemini":
        more.setdefault("model", "m")
        more.setdefault("stream", False)
    ask = Ask(wire=wire, body=msgspec.json.encode(data), headers=[], **more)
    return Work(ask).facts()


def chat(**more):
    return {"messages": [{"role": "user", "content": "hi"}], **more}


def responses(**more):
    return {"input": "hi", **more}


def anthropic(**more):
    return {"max_tokens": 5, **chat(), **more}


def gemini(**more):
    return {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], **more}


def test_the_head():
    headers = [(b"user-agent", b"codex_cli_rs/0.50.0"), (b"x-team", b"red")]
    body = b'{"model":"m","stream":true,"messages":[]}'
    ask = Ask(wire="chat", body=body, headers=headers, surface="chat", key="laptop")
    found = Work(ask).facts()
    assert (found.client, found.surface, found.key, found.stream) == (
        "codex",
        "chat",
        "laptop",
        True,
    )
    assert (found.headers, found.size) == (headers, len(body))


THINKING = [
    ("chat", chat(reasoning_effort="high"), True),
    ("chat", chat(reasoning_effort="none"), False),
    ("chat", chat(reasoning={"effort": "low"}), True),
    ("chat", chat(), False),
    ("responses", responses(reasoning={"effort": "medium", "summary": "auto"}), True),
    ("responses", responses(reasoning={"summary": "auto"}), False),
    ("responses", responses(reasoning=None), False),
    ("anthropic", anthropic(thinking={"type": "enabled", "budget_tokens": 2048}), True),
    ("anthropic", anthropic(thinking={"type": "adaptive"}), True),
    ("anthropic", anthropic(thinking={"type": "disabled"}), False),
    ("gemini", gemini(generationConfig={"thinkingConfig": {"thinkingBudget": 512}}), True),
    ("gemini", gemini(generationConfig={"thinkingConfig": {"thinkingBudget": 0}}), False),
    ("gemini", gemini(generation_config={"thinking_config": {"thinking_level": "high"}}), True),
    (
        "gemini_cli",
        {"request": gemini(generationConfig={"thinkingConfig": {"thinkingBudget": -1}})},
        True,
    ),
    ("gemini_cli", {"request": gemini()}, False),
]


@pytest.mark.parametrize(("wire", "body", "expected"), THINKING)
def test_thinking(wire, body, expected):
    assert facts(wire, body).thinking() is expected


def test_thinking_does_not_decode_the_conversation():
    work = Work(
        Ask(
            wire="chat",
            body=msgspec.json.encode({"model": "m", **chat(reasoning_effort="low")}),
            headers=[],
        )
    )
    assert work.facts().thinking()
    assert work.decoded is None


FUNCTION = {"name": "read_file", "parameters": {"type": "object"}}
TOOLS = [
    ("chat", chat(tools=[{"type": "function", "function": FUNCTION}]), ("read_file",)),
    ("chat", chat(functions=[FUNCTION]), ("read_file",)),
    ("chat", chat(tools=[{"type": "custom", "custom": {"name": "patch"}}]), ("patch",)),
    ("responses", responses(tools=[{"type": "function", **FUNCTION}, {"type": "web_search"}]), ("read_file", "web_search")),
    ("anthropic", anthropic(tools=[{"name": "Bash", "input_schema": {}}, {"type": "web_search_20250305", "name": "web_search"}]), ("Bash", "web_search")),
    ("gemini", gemini(tools=[{"functionDeclarations": [FUNCTION, {"name": "b"}]}, {"googleSearch": {}}]), ("read_file", "b", "googleSearch")),
    ("gemini", gemini(tools=[{"function_declarations": [FUNCTION]}]), ("read_file",)),
    ("gemini_cli", {"request": gemini(tools=[{"functionDeclarations": [FUNCTION]}])}, ("read_file",)),
    ("chat", chat(tools=[]), ()),
    ("chat", chat(tools=None), ()),
    ("chat", chat(tools="x"), ()),
    ("chat", chat(tools=[7, {}]), ("",)),
    ("gemini_cli", {"request": 3}, ()),
]  # fmt: skip


@pytest.mark.parametrize(("wire", "body", "expected"), TOOLS)
def test_tools(wire, body, expected):
    assert facts(wire, body).tools() == expected


def user(*parts):
    return {"messages": [{"role": "user", "content": list(parts)}]}


IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
IMAGES = [
    ("chat", user({"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}), True),
    ("chat", chat(messages=[{"role": "user", "content": "an image/png"}]), False),
    ("chat", chat(), False),
    ("anthropic", {**anthropic(), **user(IMAGE)}, True),
    (
        "anthropic",
        {**anthropic(), **user({"type": "tool_result", "tool_use_id": "t", "content": [IMAGE]})},
        True,
    ),
    (
        "responses",
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"}]}]},
        True,
    ),
    ("gemini", {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": PIXEL}}]}]}, True),
    ("gemini", {"contents": [{"parts": [{"inlineData": {"mimeType": "audio/wav", "data": PIXEL}}]}]}, False),
]  # fmt: skip


@pytest.mark.parametrize(("wire", "body", "expected"), IMAGES)
def test_images(wire, body, expected):
    assert facts(wire, body).images() is expected


def test_tokens_are_the_estimate_made_once(monkeypatch):
    seen = []
    real = tokens.estimate
    monkeypatch.setattr(tokens, "estimate", lambda request: seen.append(1) or real(request))
    found = facts("chat", chat(messages=[{"role": "user", "content": "word " * 500}]))
    assert 500 <= found.tokens() <= 520
    assert found.tokens() == found.tokens()
    assert seen == [1]


def test_a_body_that_cannot_be_read():
    broken = {"messages": 7, "reasoning_effort": ["image"], "tools": {"a": 1}}
    found = facts("chat", broken)
    assert (found.thinking(), found.tools(), found.images()) == (False, (), False)
    assert found.tokens() == found.size // 4


@pytest.mark.parametrize("depth", [100, 400, 900, 980, 2000, 100_000])
def test_deep_nesting_is_refused_or_read(depth):
    nested = b"[" * depth + b"]" * depth
    body = b'{"model":"m","messages":[],"image":1,"thinking":1,"tools":' + nested + b"}"
    try:
        work = Work(Ask(wire="chat", body=body, headers=[]))
    except ProxyError as error:
        assert error.status == 400  # noqa: PT017  # shallow enough ones are read
        return
    found = work.facts()
    assert (found.thinking(), found.images()) == (False, False)
    assert found.tools() == ()
    assert found.tokens() > 0


def test_the_clock_is_the_callers():
    work = Work(Ask(wire="chat", body=b'{"model":"m","messages":[]}', headers=[]))
    assert facts_of(work, lambda: 90).minute() == 90
    assert 0 <= work.facts().minute() < 24 * 60


@pytest.mark.parametrize(
    ("model", "fine"),
    [("gpt-5", True), ("GPT-5.1(high)", True), ("gpt-4", False), ("x", True), ("gpt-5(odd)x", True), ("x(odd)", False), (" gpt-5", False)],
)  # fmt: skip
def test_a_client_key_asks_only_for_its_models(model, fine):
    body = msgspec.json.encode({"model": model, "messages": []})
    ask = Ask(wire="chat", body=body, headers=[], key="ci", models=("gpt-5*", "x"))
    if fine:
        assert Work(ask).model == model
        return
    with pytest.raises(ProxyError) as caught:
        Work(ask)
    assert (caught.value.status, caught.value.kind) == (403, "permission_error")
    assert "client key 'ci' may not ask for model" in caught.value.message
