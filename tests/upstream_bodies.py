"""What an upstream gets for a client's body: the product's own path, without sockets."""

from __future__ import annotations

import json

from proxy.config.model import Candidate, Credential, Plan, Settings, Target
from proxy.secret import Secret
from proxy.upstream.prepare import Ask, Work

PROVIDERS = {
    "chat": "openai-compat",
    "anthropic": "claude",
    "responses": "openai-compat",
    "gemini": "gemini",
}
WIRES = tuple(PROVIDERS)


def candidate(wire: str, model: str = "real") -> Candidate:
    credential = Credential(
        id=wire,
        provider=PROVIDERS[wire],
        wire=wire,
        base_url="http://upstream.test/v1",
        key=Secret("key"),
    )
    return Candidate(credential=credential, model=model)


def sent_bytes(client: str, upstream: str, body: bytes, model: str = "real") -> bytes:
    """The body as it is written to the upstream."""
    chosen = candidate(upstream, model)
    target = Target(upstream="u", candidates=(chosen,))
    plan = Plan(asked="m", model="m", targets=(target,), strategy="fill-first")
    work = Work(Ask(wire=client, body=body, headers=[], model="m" if client == "gemini" else ""))
    return bytes(work.call(chosen, plan, Settings(), []).body)


def sent(client: str, upstream: str, body: dict, model: str = "real") -> dict:
    """The same, decoded."""
    return json.loads(sent_bytes(client, upstream, json.dumps(body).encode(), model))
