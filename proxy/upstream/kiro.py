"""Kiro, which is AWS CodeWhisperer and Amazon Q: two addresses of one service. Sheet: kiro, section 5."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

from proxy.config.model import Candidate
from proxy.convo.model import Lost
from proxy.jsonio import Body
from proxy.net.api import Headers
from proxy.upstream.base import Action, Client, finish_headers
from proxy.upstream.kiro_facts import facts

if TYPE_CHECKING:
    from proxy.jsonio import Json


class Kiro:
    """Provider `kiro`."""

    always_streams = True
    counts = False

    def url(self, candidate: Candidate, action: Action, client: Client) -> str:  # noqa: ARG002  # one endpoint for all
        """The endpoint itself."""
        base = candidate.credential.base_url
        return base if urlsplit(base).path else f"{base}/"

    def headers(self, candidate: Candidate, action: Action, client: Client, body: Body) -> Headers:  # noqa: ARG002  # nothing of the client is forwarded
        """Token, what is called, and the table's headers."""
        credential = candidate.credential
        headers = [
            (b"Content-Type", b"application/x-amz-json-1.0"),
            (b"Accept", b"*/*"),
            (b"X-Amz-Target", facts().endpoint(credential.base_url).target.encode()),
            *((n.encode(), v.encode()) for n, v in facts().headers.items()),
            (b"Amz-Sdk-Request", b"attempt=1; max=3"),
            (b"Amz-Sdk-Invocation-Id", str(uuid4()).encode()),
            (b"Authorization", b"Bearer " + credential.key.reveal().encode()),
        ]
        return finish_headers(headers, credential)

    def shape(
        self,
        body: Body,
        candidate: Candidate,
        action: Action,  # noqa: ARG002  # it always streams
        client: Client,  # noqa: ARG002  # same for all clients
        lost: list[Lost],  # noqa: ARG002  # the codec lists what is lost
    ) -> None:
        """What the codec leaves to the account and the call."""
        credential = candidate.credential
        state: Json = body["conversationState"]
        state["conversationId"] = str(uuid4())
        origin = facts().endpoint(credential.base_url).origin
        for turn in (state["currentMessage"], *state.get("history", ())):
            if message := turn.get("userInputMessage"):
                message["origin"] = origin
        if credential.project:
            body["profileArn"] = credential.project


PROVIDER = Kiro()
