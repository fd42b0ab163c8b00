"""The straight line: one model request from the client's bytes to the client's bytes.

peek the head -> resolve to a plan -> open an answer (rounds over targets and their credentials, in turn,
raced or hedged; each attempt waits for its first useful event) -> commit -> relay -> record.

This module knows no HTTP server and no provider by name. What fails before `commit` moves on; after it
no byte is taken back or said twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import trio
from msgspec import Struct, field

from proxy.accounts.affinity import has_choice, session_of
from proxy.accounts.pool import Pool
from proxy.accounts.rounds import others_first, pause
from proxy.config.model import Candidate, Plan, Settings, Target
from proxy.convo import tokens
from proxy.convo.model import ErrorInfo, Usage
from proxy.convo.splice import summed
from proxy.errors import ProxyError, Retry
from proxy.net.api import Headers, Reply, Transport, UpstreamBroken
from proxy.telemetry.label import Labels
from proxy.upstream import fanout, losses, opening
from proxy.upstream import get as provider_of
from proxy.upstream.fanout import HedgeBudget
from proxy.upstream.opening import Opened
from proxy.upstream.prepare import Ask, Work
from proxy.wire import refusals
from proxy.wire.lanes import Lane

if TYPE_CHECKING:
    from proxy.clock import Clock
    from proxy.routing.table import Table
    from proxy.secret import Secret
    from proxy.surface.http import Responder
    from proxy.telemetry.log import Log
    from proxy.upstream.base import AccountBook

_AFTER_END: Final = 1.0
"""Seconds that an upstream may take to close its stream after the terminal event."""
_RESUMES: Final = 2
"""Most times that one answer is taken up again by another upstream."""


class Live(Struct):
    """What requests are served with. A reload makes a new one; requests under way keep theirs."""

    table: Table
    pool: Pool
    settings: Settings
    transport: Transport
    clock: Clock
    log: Log
    accounts: AccountBook | None = None
    labels: Labels = field(default_factory=Labels)
    hedges: HedgeBudget = field(default_factory=HedgeBudget)


async def run(ask: Ask, out: Responder, live: Live) -> None:
    """Answers one model request, whatever happens. Cancelled when the client is gone."""
    out.extra_headers = [*out.extra_headers, ask.tag()]
    try:
        work = Work(ask)
        plan = live.table.resolve(work.model, work.facts)
        if work.streams and live.settings.keepalive > 0:
            out.wait_for(work.kind, work.keepalive, live.settings.keepalive)
        await serve(work, plan, out, live)
    except ProxyError as error:
        live.log.refused(ask, error)
        if not out.started:
            await refuse(ask.wire, error, out)
            return
        # A keep-alive has begun the stream already.
        out.start(error.status, [])
        context = work.context(None, plan.model, int(live.clock.now()), live.clock.unique())
        await out.send(refusals.streamed(ask.wire, error, context))
        await out.end()


async def serve(work: Work, plan: Plan, out: Responder, live: Live) -> None:
    """One request along its plan. Raises ProxyError where no upstream answered."""
    ask = work.ask
    if plan.on_loss == "fail" and not ask.count:
        plan = losses.carriers(plan, work, live.log.skipped)
    if plan.sticky != "none" and has_choice(plan):
        work.session = session_of(ask.wire, ask.headers, work.top, ask.key, plan.sticky)
    opened = await first_answer(work, plan, live)
    usage: Usage | None = None
    try:
        await commit(opened, work, out)
        if not opened.over:
            # It answers: a probed account is back now, not when its stream is over.
            live.pool.succeeded(opened.candidate, plan, trio.current_time(), work.session)
        while True:
            if not opened.over:
                await relay(opened, work, out, live)
            usage = summed(usage, opened.usage)
            broken = record(opened, work, plan, live)
            further = await go_on(opened, work, plan, out, live) if broken is not None else None
            if further is None:
                break
            # Owned from here on: the client may leave while it is told.
            opened = further
            await out.send(opened.held)
        if work.streams:
            await out.end()
    finally:
        await opened.close()
    seconds = opened.heard - work.begun
    live.log.served(ask, opened.label, usage, broken, seconds, opened.warning)


# Before the commit point


async def first_answer(work: Work, plan: Plan, live: Live) -> Opened:
    """The first useful answer of any upstream of the plan. Raises the failure worth telling."""
    way = in_turn
    if plan.policy in ("race", "hedge") and len(plan.targets) > 1:
        way = side_by_side
        live.hedges.earn(plan.model, plan.hedge.budget)
    failure, round_ = None, 0
    while True:
        tried = work.attempts
        try:
            try:
                return await way(work, live.pool.targets(plan), plan, live)
            except ProxyError as error:
                return await queued(work, plan, live, error)
        except ProxyError as error:
            if error.retry is Retry.NEVER:
                raise
            refusal = failure or error
            failure = failure if work.attempts == tried else error
        round_ += 1
        cooldown = partial(live.pool.wait, plan, trio.current_time())
        seconds = pause(failure, round_, live.settings, cooldown)
        if seconds is None:
            raise failure or refusal
        work.spent.clear()
        await trio.sleep(seconds)


async def in_turn(work: Work, targets: Sequence[Target], plan: Plan, live: Live) -> Opened:
    """The first of these targets' credentials that answers. Raises the last failure."""
    pool = live.pool
    failure: ProxyError | None = None
    for target in targets:
        now = trio.current_time()
        work.begun = work.begun or now
        for candidate in pool.order(target, plan, now, work.session):
            if failure is not None:
                now = trio.current_time()
            if not pool.usable(candidate, now):
                continue
            try:
                return await attempt(work, candidate, plan, live, now)
            except ProxyError as error:
                if error.retry is Retry.NEVER:
                    raise
                failure = error
    raise failure or pool.exhausted(plan, trio.current_time())


async def side_by_side(work: Work, targets: Sequence[Target], plan: Plan, live: Live) -> Opened:
    """Races or hedges the targets, each with its credentials in turn."""
    starts = [partial(in_turn, work, (target,), plan, live) for target in targets]
    if plan.policy == "race":
        return await fanout.race(starts)
    hedge, allowed = plan.hedge, partial(live.hedges.spend, plan.model)
    return await fanout.hedge(starts, hedge.after, hedge.max, allowed)


async def queued(work: Work, plan: Plan, live: Live, failure: ProxyError) -> Opened:
    """After `failure`: what was full and has a place by now, or once it has one. Raises the last failure."""
    pool = live.pool
    while failure.retry is not Retry.NEVER:
        wake = trio.Event()
        ticket = pool.enqueue(plan, trio.current_time(), wake.set, work.spent)
        if ticket is None:
            break
        try:
            with trio.move_on_at(ticket.deadline):
                await wake.wait()
            candidate, now = ticket.candidate, trio.current_time()
            if candidate is None:
                break
            if pool.usable(candidate, now):
                return await attempt(work, candidate, plan, live, now)
            work.spent.add((candidate.credential.id, candidate.model))
        except ProxyError as error:
            failure = error
        finally:
            pool.leave(ticket)
    if work.spent:
        raise failure
    return await last_resort(work, plan, live, failure)


async def last_resort(work: Work, plan: Plan, live: Live, failure: ProxyError) -> Opened:
    """Asks those that stumbled too often, since nobody else is left; raises the last failure."""
    for candidate in live.pool.tripped(plan, trio.current_time()):
        try:
            return await attempt(work, candidate, plan, live, trio.current_time())
        except ProxyError as error:
            if error.retry is Retry.NEVER:
                raise
            failure = error
    raise failure


async def attempt(
    work: Work, candidate: Candidate, plan: Plan, live: Live, now: float, after: Lane | None = None
) -> Opened:
    """One call to one credential, up to its first useful event. Raises ProxyError where it failed.

    `after`: the lane of a broken answer that this one goes on with. Cancelled where another call was
    faster or the client is gone: that counts neither as failure nor as success.
    """
    work.attempts = number = work.attempts + 1
    label, log = live.labels.of(plan, candidate), live.log
    opened = Opened(candidate, candidate, live.pool, label, number, now)
    live.pool.take(candidate)
    try:
        await ask_one(opened, work, plan, live, after)
    except (ProxyError, UpstreamBroken) as failure:
        error = opening.broken(failure) if isinstance(failure, UpstreamBroken) else failure
        heard = opened.learn(trio.current_time(), live.clock)
        live.pool.failed(candidate, plan, error, heard, work.session)
        log.failed(work.ask, label, number, error, heard - now)
        work.spent.add((candidate.credential.id, candidate.model))
        await opened.close()
        raise error from None
    except BaseException:
        log.left(work.ask, label, number, trio.current_time() - now)
        await opened.close()
        raise
    heard = opened.learn(trio.current_time(), live.clock)
    if opened.lost and plan.on_loss == "warn":
        opened.warning = losses.paths(opened.lost)
    log.answered(work.ask, label, number, heard - now, opened.warning)
    return opened


async def ask_one(opened: Opened, work: Work, plan: Plan, live: Live, after: Lane | None) -> None:
    """Sends the call and reads the answer as far as `attempt` says."""
    candidate = opened.candidate
    if work.ask.count and not provider_of(candidate.credential.provider).counts:
        opened.held = work.client.encode_count(tokens.estimate(work.request))
        return
    book, transport = live.accounts, live.transport
    if book is None or not candidate.credential.account:
        opened.reply = reply = await transport.send(
            work.call(candidate, plan, live.settings, opened.lost)
        )
    else:
        settings, clock = live.settings, live.clock
        reply = await opening.with_token(opened, work, plan, settings, transport, book, clock)
        candidate = opened.asked  # the account may have been asked on another wire
    if reply.status >= 400:
        raise await opening.refused(reply, candidate, live.clock.now())
    if after is not None:
        await opening.join(opened, reply, work, after)
        return
    if work.ask.count:
        await opening.read_count(opened, reply, work)
        return
    resumes = work.stream and plan.on_break == "resume"
    request = opening.request_of(work, candidate, resumes=resumes)
    streams = opening.is_stream(reply)
    if not (work.stream or streams) and request is None and work.same_wire(candidate):
        await opening.read_as_it_is(opened, reply)
        return
    context = work.context(request, plan.model, int(live.clock.now()), live.clock.unique())
    if work.stream and streams:
        await opening.hold_back(opened, reply, work, context, resumes=resumes)
    else:
        await opening.read_whole(opened, reply, work, context)


# From the commit point on


async def commit(opened: Opened, work: Work, out: Responder) -> None:
    """The commit point: from here on this answer is the client's."""
    headers = opened.label.headers(work.kind, work.attempts, opened.warning)
    held, opened.held = opened.held, b""
    if not work.streams:
        await out.whole(200, headers, held)
        return
    out.start(200, headers)
    await out.send(held)


async def relay(opened: Opened, work: Work, out: Responder, live: Live) -> None:
    """Relays what follows the held bytes, to the end of this upstream."""
    if (reply := opened.reply) is None or (lane := opened.lane) is None:
        return
    await relay_rest(reply, lane, work, out, live, opened.key)
    opened.over = True
    opened.usage = lane.usage
    opened.heard = trio.current_time()


async def relay_rest(
    reply: Reply, lane: Lane, work: Work, out: Responder, live: Live, key: Secret
) -> None:
    """The loop of the data path. Whatever breaks now is told in the client's stream, or resumed.

    `key`: what the upstream was sent; an error of its own may repeat that.
    """
    patience = live.settings.keepalive
    receive, feed, send_on = reply.receive, lane.feed, out.send
    while True:
        try:
            data = await receive(patience)
        except UpstreamBroken as failure:
            reason = ErrorInfo(f"upstream failed: {failure.reason}", status=502)
            await send_on(key.hide(lane.fail(reason)))
            return
        if data is None:
            if lane.finished or lane.failed is not None:
                await send_on(key.hide(lane.eof()))
                return
            if lane.between:
                await send_on(work.keepalive)
            continue
        told = feed(data) if data else lane.eof()
        if lane.failed is not None:
            told = key.hide(told)
        await send_on(told)
        if not data:
            return
        if lane.finished or lane.failed is not None:
            if lane.resumable:
                return
            patience = _AFTER_END


def record(opened: Opened, work: Work, plan: Plan, live: Live) -> ErrorInfo | None:
    """Tells the pool how the call ended; what broke it, if anything did."""
    broken = opened.lane.failed if opened.lane is not None else None
    if broken is None:
        live.pool.succeeded(opened.candidate, plan, opened.heard, work.session)
    else:
        broken = opening.hidden(broken, opened.key)
        error = opening.inside(broken)
        live.pool.failed(opened.candidate, plan, error, opened.heard, work.session)
        live.log.failed(work.ask, opened.label, opened.number, error, opened.heard - opened.begun)
    return broken


async def go_on(
    opened: Opened, work: Work, plan: Plan, out: Responder, live: Live
) -> Opened | None:
    """The call that takes up a broken answer; None if it has to end as it is."""
    broken = opened.lane
    if broken is None:
        return None
    await opened.close()
    work.broken.append(opened.candidate.credential.id)
    if broken.resumable and len(work.broken) <= _RESUMES:
        work.continued = broken.resume(work.request)
        if live.settings.keepalive > 0:
            out.wait_for([], work.keepalive, live.settings.keepalive)
        now = trio.current_time()
        for candidate in others_first(live.pool, plan, now, work.session, work.broken):
            if not live.pool.usable(candidate, trio.current_time()):
                continue
            try:
                further = await attempt(work, candidate, plan, live, trio.current_time(), broken)
            except ProxyError:
                continue
            out.start(200, [])
            return further
        out.start(200, [])
    await out.send(opened.key.hide(broken.give_up()))
    return None


async def refuse(wire: str, error: ProxyError, out: Responder, more: Headers | None = None) -> None:
    """Answers an error in the shape of the client's protocol."""
    await out.whole(*refusals.whole(wire, error, more or ()))
