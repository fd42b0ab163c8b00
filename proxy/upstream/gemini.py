"""Gemini by API key, and Vertex AI by API key or service account. Sheets: gemini-api-key, vertex."""

from __future__ import annotations

from urllib.parse import quote

from proxy.config.model import Candidate
from proxy.convo.model import Lost
from proxy.jsonio import Body
from proxy.net.api import Headers
from proxy.upstream.base import Action, Client, finish_headers, join

_METHODS: dict[Action, str] = {
    "generate": "generateContent",
    "stream": "streamGenerateContent?alt=sse",
    "count": "countTokens",
}
_PUBLISHER = "/publishers/google/models/"
_KEYED = "/v1" + _PUBLISHER
_NOT_COUNTED = ("tools", "toolConfig", "generationConfig", "safetySettings")


class Gemini:
    """Providers `gemini` and `vertex`, which differ in the path before the model."""

    always_streams = False
    counts = True

    def __init__(self, models_path: str) -> None:
        self._path = models_path

    def url(self, candidate: Candidate, action: Action, client: Client) -> str:  # noqa: ARG002  # streams are always asked for as SSE
        """`{base}/v1beta/models/{model}:{method}` or Vertex's publisher path."""
        model = quote(candidate.model, safe="/-._~:@")
        return join(candidate.credential.base_url, f"{self._path}{model}:{_METHODS[action]}")

    def headers(self, candidate: Candidate, action: Action, client: Client, body: Body) -> Headers:  # noqa: ARG002  # nothing of the client is forwarded
        """The key in its own header, never in the URL."""
        credential = candidate.credential
        headers = [(b"Content-Type", b"application/json")]
        if credential.key:
            headers.append((b"X-Goog-Api-Key", credential.key.reveal().encode()))
        return finish_headers(headers, credential)

    def shape(
        self,
        body: Body,
        candidate: Candidate,
        action: Action,
        client: Client,  # noqa: ARG002  # same for all clients
        lost: list[Lost],
    ) -> None:
        """`countTokens` takes the conversation alone; the reference also names the model in the body."""
        if body.pop("session_id", None) is not None:
            lost.append(Lost("session_id", "the API refuses it"))
        if action == "count":
            for key in _NOT_COUNTED:
                body.pop(key, None)
        else:
            # Imported here: a server without Gemini requests does without the codec.
            from proxy.wire.gemini.encode import complete

            complete(body)
        if candidate.credential.legacy or candidate.credential.account:
            body["model"] = candidate.model
        else:
            body.pop("model", None)


class Vertex(Gemini):
    """Provider `vertex`. The address of a service account says API, project and location already."""

    def url(self, candidate: Candidate, action: Action, client: Client) -> str:
        """The publisher's path below the project, or below the API."""
        url = super().url(candidate, action, client)
        return url.replace(_KEYED, _PUBLISHER, 1) if candidate.credential.account else url

    def headers(self, candidate: Candidate, action: Action, client: Client, body: Body) -> Headers:
        """A service account has a token."""
        credential = candidate.credential
        if not credential.account:
            return super().headers(candidate, action, client, body)
        bearer = b"Bearer " + credential.key.reveal().encode()
        headers = [(b"Content-Type", b"application/json"), (b"Authorization", bearer)]
        return finish_headers(headers, credential)


PROVIDER = Gemini("/v1beta/models/")
VERTEX = Vertex(_KEYED)
