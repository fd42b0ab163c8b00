"""Gemini CLI's service, Cloud Code Assist, by login. Sheet: gemini-cli."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from proxy.config.model import Candidate
from proxy.convo.model import Lost
from proxy.errors import bad_request
from proxy.jsonio import Body, raw_of
from proxy.net.api import Headers
from proxy.upstream import google_facts
from proxy.upstream.base import Action, Client, finish_headers, join

METHODS: Final[dict[Action, str]] = {
    "generate": "/v1internal:generateContent",
    "stream": "/v1internal:streamGenerateContent?alt=sse",
    "count": "/v1internal:countTokens",
}
_inner = msgspec.json.Decoder(dict[str, Raw])


class GeminiCli:
    """Provider `gemini-cli`."""

    always_streams = False
    counts = True

    def url(self, candidate: Candidate, action: Action, client: Client) -> str:  # noqa: ARG002  # streams are always asked for as SSE
        """The model stands in the body."""
        return join(candidate.credential.base_url, METHODS[action])

    def headers(self, candidate: Candidate, action: Action, client: Client, body: Body) -> Headers:  # noqa: ARG002  # the body tells nothing
        """The token; who asks, in the client's own words where it has some."""
        credential = candidate.credential
        headers = [
            (b"Content-Type", b"application/json"),
            (b"Accept", b"text/event-stream" if action == "stream" else b"application/json"),
            (b"Authorization", b"Bearer " + credential.key.reveal().encode()),
        ]
        for name, value in google_facts.of("gemini-cli").headers.items():
            said = client.header(name.lower().encode())
            headers.append((name.encode(), said or value.encode()))
        return finish_headers(headers, credential)

    def shape(
        self,
        body: Body,
        candidate: Candidate,
        action: Action,
        client: Client,
        lost: list[Lost],  # noqa: ARG002  # counting alone does without some
    ) -> None:
        """The envelope is the account's; what is inside of a native client's stays as it came."""
        inner = inside(body)
        if action == "count":
            for key in ("project", "model"):
                body.pop(key, None)
            inner.pop("safetySettings", None)
        else:
            body["model"] = candidate.model
            body["project"] = candidate.credential.project
            if not candidate.credential.project:
                del body["project"]
            if client.wire != candidate.credential.wire:
                complete(inner)
        body["request"] = inner


def complete(inner: Body) -> None:
    """What a request gets on its way from another wire."""
    # Imported here: a server without such requests does without the codec.
    from proxy.wire.gemini.encode import complete as completed

    completed(inner)


def inside(body: Body) -> Body:
    """The request inside the envelope, to be edited. Raises ProxyError (400) where it is no object."""
    try:
        return dict(_inner.decode(raw_of(body.get("request", {}))))
    except msgspec.MsgspecError:
        raise bad_request("`request` must be a JSON object") from None


GEMINI_CLI = GeminiCli()
