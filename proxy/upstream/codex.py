"""OpenAI Responses by API key or by the login of a ChatGPT plan, in the dialect of the Codex backend.
Sheet: codex.

Logins and credentials of a CLIProxyAPI config speak the Codex dialect (it streams always, stores
nothing); a `wire = "responses"` upstream of routes.d gets the plain Responses API. With a login the
client keeps its own identity; those that have none for this service are called by this program's name.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid4, uuid5

from msgspec import DecodeError

import proxy.wire.responses.codex as dialect
from proxy import __version__
from proxy.config.model import Candidate
from proxy.convo.model import Lost
from proxy.jsonio import Body, decode, raw_of
from proxy.net.api import Headers
from proxy.upstream import facts
from proxy.upstream.base import Action, Client, finish_headers, join

_VERSION = b"0.21.0"
_BETA = b"responses=experimental"
_USER_AGENT = b"codex_cli_rs/0.50.0 (Mac OS 26.0.1; arm64) Apple_Terminal/464"
_ORIGINATOR = b"codex_cli_rs"
_NAMESPACE = UUID("6f1c1f0e-52a4-4a0e-9a5e-0f1d6d0a7c11")
_LONGEST: Final = 256
"""A cache key can be of any length; a header's value should not."""
_OWN: Final = (b"x-codex-", b"x-openai-", b"x-oai-")
_ALSO: Final = frozenset(
    {
        *(b"user-agent", b"originator", b"version", b"openai-beta", b"x-client-request-id"),
        *(b"session_id", b"session-id", b"conversation_id", b"thread_id", b"thread-id"),
    }
)
"""What Codex's tools say of themselves and of the conversation."""


class Codex:
    """Provider `codex`."""

    always_streams = False
    counts = False

    def url(self, candidate: Candidate, action: Action, client: Client) -> str:  # noqa: ARG002  # one endpoint for all
        """`{base}/responses`."""
        return join(candidate.credential.base_url, "/responses")

    def headers(self, candidate: Candidate, action: Action, client: Client, body: Body) -> Headers:
        """Bearer key; the Codex headers for the Codex dialect."""
        credential = candidate.credential
        headers: Headers = [(b"Content-Type", b"application/json")]
        if credential.key:
            headers.append((b"Authorization", b"Bearer " + credential.key.reveal().encode()))
        if not _speaks_dialect(candidate):
            if action == "stream":
                headers.append((b"Accept", b"text/event-stream"))
            return finish_headers(headers, credential)
        cache = _text(body.get("prompt_cache_key")).encode()
        service = credential.service
        if credential.account and not (service is not None and service.imitate):
            return finish_headers(headers + _login_headers(client, cache), credential)
        session = client.header(b"session_id") or cache or str(uuid4()).encode()
        headers += [
            (b"Accept", b"text/event-stream"),
            (b"Version", client.header(b"version") or _VERSION),
            (b"Openai-Beta", client.header(b"openai-beta") or _BETA),
            (b"User-Agent", client.header(b"user-agent") or _USER_AGENT),
            (b"Session_id", session),
            (b"Conversation_id", cache),
        ]
        if credential.account:
            headers.append((b"Originator", client.header(b"originator") or _ORIGINATOR))
        return finish_headers(headers, credential)

    def shape(
        self,
        body: Body,
        candidate: Candidate,
        action: Action,  # noqa: ARG002  # both modes stream
        client: Client,
        lost: list[Lost],
    ) -> None:
        """The Codex dialect; one cache key per Claude conversation."""
        if not _speaks_dialect(candidate):
            return
        if client.wire == "anthropic" and "prompt_cache_key" not in body:
            user = _text(body.get("user"))
            if user:
                body["prompt_cache_key"] = str(uuid5(_NAMESPACE, f"{candidate.model}-{user}"))
        dialect.shape(body, lost, login=bool(candidate.credential.account))


def _speaks_dialect(candidate: Candidate) -> bool:
    return candidate.credential.legacy or bool(candidate.credential.account)


def _login_headers(client: Client, cache: bytes) -> Headers:
    """A Codex tool's own headers, or a neutral name. The conversation's id where there is one: it keeps
    the requests of a conversation together at the service.
    """
    found: Headers = [(b"Accept", b"text/event-stream")]
    if client.header(b"originator"):
        own = [h for h in client.headers if h[0] in _ALSO or h[0].startswith(_OWN)]
        found += own
    else:
        found += [(name.encode(), value.encode()) for name, value in _neutral().items()]
    named = any(name in (b"session_id", b"session-id") for name, _ in found)
    if cache and not named and _sendable(cache):
        found += [(b"Session_id", cache), (b"Conversation_id", cache)]
    return found


def _sendable(value: bytes) -> bool:
    return len(value) <= _LONGEST and all(0x20 < byte < 0x7F for byte in value)


def _neutral() -> dict[str, str]:
    return facts.of("codex").headers | {"User-Agent": f"pointsman/{__version__}"}


def _text(value: object) -> str:
    if value is None:
        return ""
    try:
        text = decode(raw_of(value))
    except DecodeError:
        return ""
    return text if isinstance(text, str) else ""


PROVIDER = Codex()
