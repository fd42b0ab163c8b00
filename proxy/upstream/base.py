"""What a provider is: URL, headers, body dialect and error classes of one service.

A provider never translates and never selects. Everything here is pure; `exchange` sends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from msgspec import Struct

from proxy.config.model import Candidate, Credential
from proxy.convo.model import ErrorInfo, Lost
from proxy.errors import Fault, ProxyError, Retry
from proxy.jsonio import Body
from proxy.net.api import Headers

Action: TypeAlias = Literal["generate", "stream", "count"]


class Client(Struct):
    """What a provider may see of the client's request: its wire, headers (lower-case names) and body
    by top-level key, as it came.

    `decided`: what a provider decided once for the request, whatever it is sent to.
    """

    wire: str
    headers: Headers
    alt: str = ""
    top: Body = {}
    decided: bytes = b""

    def header(self, name: bytes) -> bytes:
        """The first value of a header, stripped; b"" if absent."""
        for key, value in self.headers:
            if key == name:
                return value.strip()
        return b""


class Provider(Protocol):
    """One service."""

    always_streams: bool
    """It answers only in streams; whole answers are folded from them."""
    counts: bool
    """It has a token counting endpoint; otherwise tokens are estimated here."""

    def url(self, candidate: Candidate, action: Action, client: Client) -> str:
        """The absolute URL."""
        ...

    def headers(self, candidate: Candidate, action: Action, client: Client, body: Body) -> Headers:
        """All headers but Host, Content-Length and Connection."""
        ...

    def shape(
        self, body: Body, candidate: Candidate, action: Action, client: Client, lost: list[Lost]
    ) -> None:
        """Edits an encoded body in place to the service's dialect; `lost` takes what it takes away."""
        ...


@runtime_checkable
class Tapping(Protocol):
    """A provider that reads its answers on their way (only for credentials of account files)."""

    def tap(self, candidate: Candidate, action: Action) -> Callable[[bytes], None] | None:
        """What looks at the answer of this call; None = nobody."""
        ...


class AccountBook(Protocol):
    """Credentials whose token comes from a login and is renewed (`Credential.account`)."""

    loaded: bool
    """Whether the accounts were asked for their models, or the wait for that is over."""

    async def ready(self, credential: Credential) -> Credential:
        """The credential with a key, base URL and headers that are good now.

        Raises ProxyError (401, 503) when there is none.
        """
        ...

    async def renew(self, credential: Credential) -> bool:
        """After a 401: whether there is a new token, so that the call is worth sending again."""
        ...

    def is_stale(self, credential: Credential, error: ProxyError) -> bool:
        """After a 403: whether it says no more than that the token is over."""
        ...

    def learn(self, candidate: Candidate, error: ProxyError) -> Candidate | None:
        """After a 400: the same account on the wire that the model is served on, if the error says so."""
        ...


def finish_headers(headers: Headers, credential: Credential) -> Headers:
    """The credential's own headers last; they replace equal names."""
    if not credential.headers:
        return headers
    own = {name.lower().encode() for name, _ in credential.headers}
    kept = [(name, value) for name, value in headers if name.lower() not in own]
    return kept + [(name.encode(), value.encode()) for name, value in credential.headers]


def join(base: str, path: str) -> str:
    """`base` and `path` with exactly one slash between them."""
    return base.rstrip("/") + path


_RETRY: dict[int, Retry] = {
    400: Retry.NEVER,
    413: Retry.NEVER,
    422: Retry.NEVER,
}


def refusal(
    status: int, headers: Headers, info: ErrorInfo, body: bytes, wire: str, now: float
) -> ProxyError:
    """An upstream's error answer as a `ProxyError`. `now`: wall-clock seconds, for Retry-After dates."""
    retry = _RETRY.get(status, Retry.CREDENTIAL)
    return ProxyError(
        info.message or f"status {status}",
        fault=Fault.UPSTREAM,
        status=status,
        kind=info.type or info.code or "upstream_error",
        retry=retry,
        retry_after=_hint(status, headers, body, now),
        body=body,
        wire=wire if info.raw is not None else "",
    )


def _hint(status: int, headers: Headers, body: bytes, now: float) -> float | None:
    """When to come back: as the headers say, else the body of a refusal that has an end."""
    seconds = retry_after(headers, now)
    if seconds is None and status in (429, 503, 529) and body:
        from proxy.upstream.hints import retry_in  # only failures pay for it

        return retry_in(body, now)
    return seconds


def retry_after(headers: Headers, now: float) -> float | None:
    """Seconds from `retry-after-ms` or `retry-after` (seconds or an HTTP date); None if unusable."""
    for name, value in headers:
        if name in (b"retry-after-ms", b"retry-after"):
            text = value.decode("latin-1").strip()
            try:
                seconds = float(text) / (1000.0 if name == b"retry-after-ms" else 1.0)
            except ValueError:
                from email.utils import parsedate_to_datetime  # 2 ms of every start; dates are rare

                try:
                    seconds = parsedate_to_datetime(text).timestamp() - now
                except (ValueError, TypeError, OverflowError):
                    continue
            if 0.0 <= seconds < 366 * 86400.0:
                return seconds
            if seconds < 0.0:
                return 0.0
    return None
