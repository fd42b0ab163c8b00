"""Qwen accounts: files, the address that comes with a token, renewals and their failures."""

from __future__ import annotations

import json

import pytest
import trio

from proxy.auth.kinds.qwen import address_of
from proxy.config.model import AccountOptions, ServiceOptions
from proxy.errors import ProxyError
from proxy.net.api import UpstreamBroken
from tests.unit.auth.mock_github import Reply
from tests.unit.auth.mock_service import Service, running

pytestmark = pytest.mark.usefixtures("inline_threads")

TOKEN_URL = "https://chat.qwen.ai/api/v1/oauth2/token"
OVER = "2020-01-01T00:00:00Z"
FILE = {
    "type": "qwen",
    "email": "dev@example.com",
    "access_token": "old-access",
    "refresh_token": "old-refresh",
    "resource_url": "portal.qwen.ai",
    "last_refresh": OVER,
    "expired": "2099-01-01T00:00:00Z",
    "mine": [1.0, None],
}
FRESH = {
    "status": "success",
    "access_token": "new-access",
    "refresh_token": "new-refresh",
    "token_type": "Bearer",
    "resource_url": "dashscope.example",
    "expires_in": 21600,
}


def put(folder, name="qwen-a.json", **more):
    (folder / name).write_text(json.dumps({**FILE, **more}))


def kept(folder, name="qwen-a.json"):
    return json.loads((folder / name).read_bytes())


def credential(book):
    (entry,) = book.declared()
    return entry.credential


@pytest.mark.parametrize(
    ("resource", "address"),
    [
        ("portal.qwen.ai", "https://portal.qwen.ai/v1"),
        (" https://portal.qwen.ai/ ", "https://portal.qwen.ai/v1"),
        ("https://portal.qwen.ai/v1", "https://portal.qwen.ai/v1"),
        ("dashscope.example/compatible-mode/v1", "https://dashscope.example/compatible-mode/v1"),
        ("dashscope.example/compatible-mode", "https://dashscope.example/compatible-mode/v1"),
        ("portal.qwen.ai:8443", "https://portal.qwen.ai:8443/v1"),
        ("http://portal.qwen.ai", ""),
        ("https://user@evil.example", ""),
        ("a b", ""),
        ("", ""),
        ("https://", ""),
        ("x?y=1", ""),
    ],
)
def test_what_a_resource_url_means(resource, address):
    assert address_of(resource) == address


async def test_a_token_that_holds_is_used_as_it_is(tmp_path, autojump_clock):
    put(tmp_path)
    service = Service()
    async with running(tmp_path, service) as book:
        ready = await book.ready(credential(book))
        assert (ready.key.reveal(), ready.base_url) == ("old-access", "https://portal.qwen.ai/v1")
        assert (ready.provider, ready.wire, ready.account) == ("qwen", "chat", "qwen-a.json")
        assert service.asked == []
        assert [view.label for view in book.accounts()] == ["dev@example.com"]


@pytest.mark.parametrize(
    ("more", "options", "address"),
    [
        ({"resource_url": ""}, ServiceOptions(), "https://portal.qwen.ai/v1"),
        ({"resource_url": "q.example"}, ServiceOptions(), "https://q.example/v1"),
        (
            {"resource_url": "q.example"},
            ServiceOptions(base_url="https://mine.example/v1"),
            "https://mine.example/v1",
        ),
    ],
)
async def test_where_requests_go(tmp_path, autojump_clock, more, options, address):
    put(tmp_path, **more)
    said = AccountOptions(services={"qwen": options})
    async with running(tmp_path, Service(), said) as book:
        assert credential(book).base_url == address


async def test_an_expired_token_is_renewed_and_written_with_all_that_came(tmp_path, autojump_clock):
    put(tmp_path, expired=OVER)
    service = Service().on(TOKEN_URL, FRESH)
    async with running(tmp_path, service) as book:
        ready = await book.ready(credential(book))
        assert ready.key.reveal() == "new-access"
        assert ready.base_url == "https://dashscope.example/v1"
        await trio.sleep(1)
    (asked,) = service.asked
    assert (asked.method, asked.headers["accept"]) == ("POST", "application/json")
    assert asked.form == {
        "grant_type": "refresh_token",
        "refresh_token": "old-refresh",
        "client_id": "f0304373b74a44d2b584a3fb70ca9e56",
    }
    found = kept(tmp_path)
    assert found.pop("expired") == "2025-06-15T21:06:40Z"
    assert found.pop("last_refresh") == "2025-06-15T15:06:40Z"
    assert found == {
        "type": "qwen",
        "email": "dev@example.com",
        "access_token": "new-access",
        "refresh_token": "new-refresh",
        "resource_url": "dashscope.example",
        "mine": [1.0, None],
    }


@pytest.mark.parametrize("resource", [None, "", "http://evil.example", "a b"])
async def test_an_address_that_is_none_leaves_the_old_one(tmp_path, autojump_clock, resource):
    put(tmp_path, expired=OVER)
    answer = {**FRESH, "resource_url": resource}
    async with running(tmp_path, Service().on(TOKEN_URL, answer)) as book:
        ready = await book.ready(credential(book))
        assert ready.base_url == "https://portal.qwen.ai/v1"
        await trio.sleep(1)
    assert kept(tmp_path)["resource_url"] == "portal.qwen.ai"


async def test_an_answer_without_a_refresh_token_leaves_the_old_one(tmp_path, autojump_clock):
    put(tmp_path, expired=OVER)
    answer = {"access_token": "new-access", "expires_in": "21600"}
    async with running(tmp_path, Service().on(TOKEN_URL, answer)) as book:
        await book.ready(credential(book))
        await trio.sleep(1)
    found = kept(tmp_path)
    assert (found["refresh_token"], found["access_token"]) == ("old-refresh", "new-access")


async def test_a_token_in_use_is_renewed_three_hours_before_its_end(tmp_path, autojump_clock):
    put(tmp_path, expired=OVER)
    service = Service().on(TOKEN_URL, FRESH)
    async with running(tmp_path, service) as book:
        for _ in range(8):
            await book.ready(credential(book))
            await trio.sleep(1800)
    second = service.asked[1].at
    assert 3 * 3600 - 120 < second < 3 * 3600 + 120


async def test_a_short_token_is_not_renewed_all_the_time(tmp_path, autojump_clock):
    put(tmp_path, expired=OVER)
    service = Service().on(TOKEN_URL, {**FRESH, "expires_in": 3600})
    async with running(tmp_path, service) as book:
        await book.ready(credential(book))
        await trio.sleep(1500)
        assert len(service.asked) == 1


async def test_a_refresh_token_that_rotates_is_used_once(tmp_path, autojump_clock):
    put(tmp_path, expired=OVER)
    seen = []

    def answer(asked):
        seen.append(asked.form["refresh_token"])
        number = len(seen)
        return Reply(200, {**FRESH, "access_token": f"a{number}", "refresh_token": f"r{number}"})

    service = Service().on(TOKEN_URL, answer)
    async with running(tmp_path, service) as book:
        for _ in range(5):
            ready = await book.ready(credential(book))
            await trio.sleep(11)
            assert await book.renew(ready)
            await trio.sleep(0.01)
            assert kept(tmp_path)["refresh_token"] == f"r{len(seen)}"
    assert seen == ["old-refresh", *(f"r{number}" for number in range(1, len(seen)))]
    assert len(set(seen)) == len(seen) == 6


async def test_a_hundred_requests_make_one_renewal(tmp_path, autojump_clock):
    put(tmp_path, expired=OVER)
    service = Service(seconds=0.5).on(TOKEN_URL, FRESH)
    async with running(tmp_path, service) as book:
        got = []

        async def ask():
            got.append((await book.ready(credential(book))).key.reveal())

        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(ask)
    assert (got, len(service.asked)) == (["new-access"] * 100, 1)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": "invalid_grant"}),
        (400, {"error": "invalid_request", "error_description": "Invalid refresh token"}),
        (401, {"error": "invalid_grant", "error_description": "gone: old-refresh"}),
    ],
)
async def test_a_login_that_is_over_is_kept_in_mind(tmp_path, autojump_clock, status, body):
    put(tmp_path, expired=OVER)
    service = Service().on(TOKEN_URL, Reply(status, body))
    async with running(tmp_path, service) as book:
        for _ in range(3):
            with pytest.raises(ProxyError) as caught:
                await book.ready(credential(book))
            assert caught.value.status == 401
            await trio.sleep(3600)
        (view,) = book.accounts()
        assert view.state == "refused"
    assert len(service.asked) == 1
    why = kept(tmp_path)["pointsman_refused"]["why"]
    assert body["error"] in why
    assert "old-refresh" not in why


@pytest.mark.parametrize(
    "answer",
    [
        Reply(403, b"<html>"),
        Reply(400, {"error": "invalid_client"}),
        Reply(500, {"error": "invalid_grant"}),
        Reply(429, {}, [(b"retry-after", b"120")]),
        Reply(200, b"<html>"),
        Reply(200, {"expires_in": 21600}),
        Reply(200, {"access_token": "a\nb", "expires_in": 21600}),
        Reply(200, [1]),
        UpstreamBroken("connect", "no route"),
    ],
)
async def test_what_says_nothing_of_the_login_is_tried_again(tmp_path, autojump_clock, answer):
    put(tmp_path, expired=OVER)
    service = Service().on(TOKEN_URL, answer, FRESH)
    async with running(tmp_path, service) as book:
        with pytest.raises(ProxyError):
            await book.ready(credential(book))
        assert book.accounts()[0].last_error
        await trio.sleep(1805)
        assert (await book.ready(credential(book))).key.reveal() == "new-access"
    assert "pointsman_refused" not in kept(tmp_path)


async def test_a_renewal_waits_as_long_as_the_service_says(tmp_path, autojump_clock):
    put(tmp_path, expired=OVER)
    service = Service().on(TOKEN_URL, Reply(429, {}, [(b"retry-after", b"120")]), FRESH)
    async with running(tmp_path, service) as book:
        for wait in (100, 30):
            with pytest.raises(ProxyError):
                await book.ready(credential(book))
            await trio.sleep(wait)
        assert (await book.ready(credential(book))).key.reveal() == "new-access"
    assert len(service.asked) == 2


async def test_a_proxy_of_the_file_comes_first(tmp_path, autojump_clock):
    put(tmp_path, "qwen-a.json", expired=OVER, proxy_url="http://own:1")
    put(tmp_path, "qwen-b.json", expired=OVER)
    service = Service().on(TOKEN_URL, FRESH)
    options = AccountOptions(
        proxy="http://all:1", services={"qwen": ServiceOptions(proxy="http://qwen:1")}
    )
    async with running(tmp_path, service, options) as book:
        for entry in book.declared():
            await book.ready(entry.credential)
    assert [asked.proxy for asked in service.asked] == ["http://own:1", "http://qwen:1"]
