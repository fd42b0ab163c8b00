"""GitHub Copilot: chat for most models, Responses or Messages for those served only there.

Sheet: copilot, sections 5 and 6. Who sends a request, a person or an agent, is read off the client's own
body by `copilot_initiator`; the count of requests under a prompt cache key outlives refreshes and reloads.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from msgspec import Raw

from proxy.config.model import Candidate, CopilotOptions, Credential
from proxy.convo.model import Lost
from proxy.jsonio import Body
from proxy.net.api import Headers
from proxy.upstream import copilot_initiator as initiator
from proxy.upstream.base import Action, Client, finish_headers, join
from proxy.upstream.copilot_facts import PREFIX, facts
from proxy.upstream.copilot_reasoning import Capture, Reasoning

if TYPE_CHECKING:
    from proxy.config.model import WireName

_PATHS: Final[dict[WireName, str]] = {
    "chat": "/chat/completions",
    "responses": "/responses",
    "anthropic": "/v1/messages",
}
_MOST_KEYS: Final = 10_000
_TRUE, _FALSE = Raw(b"true"), Raw(b"false")
_VISION: Final = (b"Copilot-Vision-Request", b"true")
_DEFAULT: Final = CopilotOptions()
_VERSION: Final = b"2023-06-01"


class Copilot:
    """Provider `copilot`. `calls`: how many requests were told to be a user's and an agent's."""

    always_streams = False
    counts = False

    def __init__(self) -> None:
        self._keys: OrderedDict[str, None] = OrderedDict()
        self.calls = {b"user": 0, b"agent": 0}
        self._reasoning = Reasoning()

    def url(self, candidate: Candidate, action: Action, client: Client) -> str:  # noqa: ARG002  # by wire alone
        """The endpoint of the candidate's wire."""
        credential = candidate.credential
        return join(credential.base_url, _PATHS[credential.wire])

    def headers(self, candidate: Candidate, action: Action, client: Client, body: Body) -> Headers:  # noqa: ARG002  # streams are asked in the body
        """Token, the profile's headers, who sends it, and whether there is an image."""
        credential = candidate.credential
        options = credential.copilot or _DEFAULT
        table = facts().headers | facts().chat_headers
        if profile(_asked(client, candidate), options) == "vscode-chat":
            table |= facts().vscode_chat_headers
        who = self.initiator(client, options)
        headers = [*_head(credential, table), (b"X-Initiator", who)]
        if initiator.has_image(body):
            headers.append(_VISION)
        if credential.wire == "anthropic":
            headers.append((b"Anthropic-Version", client.header(b"anthropic-version") or _VERSION))
        return finish_headers(headers, credential)

    def initiator(self, client: Client, options: CopilotOptions) -> bytes:
        """`user` or `agent`; decided once per request, however many accounts it is sent to."""
        if not client.decided:
            client.decided = self._initiator(client, options)
            self.calls[client.decided] += 1
        return client.decided

    def _initiator(self, client: Client, options: CopilotOptions) -> bytes:
        if options.force_agent or initiator.is_forced(client.header(b"force-copilot-agent")):
            return b"agent"
        if options.initiator == "turn":
            spawned = any(client.header(name) for name in initiator.DELEGATED)
            agent = spawned or initiator.by_turn(client.top)
        else:
            agent = initiator.by_payload(client.top)
        if agent:
            return b"agent"
        key = initiator.cache_key(client.top) if options.persist else ""
        if not key:
            return b"user"
        seen = key in self._keys
        self._keys[key] = None
        self._keys.move_to_end(key)
        if len(self._keys) > _MOST_KEYS:
            self._keys.popitem(last=False)
        return b"agent" if seen else b"user"

    def tap(self, candidate: Candidate, action: Action) -> Capture | None:
        """Gemini's reasoning is kept for the next turn, which chat clients send without it."""
        if candidate.credential.wire != "chat" or not _is_gemini(candidate):
            return None
        account = candidate.credential.account
        return Capture(self._reasoning, account, stream=action == "stream")

    def shape(
        self,
        body: Body,
        candidate: Candidate,
        action: Action,
        client: Client,  # noqa: ARG002  # same for all clients
        lost: list[Lost],
    ) -> None:
        """Keeps a cap on the output within the model's; says outright whether it streams."""
        if candidate.credential.wire == "chat":
            if body.pop("parallel_tool_calls", None) in (False, _FALSE):
                lost.append(Lost("parallel_tool_calls", "Copilot has no such setting"))
            _cap(body, candidate, lost)
            if _is_gemini(candidate):
                self._reasoning.give_back(candidate.credential.account, body)
            body["stream"] = _TRUE if action == "stream" else _FALSE
        elif candidate.credential.wire == "responses":
            # The service keeps no answers; clients of the API leave `store` to its default, true.
            if body.get("store") in (True, _TRUE):
                lost.append(Lost("store", "Copilot keeps no answers"))
            body["store"] = _FALSE


def _is_gemini(candidate: Candidate) -> bool:
    return candidate.model.lower().startswith("gemini")


def _cap(body: Body, candidate: Candidate, lost: list[Lost]) -> None:
    """`max_tokens` under the name that the model takes; dropped where it asks for all there is."""
    values = [body.pop(name, None) for name in ("max_completion_tokens", "max_tokens")]
    raw = next((value for value in values if value is not None), None)
    wanted = initiator.value_of(raw)
    most = candidate.capability.output
    if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 1:
        if wanted is not None:
            lost.append(Lost("max_tokens", "no number of tokens"))
        return
    if most and wanted >= most:
        return
    new = candidate.model.lower().startswith(("gpt-5", "o1", "o3", "o4"))
    body["max_completion_tokens" if new else "max_tokens"] = wanted


def _asked(client: Client, candidate: Candidate) -> str:
    """The model as the client's body names it; Gemini's bodies name none."""
    raw = client.top.get("model")
    if raw is None and client.wire in ("gemini", "gemini_cli"):
        return ""
    name = initiator.value_of(raw) if raw is not None else candidate.model
    return name if isinstance(name, str) else ""


def profile(model: str, options: CopilotOptions) -> str:
    """`cli` or `vscode-chat`: the first rule of the sheet's seven that holds."""
    name = model.strip().lower().removeprefix(PREFIX)
    if not name or name == "gpt-4" or name in options.cli_models:
        return "cli"
    if name in options.vscode_models:
        return "vscode-chat"
    if options.header_profile:
        return options.header_profile
    return "cli" if name in facts().cli_models else "vscode-chat"


def list_headers(credential: Credential) -> Headers:
    """The headers of `GET /models`."""
    return finish_headers(_head(credential, facts().headers), credential)


def _head(credential: Credential, table: dict[str, str]) -> Headers:
    headers = [(name.encode(), value.encode()) for name, value in table.items()]
    headers.append((b"Authorization", b"Bearer " + credential.key.reveal().encode()))
    headers.append((b"X-Request-Id", str(uuid4()).encode()))
    headers.append((b"X-Interaction-Id", str(uuid4()).encode()))
    return headers


PROVIDER = Copilot()
