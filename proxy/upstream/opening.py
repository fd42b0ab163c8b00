"""The part of a call before the commit point: from the upstream's head to its first useful event.

Nothing here reaches the client; whatever fails is a ProxyError that says what may be tried next.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final, Protocol

import trio
from msgspec import Struct, structs

from proxy import wire as wires
from proxy.convo import fold, tokens
from proxy.convo.model import ErrorInfo, Lost, Request, Usage
from proxy.errors import Fault, ProxyError, Retry
from proxy.net.api import Headers, Reply, UpstreamBroken
from proxy.upstream.base import refusal
from proxy.wire import names
from proxy.wire.lanes import GARBLED, Lane, lane

if TYPE_CHECKING:
    from proxy.clock import Clock
    from proxy.config.model import Candidate, Plan, Settings
    from proxy.net.api import Transport
    from proxy.secret import Secret
    from proxy.telemetry.label import Label
    from proxy.upstream.base import AccountBook
    from proxy.upstream.prepare import Work
    from proxy.wire.base import AnswerContext

_ANSWER_LIMIT: Final = 256 * 1024 * 1024
_ERROR_LIMIT: Final = 1024 * 1024
_ERROR_SECONDS: Final = 10.0
"""An error is short: longer than this its words are not waited for."""
_HELD_LIMIT: Final = 4 * 1024 * 1024
"""Most bytes that an upstream may send before it says anything."""
_NO_QUOTA: Final = 429
_STREAMS: Final = (
    b"text/event-stream",
    b"application/x-ndjson",
    b"application/vnd.amazon.eventstream",
)
_RESUMED: Final = b": resumed\n\n"
"""A comment of the event stream, which clients skip and people find."""
_error_inside: Final = re.compile(rb'"error"\s*:\s*[^\sn]').search


class Slots(Protocol):
    """What a pool is told of a call while it is under way."""

    def signals(self, candidate: Candidate, headers: Headers, now: float, wall: float) -> None:
        """The headers of a reply, which may tell quotas."""
        ...

    def give_back(self, candidate: Candidate) -> None:
        """That request is over."""
        ...


class Opened(Struct):
    """An upstream call that took a credential's place, and its answer once there is one.

    Resource handling: `close` gives the place and the connection back; a second call does nothing.
    """

    candidate: Candidate
    """Whose place it took."""
    asked: Candidate
    """Who was asked: the same one, or its account on another wire."""
    slots: Slots
    label: Label
    number: int
    """Which attempt of its request it is."""
    begun: float
    heard: float = 0.0
    """When it was last heard of: its first useful event, its failure or its end."""
    reply: Reply | None = None
    lane: Lane | None = None
    """None for whole answers and counts: `held` is all of it."""
    held: bytes = b""
    """The client's bytes so far."""
    over: bool = True
    """Nothing follows `held`."""
    usage: Usage | None = None
    lost: list[Lost] = []
    """What the request lost on its way to this upstream."""
    warning: str = ""
    """The same for the client, where the route wants it told."""
    closed: bool = False

    @property
    def empty(self) -> bool:
        """It is over and said nothing."""
        return self.lane is not None and not self.lane.spoke

    @property
    def deadline(self) -> float:
        """When an answer that does not stream has to be over."""
        return self.begun + self.asked.credential.timeouts.total

    @property
    def key(self) -> Secret:
        """What it was sent, and what some repeat."""
        return self.asked.credential.key

    def learn(self, now: float, clock: Clock) -> float:
        """Tells the pool what the reply's headers say, before the result. Gives back `now`."""
        self.heard = now
        if self.reply is not None:
            self.slots.signals(self.candidate, self.reply.headers, now, clock.now())
        return now

    async def close(self) -> None:
        """See above. Never blocks."""
        if self.closed:
            return
        self.closed = True
        self.slots.give_back(self.candidate)
        if self.reply is not None:
            await self.reply.aclose()


async def with_token(
    opened: Opened,
    work: Work,
    plan: Plan,
    settings: Settings,
    transport: Transport,
    book: AccountBook,
    clock: Clock,
) -> Reply:
    """Sends the call; once more where a login's token was refused, or the model is served elsewhere.

    Raises ProxyError for a 400 or 403 that says nothing of the kind.
    """
    for last in (False, True):
        credential = await book.ready(opened.asked.credential)
        opened.asked = structs.replace(opened.asked, credential=credential)
        opened.reply = reply = await _send(opened, work, plan, settings, transport)
        if last or reply.status not in (400, 401, 403):
            break
        if reply.status == 401:
            if not await book.renew(credential):
                break
        else:
            error = await refused(reply, opened.asked, clock.now())
            other = book.learn(opened.asked, error)
            stale = error.status == 403 and book.is_stale(opened.asked.credential, error)
            if other is None and not (stale and await book.renew(credential)):
                raise error
            opened.asked = other or opened.asked
        opened.reply = None
        opened.lost.clear()
        await reply.aclose()
    return reply


async def _send(
    opened: Opened, work: Work, plan: Plan, settings: Settings, transport: Transport
) -> Reply:
    """Sends the call; also to the service's further addresses, where one is not there or has no quota."""
    credential = opened.asked.credential
    for url in credential.mirrors:
        try:
            reply = await transport.send(work.call(opened.asked, plan, settings, opened.lost))
        except UpstreamBroken as failure:
            if failure.kind == "stopped":
                raise
        else:
            if reply.status != _NO_QUOTA:
                return reply
            await reply.aclose()
        opened.lost.clear()
        elsewhere = structs.replace(credential, base_url=url)
        opened.asked = structs.replace(opened.asked, credential=elsewhere)
    return await transport.send(work.call(opened.asked, plan, settings, opened.lost))


async def hold_back(
    opened: Opened, reply: Reply, work: Work, context: AnswerContext, *, resumes: bool
) -> None:
    """Reads a stream up to its first useful event. Raises ProxyError if it fails before."""
    opened.lane = lane(
        wires.get(opened.asked.credential.wire), work.client, context, resumes=resumes
    )
    await _begin(opened, opened.lane, reply)


def request_of(work: Work, candidate: Candidate, *, resumes: bool) -> Request | None:
    """The conversation that encoders of this answer may look at. `resumes`: another upstream may have
    to go on with it. Another call may have decoded it meanwhile: the same wire needs no such help,
    unless names of tools have to be turned back."""
    if resumes:
        return work.request
    if work.same_wire(candidate):
        return work.request if work.renames(candidate) else None
    return work.decoded


async def join(opened: Opened, reply: Reply, work: Work, broken: Lane) -> None:
    """Makes this call go on with a broken answer, once it has something useful to say. Raises ProxyError
    if it does not stream, or fails before."""
    if not is_stream(reply):
        raise inside(ErrorInfo("the upstream answered without streaming", type="upstream_error"))
    opened.lane = broken.go_on(wires.get(opened.asked.credential.wire))
    opened.held = _RESUMED if work.ask.framing == "sse" else b""
    await _begin(opened, opened.lane, reply)


async def _begin(opened: Opened, client_lane: Lane, reply: Reply) -> None:
    """Holds back what comes before the first useful event. Raises ProxyError if that is late."""
    timeouts = opened.asked.credential.timeouts
    deadline = opened.begun + (timeouts.first_event or math.inf)
    if 0 < timeouts.first_event < (timeouts.idle or math.inf):
        with trio.move_on_at(deadline):
            await _useful(opened, client_lane, reply, deadline)
            return
        raise late()
    # Each wait is bounded by the idle limit, which is the stricter one: a scope would only cost.
    await _useful(opened, client_lane, reply, deadline)


async def _useful(opened: Opened, client_lane: Lane, reply: Reply, deadline: float) -> None:
    """Reads until something is useful, or the stream is over."""
    size, more = 0, False
    while True:
        data = await reply.receive()
        size += len(data)
        opened.held += client_lane.feed(data) if data else client_lane.eof()
        if client_lane.failed is not None:
            raise inside(hidden(client_lane.failed, opened.key))
        if client_lane.useful or not data:
            opened.over = not data
            opened.usage = client_lane.usage
            return
        if size > _HELD_LIMIT:
            raise inside(GARBLED)
        if more and trio.current_time() > deadline:
            raise late()
        more = True


async def read_as_it_is(opened: Opened, reply: Reply) -> None:
    """Reads a whole answer that the client gets byte for byte."""
    opened.held = body = await reply.read(_ANSWER_LIMIT, opened.deadline)
    if b'"error"' in body and _error_inside(body):
        _raise_error_of(body, opened)
    if b'"choices"' not in body and b'"msg"' in body and opened.asked.credential.wire == "chat":
        # No answer at all: some services tell errors so, in a 200. This raises one.
        wires.get("chat").decode_answer(body)


async def read_whole(opened: Opened, reply: Reply, work: Work, context: AnswerContext) -> None:
    """Reads a whole answer; folds or unfolds where one side streams and the other does not."""
    body = await reply.read(_ANSWER_LIMIT, opened.deadline)
    upstream = wires.get(opened.asked.credential.wire)
    try:
        answer = upstream.decode_answer(body)
    except UnicodeDecodeError:
        raise inside(GARBLED) from None
    if answer.error is not None:
        raise inside(hidden(answer.error, opened.key))
    names.restore_answer(answer, names.client_names(upstream.name, context.request))
    opened.usage = answer.usage
    if work.stream:
        opened.held = work.client.stream_encoder(context).encode(fold.unfold(answer))
    else:
        opened.held = work.client.encode_answer(answer, context)


def _raise_error_of(body: bytes, opened: Opened) -> None:
    """Raises the error that a whole answer of status 200 is; another key of that name is none."""
    try:
        error = wires.get(opened.asked.credential.wire).decode_answer(body).error
    except (ProxyError, UnicodeDecodeError):
        return
    if error is not None:
        raise inside(hidden(error, opened.key))


async def read_count(opened: Opened, reply: Reply, work: Work) -> None:
    """Reads a token count."""
    body = await reply.read(_ERROR_LIMIT, opened.deadline)
    if not work.same_wire(opened.asked):
        body = work.client.encode_count(tokens.read_count(body))
    opened.held = body


async def refused(reply: Reply, candidate: Candidate, now: float) -> ProxyError:
    """What an upstream's error answer says. `now`: wall-clock seconds."""
    body = candidate.credential.key.hide(await _error_body(reply))
    wire = candidate.credential.wire
    try:
        info = wires.get(wire).decode_error(reply.status, body)
    except UnicodeDecodeError:
        info = ErrorInfo(f"status {reply.status}")
    return refusal(reply.status, reply.headers, info, body, wire, now)


async def _error_body(reply: Reply) -> bytes:
    """Nothing where it breaks or does not end: the status tells enough to go on."""
    with trio.move_on_after(_ERROR_SECONDS):
        try:
            return await reply.read(_ERROR_LIMIT)
        except UpstreamBroken as failure:
            if failure.kind == "stopped":
                raise
    return b""


def is_stream(reply: Reply) -> bool:
    """Whether the upstream answered in events (some ignore `stream`, some always stream)."""
    for name, value in reply.headers:
        if name == b"content-type":
            return value.startswith(_STREAMS)
    return True


def hidden(info: ErrorInfo, key: Secret) -> ErrorInfo:
    """An upstream's words without the key that it was sent."""
    message, kind = key.hide_in(info.message), key.hide_in(info.type)
    return ErrorInfo(message, kind, key.hide_in(info.code), info.status)


def inside(info: ErrorInfo) -> ProxyError:
    """An error that came inside a 200."""
    status = info.status if info.status >= 400 else 502
    return ProxyError(
        info.message,
        fault=Fault.UPSTREAM,
        status=status,
        kind="upstream_cut" if "cut" in (info.type, info.code) else info.type or "upstream_error",
        retry=Retry.NEVER if status in (400, 413, 422) else Retry.CREDENTIAL,
    )


def late() -> ProxyError:
    """The upstream answered, but said nothing in time."""
    return broken(UpstreamBroken("timeout", "it said nothing in time"))


def broken(failure: UpstreamBroken) -> ProxyError:
    """A failure below HTTP."""
    if failure.kind == "stopped":
        # Nobody's fault: no other credential would do better, and none must rest for it.
        return ProxyError(failure.reason, fault=Fault.OURS, status=503, kind="server_stopping")
    timeout = failure.kind == "timeout"
    return ProxyError(
        f"the upstream could not be reached: {failure.reason}",
        fault=Fault.UPSTREAM,
        status=504 if timeout else 502,
        kind="upstream_timeout" if timeout else "upstream_cut",
        retry=Retry.CREDENTIAL,
    )
