"""What Anthropic demands of the login tokens of a subscription, and no more. Sheet: claude.

A beta header, and a first system block by which Claude Code is known. A client keeps its own identity:
its headers go through, and none are made up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw

from proxy.jsonio import Body, decode, raw_of
from proxy.upstream import facts

if TYPE_CHECKING:
    from proxy.net.api import Headers
    from proxy.upstream.base import Client

_VERSION: Final = b"2023-06-01"
_OAUTH: Final = b"oauth"
_AGENT: Final = b"claude-cli/"
_OWN: Final = (b"x-stainless-", b"x-claude-")
_ALSO: Final = frozenset(
    {
        *(b"user-agent", b"x-app", b"x-client-request-id"),
        b"anthropic-dangerous-direct-browser-access",
    }
)
_blocks: Final = msgspec.json.Decoder(list[Raw])
_FIRST: Final = 3
"""Claude Code's own line may come behind a block of its bookkeeping."""


def is_claude_code(client: Client) -> bool:
    """By its own word."""
    return client.header(b"user-agent").lower().startswith(_AGENT)


def headers(client: Client, betas: list[bytes]) -> Headers:
    """Version and betas, and what an Anthropic client says of itself. `betas`: those of the body."""
    wanted = client.header(b"anthropic-beta")
    if _OAUTH not in wanted:
        table = facts.of("claude").headers
        wanted = merge_betas(wanted, [table["Anthropic-Beta"].encode()])
    found: Headers = [
        (b"Anthropic-Version", client.header(b"anthropic-version") or _VERSION),
        (b"Anthropic-Beta", merge_betas(wanted, betas)),
    ]
    if client.wire != "anthropic":
        agent = client.header(b"user-agent")
        return [*found, (b"User-Agent", agent)] if agent else found
    found += [
        (name, value) for name, value in client.headers if name in _ALSO or name.startswith(_OWN)
    ]
    return found


def merge_betas(header: bytes, more: list[bytes]) -> bytes:
    """The words of a header and more, each once."""
    words = [word.strip() for word in header.split(b",") if word.strip()]
    words += [word for word in more if word not in words]
    return b",".join(words)


def begin_system(body: Body, client: Client) -> None:
    """Puts the line first that subscriptions are served with, unless the client said it; the client's
    own text follows it word for word.
    """
    known = facts.of("claude").system
    if known is None or is_claude_code(client):
        return
    said = body.get("system")
    first: object = {"type": "text", "text": known.line}
    if said is None or raw_of(said) == Raw(b"null"):
        body["system"] = [first]
        return
    try:
        system = decode(raw_of(said))
    except (msgspec.DecodeError, RecursionError):
        return
    if isinstance(system, str):
        if not system.startswith(known.known):
            body["system"] = [first, {"type": "text", "text": system}] if system else [first]
    elif isinstance(system, list):
        texts = [block.get("text") for block in system[:_FIRST] if isinstance(block, dict)]
        if not any(isinstance(text, str) and text.startswith(known.known) for text in texts):
            body["system"] = [first, *_blocks.decode(raw_of(said))]
