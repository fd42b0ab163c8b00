"""Who a request comes from, by the client's body: the rules of the copilot sheet, section 6. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import DecodeError

from proxy.jsonio import Body, decode, raw_of

if TYPE_CHECKING:
    from proxy.jsonio import Json

_YES: Final = frozenset({b"1", b"true", b"t", b"yes", b"y", b"on"})
_AGENT_ITEMS: Final = frozenset(
    {
        "function_call", "function_call_output", "computer_call", "computer_call_output",
        "web_search_call", "file_search_call", "code_interpreter_call", "local_shell_call",
        "local_shell_call_output", "mcp_call", "mcp_list_tools", "mcp_approval_request",
        "mcp_approval_response", "image_generation_call", "reasoning",
    }
)  # fmt: skip
_LISTS: Final = ("messages", "input")
_IMAGES: Final = (b'"image_url"', b'"input_image"', b'"image"', b'"inlineData"', b'"inline_data"')

DELEGATED: Final = (b"x-claude-code-agent-id", b"x-parent-session-id")
"""What Claude Code and opencode send with the requests of a task that their model handed on, which
looks like a person's words."""


def is_forced(header: bytes) -> bool:
    """Whether the client's `force-copilot-agent` header says yes."""
    return header.lower() in _YES


def by_payload(top: Body) -> bool:
    """Whether an agent sent it, by any signal of the body: what CLIProxyAPI goes by.

    Tools in the request, a system message and everything that is no user's item count as signals.
    """
    if "previous_response_id" in top or _filled(top, "tools") or _filled(top, "functions"):
        return True
    if "tool_choice" in top and _value(top, "tool_choice") != "none":
        return True
    if "prompt" in top and not any(name in top for name in _LISTS):
        return False  # a legacy completion is one message of the user
    lists = [_items(top, name) for name in _LISTS]
    if any(_is_agents(item) for items in lists for item in items):
        return True
    users = [item for items in lists for item in items if item.get("role") == "user"]
    return not users or any(items and items[-1].get("role") != "user" for items in lists)


def by_turn(top: Body) -> bool:
    """Whether an agent sent it, by the last item alone: anything but a person's own words.

    Tool results that come in a user's message (Anthropic, Gemini) are the agent's.
    """
    if "prompt" in top or isinstance(_value(top, "input"), str):
        return False
    items = _items(top, "messages") or _items(top, "input") or _items(top, "contents")
    request = _value(top, "request")
    if not items and isinstance(request, dict):
        items = [item for item in request.get("contents") or () if isinstance(item, dict)]
    if not items or items[-1].get("role", "user") != "user" or _is_agents_kind(items[-1]):
        return True
    parts = items[-1].get("content") or items[-1].get("parts")
    if not isinstance(parts, list):
        return False
    return any(
        isinstance(part, dict) and (part.get("type") == "tool_result" or "functionResponse" in part)
        for part in parts
    )


def cache_key(top: Body) -> str:
    """`prompt_cache_key`, else that of `metadata`; "" without one."""
    metadata = _value(top, "metadata")
    for value in (
        _value(top, "prompt_cache_key"),
        metadata.get("prompt_cache_key") if isinstance(metadata, dict) else None,
    ):
        if isinstance(value, str) and value.strip():
            return value.strip()[:512]
    return ""


def has_image(body: Body) -> bool:
    """Whether an upstream body holds an image, also inside a tool result."""
    for name in _LISTS:
        raw = body.get(name)
        if raw is None:
            continue
        text = bytes(memoryview(raw_of(raw)))
        # The text is searched first: most requests hold no image and need not be decoded.
        if any(word in text for word in _IMAGES) and _holds_image(value_of(raw)):
            return True
    return False


def _holds_image(value: Json) -> bool:
    """Looks at `type` wherever content may stand; arguments of calls are texts and never looked at."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack += item
        elif isinstance(item, dict):
            if item.get("type") in ("image_url", "input_image", "image"):
                return True
            stack += [item.get("content"), item.get("output")]
    return False


def _is_agents(item: dict[str, Json]) -> bool:
    role = item.get("role")
    return bool(role and role != "user") or _is_agents_kind(item)


def _is_agents_kind(item: dict[str, Json]) -> bool:
    kind = item.get("type")
    return isinstance(kind, str) and kind in _AGENT_ITEMS


def _filled(top: Body, name: str) -> bool:
    value = _value(top, name)
    return isinstance(value, list) and bool(value)


def _items(top: Body, name: str) -> list[dict[str, Json]]:
    value = _value(top, name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def value_of(raw: object) -> Json:
    """A decoded value; None for one that is nested too deeply."""
    try:
        return decode(raw_of(raw))
    except (DecodeError, RecursionError):
        return None


def _value(top: Body, name: str) -> Json:
    return value_of(top.get(name))
