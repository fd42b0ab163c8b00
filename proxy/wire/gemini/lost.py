"""What a Gemini answer says and no other protocol has a place for. Only `transcode` asks: the server
does not look at what it leaves out.

Source: Gemini API reference, GenerateContentResponse and Candidate.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from proxy.convo.model import Lost
from proxy.wire.gemini import types
from proxy.wire.sse import SseParser

_CARRIED: Final = frozenset(
    (
        *("content", "index", "finishReason", "finish_reason"),
        *("groundingMetadata", "citationMetadata", "urlContextMetadata"),
    )
)
_WHY: Final = {
    "safetyRatings": "the ratings of a category; a blocked answer says so by its finish reason",
    "logprobsResult": "its candidates are tokens by step, without the bytes that other APIs ask for",
    "avgLogprobs": "a mean that no other API has",
    "finishMessage": "the words of a finish reason; the reason itself is carried",
    "tokenCount": "the usage of the whole answer is carried",
}
_OTHER: Final = "a member that this program does not know"


def lost_of(data: bytes) -> list[Lost]:
    """The members of candidates that the answer (a body, or a stream's events) loses, each once."""
    found: dict[str, Lost] = {}
    for chunk in _chunks(data):
        for raw in _list(chunk, "candidates"):
            for name in _object(raw):
                if name not in _CARRIED and name not in found:
                    found[name] = Lost(f"candidates.{name}", _WHY.get(name, _OTHER))
    return list(found.values())


def _chunks(data: bytes) -> list[dict[str, Raw]]:
    """Every chunk, out of its Code Assist envelope."""
    start = data.lstrip()[:1]
    if start == b"{":
        payloads: list[bytes | Raw] = [data]
    elif start == b"[":
        payloads = list(types.raw_list.decode(data))
    else:
        parser = SseParser()
        payloads = [payload for _, payload in parser.feed(data) + parser.eof()]
    chunks = [_object(payload) for payload in payloads]
    return [_object(chunk["response"]) if "response" in chunk else chunk for chunk in chunks]


def _object(raw: bytes | Raw) -> dict[str, Raw]:
    try:
        return types.raw_object.decode(raw)
    except msgspec.DecodeError:
        return {}


def _list(chunk: dict[str, Raw], name: str) -> list[Raw]:
    try:
        return types.raw_list.decode(chunk.get(name, b"[]"))
    except msgspec.DecodeError:
        return []
