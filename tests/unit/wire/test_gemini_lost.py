"""Members of Gemini answers that no other wire takes are named, once."""

from __future__ import annotations

import json

import pytest

from proxy.cli.transcode import Case, one
from proxy.jsonio import Raw

CANDIDATE = {
    "content": {"role": "model", "parts": [{"text": "x"}]},
    "finishReason": "STOP",
    "finishMessage": "done",
    "safetyRatings": [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"}],
    "logprobsResult": {"chosenCandidates": []},
}
ASKED = Raw(b'{"model":"m","messages":[],"max_tokens":1,"contents":[],"input":[]}')


def lost(client: str, kind: str, data: bytes, upstream: str = "gemini") -> list[str]:
    case = Case("x", kind, client=client, upstream=upstream, model="m", client_request=ASKED)
    case.upstream_body, case.upstream_events = Raw(data), data.decode()
    result = one(case)
    assert result.ok, result.error
    return [entry.path for entry in result.lost]


@pytest.mark.parametrize("client", ["openai", "openai-response", "claude"])
def test_a_whole_answer(client):
    body = json.dumps({"candidates": [CANDIDATE]}).encode()
    names = ["finishMessage", "safetyRatings", "logprobsResult"]
    assert lost(client, "response", body) == [f"candidates.{name}" for name in names]


def test_a_stream_names_each_once():
    event = b"data: %b\n\n" % json.dumps({"candidates": [CANDIDATE]}).encode()
    assert len(lost("claude", "stream", event * 3)) == 3


def test_the_envelope_of_code_assist():
    body = json.dumps({"response": {"candidates": [CANDIDATE]}}).encode()
    assert len(lost("claude", "response", body, "gemini-cli")) == 3


def test_its_own_client_loses_nothing():
    body = json.dumps({"candidates": [CANDIDATE]}).encode()
    assert lost("gemini", "response", body) == []


@pytest.mark.parametrize("data", [b'{"candidates":{}}', b'{"candidates":[1]}', b"{}"])
def test_what_is_no_answer_loses_nothing(data):
    from proxy.wire.gemini.lost import lost_of

    assert lost_of(data) == []
