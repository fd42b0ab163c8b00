"""Complaints about accounts in other proxies (immunity rows 14, 32, 34), shown not to hold here."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio

from proxy.accounts.pool import Pool
from proxy.auth.book import AccountBook
from proxy.config.declared import Declared
from proxy.config.model import AccountOptions, CopilotOptions, Settings
from proxy.exchange import Live, run
from proxy.routing.build import build
from proxy.telemetry.log import Log
from proxy.upstream import copilot
from proxy.upstream.prepare import Ask
from tests.unit.auth.mock_github import GitHub, Reply, WallClock

pytestmark = pytest.mark.usefixtures("inline_threads")

ANSWER = {
    "id": "c",
    "object": "chat.completion",
    "model": "gpt-4.1",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    ],
}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "gpt-4.1",
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
MISPLACED = {
    "error": {
        "message": "model gpt-4.1 is not accessible via the /chat/completions endpoint",
        "code": "unsupported_api_for_model",
        "type": "invalid_request_error",
    }
}
TOOL = {"name": "read", "input_schema": {"type": "object"}}


class World(GitHub):
    """GitHub and the model endpoints. `good`: the one token that they take, None = any."""

    good: str | None = None
    only: str | None = None
    """The one endpoint that serves."""

    async def send(self, call):
        if "githubcopilot" not in call.url or call.url.endswith("/models"):
            return await super().send(call)
        self.calls.append(call)
        await trio.sleep(0.05)
        headers = {name.lower(): value.decode() for name, value in call.headers}
        if self.good is not None and headers[b"authorization"] != f"Bearer {self.good}":
            return Reply(401, {"error": {"message": "token expired"}})
        if self.only is not None and not call.url.endswith(self.only):
            return Reply(400, MISPLACED)
        kind = [(b"content-type", b"application/json")]
        return Reply(200, RESPONSE if call.url.endswith("/responses") else ANSWER, kind)

    def served(self):
        return [call for call in self.calls if "githubcopilot" in call.url and call.body]


class Out:
    started = False

    def __init__(self):
        self.extra_headers = []

    async def whole(self, status, headers, body):
        self.status, self.body = status, body


@asynccontextmanager
async def world(folder, options=None, **token):
    (folder / "a.json").write_text(
        json.dumps({"type": "copilot", "github_token": "gho_fake", **token})
    )
    clock = WallClock()
    mock = World(clock, None)
    book = AccountBook(
        folder,
        transport=mock,
        clock=clock,
        log=Log(descriptor=-1),
        options=AccountOptions(copilot=options or CopilotOptions()),
    )
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

    def changed():
        live.table = build(Declared(accounts=book.declared()))[0]

    book.on_change = changed
    async with trio.open_nursery() as nursery:
        await nursery.start(book.run)
        mock.calls.clear()
        mock.exchanges = 0
        yield live, mock
        nursery.cancel_scope.cancel()


async def ask(live, body, wire="chat", headers=()):
    out = Out()
    await run(Ask(wire=wire, body=msgspec.json.encode(body), headers=list(headers)), out, live)
    return out


SHAPES = {"chat": "choices", "responses": "output", "anthropic": "content", "gemini": "candidates"}
"""A member that only the answers of this protocol have."""
CHAT = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "hi"}]}
KEPT = {"copilot_token": "tid=kept", "copilot_token_expiry": "2099-01-01T00:00:00Z"}


async def test_row_32_a_401_renews_the_token_and_asks_the_same_account_once_more(
    tmp_path, autojump_clock
):
    async with world(tmp_path, **KEPT) as (live, mock):
        mock.good = "tid=1"
        outs = []

        async def one():
            outs.append((await ask(live, CHAT)).status)

        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(one)
        assert outs == [200] * 100
        assert mock.exchanges == 1
        assert len(mock.served()) == 200
        await ask(live, CHAT)
        assert len(mock.served()) == 201


async def test_row_32_a_token_that_is_refused_though_new_is_told_and_not_asked_for_again(
    tmp_path, autojump_clock
):
    async with world(tmp_path, **KEPT) as (live, mock):
        mock.good = "none will do"
        out = await ask(live, CHAT)
        assert (out.status, mock.exchanges, len(mock.served())) == (401, 1, 2)


async def test_row_32_a_hundred_requests_on_an_expired_token_make_one_exchange(
    tmp_path, autojump_clock
):
    async with world(
        tmp_path, copilot_token="old", copilot_token_expiry="2020-01-01T00:00:00Z"
    ) as (
        live,
        mock,
    ):
        live.accounts._accounts["a.json"].token = None
        statuses = []

        async def one():
            statuses.append((await ask(live, CHAT)).status)

        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(one)
        assert (statuses, mock.exchanges) == ([200] * 100, 1)


async def test_row_32_renewals_go_on_while_the_account_rests(tmp_path, autojump_clock):
    async with world(tmp_path) as (live, mock):
        await ask(live, CHAT)
        credential = live.table.resolve("gpt-4.1").targets[0].candidates[0].credential
        before = live.accounts._accounts["a.json"].token
        live.pool.in_flight[credential.id] = 1
        await trio.sleep(1700)
        assert live.accounts._accounts["a.json"].token is not before
        assert mock.exchanges == 1


@pytest.mark.parametrize("wire", ["chat", "responses", "anthropic", "gemini"])
async def test_row_34_a_model_served_only_on_responses_is_answered_and_remembered(
    tmp_path, autojump_clock, wire
):
    body = {
        "chat": CHAT,
        "responses": {"model": "gpt-4.1", "input": "hi"},
        "anthropic": {**CHAT, "max_tokens": 9},
        "gemini": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
    }[wire]
    async with world(tmp_path) as (live, mock):
        mock.only = "/responses"
        for _ in range(3):
            out = Out()
            model = "gpt-4.1" if wire == "gemini" else ""
            request = Ask(wire=wire, body=msgspec.json.encode(body), headers=[], model=model)
            await run(request, out, live)
            assert out.status == 200
            assert b"Hi" in out.body
            assert SHAPES[wire] in msgspec.json.decode(out.body)
            await trio.sleep(2)
        ends = [call.url.rpartition("/")[2] for call in mock.served()]
        assert ends == ["completions", "responses", "responses", "responses"]


async def test_row_34_another_400_is_the_clients_own(tmp_path, autojump_clock):
    async with world(tmp_path) as (live, mock):
        mock.only = "/nowhere"
        out = await ask(live, CHAT)
        assert out.status == 400
        # Chat, then Responses, which says the same: both were tried, and no more.
        assert len(mock.served()) == 2


async def test_row_14_a_turn_of_ten_tools_costs_one_request_of_a_person(tmp_path, autojump_clock):
    async with world(tmp_path, options=CopilotOptions(initiator="turn")) as (live, mock):
        before = dict(copilot.PROVIDER.calls)
        messages = [{"role": "user", "content": "do it"}]
        for number in range(11):
            body = {"model": "gpt-4.1", "max_tokens": 99, "tools": [TOOL], "messages": messages}
            assert (await ask(live, body, wire="anthropic")).status == 200
            use = {"type": "tool_use", "id": f"t{number}", "name": "read", "input": {}}
            done = {"type": "tool_result", "tool_use_id": f"t{number}", "content": "x"}
            messages = [
                *messages,
                {"role": "assistant", "content": [use]},
                {"role": "user", "content": [done]},
            ]
        said = [dict(call.headers)[b"X-Initiator"] for call in mock.served()]
        assert said == [b"user"] + [b"agent"] * 10
        counted = {who: copilot.PROVIDER.calls[who] - before[who] for who in before}
        assert counted == {b"user": 1, b"agent": 10}


@pytest.mark.parametrize("counted", ["turn", "payload"])
async def test_row_14_the_first_message_of_a_task_handed_on_is_the_agents(
    tmp_path, autojump_clock, counted
):
    async with world(tmp_path, options=CopilotOptions(initiator=counted)) as (live, mock):
        body = {**CHAT, "max_tokens": 9, "tools": [TOOL]}
        await ask(live, body, wire="anthropic", headers=[(b"x-claude-code-agent-id", b"a1")])
        assert dict(mock.served()[0].headers)[b"X-Initiator"] == b"agent"


async def test_row_14_by_default_requests_with_tools_are_the_agents(tmp_path, autojump_clock):
    async with world(tmp_path) as (live, mock):
        await ask(live, {**CHAT, "max_tokens": 9, "tools": [TOOL]}, wire="anthropic")
        assert dict(mock.served()[0].headers)[b"X-Initiator"] == b"agent"
