"""The iFlow logins against a mock service that checks every parameter and plays every failure."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from proxy.auth import login as logins
from proxy.auth.browser import Ticket
from proxy.auth.files import seconds_of
from proxy.auth.login import LoginFailed, Wish
from proxy.auth.logins.iflow import cookie_of
from proxy.net.api import UpstreamBroken
from proxy.upstream import facts
from tests.logins.test_qwen_login import Person
from tests.unit.auth.mock_github import Reply
from tests.unit.auth.mock_service import Service

TOKEN_URL = "https://iflow.cn/oauth/token"
USER_URL = "https://iflow.cn/api/oauth/getUserInfo"
KEY_URL = "https://platform.iflow.cn/api/openapi/apikey"
TOKEN = {
    "access_token": "fake-access",
    "refresh_token": "fake-refresh",
    "token_type": "bearer",
    "expires_in": 172800,
    "scope": "read",
}
USER = {"success": True, "data": {"apiKey": "sk-fake-key", "email": "", "phone": "+861234"}}
KEY = {
    "success": True,
    "data": {"name": "de*@x.example", "apiKey": "sk-fake-key", "expireTime": "2099-01-01 00:00"},
}
TICKET = Ticket("state-1", "verifier-1")


def browser():
    return logins.get("iflow", Wish())


def test_the_page():
    url = browser().url(TICKET)
    assert url.startswith("https://iflow.cn/oauth?")
    assert parse_qs(urlsplit(url).query) == {
        "loginMethod": ["phone"],
        "type": ["phone"],
        "redirect": ["http://localhost:11451/oauth2callback"],
        "state": ["state-1"],
        "client_id": ["10009311001"],
    }


async def test_a_code_becomes_an_account(autojump_clock):
    service = Service().on(TOKEN_URL, TOKEN).on(USER_URL, USER)
    account = await browser().finish(service, "code-1", TICKET)
    token, user = service.asked
    secret = facts.of("iflow").login["client-secret"]
    assert token.form == {
        "grant_type": "authorization_code",
        "code": "code-1",
        "redirect_uri": "http://localhost:11451/oauth2callback",
        "client_id": "10009311001",
        "client_secret": secret,
    }
    assert token.headers["authorization"].startswith("Basic ")
    assert user.query == {"accessToken": "fake-access"}
    assert account.name == "iflow-+861234.json"
    content = dict(account.content)
    assert seconds_of(content.pop("expired")) - seconds_of(content.pop("last_refresh")) == 172800
    assert content == {
        "access_token": "fake-access",
        "refresh_token": "fake-refresh",
        "token_type": "bearer",
        "scope": "read",
        "api_key": "sk-fake-key",
        "email": "+861234",
        "cookie": "",
        "type": "iflow",
    }


@pytest.mark.parametrize(
    ("token", "user"),
    [
        (Reply(400, {"error": "invalid_grant"}), USER),
        (UpstreamBroken("connect", "no route"), USER),
        (Reply(200, {}), USER),
        (TOKEN, Reply(500, {})),
        (TOKEN, {"success": False}),
        (TOKEN, {"success": True, "data": {"apiKey": "sk-fake-key"}}),
    ],
)
async def test_a_code_that_gives_no_account(autojump_clock, token, user):
    service = Service().on(TOKEN_URL, token).on(USER_URL, user)
    with pytest.raises(LoginFailed, match="iFlow gave no account"):
        await browser().finish(service, "code-1", TICKET)


async def with_cookie(service, text):
    person = Person(text)
    return await logins.get("iflow", Wish(cookie=True)).run(service, person)


async def test_a_cookie_becomes_an_account(autojump_clock):
    fresh = {**KEY, "data": {**KEY["data"], "apiKey": "sk-fresh-key"}}
    service = Service().on(KEY_URL, KEY, fresh)
    account = await with_cookie(service, "a=b;  BXAuth=fake-session; c=d\n")
    old, new = service.asked
    assert (old.method, old.body, new.method, new.json) == (
        *("GET", b""),
        *("POST", {"name": "de*@x.example"}),
    )
    assert {asked.headers["cookie"] for asked in service.asked} == {"BXAuth=fake-session;"}
    assert old.headers["sec-fetch-site"] == "same-origin"
    assert account.name == "iflow-dex@x.example.json"
    content = dict(account.content)
    assert content.pop("last_refresh")
    assert content == {
        "access_token": "",
        "refresh_token": "",
        "token_type": "",
        "scope": "",
        "api_key": "sk-fresh-key",
        "email": "de*@x.example",
        "expired": "2099-01-01 00:00",
        "cookie": "BXAuth=fake-session;",
        "type": "iflow",
    }


@pytest.mark.parametrize("text", ["", "session=1", "XBXAuth=1", "BXAuth="])
def test_what_is_no_cookie(text):
    with pytest.raises(LoginFailed, match="BXAuth"):
        cookie_of(text)


@pytest.mark.parametrize(
    "answers",
    [
        [Reply(401, {})],
        [{"success": False, "message": "log in first"}],
        [{"success": True, "data": {"apiKey": "sk-fake-key"}}],
        [KEY, Reply(500, {})],
        [KEY, {"success": True, "data": {"name": "x", "apiKey": ""}}],
        [UpstreamBroken("connect", "no route")],
    ],
)
async def test_a_cookie_that_gives_no_account(autojump_clock, answers):
    with pytest.raises(LoginFailed, match="iFlow gave no account") as caught:
        await with_cookie(Service().on(KEY_URL, *answers), "BXAuth=fake-session")
    assert "fake-session" not in str(caught.value)
