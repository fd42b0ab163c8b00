"""Copilot's constants, read once from `data/copilot.toml`, and its model lists. Sheet: copilot."""

from __future__ import annotations

import tomllib
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from proxy.config.model import CopilotOptions, ListedModel, WireName

PREFIX: Final = "copilot-"
TYPES: Final = ("individual", "business", "enterprise")
_MOST_MODELS: Final = 500
_ENDPOINTS: Final[tuple[tuple[str, WireName], ...]] = (
    ("/chat/completions", "chat"),
    ("/responses", "responses"),
    ("/v1/messages", "anthropic"),
)
"""What a model's list entry names, and the wire that is spoken there; the first one it has is used."""


class Model(Struct, frozen=True):
    """A model of an account. `wire`: where it is served."""

    id: str
    name: str = ""
    vendor: str = "OpenAI"
    preview: bool = False
    always: bool = False
    context: int = 0
    output: int = 0
    version: str = ""
    wire: WireName = "chat"


class Facts(Struct, frozen=True, rename="kebab"):
    """The file's content."""

    client_id: str
    scope: str
    github_url: str
    github_api_url: str
    cli_models: tuple[str, ...]
    base_urls: dict[str, str]
    github_headers: dict[str, str]
    headers: dict[str, str]
    chat_headers: dict[str, str]
    vscode_chat_headers: dict[str, str]
    models: tuple[Model, ...]


@cache
def facts() -> Facts:
    """Read when the first account needs it."""
    path = Path(__file__).parent / "data" / "copilot.toml"
    return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Facts)


def github(options: CopilotOptions) -> tuple[str, str]:
    """GitHub's address for logins and that of its API, without trailing slash."""
    known = facts()
    return (
        (options.github_url or known.github_url).rstrip("/"),
        (options.github_api_url or known.github_api_url).rstrip("/"),
    )


def type_of(*words: str) -> str:
    """The first account type that is one; `individual` without any."""
    for word in words:
        if word.strip().lower() in TYPES:
            return word.strip().lower()
    return TYPES[0]


class _Limits(Struct, frozen=True):
    max_context_window_tokens: int = 0
    max_output_tokens: int = 0


class _Capabilities(Struct, frozen=True):
    type: str = ""
    limits: _Limits = _Limits()


class _Entry(Struct):
    id: str
    name: str = ""
    vendor: str = ""
    version: str = ""
    preview: bool = False
    model_picker_enabled: bool = False
    capabilities: _Capabilities = _Capabilities()
    supported_endpoints: list[str] | None = None


class _List(Struct):
    data: list[msgspec.Raw]


_list = msgspec.json.Decoder(_List)
_entry = msgspec.json.Decoder(_Entry, strict=False)


def models_of(body: bytes) -> tuple[Model, ...]:
    """An account's list: what its picker shows, and what is always added. Raises DecodeError."""
    found: dict[str, Model] = {}
    for raw in _list.decode(body).data[:_MOST_MODELS]:
        try:
            entry = _entry.decode(raw)
        except msgspec.DecodeError:
            continue
        if not entry.model_picker_enabled or not entry.id:
            continue
        limits = entry.capabilities.limits
        found.setdefault(
            entry.id.lower(),
            Model(
                id=entry.id,
                name=entry.name or entry.id,
                vendor=entry.vendor,
                preview=entry.preview,
                context=limits.max_context_window_tokens,
                output=limits.max_output_tokens,
                version=entry.version,
                wire=_wire(entry.supported_endpoints),
            ),
        )
    for model in facts().models:
        if model.always:
            found.setdefault(model.id.lower(), model)
    return tuple(found.values())


def _wire(endpoints: list[str] | None) -> WireName:
    for path, wire in _ENDPOINTS:
        if endpoints and path in endpoints:
            return wire
    return "chat"


@lru_cache(maxsize=4096)
def _listed(model: Model, now: int) -> tuple[tuple[str, ListedModel], ...]:
    text = f"{model.vendor} model via GitHub Copilot".strip()
    text += " (Preview)" if model.preview else ""
    entry = ListedModel(
        id=model.id,
        created=now,
        owned_by="copilot",
        kind="copilot",
        display_name=model.name,
        description=text,
        version=model.version,
        context=model.context,
        output=model.output,
    )
    twin = msgspec.structs.replace(
        entry,
        id=PREFIX + model.id,
        display_name=f"{model.name} (Copilot)",
        description=f"{text} - explicit routing alias",
    )
    return (model.id, entry), (model.id, twin)


def listed(
    models: tuple[Model, ...], wire: WireName, learned: dict[str, WireName], now: int
) -> tuple[tuple[str, ListedModel], ...]:
    """The models that are asked on one wire, each also as `copilot-<id>`.

    `learned`: wires that the service told in errors, by lower-case model; they win.
    """
    return tuple(
        pair
        for model in models
        if learned.get(model.id.lower(), model.wire) == wire
        for pair in _listed(model, now)
    )
