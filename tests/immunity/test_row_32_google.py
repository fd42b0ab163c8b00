"""Row 32 for Google's accounts: a refused token is renewed once and the same account asked again; and what
a service with several addresses answers on the first one is no end."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio

from proxy.accounts.pool import Pool
from proxy.auth.book import AccountBook
from proxy.config.declared import Declared
from proxy.config.model import AccountOptions, Settings
from proxy.exchange import Live, run
from proxy.net.api import UpstreamBroken
from proxy.routing.build import build
from proxy.telemetry.log import Log
from proxy.upstream import google_facts
from proxy.upstream.prepare import Ask
from tests.unit.auth.mock_github import Reply, WallClock
from tests.unit.auth.mock_google import Google, refusal

pytestmark = pytest.mark.usefixtures("inline_threads")

ANSWER = {
    "response": {
        "candidates": [
            {"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP"}
        ],
        "modelVersion": "m",
        "responseId": "r1",
    }
}
GEMINI = {
    "type": "gemini",
    "project_id": "a,b",
    "token": {
        "access_token": "ya29.old",
        "refresh_token": "1//fake",
        "expiry": "2099-01-01T00:00:00Z",
    },
}
ANTIGRAVITY = {
    "type": "antigravity",
    "project_id": "p",
    "access_token": "ya29.old",
    "refresh_token": "1//fake",
    "expired": "2099-01-01T00:00:00Z",
}
QUOTA = {
    "error": {
        "code": 429,
        "status": "RESOURCE_EXHAUSTED",
        "message": "no",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "90s"}],
    }
}


class World(Google):
    """Google and its models. `good`: the one token that is taken; `told`: answers in turn, then good ones."""

    def __init__(self, *tokens, good="", told=()):
        super().__init__(*tokens)
        self.good = good
        self.told = list(told)
        self.asked = []

    async def serve(self, call):
        host = call.url.split("/")[2]
        body = msgspec.json.decode(call.body)
        token = dict(call.headers)[b"Authorization"].decode().removeprefix("Bearer ")
        self.asked.append((host, body.get("project"), token))
        if self.good and token != self.good:
            return Reply(401, {"error": {"code": 401, "message": "no"}}, JSON)
        told = self.told.pop(0) if self.told else ANSWER
        if isinstance(told, Exception):
            raise told
        return told if isinstance(told, Reply) else Reply(200, told, JSON)


JSON = [(b"content-type", b"application/json")]


class Responder:
    def __init__(self):
        self.status, self.body = 0, b""
        self.extra_headers = []
        self.started = False

    async def whole(self, status, _headers, body):
        await trio.lowlevel.checkpoint()
        self.status, self.body = status, body


@asynccontextmanager
async def serving(folder, world, content):
    (folder / "a.json").write_text(json.dumps(content))
    clock = WallClock()
    book = AccountBook(
        folder, transport=world, clock=clock, log=Log(descriptor=-1), options=AccountOptions()
    )
    book.load()
    async with trio.open_nursery() as nursery:
        await nursery.start(book.run)
        table, _ = build(Declared(accounts=book.declared()))
        live = Live(
            table=table,
            pool=Pool(),
            settings=Settings(),
            transport=world,
            clock=clock,
            log=Log(descriptor=-1),
            accounts=book,
        )

        async def ask(model):
            out = Responder()
            body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
            await run(Ask("chat", msgspec.json.encode(body), []), out, live)
            return out

        yield ask
        nursery.cancel_scope.cancel()


async def test_a_refused_token_is_renewed_and_the_same_project_asked_again(
    tmp_path, autojump_clock
):
    world = World(good="ya29.new-1")
    async with serving(tmp_path, world, GEMINI) as ask:
        out = await ask("gemini-2.5-pro")
    assert out.status == 200
    assert b'"Hi"' in out.body
    (_, one, old), (_, other, new) = world.asked
    assert one == other
    assert (old, new) == ("ya29.old", "ya29.new-1")
    assert len(world.forms) == 1


async def test_a_login_that_is_over_is_asked_once(tmp_path, autojump_clock):
    world = World(refusal("invalid_grant"), good="ya29.other")
    async with serving(tmp_path, world, GEMINI) as ask:
        outs = [await ask("gemini-2.5-pro") for _ in range(3)]
    assert outs[0].status == 401
    assert all(out.status >= 400 for out in outs)
    assert len(world.forms) == 1


async def test_a_project_without_quota_hands_on_to_the_next_and_rests(tmp_path, autojump_clock):
    world = World(told=[Reply(429, QUOTA, JSON)])
    async with serving(tmp_path, world, GEMINI) as ask:
        outs = [await ask("gemini-2.5-pro") for _ in range(3)]
    assert {out.status for out in outs} == {200}
    first, *rest = [project for _, project, _ in world.asked]
    assert set(rest) == {"a", "b"} - {first}


@pytest.mark.parametrize(
    "trouble", [Reply(429, QUOTA, JSON), UpstreamBroken("connect", "no route")]
)
async def test_the_next_address_is_asked_where_one_is_not_there_or_has_no_quota(
    tmp_path, autojump_clock, trouble
):
    world = World(told=[trouble, trouble])
    async with serving(tmp_path, world, ANTIGRAVITY) as ask:
        out = await ask("gemini-3-flash-preview")
    assert out.status == 200
    hosts = [url.split("//")[1] for url in google_facts.of("antigravity").base_urls]
    assert [host for host, _, _ in world.asked] == hosts


@pytest.mark.parametrize("status", [400, 403, 500, 503])
async def test_other_answers_are_given_as_they_are(tmp_path, autojump_clock, status):
    world = World(told=[Reply(status, {"error": {"code": status, "message": "no"}}, JSON)])
    async with serving(tmp_path, world, ANTIGRAVITY) as ask:
        out = await ask("gemini-3-flash-preview")
    assert (out.status, len(world.asked)) == (status, 1)


async def test_where_all_addresses_have_no_quota_the_account_rests_as_long_as_told(
    tmp_path, autojump_clock
):
    world = World(told=3 * [Reply(429, QUOTA, JSON)])
    async with serving(tmp_path, world, ANTIGRAVITY) as ask:
        outs = [await ask("gemini-3-flash-preview") for _ in range(2)]
        assert [out.status for out in outs] == [429, 429]
        assert len(world.asked) == 3
        await trio.sleep(91)
        assert (await ask("gemini-3-flash-preview")).status == 200
