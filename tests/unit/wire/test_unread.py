"""Members that no decoder reads: found wherever they stand, in every wire, and never in data."""

from __future__ import annotations

import msgspec
import pytest

from proxy import wire as wires
from proxy.convo.model import Lost
from proxy.jsonio import top_level
from proxy.wire.unread import IGNORED, unread


def listed(wire: str, upstream: str = "", most: int = 50, **body: object) -> list[str]:
    return [entry.path for entry in found(wire, upstream, most, **body)]


def found(wire: str, upstream: str = "", most: int = 50, **body: object) -> list[Lost]:
    data = msgspec.json.encode({"model": "m", **body})
    top = top_level(data)
    request = wires.get(wire).decode_request(data, "m", None, top)
    return unread(wire, top, request, upstream, most)


def test_chat() -> None:
    assert listed(
        "chat",
        messages=[
            {
                "role": "user",
                "a": 1,
                "content": [
                    {"type": "text", "text": "q", "b": 1, "cache_control": {"type": "x"}},
                    {
                        "type": "image_url",
                        "image_url": {"url": "http://x", "c": 1},
                        "detail": "low",
                    },
                    {"type": "odd", "d": 1},
                ],
            },
            {
                "role": "assistant",
                "annotations": [],
                "tool_calls": [
                    {
                        "id": "c",
                        "type": "function",
                        "function": {"name": "f", "arguments": '{"x":1}', "e": 1},
                        "extra_content": {"google": {"thought_signature": "s", "f": 1}},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "c", "name": "f", "content": "r", "g": 1},
        ],
        tools=[{"type": "function", "function": {"name": "f", "parameters": {"h": 1}, "i": 1}}],
        tool_choice={"type": "function", "function": {"name": "f", "j": 1}},
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "k": 1}},
        reasoning={"effort": "low", "summary": "auto"},
        metadata={"l": "1"},
    ) == [
        "messages[0].a",
        "messages[0].content[0].b",
        "messages[0].content[1].image_url.c",
        "messages[0].content[1].detail",
        "messages[1].tool_calls[0].function.e",
        "messages[1].tool_calls[0].extra_content.google.f",
        "messages[2].g",
        "tools[0].function.i",
        "tool_choice.function.j",
        "response_format.json_schema.k",
        "reasoning.summary",
    ]


def test_responses() -> None:
    assert listed(
        "responses",
        input=[
            {"role": "user", "a": 1, "content": [{"type": "input_text", "text": "q", "b": 1}]},
            {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "t"}]},
            {
                "type": "function_call",
                "id": "i",
                "status": "completed",
                "call_id": "c",
                "name": "f",
                "arguments": "{}",
                "namespace": "d",
            },
            {"type": "function_call_output", "call_id": "c", "output": {"data": 1}},
            {"type": "odd", "e": 1},
        ],
        tools=[
            {"type": "function", "name": "f", "parameters": {"f": 1}, "g": 1},
            {"type": "web_search", "filters": {"h": 1}},
            {"type": "file_search", "i": 1},
        ],
        reasoning={"effort": "low", "j": 1},
        text={"format": {"type": "json_schema", "name": "n", "schema": {}, "k": 1}},
    ) == [
        "input[0].a",
        "input[0].content[0].b",
        "input[2].namespace",
        "tools[0].g",
        "tools[1].filters",
        "reasoning.j",
        "text.format.k",
    ]


def test_anthropic() -> None:
    said = {
        "max_tokens": 9,
        "system": [{"type": "text", "text": "s", "a": 1}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "url", "url": "http://x", "b": 1}},
                    {"type": "search_result", "title": "t", "source": "s", "content": [], "c": 1},
                    {"type": "odd", "d": 1},
                    {
                        "type": "document",
                        "title": "of blocks",
                        "source": {
                            "type": "content",
                            "content": [{"type": "text", "text": "q", "e": 1}],
                        },
                    },
                ],
            }
        ],
        "tools": [
            {"name": "f", "input_schema": {"f": 1}, "g": 1},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
        ],
        "thinking": {"type": "enabled", "budget_tokens": 2000, "h": 1},
        "metadata": {"user_id": "u", "i": 1},
    }
    messages = ["messages[0].content[0].source.b", "messages[0].content[3].title"]
    messages.append("messages[0].content[3].source.content[0].e")
    rest = ["system[0].a", *messages, "thinking.h"]
    assert listed("anthropic", "anthropic", **said) == rest
    rest[2:2] = ["messages[0].content[1].c"]
    rest[-1:] = ["tools[0].g", "tools[1].max_uses", "thinking.h"]
    assert listed("anthropic", "chat", **said) == rest


def test_gemini_in_both_spellings() -> None:
    said = {
        "system_instruction": {"parts": [{"text": "s", "a": 1}]},
        "contents": [
            {
                "role": "user",
                "b": 1,
                "parts": [
                    {"text": "q", "c": 1},
                    {"inline_data": {"mime_type": "image/png", "data": "AA", "d": 1}},
                    {"odd": {"e": 1}},
                    {"executableCode": {"code": "1", "f": 1}},
                ],
            }
        ],
        "tools": [{"function_declarations": [{"name": "f", "g": 1}], "googleSearch": {"h": 1}}],
        "generation_config": {"max_output_tokens": 3, "i": 1, "thinking_config": {"j": 1}},
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "k": 1}, "l": 1},
    }
    own = [
        "system_instruction.parts[0].a",
        *("contents[0].b", "contents[0].parts[0].c", "contents[0].parts[1].inline_data.d"),
    ]
    assert listed("gemini", "gemini", **said) == own
    assert listed("gemini", "chat", **said) == [
        *own,
        "contents[0].parts[3].executableCode.f",
        *("tools[0].function_declarations[0].g", "tools[0].googleSearch.h"),
        *("generation_config.i", "generation_config.thinking_config.j"),
        *("toolConfig.functionCallingConfig.k", "toolConfig.l"),
    ]


def test_dialects() -> None:
    inner = {"contents": [{"a": 1, "parts": [{"text": "q"}]}], "session_id": "s"}
    said = {"project": "p", "user_prompt_id": "u", "b": 1, "request": inner}
    assert listed("gemini_cli", **said) == ["b", "request.contents[0].a"]
    listed_in_order = ["suffix", "best_of", "odd"]
    said = {"suffix": "s", "seed": 3, "best_of": 2, "odd": 1}
    assert listed("completions", prompt="q", **said) == listed_in_order


@pytest.mark.parametrize("value", [None, [], {}, ""])
def test_a_value_that_says_nothing_is_not_listed(value: object) -> None:
    assert listed("chat", messages=[{"role": "user", "content": "q", "a": value}]) == []


def test_a_member_that_encoders_list_whole_is_not_looked_into() -> None:
    messages = [{"role": "user", "content": "q"}]
    assert listed("chat", messages=messages, reasoning={"a": 1}) == []
    assert listed("chat", messages=messages, odd={"a": 1}) == []


def test_bent_bodies_are_looked_into_as_they_are_read() -> None:
    part = {"type": "text", "text": "q", "a": 1}
    assert listed("chat", messages=[{"role": "user", "content": part}]) == ["messages[0].content.a"]
    mixed = [{"role": "user", "content": ["q", part]}]
    assert listed("chat", messages=mixed) == ["messages[0].content[1].a"]
    turn = {"parts": [{"text": "q", "a": 1}]}
    assert listed("gemini", contents=turn) == ["contents.parts[0].a"]


def test_the_list_is_bounded() -> None:
    messages = [{"role": "user", "content": "q", "x" * 300: 1} for _ in range(57)]
    *named, last = found("chat", messages=messages)
    assert (len(named), last.path, last.more) == (50, "", 7)
    assert max(len(entry.path) for entry in named) == 203
    assert len(listed("chat", most=1000, messages=messages)) == 57


def test_the_search_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr("proxy.wire.unread.LOOKS", 5)
    messages = [{"role": "user", "content": "q", "a": 1} for _ in range(9)]
    paths = listed("chat", messages=messages)
    assert paths == [*(f"messages[{number}].a" for number in range(5)), "..."]


def test_every_reason_is_told() -> None:
    (entry,) = found("chat", messages=[{"role": "user", "content": "q", "a": 1}])
    assert "not known" in entry.why
    assert all(IGNORED.values())


def test_what_cannot_be_looked_through_is_said(monkeypatch) -> None:
    def give_up(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr("proxy.wire.unread._Walk.look", give_up)
    assert listed("chat", messages=[{"role": "user", "content": "q", "a": 1}]) == ["..."]


def test_depth_is_no_matter() -> None:
    deep = '{"a":' * 900 + "1" + "}" * 900
    schema = msgspec.Raw(deep.encode())
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}, "b": schema}]
    messages = [{"role": "user", "content": "q"}]
    assert listed("chat", messages=messages, tools=tools) == ["tools[0].b"]
