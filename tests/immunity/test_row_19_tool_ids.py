"""Rows 19 and 23: ids of calls and results stay a pair over all protocol pairs; a JSON schema asked
for in any protocol reaches the native field of each upstream."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.upstream_bodies import WIRES, sent

ODD = st.one_of(
    st.sampled_from(["exec_command:0", "functions.ls:1", "call_1", "toolu_01", "a b", "é"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=70),
)


def history(wire: str, idents: list[str]) -> dict:
    """One turn that calls once per id, and the turn that answers each with its number."""
    numbered = list(enumerate(idents))
    if wire == "chat":
        calls = [
            {"id": i, "type": "function", "function": {"name": "ls", "arguments": f'{{"n":{n}}}'}}
            for n, i in numbered
        ]
        results = [{"role": "tool", "tool_call_id": i, "content": f"r{n}"} for n, i in numbered]
        said = {"role": "assistant", "content": None, "tool_calls": calls}
        return {"model": "m", "messages": [{"role": "user", "content": "x"}, said, *results]}
    if wire == "responses":
        calls = [
            {"type": "function_call", "call_id": i, "name": "ls", "arguments": f'{{"n":{n}}}'}
            for n, i in numbered
        ]
        results = [
            {"type": "function_call_output", "call_id": i, "output": f"r{n}"} for n, i in numbered
        ]
        ask = {"type": "message", "role": "user", "content": "x"}
        return {"model": "m", "input": [ask, *calls, *results]}
    if wire == "anthropic":
        uses = [{"type": "tool_use", "id": i, "name": "ls", "input": {"n": n}} for n, i in numbered]
        results = [
            {"type": "tool_result", "tool_use_id": i, "content": f"r{n}"} for n, i in numbered
        ]
        turns = [("user", "x"), ("assistant", uses), ("user", results)]
        messages = [{"role": role, "content": content} for role, content in turns]
        return {"model": "m", "max_tokens": 9, "messages": messages}
    calls = [{"functionCall": {"id": i, "name": "ls", "args": {"n": n}}} for n, i in numbered]
    results = [
        {"functionResponse": {"id": i, "name": "ls", "response": {"output": f"r{n}"}}}
        for n, i in numbered
    ]
    turns = [("user", [{"text": "x"}]), ("model", calls), ("user", results)]
    return {"contents": [{"role": role, "parts": parts} for role, parts in turns]}


def pairs(wire: str, body: dict) -> tuple[dict[str, int], dict[str, int]]:
    """(id -> number) of the calls and of the results that an upstream gets."""
    calls: dict[str, int] = {}
    results: dict[str, int] = {}
    if wire == "chat":
        for message in body["messages"]:
            for call in message.get("tool_calls") or ():
                calls[call["id"]] = json.loads(call["function"]["arguments"])["n"]
            if message["role"] == "tool":
                results[message["tool_call_id"]] = number(message["content"])
    elif wire == "responses":
        for item in body["input"]:
            if item["type"] == "function_call":
                calls[item["call_id"]] = json.loads(item["arguments"])["n"]
            elif item["type"] == "function_call_output":
                results[item["call_id"]] = number(item["output"])
    elif wire == "anthropic":
        for block in (b for m in body["messages"] for b in m["content"] if isinstance(b, dict)):
            if block["type"] == "tool_use":
                calls[block["id"]] = block["input"]["n"]
            elif block["type"] == "tool_result":
                results[block["tool_use_id"]] = number(block["content"])
    else:
        for part in (p for c in body["contents"] for p in c["parts"]):
            if "functionCall" in part:
                calls[part["functionCall"]["id"]] = part["functionCall"]["args"]["n"]
            elif "functionResponse" in part:
                found = part["functionResponse"]
                results[found["id"]] = number(found["response"])
    return calls, results


def number(content: object) -> int:
    text = json.dumps(content)
    return int(text[text.rindex("r") + 1 :].rstrip('"}]'))


@pytest.mark.parametrize("upstream", WIRES)
@pytest.mark.parametrize("client", WIRES)
@settings(max_examples=30, deadline=None)
@given(idents=st.lists(ODD, min_size=1, max_size=5, unique=True))
def test_every_result_finds_its_call(client, upstream, idents):
    calls, results = pairs(upstream, sent(client, upstream, history(client, idents)))
    assert len(calls) == len(idents)
    assert results == calls
    again, _ = pairs(upstream, sent(client, upstream, history(client, idents)))
    assert again == calls, "ids are stable over turns"


SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}
NAMED = {"name": "answer", "schema": SCHEMA, "strict": True}
ASKED = {
    "chat": {
        "messages": [{"role": "user", "content": "x"}],
        "response_format": {"type": "json_schema", "json_schema": NAMED},
    },
    "responses": {"input": "x", "text": {"format": {"type": "json_schema", **NAMED}}},
    "anthropic": {
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "x"}],
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
    },
    "gemini": {
        "contents": [{"role": "user", "parts": [{"text": "x"}]}],
        "generationConfig": {
            "responseMimeType": "application/json",
            "responseJsonSchema": SCHEMA,
        },
    },
}
PLACES = {
    "chat": ("response_format", "json_schema", "schema"),
    "responses": ("text", "format", "schema"),
    "anthropic": ("output_config", "format", "schema"),
    "gemini": ("generationConfig", "responseJsonSchema"),
}


@pytest.mark.parametrize("upstream", WIRES)
@pytest.mark.parametrize("client", WIRES)
def test_a_schema_reaches_the_native_field(client, upstream):
    found = sent(client, upstream, {"model": "m", **ASKED[client]})
    for key in PLACES[upstream]:
        found = found[key]
    assert found == SCHEMA
