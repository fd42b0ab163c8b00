"""Paths to surfaces: which client protocol speaks, and what it asks. Source: http-api sheet, section 2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import unquote

import trio
from msgspec.structs import replace

from proxy import exchange
from proxy.accounts.client_keys import KeyUsage
from proxy.clock import request_id
from proxy.errors import Fault, ProxyError
from proxy.exchange import Live
from proxy.jsonio import encode
from proxy.routing.match import may_ask
from proxy.surface import models
from proxy.surface.auth import Gate
from proxy.upstream.prepare import Ask
from proxy.wire.refusals import JSON

if TYPE_CHECKING:
    from proxy.config.model import ClientKey, ListedModel
    from proxy.net.api import Headers
    from proxy.surface.http import HttpRequest, Responder

_CORS: Final[Headers] = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE, OPTIONS"),
    (b"access-control-allow-headers", b"*"),
]
_POSTS: Final[dict[bytes, tuple[str, bool]]] = {
    b"/v1/chat/completions": ("chat", False),
    b"/v1/completions": ("completions", False),
    b"/v1/responses": ("responses", False),
    b"/v1/messages": ("anthropic", False),
    b"/v1/messages/count_tokens": ("anthropic", True),
}
_GEMINI: Final = b"/v1beta/models/"
_CODE_ASSIST: Final = b"/v1internal:"
_MODELS: Final = b"/v1/models"
_EXPLAIN: Final = b"x-pointsman-explain"
_EVENTS: Final = b"/api/event_logging/batch"
_FAST: Final = (b"/v1/", b"/v1beta/", b"/v1internal:", b"/api/event_logging/")
# Gemini's methods: whether it counts, whether it streams.
_METHODS: Final[dict[str, tuple[bool, bool]]] = {
    "generateContent": (False, False),
    "streamGenerateContent": (False, True),
    "countTokens": (True, False),
}

Reply: TypeAlias = tuple[int, "Headers", bytes]


class App:
    """What the server calls. `renew` makes a new generation of the configuration serve; requests
    under way keep theirs. `usage`: what client keys have used, over all generations.
    """

    def __init__(self, live: Live) -> None:
        self.usage = KeyUsage()
        self.renew(live)

    def renew(self, live: Live) -> None:
        """From now on requests are served with this."""
        self.live = live
        self._gate = Gate(live.settings.api_keys, live.settings.keys)

    def is_ready(self) -> bool:
        """Whether requests can be served: there is a model, and account files were looked at."""
        book = self.live.accounts
        return bool(self.live.table.listed()) and (book is None or book.loaded)

    def is_fast(self, method: bytes, path: bytes) -> bool:
        """Whether the fast lane serves this path; all else goes to the other lane."""
        return path.startswith(_FAST) and path != b"/v1/ws" and method != b"CONNECT"

    async def handle(self, request: HttpRequest, out: Responder) -> None:
        """Answers one request."""
        if self.live.settings.cors:
            out.extra_headers = _CORS
        if request.method == b"OPTIONS":
            await out.whole(204, [], b"")
            return
        wire = _wire_of(request.path)
        ask: Ask | None = None
        try:
            key = self._gate.check(request) if request.path != _EVENTS else None
            if request.method == b"POST":
                ask = _ask(request)
                if ask is not None:
                    if _EXPLAIN in request.table:
                        out.extra_headers = [*out.extra_headers, self._explained(ask, key)]
                    if key is None:
                        await exchange.run(ask, out, self.live)
                    else:
                        await self._answer(ask, key, out)
                    return
            status, headers, body = self._other(request, key)
            await out.whole(status, headers, body)
        except ProxyError as error:
            if out.started:
                raise
            await exchange.refuse(wire, error, out, [self._noted(ask, wire, request.peer, error)])

    def _noted(
        self, ask: Ask | None, wire: str, peer: str, error: ProxyError
    ) -> tuple[bytes, bytes]:
        """Logs what was refused before it became an exchange; the header that names it."""
        log = self.live.log
        if ask is not None:
            log.refused(ask, error)
            return ask.tag()
        made = request_id()
        if error.status == 401:
            log.turned_away(made, wire, peer, error)
        else:
            log.line(
                "warn", "refused", id=made, client=wire, status=error.status, error=error.message
            )
        return b"x-request-id", made.encode()

    async def _answer(self, ask: Ask, key: ClientKey, out: Responder) -> None:
        """One model request, within the limits of the client key that asks it."""
        ask.key, ask.models = key.name, key.models
        self.usage.enter(key, trio.current_time())
        try:
            await exchange.run(ask, out, self.live)
        finally:
            self.usage.leave(key)

    def _explained(self, ask: Ask, key: ClientKey | None) -> tuple[bytes, bytes]:
        """The digest of what `routes explain` would say of this request now."""
        from proxy.explain import explain  # few ask for it

        if key is not None:
            ask = replace(ask, key=key.name, models=key.models)
        live = self.live
        found = explain(ask, live.table, live.settings, live.pool, trio.current_time())
        return _EXPLAIN, found.digest.encode()

    def _listed(self, key: ClientKey | None) -> tuple[ListedModel, ...]:
        """The models that a client key may ask for."""
        listed = self.live.table.listed()
        if key is None or not key.models:
            return listed
        return tuple(model for model in listed if may_ask(key.models, model.id))

    def _other(self, request: HttpRequest, key: ClientKey | None) -> Reply:
        path = request.path
        read = request.method in (b"GET", b"HEAD")
        if path == _EVENTS and request.method == b"POST":
            return 200, JSON, b'{"status":"ok"}'
        if read and path == _MODELS:
            return 200, JSON, _list(request, self._listed(key))
        if read and path.startswith(_MODELS + b"/"):
            return _one(path[len(_MODELS) + 1 :], self._listed(key), openai=True)
        if read and path == _GEMINI[:-1]:
            return 200, JSON, models.gemini(self._listed(key))
        if read and path.startswith(_GEMINI):
            return _one(path[len(_GEMINI) :], self._listed(key), openai=False)
        allowed = _allowed(path)
        if allowed:
            raise ProxyError(
                f"method not allowed here; use {allowed.decode()}",
                fault=Fault.CLIENT,
                status=405,
                kind="method_not_allowed",
            )
        return 404, [(b"content-type", b"text/plain")], b"404 page not found"


def _list(request: HttpRequest, listed: tuple[ListedModel, ...]) -> bytes:
    if (request.header(b"user-agent") or b"").startswith(b"claude-cli"):
        return models.claude_cli(listed)
    if request.header(b"anthropic-version"):
        return models.anthropic(listed)
    return models.openai(listed)


def _one(raw: bytes, listed: tuple[ListedModel, ...], *, openai: bool) -> Reply:
    name = unquote(raw.decode("latin-1"))
    for model in listed:
        if name in (model.id, model.name):
            entry = models.openai_entry(model) if openai else models.gemini_entry(model)
            return 200, JSON, encode(entry)
    raise ProxyError(
        f"model {name} not found", fault=Fault.CLIENT, status=404, kind="model_not_found"
    )


def _wire_of(path: bytes) -> str:
    """The protocol in whose shape an error on this path is told."""
    if path in _POSTS:
        return _POSTS[path][0]
    if path.startswith((_GEMINI[:-1], _CODE_ASSIST)) or (b":" in path and path.startswith(_MODELS)):
        return "gemini"
    return "anthropic" if path.startswith(b"/v1/messages") else "chat"


def _allowed(path: bytes) -> bytes:
    if path in _POSTS or path.startswith(_CODE_ASSIST) or path == _EVENTS:
        return b"POST"
    return b"GET" if path in (_MODELS, _GEMINI[:-1]) else b""


def _ask(request: HttpRequest) -> Ask | None:
    """The model request that a POST is; None for another path. Raises ProxyError for a bad one."""
    path = request.path
    post = _POSTS.get(path)
    if post is not None:
        return Ask(
            wire=post[0],
            body=request.body,
            headers=request.headers,
            count=post[1],
            surface=post[0],
        )
    for start in (_GEMINI, _MODELS + b"/"):
        # Newer google-genai releases call v1 where older ones call v1beta.
        if path.startswith(start):
            return _gemini(request, path[len(start) :])
    if path.startswith(_CODE_ASSIST):
        if not request.peer.startswith(("127.", "::1", "::ffff:127.")):
            raise ProxyError(
                "CLI reply only allow local access",
                fault=Fault.CLIENT,
                status=403,
                kind="forbidden",
            )
        return _method(request, "gemini_cli", "", path[len(_CODE_ASSIST) :].decode("latin-1"))
    return None


def _gemini(request: HttpRequest, rest: bytes) -> Ask:
    model, colon, method = unquote(rest.decode("latin-1")).rpartition(":")
    if not colon or not model:
        raise ProxyError(
            f"{request.path.decode('latin-1')} not found: the path is models/MODEL:METHOD",
            fault=Fault.CLIENT,
            status=404,
            kind="not_found",
        )
    return _method(request, "gemini", model, method)


def _method(request: HttpRequest, wire: str, model: str, method: str) -> Ask:
    known = _METHODS.get(method)
    if known is None:
        raise ProxyError(
            f"method {method} is not served; use one of {', '.join(_METHODS)}",
            fault=Fault.CLIENT,
            status=404,
            kind="not_found",
        )
    count, stream = known
    framing = "sse"
    if stream and wire == "gemini" and _alt(request.query) != b"sse":
        framing = "json"
    return Ask(
        wire=wire,
        body=request.body,
        headers=request.headers,
        count=count,
        model=model,
        stream=stream,
        framing=framing,
        surface="gemini",
    )


def _alt(query: bytes) -> bytes:
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        if name in (b"alt", b"$alt", b"%24alt"):
            return value
    return b""
