"""Row 24: `transcode` lists every field that a translation loses: it is in the body or on the list."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from proxy.cli.transcode import Case, one

BASE = {
    "chat": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    "responses": {"model": "m", "input": "hi"},
    "anthropic": {
        "model": "m",
        "max_tokens": 4000,
        "messages": [{"role": "user", "content": "hi"}],
    },
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
}
PAIRS = list(itertools.permutations(BASE, 2))


def translated(client: str, upstream: str, **more: object):
    body = msgspec.Raw(msgspec.json.encode({**BASE[client], **more}))
    result = one(
        Case("x", "request", client=client, upstream=upstream, model="m-1", client_request=body)
    )
    assert result.ok, result.error
    return msgspec.json.encode(result.upstream_request), [entry.path for entry in result.lost]


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_a_plain_request_loses_nothing(client: str, upstream: str) -> None:
    assert translated(client, upstream)[1] == []


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_a_field_that_nobody_knows_is_listed(client: str, upstream: str) -> None:
    assert translated(client, upstream, zzz={"a": 1})[1] == ["zzz"]
    parts = {
        "chat": {"messages": [{"role": "user", "content": [{"type": "zzz"}]}]},
        "responses": {"input": [{"type": "zzz"}]},
        "anthropic": {"messages": [{"role": "user", "content": [{"type": "zzz"}]}]},
        "gemini": {"contents": [{"role": "user", "parts": [{"zzz": {}}]}]},
    }
    assert len(translated(client, upstream, **parts[client])[1]) == 1
    tool = {"zzz": {}} if client == "gemini" else {"type": "zzz", "name": "zzz"}
    assert len(translated(client, upstream, tools=[tool])[1]) == 1


TOOL = {"name": "f", "description": "d"}
FIELDS = {
    "chat": {
        "temperature": 0.3,
        "top_p": 0.97,
        "top_k": 4,
        "n": 2,
        "stop": ["q"],
        "max_tokens": 5,
        "max_completion_tokens": 6,
        "presence_penalty": 0.5,
        "frequency_penalty": 0.5,
        "logit_bias": {"1": 2},
        "logprobs": True,
        "user": "u",
        "seed": 3,
        "response_format": {"type": "json_object"},
        "reasoning_effort": "low",
        "store": True,
        "metadata": {"a": "b"},
        "modalities": ["text", "audio"],
        "audio": {"voice": "a", "format": "wav"},
        "service_tier": "flex",
        "prediction": {"type": "content", "content": "a"},
        "web_search_options": {"search_context_size": "low"},
        "verbosity": "low",
        "safety_identifier": "s",
        "prompt_cache_retention": "24h",
        "functions": [{**TOOL, "parameters": {}}],
        "tools": [{"type": "function", "function": {**TOOL, "parameters": {}}}],
    },
    "responses": {
        "temperature": 0.3,
        "top_p": 0.97,
        "max_output_tokens": 8,
        "max_tool_calls": 3,
        "instructions": "x",
        "metadata": {"a": "b"},
        "previous_response_id": "r",
        "conversation": "c",
        "reasoning": {"effort": "low"},
        "store": True,
        "include": ["file_search_call.results"],
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "truncation": "auto",
        "user": "u",
        "service_tier": "flex",
        "background": True,
        "prompt": {"id": "p"},
        "safety_identifier": "s",
        "top_logprobs": 3,
        "stream_options": {"include_obfuscation": False},
        "tools": [{"type": "web_search"}],
    },
    "anthropic": {
        "temperature": 0.3,
        "top_p": 0.97,
        "top_k": 4,
        "stop_sequences": ["q"],
        "system": "x",
        "metadata": {"user_id": "u"},
        "service_tier": "standard_only",
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "container": "c",
        "context_management": {"edits": []},
        "mcp_servers": [{"type": "url", "url": "u", "name": "n"}],
        "output_config": {"effort": "low"},
        "output_format": {"type": "json_schema", "schema": {"type": "object"}},
        "inference_geo": "us",
        "speed": "fast",
        "tools": [{**TOOL, "input_schema": {}}],
    },
    "gemini": {
        "systemInstruction": {"parts": [{"text": "x"}]},
        "cachedContent": "c",
        "labels": {"a": "b"},
        "safetySettings": [{"category": "a", "threshold": "b"}],
        "tools": [{"functionDeclarations": [TOOL]}],
        **{
            f"generationConfig/{name}": value
            for name, value in {
                "temperature": 0.3,
                "topP": 0.97,
                "topK": 4,
                "candidateCount": 2,
                "maxOutputTokens": 8,
                "stopSequences": ["q"],
                "responseMimeType": "application/json",
                "responseSchema": {"type": "OBJECT"},
                "presencePenalty": 0.5,
                "frequencyPenalty": 0.5,
                "seed": 3,
                "responseLogprobs": True,
                "responseModalities": ["TEXT", "IMAGE"],
                "speechConfig": {"languageCode": "de"},
                "thinkingConfig": {"thinkingBudget": 2000},
                "mediaResolution": "MEDIA_RESOLUTION_LOW",
                "imageConfig": {"aspectRatio": "1:1"},
                "audioTimestamp": True,
                "routingConfig": {"a": 1},
            }.items()
        },
    },
}


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_a_known_field_is_in_the_body_or_listed(client: str, upstream: str) -> None:
    plain, _ = translated(client, upstream)
    silent = []
    for name, value in FIELDS[client].items():
        outer, _, inner = name.partition("/")
        body, lost = translated(client, upstream, **{outer: {inner: value} if inner else value})
        if body == plain and not lost:
            silent.append(name)
    assert silent == []


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_fields_are_listed_beside_each_other(client: str, upstream: str) -> None:
    names = {f"zzz{number}": number for number in range(20)}
    assert set(translated(client, upstream, **names)[1]) == set(names)


@pytest.mark.parametrize("upstream", ["chat", "anthropic", "gemini"])
def test_what_codex_always_says_is_no_loss(upstream: str) -> None:
    said = {
        "instructions": "x",
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "k",
        "reasoning": {"effort": "low", "summary": "auto"},
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "tools": [{"type": "function", "strict": False, **TOOL, "parameters": {}}],
    }
    assert translated("responses", upstream, **said)[1] == []
    further = [*said["include"], "file_search_call.results"]
    assert translated("responses", upstream, **{**said, "include": further})[1] == ["include"]
