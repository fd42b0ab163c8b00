"""OpenAI Responses by API key, in the dialect of the Codex backend. Sheet: codex.

Credentials of a CLIProxyAPI config speak the Codex dialect (it streams always, stores nothing);
a `wire = "responses"` upstream of routes.d gets the plain Responses API.
"""

from __future__ import annotations

from uuid import UUID, uuid4, uuid5

from msgspec import DecodeError

import proxy.wire.responses.codex as dialect
from proxy.config.model import Candidate
from proxy.convo.model import Lost
from proxy.jsonio import Body, decode, raw_of
from proxy.net.api import Headers
from proxy.upstream.base import Action, Client, finish_headers, join

_VERSION = b"0.21.0"
_BETA = b"responses=experimental"
_USER_AGENT = b"codex_cli_rs/0.50.0 (Mac OS 26.0.1; arm64) Apple_Terminal/464"
_NAMESPACE = UUID("6f1c1f0e-52a4-4a0e-9a5e-0f1d6d0a7c11")


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
        if not credential.legacy:
            if action == "stream":
                headers.append((b"Accept", b"text/event-stream"))
            return finish_headers(headers, credential)
        cache = _text(body.get("prompt_cache_key")).encode()
        session = client.header(b"session_id") or cache or str(uuid4()).encode()
        headers += [
            (b"Accept", b"text/event-stream"),
            (b"Version", client.header(b"version") or _VERSION),
            (b"Openai-Beta", client.header(b"openai-beta") or _BETA),
            (b"User-Agent", client.header(b"user-agent") or _USER_AGENT),
            (b"Session_id", session),
            (b"Conversation_id", cache),
        ]
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
        if not candidate.credential.legacy:
            return
        dialect.shape(body, lost)
        if client.wire == "anthropic" and "prompt_cache_key" not in body:
            user = _text(body.get("user"))
            if user:
                body["prompt_cache_key"] = str(uuid5(_NAMESPACE, f"{candidate.model}-{user}"))


def _text(value: object) -> str:
    if value is None:
        return ""
    try:
        text = decode(raw_of(value))
    except DecodeError:
        return ""
    return text if isinstance(text, str) else ""


PROVIDER = Codex()
