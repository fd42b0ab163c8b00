"""The straight line: one model request from the client's bytes to the client's bytes.

peek the head -> resolve to a plan -> for each credential in turn: prepare the call, open the upstream,
wait for the first useful event (the commit point), relay to the end -> record the result.

This module knows no HTTP server and no provider by name. Failover is the loop in `serve`; it may only
go on before the commit point, which is `out.started`.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeAlias

import trio
from msgspec import Struct
from msgspec.structs import replace

from proxy import wire as wires
from proxy.accounts.pool import Pool
from proxy.config.model import Candidate, Plan, Settings
from proxy.convo import fold, tokens
from proxy.convo.model import ErrorInfo
from proxy.errors import Fault, ProxyError, Retry
from proxy.net.api import Headers, Reply, Transport, UpstreamBroken
from proxy.net.pump import Pump
from proxy.upstream import get as provider_of
from proxy.upstream.base import refusal
from proxy.upstream.prepare import Ask, Work
from proxy.wire import names
from proxy.wire.base import AnswerContext
from proxy.wire.lanes import GARBLED, Lane, lane

if TYPE_CHECKING:
    from proxy.auth.book import AccountBook
    from proxy.clock import Clock
    from proxy.routing.table import Table
    from proxy.surface.http import Responder
    from proxy.telemetry.log import Log

_ANSWER_LIMIT: Final = 256 * 1024 * 1024
_ERROR_LIMIT: Final = 1024 * 1024
_AFTER_END: Final = 1.0
"""Seconds that an upstream may take to close its stream after the terminal event."""
_PAUSE: Final = 0.25
"""Seconds before a second round over credentials that only stumbled; doubles per round."""

Receive: TypeAlias = Callable[[float], Awaitable[bytes | None]]

JSON: Final[Headers] = [(b"content-type", b"application/json")]
SSE: Final[Headers] = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]


class Live(Struct):
    """What requests are served with. A reload makes a new one; requests under way keep theirs."""

    table: Table
    pool: Pool
    settings: Settings
    transport: Transport
    clock: Clock
    log: Log
    accounts: AccountBook | None = None
    """Tokens of credentials that come from account files."""


async def run(ask: Ask, out: Responder, live: Live) -> None:
    """Answers one model request, whatever happens. Cancelled when the client is gone."""
    try:
        work = Work(ask)
        plan = live.table.resolve(work.model)
        await serve(work, plan, out, live)
    except ProxyError as error:
        live.log.refused(ask, error)
        if not out.started:
            await refuse(ask.wire, error, out)


async def serve(work: Work, plan: Plan, out: Responder, live: Live) -> None:
    """Tries the plan's credentials until one answers. Raises the last failure."""
    pool = live.pool
    failure: ProxyError | None = None
    for round_ in range(1 + live.settings.request_retry + live.settings.bootstrap_retries):
        if round_ and not await another_round(failure, plan, live, round_):
            break
        for target in pool.targets(plan):
            for candidate in pool.order(target, plan, trio.current_time()):
                pool.take(candidate)
                try:
                    await attempt(work, candidate, plan, out, live)
                except ProxyError as error:
                    pool.failed(candidate, plan.model, error, trio.current_time())
                    live.log.attempt(work, candidate, error)
                    if out.started or error.retry is Retry.NEVER:
                        raise
                    failure = error
                else:
                    pool.succeeded(candidate, plan.model)
                    return
                finally:
                    pool.give_back(candidate)
    raise failure or pool.exhausted(plan, trio.current_time())


async def another_round(failure: ProxyError | None, plan: Plan, live: Live, round_: int) -> bool:
    """Whether a further round over the credentials makes sense; waits until it does."""
    settings = live.settings
    if failure is not None and failure.kind == "upstream_cut":
        return round_ <= max(settings.bootstrap_retries, settings.request_retry)
    if round_ > settings.request_retry:
        return False
    if failure is None or failure.status == 429:
        seconds = live.pool.wait(plan, trio.current_time())
        if seconds is None or seconds > settings.max_retry_interval:
            return False
    elif failure.status >= 500 or failure.status == 408:
        seconds = _PAUSE * 2 ** (round_ - 1)
    else:
        return False
    await trio.sleep(seconds)
    return True


async def attempt(work: Work, candidate: Candidate, plan: Plan, out: Responder, live: Live) -> None:
    """One call to one credential, answered to the client. Raises ProxyError where it failed."""
    provider = provider_of(candidate.credential.provider)
    if work.ask.count and not provider.counts:
        await out.whole(200, JSON, work.client.encode_count(tokens.estimate(work.request)))
        return
    if candidate.credential.account:
        candidate = await _with_token(candidate, live)
    try:
        reply = await live.transport.send(work.call(candidate, plan, live.settings))
        try:
            if reply.status >= 400:
                error = await refused(reply, candidate, live)
                other = await _otherwise(candidate, error, live)
                if other is None:
                    raise error
                await reply.aclose()
                candidate = other
                reply = await live.transport.send(work.call(candidate, plan, live.settings))
                if reply.status >= 400:
                    raise await refused(reply, candidate, live)
            if work.ask.count:
                await relay_count(reply, work, candidate, out)
            elif work.stream and is_stream(reply):
                await relay_stream(reply, work, candidate, plan, out, live)
            else:
                await relay_whole(reply, work, candidate, plan, out, live)
        finally:
            await reply.aclose()
    except UpstreamBroken as broken:
        raise _broken(broken) from None


async def _with_token(candidate: Candidate, live: Live) -> Candidate:
    """The candidate with its account's token. Raises ProxyError when there is none."""
    if live.accounts is None:
        raise ProxyError("no accounts are open", status=503)
    return replace(candidate, credential=await live.accounts.ready(candidate.credential))


async def _otherwise(candidate: Candidate, error: ProxyError, live: Live) -> Candidate | None:
    """How an account that refused is asked once more: with a new token, or on another wire."""
    book = live.accounts
    if book is None or not candidate.credential.account:
        return None
    if error.status == 401:
        return (
            await _with_token(candidate, live) if await book.renew(candidate.credential) else None
        )
    other = book.learn(candidate, error)
    return None if other is None else await _with_token(other, live)


async def relay_stream(
    reply: Reply, work: Work, candidate: Candidate, plan: Plan, out: Responder, live: Live
) -> None:
    """Relays a stream: holds it back up to the first useful event, then piece by piece to its end."""
    upstream = wires.get(candidate.credential.wire)
    context = context_of(work, plan, live)
    client_lane = lane(upstream, work.client, context)
    held = b""
    data = b"-"
    while data and not client_lane.useful:
        data = await reply.receive()
        held += client_lane.feed(data) if data else client_lane.eof()
        if client_lane.failed is not None:
            raise _inside(client_lane.failed)
    out.start(200, _stream_headers(work))
    await out.send(held)
    if data and reply.patient:
        await _relay_rest(reply.receive, client_lane, work, out, live)
    elif data:
        async with trio.open_nursery() as nursery:
            pump = Pump(reply)
            nursery.start_soon(pump.run)
            await _relay_rest(pump.receive, client_lane, work, out, live)
            nursery.cancel_scope.cancel()
    await out.end()
    live.log.served(work, candidate, client_lane.usage, client_lane.failed)


async def _relay_rest(
    receive: Receive, client_lane: Lane, work: Work, out: Responder, live: Live
) -> None:
    """After the commit point: whatever breaks now ends the client's stream with an error event."""
    patience = live.settings.keepalive
    keepalive = work.client.keepalive
    feed, send = client_lane.feed, out.send
    while True:
        try:
            data = await receive(patience)
        except UpstreamBroken as broken:
            piece = client_lane.fail(ErrorInfo(f"upstream failed: {broken.reason}", status=502))
            await send(piece)
            return
        if data is None:
            if client_lane.finished:
                return
            await send(keepalive)
            continue
        await send(feed(data) if data else client_lane.eof())
        if not data:
            return
        if client_lane.finished:
            patience = _AFTER_END


async def relay_whole(
    reply: Reply, work: Work, candidate: Candidate, plan: Plan, out: Responder, live: Live
) -> None:
    """Relays a whole answer; folds or unfolds where one side streams and the other does not."""
    body = await reply.read(_ANSWER_LIMIT)
    upstream = wires.get(candidate.credential.wire)
    context = context_of(work, plan, live)
    if work.same_wire(candidate) and not work.stream and not is_stream(reply):
        if body.startswith(b'{"error"'):
            raise _inside(upstream.decode_error(reply.status, body))
        await out.whole(200, JSON, body)
        live.log.served(work, candidate, None, None)
        return
    try:
        answer = upstream.decode_answer(body)
    except UnicodeDecodeError:
        raise _inside(GARBLED) from None
    if answer.error is not None:
        raise _inside(answer.error)
    names.restore_answer(answer, names.client_names(upstream.name, work.decoded))
    if work.stream:
        out.start(200, _stream_headers(work))
        await out.send(work.client.stream_encoder(context).encode(fold.unfold(answer)))
        await out.end()
    else:
        await out.whole(200, JSON, work.client.encode_answer(answer, context))
    live.log.served(work, candidate, answer.usage, None)


async def relay_count(reply: Reply, work: Work, candidate: Candidate, out: Responder) -> None:
    """Relays a token count."""
    body = await reply.read(_ERROR_LIMIT)
    if not work.same_wire(candidate):
        body = work.client.encode_count(tokens.read_count(body))
    await out.whole(200, JSON, body)


async def refused(reply: Reply, candidate: Candidate, live: Live) -> ProxyError:
    """What an upstream's error answer says."""
    body = await reply.read(_ERROR_LIMIT)
    wire = candidate.credential.wire
    try:
        info = wires.get(wire).decode_error(reply.status, body)
    except UnicodeDecodeError:
        info = ErrorInfo(f"status {reply.status}")
    return refusal(reply.status, reply.headers, info, body, wire, live.clock.now())


async def refuse(wire: str, error: ProxyError, out: Responder) -> None:
    """Tells the client, in its own protocol's shape; an upstream's error of the same wire as it came."""
    body = error.body if error.wire == wire and error.body else wires.get(wire).encode_error(error)
    headers = list(JSON)
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after))))
    await out.whole(error.status, headers, body)


def is_stream(reply: Reply) -> bool:
    """Whether the upstream answered in events (some ignore `stream`, some always stream)."""
    for name, value in reply.headers:
        if name == b"content-type":
            return value.startswith((b"text/event-stream", b"application/x-ndjson"))
    return True


def context_of(work: Work, plan: Plan, live: Live) -> AnswerContext:
    """What encoders of this answer may need."""
    return AnswerContext(
        request=work.decoded,
        model=plan.model,
        stream=work.stream,
        now=int(live.clock.now()),
        id=live.clock.unique(),
        framing=work.ask.framing,
    )


def _stream_headers(work: Work) -> Headers:
    if work.ask.framing == "json":
        return [(b"content-type", b"application/json")]
    return SSE


def _inside(info: ErrorInfo) -> ProxyError:
    """An error that came inside a 200."""
    status = info.status if info.status >= 400 else 502
    return ProxyError(
        info.message,
        fault=Fault.UPSTREAM,
        status=status,
        kind=info.type or info.code or "upstream_error",
        retry=Retry.NEVER if status in (400, 413, 422) else Retry.CREDENTIAL,
    )


def _broken(broken: UpstreamBroken) -> ProxyError:
    """A failure below HTTP."""
    timeout = broken.kind == "timeout"
    return ProxyError(
        f"the upstream could not be reached: {broken.reason}",
        fault=Fault.UPSTREAM,
        status=504 if timeout else 502,
        kind="upstream_timeout" if timeout else "upstream_cut",
        retry=Retry.CREDENTIAL,
    )
