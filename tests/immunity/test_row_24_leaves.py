"""Row 24: whatever a client says is in the upstream's body, or listed, or stands here with a reason.

Over the requests of the golden vectors: each value (no object, no array) is looked for in the body that
goes out, wherever it may stand there. A request that has lost a whole part of its conversation is not asked
about the values of the others; plain requests of the same kind are.
"""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.cli.transcode import Case, one
from proxy.wire.unread import IGNORED
from tests.request_material import general, leaves, made, recorded
from tests.shared_material import folder

WIRES = ("chat", "responses", "anthropic", "gemini")
UPSTREAMS = (*WIRES, "codex")
PAIRS = [
    (client, upstream)
    for client in WIRES
    for upstream in UPSTREAMS
    if client != {"codex": "responses"}.get(upstream, upstream)
]
ELSEWHERE = {
    r"(.*\.)?(type|role|mode)|tool_choice|function_call": "the kind of a thing, in the other protocol's words",
    r"model|stream|.*include_usage": "stands in the URL, or is always asked for",
    r".*cache_control\..*|prompt_cache_key": "changes what an answer costs, and not its words",
    r"max_tokens": "grows by the budget for thinking, which counts towards it",
    r"(thinking|generationConfig\.thinkingConfig|extra_body)\..*|reasoning_effort"
    r"|(reasoning|output_config)\.effort": "how much to think, in the words and limits of the model",
    r".*\.summary=auto": "a wish to see thoughts, which clients of other protocols have anyway",
    r"((tools|functions|tool_choice|toolConfig)\b|messages\[\]\.(tool_calls|content|function_call)"
    r"|input\[\]|contents\[\]\.parts).*\bname": "names are made to fit, and turned back in the answer",
    r".*\.is_error": "told by the result's text, or its own member",
    r".*(mimeType|mime_type|media_type)": "told by the address, or the form of the data",
    r".*\$schema": "the dialect of a schema",
    r".*(response_format|format)\..*(name|strict)": "a label; what is asked is the schema",
    r".*disable_parallel_tool_use": "said the other way round",
    r"parallel_tool_calls=true|store=false|service_tier=(auto|default)|.*\.(strict=false|detail=auto)": "what"
    " holds anyway",
    r"generationConfig\.responseLogprobs|logprobs": "asked for by `include`",
    r".*\.outcome": "told by the output",
    r".*\.thought": "a kind of part, in the other protocol's words",
    r"include\[\]": "what all clients are given",
    r"generationConfig\.responseMimeType": "the kind of format, in the other protocol's words",
    r"systemInstruction\.role": "the member says it",
}
"""Members, or `member=value`, that go out otherwise than they came, or need not."""
AS_LISTED = {
    "top_logprobs": "logprobs",
    "stop_sequences": "stop",
    "max_completion_tokens": "max_output_tokens",
    "candidate_count": "n",
    "response_modalities": "modalities",
    "response_mime_type": "response_format",
    "stop": "stop",
    "user_id": "user",
    "filename": "name",
    "display_name": "name",
    "annotations": "citations",
    "title": "name",
    "response_logprobs": "logprobs",
    "thought_signature": "signature",
}
"""Members -> their name on the list, which is that of Chat Completions."""
PLACES = {
    "Item.status": r"input\[\]\.status",
    "Item.id": r"input\[\]\.id",
    "Content.logprobs": r"input\[\]\.content\[\]\.logprobs",
}
"""Where the members stand that the product's table of ignored ones is about."""
DATA_URL = re.compile(r"data:[^,]*,(.*)", re.DOTALL)
RULES = [re.compile(pattern) for pattern in ELSEWHERE]


class Body:
    """An upstream's body, to look for values in it."""

    def __init__(self, body: object) -> None:
        self.values: set[object] = set()
        self._take(body)
        self.text = "\n".join(value for value in self.values if isinstance(value, str)).lower()

    def _take(self, value: object) -> None:
        for _, leaf in leaves(value):
            self.values.add(leaf if not isinstance(leaf, bool) else str(leaf))
            if isinstance(leaf, str) and leaf[:1] in "{[":
                try:
                    self._take(msgspec.json.decode(leaf))
                except msgspec.DecodeError:
                    continue

    def holds(self, value: object) -> bool:
        if isinstance(value, bool):
            return str(value) in self.values
        if not isinstance(value, str):
            return value in self.values or str(value) in self.text
        if value[:1] in "{[":
            try:
                inner = msgspec.json.decode(value)
            except msgspec.DecodeError:
                inner = value
            if inner != value:
                return all(self.holds(leaf) for _, leaf in leaves(inner))
        found = DATA_URL.fullmatch(value)
        return (found[1] if found else value).strip().lower() in self.text


def snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda letter: "_" + letter[0].lower(), name)


def told(path: str, lost: list[str]) -> bool:
    """Whether a value is on the list: itself, or what it stands in."""
    words = {snake(word) for word in re.split(r"[.\[\]]+", path)}
    words |= {AS_LISTED[word] for word in words & AS_LISTED.keys()}
    talk = path.startswith(("messages", "input", "contents", "system"))
    for entry in lost:
        last = re.split(r"[.\]]", entry)[-1]
        if path.startswith(entry) or snake(last) in words:
            return True
        if path.startswith("tools") and entry.startswith("tools."):
            return True
        # A part as a whole, named by its place in the conversation or by its kind.
        if talk and re.fullmatch(r"(messages|system|tool_result)\b(.*\]|\.\w+)", entry):
            return True
    return False


def ignored(path: str, body: dict) -> bool:
    """Whether it needs no mention, by the product's own table."""
    if re.fullmatch(r"messages\[\d+\]\.name", path):
        return body["messages"][int(path[9:-6])]["role"] == "tool"
    return any(re.fullmatch(PLACES[key], general(path)) for key in IGNORED if key in PLACES)


def silent(body: dict, client: str, upstream: str) -> set[str] | None:
    """Paths of the values that nothing accounts for; None where the request cannot be translated."""
    raw = msgspec.Raw(msgspec.json.encode(body))
    result = one(
        Case("x", "request", client=client, upstream=upstream, model="m-1", client_request=raw)
    )
    if not result.ok:
        return None
    made = Body(msgspec.json.decode(msgspec.json.encode(result.upstream_request)))
    lost = [entry.path for entry in result.lost]
    return {
        general(path)
        for path, value in leaves(body)
        if value not in (None, "")
        and not made.holds(value)
        and not told(path, lost)
        and not ignored(path, body)
        and not ruled(path, value)
    }


def spellings(path: str, value: object) -> tuple[str, str]:
    """What a rule may match: the place, and the place with the value."""
    place = general(path)
    return place, f"{place}={str(value).lower() if isinstance(value, bool) else value}"


def ruled(path: str, value: object) -> bool:
    return any(rule.fullmatch(said) for rule in RULES for said in spellings(path, value))


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_every_value_is_accounted_for(client: str, upstream: str) -> None:
    folder("vectors")
    results = [silent(body, client, upstream) for body in recorded(client)]
    known = [found for found in results if found is not None]
    assert len(known) > 0.8 * len(results) > 10
    assert set().union(*known) == set()


@pytest.mark.parametrize("client", WIRES)
@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_value_of_a_made_request_is_accounted_for(client: str, data: st.DataObject) -> None:
    upstream = data.draw(st.sampled_from([other for own, other in PAIRS if own == client]))
    assert silent(data.draw(made(client)), client, upstream) == set()


def test_all_rules_have_a_reason_and_are_needed() -> None:
    folder("vectors")
    assert all(ELSEWHERE.values())
    said = {
        spelling
        for wire in WIRES
        for body in recorded(wire)
        for path, value in leaves(body)
        for spelling in spellings(path, value)
    }
    assert [r.pattern for r in RULES if not any(map(r.fullmatch, said))] == []
