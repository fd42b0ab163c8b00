"""iFlow accounts: a key that a refresh token or a cookie yields, and what may go wrong with either."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest
import trio

from proxy.config.model import AccountOptions, ServiceOptions
from proxy.errors import ProxyError
from proxy.net.api import UpstreamBroken
from proxy.secret import Secret
from proxy.upstream import facts
from tests.unit.auth.mock_github import Reply
from tests.unit.auth.mock_service import Service, running

pytestmark = pytest.mark.usefixtures("inline_threads")

TOKEN_URL = "https://iflow.cn/oauth/token"
USER_URL = "https://iflow.cn/api/oauth/getUserInfo"
KEY_URL = "https://platform.iflow.cn/api/openapi/apikey"
OVER = "2020-01-01T00:00:00Z"
OAUTH = {
    "type": "iflow",
    "email": "dev@example.com",
    "access_token": "old-access",
    "refresh_token": "old-refresh",
    "api_key": "sk-old-key",
    "token_type": "Bearer",
    "scope": "read",
    "cookie": "",
    "last_refresh": OVER,
    "expired": OVER,
}
COOKIE = {
    **OAUTH,
    "access_token": "",
    "refresh_token": "",
    "token_type": "",
    "scope": "",
    "cookie": "BXAuth=fake-session;",
    "expired": "2020-01-01 00:00",
}
TOKEN = {"access_token": "new-access", "refresh_token": "new-refresh", "expires_in": 172800}
USER = {"success": True, "data": {"apiKey": "sk-new-key", "email": "dev@example.com"}}
KEY = {
    "success": True,
    "code": "200",
    "message": "",
    "data": {
        "hasExpired": False,
        "expireTime": "2099-01-01 00:00",
        "name": "dev@example.com",
        "apiKey": "sk-new-key",
        "apiKeyMask": "sk-***",
    },
}


def put(folder, content, **more):
    (folder / "iflow-a.json").write_text(json.dumps({**content, **more}))


def kept(folder):
    return json.loads((folder / "iflow-a.json").read_bytes())


def oauth(**answers):
    service = Service().on(TOKEN_URL, answers.get("token", TOKEN))
    return service.on(USER_URL, answers.get("user", USER))


def credential(book):
    (entry,) = book.declared()
    return entry.credential


async def test_a_key_that_holds_is_used_as_it_is(tmp_path, autojump_clock):
    put(tmp_path, OAUTH, expired="2099-01-01T00:00:00Z")
    service = Service()
    async with running(tmp_path, service) as book:
        ready = await book.ready(credential(book))
        assert (ready.key.reveal(), ready.base_url) == ("sk-old-key", "https://apis.iflow.cn/v1")
        assert (ready.provider, ready.wire) == ("iflow", "chat")
    assert service.asked == []


async def test_a_key_that_cannot_be_asked_anew_is_used_as_long_as_it_goes(tmp_path, autojump_clock):
    put(tmp_path, OAUTH, refresh_token="")
    async with running(tmp_path, Service()) as book:
        assert (await book.ready(credential(book))).key.reveal() == "sk-old-key"
        assert book.accounts()[0].state == "ready"


@pytest.mark.parametrize(
    ("more", "options", "address"),
    [
        ({"base_url": "https://own.example/v1/"}, ServiceOptions(), "https://own.example/v1"),
        ({"base_url": "no address"}, ServiceOptions(), "https://apis.iflow.cn/v1"),
        ({"base_url": "https://[x"}, ServiceOptions(), "https://apis.iflow.cn/v1"),
        (
            {"base_url": "https://own.example/v1"},
            ServiceOptions(base_url="https://said.example/v1"),
            "https://said.example/v1",
        ),
    ],
)
async def test_where_requests_go(tmp_path, autojump_clock, more, options, address):
    put(tmp_path, OAUTH, **more)
    said = AccountOptions(services={"iflow": options})
    async with running(tmp_path, Service(), said) as book:
        assert credential(book).base_url == address


@pytest.mark.parametrize("secret", ["", "another-secret"])
async def test_a_login_is_renewed_and_its_key_asked_anew(tmp_path, autojump_clock, secret):
    put(tmp_path, OAUTH)
    service = oauth()
    options = AccountOptions(services={"iflow": ServiceOptions(client_secret=Secret(secret))})
    async with running(tmp_path, service, options) as book:
        assert (await book.ready(credential(book))).key.reveal() == "sk-new-key"
        await trio.sleep(1)
    token, user = service.asked
    used = secret or facts.of("iflow").login["client-secret"]
    assert token.form == {
        "grant_type": "refresh_token",
        "refresh_token": "old-refresh",
        "client_id": "10009311001",
        "client_secret": used,
    }
    basic = b64encode(f"10009311001:{used}".encode()).decode()
    assert token.headers["authorization"] == f"Basic {basic}"
    assert (user.method, user.query) == ("GET", {"accessToken": "new-access"})
    found = kept(tmp_path)
    assert found.pop("expired") == "2025-06-17T15:06:40Z"
    assert found.pop("last_refresh") == "2025-06-15T15:06:40Z"
    assert found == {
        **{key: OAUTH[key] for key in ("type", "email", "token_type", "scope", "cookie")},
        "access_token": "new-access",
        "refresh_token": "new-refresh",
        "api_key": "sk-new-key",
    }


async def test_a_cookie_asks_for_its_key_by_name(tmp_path, autojump_clock):
    put(tmp_path, COOKIE)
    service = Service().on(KEY_URL, KEY)
    async with running(tmp_path, service) as book:
        assert (await book.ready(credential(book))).key.reveal() == "sk-new-key"
        await trio.sleep(1)
    (asked,) = service.asked
    assert (asked.method, asked.json) == ("POST", {"name": "dev@example.com"})
    assert asked.headers["cookie"] == "BXAuth=fake-session;"
    assert asked.headers["origin"] == "https://platform.iflow.cn"
    assert asked.headers["referer"] == "https://platform.iflow.cn/"
    assert asked.headers["accept"] == "application/json, text/plain, */*"
    found = kept(tmp_path)
    assert found.pop("last_refresh") == "2025-06-15T15:06:40Z"
    assert found == {
        **{key: value for key, value in COOKIE.items() if key != "last_refresh"},
        "api_key": "sk-new-key",
        "expired": "2099-01-01 00:00",
    }


async def test_a_key_in_use_is_asked_anew_a_day_before_its_end(tmp_path, autojump_clock):
    put(tmp_path, COOKIE, expired="2025-06-17 15:06")
    service = Service().on(KEY_URL, KEY)
    async with running(tmp_path, service) as book:
        for _ in range(60):
            await book.ready(credential(book))
            await trio.sleep(1800)
    assert [asked.at for asked in service.asked] == pytest.approx([86400], abs=120)


async def test_a_refresh_token_that_rotates_is_used_once(tmp_path, autojump_clock):
    put(tmp_path, OAUTH)
    seen = []

    def answer(asked):
        seen.append(asked.form["refresh_token"])
        return Reply(200, {**TOKEN, "refresh_token": f"r{len(seen)}"})

    keys = iter(range(100))

    def user(asked):
        return Reply(200, {"success": True, "data": {"apiKey": f"sk-{next(keys)}", "email": "d"}})

    async with running(tmp_path, oauth(token=answer, user=user)) as book:
        for _ in range(3):
            ready = await book.ready(credential(book))
            await trio.sleep(11)
            assert await book.renew(ready)
            await trio.sleep(0.01)
            assert kept(tmp_path)["refresh_token"] == f"r{len(seen)}"
    assert seen == ["old-refresh", "r1", "r2", "r3"]


async def test_a_new_login_without_its_key_is_not_lost(tmp_path, autojump_clock):
    """The refresh token is spent once the first answer came, also when the second does not come."""
    put(tmp_path, OAUTH)
    service = oauth()
    service.on(USER_URL, Reply(500, {}), USER)
    async with running(tmp_path, service) as book:
        assert (await book.ready(credential(book))).key.reveal() == "sk-old-key"
        await trio.sleep(1)
        assert kept(tmp_path)["refresh_token"] == "new-refresh"
        await trio.sleep(300)
        assert (await book.ready(credential(book))).key.reveal() == "sk-new-key"
    tokens = [asked.form["refresh_token"] for asked in service.calls(TOKEN_URL)]
    assert tokens == ["old-refresh", "new-refresh"]


async def test_a_new_login_is_kept_where_the_server_ends_before_its_key_came(
    tmp_path, autojump_clock
):
    put(tmp_path, OAUTH)
    service = oauth()
    async with running(tmp_path, service) as book:
        with trio.move_on_after(0.15):  # each answer takes 0.1 s
            await book.ready(credential(book))
        assert service.calls(USER_URL)
    assert kept(tmp_path)["refresh_token"] == "new-refresh"


@pytest.mark.parametrize(
    ("content", "url", "answer", "lasting"),
    [
        (OAUTH, TOKEN_URL, Reply(400, {"error": "invalid_grant"}), True),
        (OAUTH, TOKEN_URL, Reply(401, {"error": "invalid_client"}), False),
        (OAUTH, TOKEN_URL, Reply(503, b"<html>"), False),
        (OAUTH, TOKEN_URL, Reply(200, {"code": 500}), False),
        (OAUTH, TOKEN_URL, UpstreamBroken("connect", "no route"), False),
        (OAUTH, USER_URL, Reply(500, {}), False),
        (OAUTH, USER_URL, Reply(200, b"<html>"), False),
        (OAUTH, USER_URL, Reply(200, {"success": False, "data": None}), False),
        (OAUTH, USER_URL, Reply(200, {"success": True, "data": {"apiKey": ""}}), False),
        (OAUTH, USER_URL, UpstreamBroken("closed", "accessToken=new-access"), False),
        (COOKIE, KEY_URL, Reply(401, {}), False),
        (
            COOKIE,
            KEY_URL,
            Reply(200, {"success": False, "message": "BXAuth=fake-session; x"}),
            False,
        ),
        (COOKIE, KEY_URL, Reply(200, b"<html>"), False),
        (COOKIE, KEY_URL, Reply(200, {"success": True, "data": {}}), False),
        (COOKIE, KEY_URL, Reply(429, {}, [(b"retry-after", b"60")]), False),
        (COOKIE, KEY_URL, UpstreamBroken("timeout", "late"), False),
        (COOKIE, KEY_URL, {**KEY, "data": {"name": "dev@example.com", "apiKey": ""}}, False),
        ({**COOKIE, "email": ""}, KEY_URL, KEY, False),
        ({**COOKIE, "cookie": "BXAuth=\u00e9;"}, KEY_URL, KEY, True),
    ],
)
async def test_failures(tmp_path, autojump_clock, content, url, answer, lasting):
    put(tmp_path, content, api_key="")
    service = oauth().on(KEY_URL, KEY)
    service.on(url, answer)
    async with running(tmp_path, service) as book:
        with pytest.raises(ProxyError):
            await book.ready(credential(book))
        (view,) = book.accounts()
        await trio.sleep(2)
    assert ("pointsman_refused" in kept(tmp_path)) is lasting
    assert view.last_error
    assert "new-access" not in view.last_error
    assert "fake-session" not in view.last_error
