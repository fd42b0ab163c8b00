"""OpenAI-compatible upstreams: any service with `/chat/completions`. Sheet: openai-compatibility."""

from __future__ import annotations

from proxy.config.model import Candidate
from proxy.convo.model import Lost
from proxy.jsonio import Body
from proxy.net.api import Headers
from proxy.upstream.base import Action, Client, finish_headers, join

USER_AGENT = b"cli-proxy-openai-compat"


class OpenAICompat:
    """Provider `openai-compat`."""

    always_streams = False
    counts = False

    def url(self, candidate: Candidate, action: Action, client: Client) -> str:  # noqa: ARG002  # one endpoint for all
        """`{base}/chat/completions`, streamed or not."""
        return join(candidate.credential.base_url, "/chat/completions")

    def headers(self, candidate: Candidate, action: Action, client: Client, body: Body) -> Headers:  # noqa: ARG002  # nothing of the client is forwarded
        """Bearer key if there is one; SSE asked for when streaming."""
        credential = candidate.credential
        headers = [(b"Content-Type", b"application/json"), (b"User-Agent", USER_AGENT)]
        if credential.key:
            headers.append((b"Authorization", b"Bearer " + credential.key.reveal().encode()))
        headers = finish_headers(headers, credential)
        if action == "stream":
            headers += [(b"Accept", b"text/event-stream"), (b"Cache-Control", b"no-cache")]
        return headers

    def shape(
        self,
        body: Body,
        candidate: Candidate,
        action: Action,
        client: Client,
        lost: list[Lost],
    ) -> None:
        """Nothing to change."""


PROVIDER = OpenAICompat()
