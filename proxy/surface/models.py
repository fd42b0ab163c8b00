"""Model lists in the shape each client expects. Source: http-api sheet, section 5; API documents."""

from __future__ import annotations

from time import gmtime, strftime
from typing import TYPE_CHECKING

from proxy.jsonio import encode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.config.model import ListedModel

_METHODS = ["generateContent"]


def openai(models: Iterable[ListedModel]) -> bytes:
    """`GET /v1/models`, OpenAI shape."""
    return encode({"object": "list", "data": [openai_entry(model) for model in models]})


def openai_entry(model: ListedModel) -> dict[str, object]:
    """One model; limits are left out where they are not known."""
    entry: dict[str, object] = {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.owned_by,
    }
    context = model.context or model.input_limit
    output = model.output or model.output_limit
    limits = {
        "context_length": context,
        "context_window": context,
        "max_completion_tokens": output,
        "max_tokens": output,
        "inputTokenLimit": model.input_limit,
        "outputTokenLimit": model.output_limit,
    }
    return entry | {name: value for name, value in limits.items() if value}


def claude_cli(models: Iterable[ListedModel]) -> bytes:
    """`GET /v1/models` as CLIProxyAPI answers Claude Code, in Anthropic's paged envelope."""
    data = [_claude_entry(model) for model in models]
    return encode(
        {
            "data": data,
            "has_more": False,
            "first_id": data[0]["id"] if data else None,
            "last_id": data[-1]["id"] if data else None,
        }
    )


def _claude_entry(model: ListedModel) -> dict[str, object]:
    entry: dict[str, object] = {"id": model.id, "object": "model", "owned_by": model.owned_by}
    if model.created:
        entry["created"] = model.created
        entry["created_at"] = strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(model.created))
    entry["type"] = model.kind or "model"
    if model.display_name:
        entry["display_name"] = model.display_name
    ability = model.capability
    if ability.thinking or ability.budget_max:
        entry["thinking"] = True
        entry["extended_thinking"] = {
            "supported": True,
            "min": ability.budget_min,
            "max": ability.budget_max,
            "zero_allowed": ability.zero_allowed,
            "dynamic_allowed": ability.dynamic_allowed,
        }
    return entry


def anthropic(models: Iterable[ListedModel]) -> bytes:
    """`GET /v1/models` as Anthropic's API documents it (List Models)."""
    data: list[dict[str, object]] = [
        {
            "type": "model",
            "id": model.id,
            "display_name": model.display_name or model.id,
            "created_at": strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(model.created)),
        }
        for model in models
    ]
    return encode(
        {
            "data": data,
            "has_more": False,
            "first_id": data[0]["id"] if data else None,
            "last_id": data[-1]["id"] if data else None,
        }
    )


def gemini(models: Iterable[ListedModel]) -> bytes:
    """`GET /v1beta/models`: every model, not only Gemini's."""
    return encode({"models": [gemini_entry(model) for model in models]})


def gemini_entry(model: ListedModel) -> dict[str, object]:
    """One model, as `models.get` and `models.list` show it."""
    name = model.name or model.id
    entry: dict[str, object] = {"name": name if name.startswith("models/") else f"models/{name}"}
    texts = {
        "version": model.version,
        "displayName": model.display_name,
        "description": model.description,
    }
    entry |= {key: value for key, value in texts.items() if value}
    limits = {"inputTokenLimit": model.input_limit, "outputTokenLimit": model.output_limit}
    entry |= {key: value for key, value in limits.items() if value}
    entry["supportedGenerationMethods"] = list(model.methods) or _METHODS
    return entry
