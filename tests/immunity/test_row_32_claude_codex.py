"""Complaints about subscription accounts in other proxies (immunity row 32; 5 and 8 for what their replies
say of limits), shown not to hold for Claude and Codex here."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio

from proxy.accounts.pool import Pool
from proxy.auth import files
from proxy.auth.book import AccountBook
from proxy.config.declared import Declared
from proxy.config.model import Settings
from proxy.exchange import Live, run
from proxy.routing.build import build
from proxy.telemetry.log import Log
from proxy.upstream.prepare import Ask
from tests.unit.auth.mock_github import Reply, WallClock
from tests.unit.auth.test_claude_codex import CLAUDE_URL, CODEX_URL, FILES, GOOD, OVER, endpoint

pytestmark = pytest.mark.usefixtures("inline_threads")

KINDS = ("claude", "codex")
JSON = [(b"content-type", b"application/json")]
MESSAGE = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "gpt-5",
    "output": [
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Hi", "annotations": []}],
        }
    ],
}
BODIES = {
    "claude": {
        "model": "claude-sonnet-4-5-20250929",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}],
    },
    "codex": {"model": "gpt-5", "input": "hi"},
}
WIRES = {"claude": "anthropic", "codex": "responses"}


class World:
    """The token endpoint and the models. `good`: the one token that they take, None = any; `answers` go
    first, in turn."""

    def __init__(self, kind, seconds=0.05):
        self.kind = kind
        self.tokens = endpoint(kind)
        self.good = None
        self.answers = []
        self.served = []
        self.seconds = seconds

    async def send(self, call):
        if call.url in (CLAUDE_URL, CODEX_URL):
            return await self.tokens.send(call)
        self.served.append(call)
        await trio.sleep(self.seconds)
        if self.answers:
            return self.answers.pop(0)
        token = dict(call.headers)[b"Authorization"].decode()
        if self.good is not None and token != f"Bearer {self.good}":
            return Reply(401, {"error": {"type": "authentication_error", "message": token}}, JSON)
        if self.kind == "claude":
            return Reply(200, MESSAGE, JSON)
        event = {"type": "response.completed", "response": RESPONSE}
        data = b"event: response.completed\ndata: " + msgspec.json.encode(event) + b"\n\n"
        return Reply(200, data, [(b"content-type", b"text/event-stream")])


class Out:
    started = False

    def __init__(self):
        self.extra_headers = []

    async def whole(self, status, headers, body):
        self.status, self.body = status, body


def put(folder, kind, name="a.json", **more):
    (folder / name).write_text(json.dumps({**FILES[kind], **more}))


@asynccontextmanager
async def world(folder, kind):
    mock, clock = World(kind), WallClock()
    book = AccountBook(folder, transport=mock, clock=clock, log=Log(descriptor=-1))
    book.load()
    live = Live(
        table=build(Declared(accounts=book.declared()))[0],
        pool=Pool(),
        settings=Settings(),
        transport=mock,
        clock=clock,
        log=Log(descriptor=-1),
        accounts=book,
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(book.run)
        yield live, mock
        nursery.cancel_scope.cancel()


async def ask(live, kind):
    out = Out()
    body = msgspec.json.encode(BODIES[kind])
    await run(Ask(wire=WIRES[kind], body=body, headers=[]), out, live)
    return out


async def ask_all(live, kind, number=100):
    statuses = []

    async def one():
        statuses.append((await ask(live, kind)).status)

    async with trio.open_nursery() as nursery:
        for _ in range(number):
            nursery.start_soon(one)
    return statuses


@pytest.mark.parametrize("kind", KINDS)
async def test_row_32_a_401_renews_the_login_once_and_asks_the_same_account_again(
    tmp_path, autojump_clock, kind
):
    put(tmp_path, kind, access_token="stale", expired=GOOD)
    async with world(tmp_path, kind) as (live, mock):
        mock.good = "access-1"
        assert await ask_all(live, kind) == [200] * 100
        assert len(mock.tokens.asked) == 1
        assert len(mock.served) == 200
        await ask(live, kind)
        assert len(mock.served) == 201


@pytest.mark.parametrize("kind", KINDS)
async def test_row_32_a_hundred_requests_on_an_expired_token_make_one_renewal(
    tmp_path, autojump_clock, kind
):
    put(tmp_path, kind, access_token="old", expired=OVER)
    async with world(tmp_path, kind) as (live, mock):
        assert await ask_all(live, kind) == [200] * 100
        assert (len(mock.tokens.asked), len(mock.served)) == (1, 100)


@pytest.mark.parametrize("kind", KINDS)
async def test_row_32_a_new_token_that_is_refused_too_is_told(tmp_path, autojump_clock, kind):
    put(tmp_path, kind, access_token="stale", expired=GOOD)
    async with world(tmp_path, kind) as (live, mock):
        mock.good = "none will do"
        out = await ask(live, kind)
        assert (out.status, len(mock.tokens.asked), len(mock.served)) == (401, 1, 2)
        assert b"access-1" not in out.body
        assert b"stale" not in out.body


@pytest.mark.parametrize("kind", KINDS)
async def test_row_32_a_login_that_was_renewed_is_written_before_it_can_be_lost(
    tmp_path, autojump_clock, kind, monkeypatch
):
    """The disk is full at first: the new login is the only one that the service still takes."""
    put(tmp_path, kind, access_token="old", expired=OVER)
    good = files.update

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "update", full)
    async with world(tmp_path, kind) as (live, mock):
        assert (await ask(live, kind)).status == 200
        await trio.sleep(5)
        assert json.loads((tmp_path / "a.json").read_bytes())["refresh_token"] == "login-0"
        monkeypatch.setattr(files, "update", good)
        await trio.sleep(3)
        assert json.loads((tmp_path / "a.json").read_bytes())["refresh_token"] == "login-1"
        assert mock.tokens.spent == ["login-0"]


@pytest.mark.parametrize("kind", KINDS)
async def test_row_32_another_account_serves_while_one_is_refused(tmp_path, autojump_clock, kind):
    put(tmp_path, kind, access_token="old", expired=OVER, refresh_token="over")
    put(tmp_path, kind, "b.json", access_token="held", expired=GOOD)
    async with world(tmp_path, kind) as (live, mock):
        assert await ask_all(live, kind, 10) == [200] * 10
        assert len(mock.tokens.asked) == 1


async def test_row_08_what_a_subscription_has_left_is_known_from_its_replies(
    tmp_path, autojump_clock
):
    put(tmp_path, "claude", access_token="t", expired=GOOD)
    async with world(tmp_path, "claude") as (live, mock):
        wall = live.clock.now()
        prefix = b"anthropic-ratelimit-unified-"
        said = {
            b"5h-utilization": b"0.25",
            b"5h-reset": str(int(wall + 3600)).encode(),
            b"7d-utilization": b"0.9",
            b"7d-reset": str(int(wall + 86400)).encode(),
        }
        headers = [*JSON, *((prefix + name, value) for name, value in said.items())]
        mock.answers = [Reply(200, MESSAGE, headers)]
        assert (await ask(live, "claude")).status == 200
        (state,) = live.pool.view(trio.current_time())
        used = {window.name: window.used for window in state.windows}
        assert used == {"5h": 0.25, "7d": 0.9}


@pytest.mark.parametrize("member", ["resets_in_seconds", "resets_at"])
async def test_row_05_a_plan_that_is_used_up_rests_until_it_says_so(
    tmp_path, autojump_clock, member
):
    put(tmp_path, "codex", access_token="t", expired=GOOD)
    async with world(tmp_path, "codex") as (live, mock):
        ends = 7200 if member == "resets_in_seconds" else int(live.clock.now()) + 7200
        error = {"type": "usage_limit_reached", "message": "limit", "plan_type": "plus"}
        mock.answers = [Reply(429, {"error": {**error, member: ends}}, JSON)]
        out = await ask(live, "codex")
        assert out.status == 429
        (state,) = live.pool.view(trio.current_time())
        (rest,) = state.cooldowns
        assert rest.scope == "account"
        assert rest.until == pytest.approx(7200, abs=2)
