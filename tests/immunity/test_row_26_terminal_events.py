"""Row 26: every stream ends with its protocol's terminal event, wherever the upstream stops."""

from __future__ import annotations

import json

import pytest

from proxy import wire as wires
from proxy.convo import events as ev
from proxy.net.api import UpstreamBroken
from tests.scripted import FakeReply, FakeTransport, chain, credential, exchange
from tests.shared_material import folder

SSE = [(b"content-type", b"text/event-stream")]
PROVIDERS = {
    "chat": "openai-compat",
    "responses": "codex",
    "anthropic": "claude",
    "gemini": "gemini",
}
VECTORS = {"chat": "openai", "responses": "codex", "anthropic": "claude", "gemini": "gemini"}


def recorded(wire: str) -> list[list[bytes]]:
    """The frames of some recorded streams of an upstream wire."""
    path = folder("vectors") / f"openai__{VECTORS[wire]}.stream.jsonl"
    found = []
    for line in path.read_bytes().split(b"\n")[:12]:
        if line:
            lines = [one for one in json.loads(line)["upstream_events"] if one]
            text, frames = "", []
            for one in lines:
                text += one + "\n"
                if one.startswith("data:"):
                    frames.append(text.encode() + b"\n")
                    text = ""
            found.append(frames)
    return found


def body_of(client: str) -> dict:
    if client == "responses":
        return {"input": "hi", "messages": None}
    return {"max_tokens": 9} if client == "anthropic" else {}


def ends_of(client: str, data: bytes) -> list[ev.Event]:
    decoder = wires.get(client).stream_decoder()
    return decoder.feed(data)


@pytest.mark.parametrize("client", ["chat", "responses", "anthropic"])
@pytest.mark.parametrize("upstream", PROVIDERS)
@pytest.mark.parametrize("ending", ["eof", "reset"])
async def test_at_every_event_boundary(client: str, upstream: str, ending: str) -> None:
    last = [] if ending == "eof" else [UpstreamBroken("closed", "reset")]
    plan = chain(credential("u", wire=upstream, provider=PROVIDERS[upstream]))
    for frames in recorded(upstream)[:4]:
        for cut in range(1, len(frames) + 1):
            transport = FakeTransport(FakeReply(200, frames[:cut] + last, SSE))
            out, _ = await exchange(transport, plan, wire=client, stream=True, **body_of(client))
            if out.status != 200:
                # Nothing was said yet: an honest status, in the protocol's shape.
                assert out.status in (502, 504), (cut, out.body)
                continue
            # Without the decoder's own `eof`: the mark must be there.
            events = ends_of(client, out.body)
            assert isinstance(events[-1], ev.End), (cut, out.body[-300:])


def test_the_recordings_are_worth_something() -> None:
    for wire in PROVIDERS:
        assert sum(len(frames) for frames in recorded(wire)[:4]) >= 12
