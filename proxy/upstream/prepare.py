"""From a client's request to the call of one candidate: patched where the wires are the same,
translated otherwise. Pure; everything decoded once is kept for the next candidate."""

from __future__ import annotations

from typing import Final

from msgspec import DecodeError, Raw, Struct, field, structs

from proxy import wire as wires
from proxy.clock import request_id
from proxy.config.model import Candidate, Plan, Settings
from proxy.convo.model import Lost, Request
from proxy.convo.signature import holds_sealed
from proxy.errors import Fault, ProxyError, bad_request
from proxy.jsonio import Body, decode, encode, raw_of, readable
from proxy.net.api import Call, Headers
from proxy.routing import payload
from proxy.routing.facts import Facts
from proxy.routing.match import may_ask
from proxy.upstream import get as provider_of
from proxy.upstream import losses
from proxy.upstream.base import Action, Client, Tapping
from proxy.upstream.request_facts import facts_of
from proxy.wire.base import AnswerContext, Target
from proxy.wire.names import client_names
from proxy.wire.refusals import JSON


class Ask(Struct):
    """One model request as a surface understood it.

    `model` and `stream` come from the URL where they stand there (Gemini); "" and None otherwise.
    `framing`: how the client wants its stream (`sse`, `json`). `surface`: the protocol that it speaks, as
    rules name it; `key`: the name of its client key, and `models` the globs of names that it may ask for.
    `id`: by which a person finds the request in the log.
    """

    wire: str
    body: bytes
    headers: Headers
    count: bool = False
    model: str = ""
    stream: bool | None = None
    framing: str = "sse"
    surface: str = ""
    key: str = ""
    models: tuple[str, ...] = ()
    id: str = field(default_factory=request_id)

    def tag(self) -> tuple[bytes, bytes]:
        """The header that tells the client this id."""
        return b"x-request-id", self.id.encode()


class Work:
    """One request under way: the parsed head, and the conversation once a translation needed it."""

    begun = 0.0
    """When it came (monotonic)."""
    attempts = 0
    """Upstream calls so far."""
    session = ""
    """Name of the conversation, for affinity."""
    continued: Request | None = None
    """What asks an upstream to go on with an answer that broke, instead of the client's request."""
    rewritten = False
    """The tools went out otherwise than the client gave them, though the wire was its own."""
    _request: Request | None = None
    _passed_over: dict[str, list[Lost]] | None = None
    """What no decoder read, by upstream wire; once somebody asked."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.client = wires.get(ask.wire)
        try:
            ask.body, self.top = readable(ask.body)
            if not ask.body.isascii():
                ask.body.decode()
        except UnicodeDecodeError:
            raise bad_request("the body is not UTF-8") from None
        except (DecodeError, RecursionError) as error:
            raise bad_request(f"the body is not a JSON object: {error}") from None
        if ask.wire == "chat" and "messages" not in self.top and "input" in self.top:
            # Some clients post Responses bodies to the chat endpoint; they are answered in kind.
            ask.wire, self.client = "responses", wires.get("responses")
        self.model = ask.model or self._text("model")
        if ask.models and not may_ask(ask.models, self.model):
            raise ProxyError(
                f"client key '{ask.key}' may not ask for model {self.model[:200]}",
                fault=Fault.CLIENT,
                status=403,
                kind="permission_error",
            )
        self.stream = self.top.get("stream") == _TRUE if ask.stream is None else ask.stream
        self.streams = self.stream and not ask.count
        """Whether the client gets a stream."""
        in_events = self.streams and ask.framing == "sse"
        self.kind = SSE if in_events else JSON
        """Head of its answer; labels add theirs."""
        self.keepalive = self.client.keepalive if in_events else b"\n"
        """What a client ignores inside its stream; between elements of a JSON array, white space."""
        self.spent: set[tuple[str, str]] = set()
        """Credentials and models that failed in this round, or were found resting."""
        self.broken: list[str] = []
        """Credentials whose answer broke after output began."""
        self._seen = Client(ask.wire, ask.headers, top=self.top)

    def _text(self, key: str) -> str:
        raw = self.top.get(key)
        value = decode(raw_of(raw)) if raw is not None else None
        if not isinstance(value, str) or not value:
            raise bad_request(f"`{key}` must be a non-empty string")
        return value

    @property
    def request(self) -> Request:
        """The decoded conversation."""
        if self._request is None:
            self._request = self.client.decode_request(
                self.ask.body, self.model, self.stream, self.top
            )
        return self._request

    @property
    def decoded(self) -> Request | None:
        """The conversation if some translation decoded it."""
        return self._request

    def facts(self) -> Facts:
        """What rules may ask of this request."""
        return facts_of(self)

    def same_wire(self, candidate: Candidate) -> bool:
        """Whether the body can go through without being decoded."""
        return candidate.credential.wire == self.ask.wire

    def action(self) -> Action:
        """What is asked of the provider."""
        if self.ask.count:
            return "count"
        return "stream" if self.stream else "generate"

    def context(self, request: Request | None, model: str, now: int, unique: str) -> AnswerContext:
        """What encoders of the answer may need."""
        return AnswerContext(
            request=request,
            model=model,
            stream=self.stream,
            now=now,
            id=unique,
            framing=self.ask.framing,
        )

    def call(self, candidate: Candidate, plan: Plan, settings: Settings, lost: list[Lost]) -> Call:
        """The request as it goes to this candidate; `lost` takes what it cannot be told.

        Raises ProxyError where it cannot be sent, or the route wants nothing lost.
        """
        credential = candidate.credential
        provider = provider_of(credential.provider)
        action = self.action()
        body = self.body(candidate, plan, lost)
        names = (candidate.model, plan.model)
        edits = settings.payload
        rules = payload.matching(edits, names, payload.protocol_of(credential)) if edits else ()
        original = decode(encode(body)) if rules else {}
        provider.shape(body, candidate, action, self._seen, lost)
        if lost and plan.on_loss == "fail" and action != "count":
            raise losses.refusal(credential.upstream or credential.provider, lost)
        self._note_tools(body, candidate)
        if rules:
            body = payload.apply(rules, decode(encode(body)), original, credential.wire)
        headers = provider.headers(candidate, action, self._seen, body)
        timeouts = credential.timeouts
        return Call(
            method=b"POST",
            url=provider.url(candidate, action, self._seen),
            headers=headers,
            body=encode(body),
            proxy=credential.proxy or settings.proxy_url,
            http2=credential.http2,
            connect_timeout=timeouts.connect,
            first_timeout=timeouts.first_event,
            idle_timeout=timeouts.idle,
            tap=provider.tap(candidate, action)
            if credential.account and isinstance(provider, Tapping)
            else None,
        )

    def lost_to(self, candidate: Candidate, plan: Plan) -> list[Lost]:
        """What a call to this candidate leaves out. Raises ProxyError where none can be made."""
        lost: list[Lost] = []
        body = self.body(candidate, plan, lost)
        provider = provider_of(candidate.credential.provider)
        provider.shape(body, candidate, self.action(), self._seen, lost)
        return lost

    def _note_tools(self, body: Body, candidate: Candidate) -> None:
        if body.get("tools") is not self.top.get("tools") and self.same_wire(candidate):
            self.rewritten = True

    def renames(self, candidate: Candidate) -> bool:
        """Whether tools have other names at this upstream of the client's wire."""
        if not self.rewritten:
            return False
        try:
            return bool(client_names(candidate.credential.wire, self.request))
        except ProxyError:
            return False

    def body(self, candidate: Candidate, plan: Plan, lost: list[Lost]) -> Body:
        """The body in the candidate's protocol; `lost` takes what that has no place for."""
        if self.continued is None and self.same_wire(candidate) and not holds_sealed(self.ask.body):
            body = dict(self.top)
            if not self.ask.model:
                body["model"] = Raw(encode(candidate.model))
            if plan.reasoning is not None:
                try:
                    self.client.patch_reasoning(body, plan.reasoning, _target(candidate), lost)
                except DecodeError as error:
                    raise bad_request(f"the thinking settings cannot be read: {error}") from None
            return body
        request = self.continued or self.request
        if plan.reasoning is not None:
            # Racing calls share the request, so it is not changed in place.
            request = structs.replace(request, reasoning=plan.reasoning)
        wire = candidate.credential.wire
        body = wires.get(wire).encode_request(request, _target(candidate), lost)
        if plan.on_loss != "ignore" and not self.ask.count:
            lost += self._unread(wire)
        return body

    def _unread(self, upstream: str) -> list[Lost]:
        """What no decoder read of the client's request; looked for once for all upstreams of a wire."""
        if self._passed_over is None:
            self._passed_over = {}
        found = self._passed_over.get(upstream)
        if found is None:
            from proxy.wire.unread import unread  # hardly a route asks

            found = unread(self.ask.wire, self.top, self.request, upstream)
            self._passed_over[upstream] = found
        return found


def _target(candidate: Candidate) -> Target:
    return Target(
        model=candidate.model,
        capability=candidate.capability,
        provider=candidate.credential.provider,
    )


_TRUE = Raw(b"true")
SSE: Final[Headers] = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
