"""Client requests for property tests: those of the golden vectors, and made ones that hold every kind of
part, tool and setting that a wire has."""

from __future__ import annotations

import re
from functools import cache

import msgspec
from hypothesis import strategies as st

from tests.shared_material import SHARED

NAMES = {
    "openai": "chat",
    "openai-response": "responses",
    "claude": "anthropic",
    "gemini": "gemini",
    "gemini-cli": "gemini_cli",
}
"""The vectors' word for a wire -> ours."""
SCHEMA = {"type": "object", "properties": {"x": {"type": "string", "description": "d"}}}
CACHE = {"type": "ephemeral"}
URL = "https://example.com/a.png"
PNG = "iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0x"
TEXT = {"type": "text", "media_type": "text/plain", "data": "text of a document"}
CITED = {"type": "char_location", "cited_text": "text cited", "document_title": "title cited"}


@cache
def recorded(wire: str) -> list[dict]:
    """The requests of the vectors, one of each shape; [] without the vectors."""
    found: dict[object, dict] = {}
    names = [name for name, ours in NAMES.items() if ours == wire]
    for name in names:
        for path in sorted((SHARED / "vectors").glob(f"{name}__*.request.jsonl")):
            for line in path.read_bytes().splitlines():
                request = msgspec.json.decode(line)["client_request"]
                found.setdefault(_shape(request), request)
    return list(found.values())


def leaves(value: object, path: str = ""):
    """(path, value) of everything that is no object and no array."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{number}]")
    else:
        yield path, value


def general(path: str) -> str:
    """A path without the numbers of elements."""
    return re.sub(r"\[\d+\]", "[]", path)


def _shape(request: dict) -> object:
    words = ("type", "role", "mode", "effort")
    return frozenset(
        (general(path), value if path.endswith(words) else type(value))
        for path, value in leaves(request)
    )


def _some(*parts: dict):
    return st.lists(st.sampled_from(parts), min_size=1, max_size=4)


def _optional(**members: object):
    return st.fixed_dictionaries({}, optional={k: st.just(v) for k, v in members.items()})


def _joined(*parts):
    return st.tuples(*parts).map(lambda found: {k: v for one in found for k, v in one.items()})


def _chat():
    user = _some(
        {"type": "text", "text": "what is asked", "cache_control": CACHE},
        {"type": "image_url", "image_url": {"url": URL, "detail": "original"}},
        {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}},
        {"type": "file", "file": {"file_data": PDF, "filename": "report.pdf"}},
    )
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "f", "arguments": '{"x":"argument"}'},
    }
    extra = {"extra_content": {"google": {"thought_signature": "c2ln"}}}
    own = {"id": "c1", "type": "custom", "custom": {"name": "g", "input": "free form input"}}
    calls = st.sampled_from([call, {**call, **extra}, own])
    rounds = calls.map(
        lambda one: [
            {"role": "assistant", "content": None, "tool_calls": [one]},
            {
                "role": "tool",
                "tool_call_id": "c1",
                "content": [{"type": "text", "text": "what came out"}],
            },
        ]
    )
    thought = [
        {
            "role": "assistant",
            "content": "what was answered",
            "reasoning_content": "what was thought",
        }
    ]
    turns = user.map(lambda parts: [{"role": "user", "content": parts, "name": "author of it"}])
    later = st.lists(st.one_of(rounds, turns, st.just(thought)), max_size=2)
    messages = st.tuples(turns, later).map(
        lambda two: two[0] + [m for turn in two[1] for m in turn]
    )
    tools = _some(
        {"type": "function", "function": {"name": "f", "parameters": SCHEMA, "strict": True}},
        {"type": "custom", "custom": {"name": "g", "format": {"type": "text"}}},
        {"type": "web_search", "search_context_size": "low"},
    )
    format_ = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    settings = _optional(
        tool_choice={"type": "function", "function": {"name": "f"}},
        response_format=format_,
        reasoning={"effort": "low"},
        extra_body={"google": {"thinking_config": {"thinking_budget": 2000}}},
        stream_options={"include_usage": True},
        web_search_options={"search_context_size": "low"},
    )
    return _joined(
        st.fixed_dictionaries({"messages": messages}, optional={"tools": tools}), settings
    )


def _responses():
    user = _some(
        {"type": "input_text", "text": "what is asked"},
        {"type": "input_image", "image_url": URL, "detail": "original"},
        {
            "type": "input_file",
            "filename": "report.pdf",
            "file_data": PDF,
        },
        {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}},
    )
    answer = {"type": "output_text", "text": "what was answered"}
    note = {"type": "url_citation", "url": "https://cited.example", "title": "title cited"}
    output = [
        {"type": "input_text", "text": "what came out"},
        {"type": "input_image", "image_url": URL},
    ]
    items = st.lists(
        st.sampled_from(
            [
                {
                    "type": "reasoning",
                    "summary": [{"type": "summary_text", "text": "what was thought"}],
                },
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": output},
                {
                    "type": "custom_tool_call",
                    "call_id": "d",
                    "name": "g",
                    "input": "free form input",
                },
                {"role": "assistant", "content": [{**answer, "annotations": [note]}]},
                {
                    "role": "developer",
                    "content": [{"type": "input_text", "text": "what the system says"}],
                },
            ]
        ),
        max_size=4,
    )
    said = st.tuples(user, items).map(lambda two: [{"role": "user", "content": two[0]}, *two[1]])
    tools = _some(
        {"type": "function", "name": "f", "parameters": SCHEMA, "strict": False},
        {"type": "function", "function": {"name": "h", "parameters": SCHEMA}},
        {"type": "custom", "name": "g", "format": {"type": "text"}},
        {"type": "web_search", "filters": {"allowed_domains": ["a.example"]}},
    )
    format_ = {"type": "json_schema", "name": "n", "schema": SCHEMA}
    settings = _optional(
        instructions=[
            {
                "role": "developer",
                "content": [{"type": "input_text", "text": "what the system says"}],
            }
        ],
        tool_choice={"type": "function", "name": "f"},
        text={"format": format_, "verbosity": "low"},
        reasoning={"effort": "low", "summary": "auto"},
    )
    return _joined(st.fixed_dictionaries({"input": said}, optional={"tools": tools}), settings)


def _anthropic():
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    blocks = [{"type": "text", "text": "text inside"}]
    user = _some(
        {"type": "text", "text": "what is asked", "cache_control": CACHE},
        {"type": "image", "source": source},
        {
            "type": "document",
            "source": {"type": "url", "url": URL},
            "title": "title of it",
            "context": "context of it",
            "citations": {"enabled": True},
        },
        {"type": "document", "source": {"type": "content", "content": blocks}},
        {"type": "document", "source": TEXT, "title": "title of text"},
        {
            "type": "search_result",
            "title": "title of it",
            "source": "https://source.example",
            "content": blocks,
        },
        {
            "type": "tool_result",
            "tool_use_id": "c",
            "content": [*blocks, {"type": "image", "source": source}],
        },
    )
    answer = _some(
        {"type": "text", "text": "what was answered", "citations": [CITED]},
        {"type": "thinking", "thinking": "what was thought", "signature": "c2ln"},
        {"type": "tool_use", "id": "c", "name": "f", "input": {"x": "argument"}},
    )
    pair = st.tuples(answer, user).map(
        lambda two: [{"role": "assistant", "content": two[0]}, {"role": "user", "content": two[1]}]
    )
    messages = st.tuples(user, st.one_of(st.just([]), pair)).map(
        lambda two: [{"role": "user", "content": two[0]}, *two[1]]
    )
    tools = _some(
        {"name": "f", "input_schema": SCHEMA, "cache_control": CACHE},
        {"type": "custom", "name": "g", "input_schema": SCHEMA, "strict": True},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
    )
    settings = _optional(
        system=[{"type": "text", "text": "what the system says", "cache_control": CACHE}],
        tool_choice={"type": "tool", "name": "f"},
        thinking={"type": "enabled", "budget_tokens": 2000},
        output_config={"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
    )
    fixed = st.fixed_dictionaries(
        {"messages": messages, "max_tokens": st.just(4000)}, optional={"tools": tools}
    )
    return _joined(fixed, settings)


def _gemini():
    user = _some(
        {"text": "what is asked"},
        {"inlineData": {"mimeType": "image/png", "data": PNG, "displayName": "picture of it"}},
        {"file_data": {"file_uri": URL}, "videoMetadata": {"startOffset": "17s"}},
        {"functionResponse": {"name": "f", "response": {"result": "what came out"}}},
    )
    model = _some(
        {"text": "what was thought", "thought": True},
        {"functionCall": {"name": "f", "args": {"x": "argument"}}, "thoughtSignature": "c2ln"},
        {"executableCode": {"code": "1", "language": "PYTHON"}},
        {"codeExecutionResult": {"output": "1", "outcome": "OUTCOME_OK"}},
    )
    turns = st.lists(
        st.one_of(
            user.map(lambda parts: {"role": "user", "parts": parts}),
            model.map(lambda parts: {"role": "model", "parts": parts}),
        ),
        min_size=1,
        max_size=3,
    )
    tools = _some(
        {"functionDeclarations": [{"name": "f", "parametersJsonSchema": SCHEMA}]},
        {"googleSearch": {}},
    )
    thinking = {"thinkingBudget": 2000, "includeThoughts": True}
    settings = _optional(
        systemInstruction={"parts": [{"text": "what the system says"}]},
        generationConfig={"maxOutputTokens": 3000, "thinkingConfig": thinking},
        generation_config={"max_output_tokens": 3000},
        toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    )
    return _joined(st.fixed_dictionaries({"contents": turns}, optional={"tools": tools}), settings)


def made(wire: str):
    """Requests of a wire, of all kinds that it has."""
    strategy = {
        "chat": _chat,
        "responses": _responses,
        "anthropic": _anthropic,
        "gemini": _gemini,
        "gemini_cli": lambda: _gemini().map(lambda inner: {"request": inner}),
    }[wire]()
    return strategy.map(lambda body: {"model": "m", **body})
