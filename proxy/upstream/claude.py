"""Anthropic Messages by API key or by the login of a subscription, and services that speak it.
Sheet: claude.

Keys of a CLIProxyAPI config send the header set of that program (drop-in); those of routes.d send the
documented API headers and what the client chose itself. Logins send the same, and what the service
demands of them: `subscription`.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from msgspec import DecodeError, Raw

from proxy.config.model import Candidate
from proxy.convo.model import Lost
from proxy.jsonio import Body, decode, raw_of
from proxy.net.api import Headers
from proxy.upstream import subscription
from proxy.upstream.base import Action, Client, finish_headers, join
from proxy.upstream.subscription import merge_betas

_BETAS = (
    b"claude-code-20250219,oauth-2025-04-20,interleaved-thinking-2025-05-14,"
    b"fine-grained-tool-streaming-2025-05-14"
)
_OAUTH_BETA = b"oauth-2025-04-20"
_VERSION = b"2023-06-01"
_ENSURED: tuple[tuple[bytes, bytes], ...] = (
    (b"Anthropic-Version", _VERSION),
    (b"Anthropic-Dangerous-Direct-Browser-Access", b"true"),
    (b"X-App", b"cli"),
    (b"X-Stainless-Helper-Method", b"stream"),
    (b"X-Stainless-Retry-Count", b"0"),
    (b"X-Stainless-Runtime-Version", b"v24.3.0"),
    (b"X-Stainless-Package-Version", b"0.55.1"),
    (b"X-Stainless-Runtime", b"node"),
    (b"X-Stainless-Lang", b"js"),
    (b"X-Stainless-Arch", b"arm64"),
    (b"X-Stainless-Os", b"MacOS"),
    (b"X-Stainless-Timeout", b"60"),
    (b"User-Agent", b"claude-cli/1.0.83 (external, cli)"),
)
_FORWARDED = (b"anthropic-version", b"anthropic-beta", b"user-agent")


class Claude:
    """Provider `claude`."""

    always_streams = False
    counts = True

    def url(self, candidate: Candidate, action: Action, client: Client) -> str:  # noqa: ARG002  # one path per action
        """`{base}/v1/messages[/count_tokens]`; the reference adds `?beta=true`."""
        path = "/v1/messages/count_tokens" if action == "count" else "/v1/messages"
        if candidate.credential.legacy or candidate.credential.account:
            path += "?beta=true"
        return join(candidate.credential.base_url, path)

    def headers(self, candidate: Candidate, action: Action, client: Client, body: Body) -> Headers:
        """Key, version, betas (the client's, and those of the body's `betas`)."""
        credential = candidate.credential
        accept = b"text/event-stream" if action == "stream" else b"application/json"
        headers: Headers = [(b"Content-Type", b"application/json"), (b"Accept", accept)]
        key = credential.key.reveal().encode()
        if credential.account:
            headers.append((b"Authorization", b"Bearer " + key))
            imitated = credential.service is not None and credential.service.imitate
            if imitated and not subscription.is_claude_code(client):
                headers += _legacy_headers(client, _betas(body))
            else:
                headers += subscription.headers(client, _betas(body))
            return finish_headers(headers, credential)
        official = urlsplit(credential.base_url)[:2] == ("https", "api.anthropic.com")
        if key and (official or not credential.legacy):
            headers.append((b"X-Api-Key", key))
        elif key:
            headers.append((b"Authorization", b"Bearer " + key))
        betas = _betas(body)
        if credential.legacy:
            headers += _legacy_headers(client, betas)
        else:
            own = {name: client.header(name) for name in _FORWARDED}
            own[b"anthropic-version"] = own[b"anthropic-version"] or _VERSION
            own[b"anthropic-beta"] = merge_betas(own[b"anthropic-beta"], betas)
            headers += [(name, value) for name, value in own.items() if value]
        return finish_headers(headers, credential)

    def shape(
        self,
        body: Body,
        candidate: Candidate,
        action: Action,
        client: Client,
        lost: list[Lost],
    ) -> None:
        """A forced tool excludes thinking (API rule: "Thinking may not be enabled when tool_choice forces")."""
        choice = body.get("tool_choice")
        if "thinking" in body and choice is not None:
            kind = decode(raw_of(choice))
            if isinstance(kind, dict) and kind.get("type") in ("any", "tool"):
                del body["thinking"]
                lost.append(Lost("thinking", "it does not go with a forced tool"))
        if action == "count":
            for key in ("max_tokens", "stream", "metadata", "temperature", "top_p", "top_k"):
                body.pop(key, None)
        elif candidate.credential.account:
            service = candidate.credential.service
            if service is None or service.system_line:
                subscription.begin_system(body, client)


def _betas(body: Body) -> list[bytes]:
    """The body's `betas` (an SDK spelling), which the API takes as a header; removed from the body."""
    raw = body.pop("betas", None)
    if not isinstance(raw, Raw):
        return []
    try:
        value = decode(raw)
    except DecodeError:
        return []
    words = value if isinstance(value, list) else [value]
    return [word.encode() for word in words if isinstance(word, str) and word.isprintable()]


def _legacy_headers(client: Client, betas: list[bytes]) -> Headers:
    chosen = client.header(b"anthropic-beta")
    if not chosen:
        chosen = _BETAS
    elif b"oauth" not in chosen:
        chosen += b"," + _OAUTH_BETA
    headers: Headers = [(b"Anthropic-Beta", merge_betas(chosen, betas))]
    for name, default in _ENSURED:
        headers.append((name, client.header(name.lower()) or default))
    return headers


PROVIDER = Claude()
