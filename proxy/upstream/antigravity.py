"""Antigravity: Cloud Code's agent models, Claude among them, by login. Sheet: antigravity.

The text that the reference puts before system prompts is left out; its later versions send none either.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import msgspec
from msgspec import Raw

from proxy.config.model import Candidate, Credential
from proxy.convo.model import Lost
from proxy.jsonio import Body, Json, decode, raw_of
from proxy.net.api import Headers
from proxy.upstream import google_facts
from proxy.upstream.base import Action, Client, finish_headers, join
from proxy.upstream.code_assist import METHODS, inside

if TYPE_CHECKING:
    from collections.abc import Iterator

_VALIDATED: Final = "VALIDATED"
"""Calls are checked against their schema; the service's own client always asks so."""
_NATIVE: Final = ("gemini", "gemini_cli")
_OWN_CONFIG: Final = "functionCallingConfig"
_LONGEST_SESSION: Final = (1 << 63) - 1


class Antigravity:
    """Provider `antigravity`."""

    always_streams = False
    counts = True

    def url(self, candidate: Candidate, action: Action, client: Client) -> str:  # noqa: ARG002  # streams are always asked for as SSE
        """The model stands in the body. Some models answer in streams only."""
        if action == "generate" and _only_streams(candidate.model):
            action = "stream"
        return join(candidate.credential.base_url, METHODS[action])

    def headers(self, candidate: Candidate, action: Action, client: Client, body: Body) -> Headers:  # noqa: ARG002  # nothing of the client is forwarded
        """The token, and the service's own client."""
        streams = action == "stream" or (action == "generate" and _only_streams(candidate.model))
        accept = b"text/event-stream" if streams else b"application/json"
        return [*list_headers(candidate.credential), (b"Accept", accept)]

    def shape(
        self, body: Body, candidate: Candidate, action: Action, client: Client, lost: list[Lost]
    ) -> None:
        """The envelope, and what the service takes inside of it."""
        inner = inside(body)
        if _value(inner.pop("safetySettings", None)):
            lost.append(Lost("safetySettings", "Antigravity takes none"))
        body["request"] = inner
        if client.wire not in _NATIVE or _only_streams(candidate.model):
            _name_speaker(inner)
        if action == "count":
            for key in ("project", "model"):
                body.pop(key, None)
            return
        body["model"] = candidate.model
        body["project"] = candidate.credential.project
        if not candidate.credential.project:
            del body["project"]
        body |= {"userAgent": "antigravity", "requestType": "agent"}
        body["requestId"] = f"agent-{uuid4()}"
        inner.setdefault("sessionId", _session(inner))
        inner["toolConfig"] = _tool_config(inner.get("toolConfig"))
        claude = _is_claude(candidate.model)
        _limit(inner, candidate, lost, claude=claude)
        if claude:
            _plain_tools(inner)


def list_headers(credential: Credential) -> Headers:
    """The headers of `fetchAvailableModels`; calls have them too."""
    headers: Headers = [
        (b"Content-Type", b"application/json"),
        (b"Authorization", b"Bearer " + credential.key.reveal().encode()),
    ]
    for name, value in google_facts.of("antigravity").headers.items():
        headers.append((name.encode(), value.encode()))
    return finish_headers(headers, credential)


def _is_claude(model: str) -> bool:
    return "claude" in model.lower()


def _only_streams(model: str) -> bool:
    return _is_claude(model) or "gemini-3-pro" in model


def _session(inner: Body) -> str:
    """One number for all requests of a conversation: of its first words."""
    words = next(_first_texts(inner), "")
    if not words:
        return f"-{uuid4().int & _LONGEST_SESSION}"
    digest = hashlib.sha256(words.encode()).digest()
    return f"-{int.from_bytes(digest[:8], 'big') & _LONGEST_SESSION}"


def _first_texts(inner: Body) -> Iterator[str]:
    """The texts of the first turn of the user's, one after another."""
    for turn in _list(inner.get("contents")):
        if isinstance(turn, dict) and turn.get("role") == "user":
            for part in _list(turn.get("parts")):
                if isinstance(part, dict) and isinstance(part.get("text"), str):
                    yield part["text"]
            return


def _name_speaker(inner: Body) -> None:
    """The system prompt is the user's, as the service's own client has it."""
    system = _value(inner.get("systemInstruction"))
    if isinstance(system, dict):
        inner["systemInstruction"] = {**system, "role": "user"}


def _list(value: object) -> list[Json]:
    found = _value(value) if isinstance(value, Raw) else value
    return found if isinstance(found, list) else []


def _value(value: object) -> Json:
    """The service tells what is wrong with a body that cannot be read here."""
    try:
        return decode(raw_of(value))
    except (msgspec.DecodeError, RecursionError):
        return None


def _tool_config(value: object) -> Body:
    """The client's choice stays; where it made none, calls are checked."""
    config = _value(value)
    config = config if isinstance(config, dict) else {}
    calling = config.get(_OWN_CONFIG)
    calling = calling if isinstance(calling, dict) else {}
    if calling.get("mode") in (None, "", "AUTO", "MODE_UNSPECIFIED"):
        calling = {**calling, "mode": _VALIDATED}
    return {**config, _OWN_CONFIG: calling}


def _limit(inner: Body, candidate: Candidate, lost: list[Lost], *, claude: bool) -> None:
    """The limit of the output goes to Claude alone, as the reference has it; the budget for thinking
    has to lie below it."""
    raw = inner.get("generationConfig")
    found = _value(raw)
    if not isinstance(found, dict):
        return
    config: Body = dict(found)
    if not claude:
        if config.pop("maxOutputTokens", None) is not None:
            lost.append(Lost("max_output_tokens", "Antigravity takes it for Claude alone"))
        inner["generationConfig"] = config
        return
    thinking = config.get("thinkingConfig")
    budget = thinking.get("thinkingBudget") if isinstance(thinking, dict) else None
    if isinstance(thinking, dict) and isinstance(budget, int):
        capability = candidate.capability
        most = config.get("maxOutputTokens")
        if not isinstance(most, int):
            most = capability.output
            if most:
                config["maxOutputTokens"] = most
        if most and budget >= most:
            budget = most - 1
            config["thinkingConfig"] = {**thinking, "thinkingBudget": budget}
        if 0 <= budget < capability.budget_min:
            del config["thinkingConfig"]
    inner["generationConfig"] = config


def _plain_tools(inner: Body) -> None:
    """Claude's tools have to come in Gemini's `Schema`, which the service turns back."""
    if "tools" not in inner:
        return
    # Imported here: a server without such requests does without the codec.
    from proxy.wire.gemini.projection import schema_of

    tools = _list(inner["tools"])
    for tool in tools:
        for function in _list(tool.get("functionDeclarations")) if isinstance(tool, dict) else ():
            if isinstance(function, dict):
                given = function.pop("parametersJsonSchema", None)
                shape = given if given is not None else function.get("parameters")
                function["parameters"] = schema_of(shape if isinstance(shape, dict) else {})
    inner["tools"] = Raw(msgspec.json.encode(tools))


PROVIDER = Antigravity()
