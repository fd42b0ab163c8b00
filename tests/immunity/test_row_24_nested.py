"""Row 24: a member that nobody knows is listed wherever it stands, once, with its place.

An unknown member is put into every object of a request but the free-form ones (schemas, arguments) and
those that are listed whole (kinds of parts and tools that a decoder does not know, unknown top-level ones).
"""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.cli.transcode import Case, one
from tests.request_material import general, made, recorded
from tests.shared_material import folder

CLIENTS = ("chat", "responses", "anthropic", "gemini", "gemini_cli")
UPSTREAMS = ("chat", "responses", "codex", "anthropic", "gemini")
PAIRS = [
    (client, upstream)
    for client in CLIENTS
    for upstream in UPSTREAMS
    if {"codex": "responses"}.get(upstream, upstream) != client.removesuffix("_cli")
]
DATA = frozenset(
    (
        *("parameters", "input_schema", "schema", "parametersJsonSchema", "responseSchema"),
        *("responseJsonSchema", "metadata", "args", "response", "cache_control", "citations"),
        *("annotations", "action", "videoMetadata", "video_metadata"),
    )
)
"""Members that hold data, whatever stands in them."""
DATA_AT = (
    r"messages\[\]\.content\[\]\.input",
    r"input\[\]\.output",
    r"tools\[\](\.custom)?\.format",
    r"tools\[\]\.user_location",
)
"""Where other members hold data."""
WHOLE = re.compile(
    r"server_tool_use|web_search_tool_result|web_search_call|item_reference|bash_.*|text_editor_.*"
    r"|code_execution_.*|computer_.*|code_interpreter|file_search|image_generation|local_shell|mcp"
)
"""Types of parts and tools that are listed whole."""
READ = {
    "chat": (
        *("messages", "tools", "functions", "tool_choice", "response_format", "stream_options"),
        *("reasoning", "thinking", "extra_body", "web_search_options"),
    ),
    "responses": ("input", "instructions", "tools", "tool_choice", "reasoning", "text"),
    "anthropic": (
        *("messages", "system", "tools", "tool_choice", "thinking"),
        *("output_config", "output_format"),
    ),
    "gemini": (
        *("contents", "systemInstruction", "system_instruction", "tools", "toolConfig"),
        *("tool_config", "generationConfig", "generation_config"),
    ),
}
"""Top-level members that are read; others are listed whole."""
GROUPS = ("functionDeclarations", "function_declarations", "googleSearch", "google_search")
"""Members of Gemini's tools that are read; others are the provider's own, listed whole."""


def others(client: str) -> st.SearchStrategy[str]:
    """Upstreams of other wires."""
    return st.sampled_from([upstream for name, upstream in PAIRS if name == client])


class Injector:
    """Puts unknown members into a request. `paths`: what has to be listed for them."""

    def __init__(self, wire: str, keep=lambda: True) -> None:
        self.wire = wire.removesuffix("_cli")
        self.before = "request." if wire == "gemini_cli" else ""
        self.keep = keep
        self.paths: list[str] = []

    def put(self, body: dict) -> dict:
        body = msgspec.json.decode(msgspec.json.encode(body))  # a copy without shared objects
        inner = body["request"] if self.before else body
        for key in READ[self.wire]:
            self._into(inner.get(key), self.before + key)
        return body

    def _into(self, value: object, path: str) -> None:
        if isinstance(value, list):
            for number, item in enumerate(value):
                self._into(item, f"{path}[{number}]")
        if not isinstance(value, dict) or WHOLE.fullmatch(str(value.get("type"))):
            return
        place = general(path).removeprefix(self.before)
        if any(re.fullmatch(pattern, place) for pattern in DATA_AT):
            return
        group = self.wire == "gemini" and re.fullmatch(r"tools(\[\])?", place)
        for key, inner in list(value.items()):
            if key not in DATA and not (group and key not in GROUPS):
                self._into(inner, f"{path}.{key}")
        if not self.keep():
            return
        name = f"x_unknown_{len(self.paths)}"
        value[name] = {"odd": [len(self.paths)]}
        # Such a member of a tool is a tool of its own, in the API's spelling.
        self.paths.append(f"tools.xUnknown{len(self.paths)}" if group else f"{path}.{name}")


def listed(body: dict, client: str, upstream: str) -> list[str] | None:
    """What is listed; None where the request cannot be translated."""
    raw = msgspec.Raw(msgspec.json.encode(body))
    result = one(
        Case("x", "request", client=client, upstream=upstream, model="m-1", client_request=raw)
    )
    return [entry.path for entry in result.lost] if result.ok else None


def check(body: dict, client: str, upstream: str, keep=lambda: True) -> bool:
    """Whether it could be translated; asserts that all unknown members are listed."""
    injector = Injector(client, keep)
    paths = listed(injector.put(body), client, upstream)
    if paths is None:
        return False
    assert len(paths) == len(set(paths)), "a path is listed twice"
    for put in injector.paths:
        # Listed itself, or what it stands in, which is lost as a whole.
        assert put in paths or any(put.startswith((path + ".", path + "[")) for path in paths)
    assert {path for path in paths if "nknown" in path} <= set(injector.paths)
    return True


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_recorded_requests(client: str, upstream: str) -> None:
    folder("vectors")
    bodies = recorded(client)
    assert sum(check(body, client, upstream) for body in bodies) > 0.8 * len(bodies) > 10


@pytest.mark.parametrize("client", CLIENTS)
@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_made_requests(client: str, data: st.DataObject) -> None:
    body, upstream = data.draw(made(client)), data.draw(others(client))
    assert check(body, client, upstream), "a made request is to be valid"
    assert check(body, client, upstream, lambda: data.draw(st.booleans()))


@pytest.mark.parametrize("client", CLIENTS)
@given(st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_known_members_are_not_called_unknown(client: str, data: st.DataObject) -> None:
    """Of a request without unknown members, nothing is listed for being unknown but what stands here."""
    body, upstream = data.draw(made(client)), data.draw(others(client))
    raw = msgspec.Raw(msgspec.json.encode(body))
    result = one(
        Case("x", "request", client=client, upstream=upstream, model="m-1", client_request=raw)
    )
    unknown = {
        re.split(r"[.\]]", entry.path)[-1] for entry in result.lost if "not known" in entry.why
    }
    assert unknown <= {"search_context_size", "filters", "max_uses"}  # settings of a web search


@pytest.mark.parametrize("wire", ["chat", "responses", "anthropic", "gemini"])
def test_the_same_wire_loses_nothing(wire: str) -> None:
    for body in recorded(wire)[:50]:
        assert listed(Injector(wire).put(body), wire, wire) == []
