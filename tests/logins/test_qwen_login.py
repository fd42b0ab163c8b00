"""The Qwen login against a mock service that checks every parameter and plays every failure."""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode
from itertools import pairwise

import pytest
import trio

from proxy.auth import login as logins
from proxy.auth.files import seconds_of
from proxy.auth.login import LoginFailed, Wish
from proxy.config.model import AccountOptions, ServiceOptions
from proxy.net.api import UpstreamBroken
from tests.unit.auth.mock_github import Reply
from tests.unit.auth.mock_service import Service

CODE_URL = "https://chat.qwen.ai/api/v1/oauth2/device/code"
TOKEN_URL = "https://chat.qwen.ai/api/v1/oauth2/token"
CLIENT = "f0304373b74a44d2b584a3fb70ca9e56"
CODE = {
    "device_code": "dev-1",
    "user_code": "ABCD-1234",
    "verification_uri": "https://chat.qwen.ai/authorize",
    "verification_uri_complete": "https://chat.qwen.ai/authorize?user_code=ABCD-1234",
    "expires_in": 900,
}
TOKEN = {
    "access_token": "fake-access",
    "refresh_token": "fake-refresh",
    "token_type": "Bearer",
    "resource_url": "portal.qwen.ai",
    "expires_in": 21600,
}


class Person:
    """`login.Terminal`."""

    def __init__(self, *lines, typing=False):
        self.typing = typing
        self.lines = list(lines)
        self.shown = []
        self.opened = []

    def show(self, text):
        self.shown.append(text)

    def code(self, address, code, complete=""):
        self.shown.append(f"{address} {code}")

    def open(self, url):
        self.opened.append(url)

    async def line(self):
        return self.lines.pop(0)


def pending():
    return Reply(400, {"error": "authorization_pending"})


def service(*polls, code=CODE):
    return Service().on(CODE_URL, code).on(TOKEN_URL, *polls)


async def run(world, person=None, **wish):
    return await logins.get("qwen", Wish(**wish)).run(world, person or Person())


async def test_every_parameter(autojump_clock):
    world, person = service(pending(), pending(), TOKEN), Person()
    options = AccountOptions(services={"qwen": ServiceOptions(proxy="http://p:1")})
    account = await run(world, person, label="dev@example.com", options=options)
    start, *polls = world.asked
    assert {asked.proxy for asked in world.asked} == {"http://p:1"}
    challenge = start.form["code_challenge"]
    assert start.form == {
        "client_id": CLIENT,
        "scope": "openid profile email model.completion",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    assert start.headers["accept"] == "application/json"
    assert len(polls) == 3
    for asked in polls:
        verifier = asked.form["code_verifier"]
        digest = hashlib.sha256(verifier.encode()).digest()
        assert challenge == urlsafe_b64encode(digest).rstrip(b"=").decode()
        assert asked.form == {
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "client_id": CLIENT,
            "device_code": "dev-1",
            "code_verifier": verifier,
        }
    assert person.opened == [CODE["verification_uri_complete"]]
    assert account.name == "qwen-dev@example.com.json"
    content = dict(account.content)
    ends, since = content.pop("expired"), content.pop("last_refresh")
    assert seconds_of(ends) - seconds_of(since) == 21600
    assert content == {
        "access_token": "fake-access",
        "refresh_token": "fake-refresh",
        "resource_url": "portal.qwen.ai",
        "email": "dev@example.com",
        "type": "qwen",
    }


async def test_the_person_is_asked_for_a_name_before(autojump_clock):
    account = await run(service(TOKEN), Person("mail@x.example\n", typing=True))
    assert account.name == "qwen-mail@x.example.json"


@pytest.mark.parametrize("person", [Person(), Person("\n", typing=True)])
async def test_an_account_without_a_name_gets_one(autojump_clock, person):
    account = await run(service(TOKEN), person)
    assert re.fullmatch(r"qwen-qwen-\d{13}\.json", account.name)
    assert account.name == f"qwen-{account.content['email']}.json"


async def test_slow_down_waits_longer(autojump_clock):
    slow = [Reply(429, {"error": "slow_down"}) for _ in range(2)]
    world = service(*slow, TOKEN)
    await run(world)
    times = [asked.at for asked in world.calls(TOKEN_URL)]
    assert [round(b - a) for a, b in pairwise(times)] == [11, 16]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("access_denied", "refused on Qwen's page"),
        ("expired_token", "over"),
        ("invalid_grant", "over"),
        ("invalid_client", "client id"),
    ],
)
async def test_answers_that_end_the_login(autojump_clock, word, said):
    with pytest.raises(LoginFailed, match=said):
        await run(service(pending(), Reply(400, {"error": word})))


async def test_a_code_that_nobody_confirmed_is_over(autojump_clock):
    with pytest.raises(LoginFailed, match="over"):
        await run(service(lambda _: pending()))
    assert trio.current_time() == pytest.approx(900, abs=8)


async def test_a_network_that_is_gone_for_a_while(autojump_clock):
    lost = UpstreamBroken("connect", "no route")
    person = Person()
    await run(service(lost, lost, Reply(502, b"<html>"), TOKEN), person, label="x")
    assert person.shown[-1] == "Qwen cannot be reached (no route); trying on"


@pytest.mark.parametrize(
    "code", [Reply(403, {}), Reply(200, b"<html>"), {**CODE, "user_code": "\x1b[31mX"}]
)
async def test_without_a_code_there_is_no_login(autojump_clock, code):
    with pytest.raises(LoginFailed, match="Qwen gave no code"):
        await run(service(code=code))


@pytest.mark.parametrize("resource", [None, "http://evil.example"])
async def test_an_address_that_is_none_is_left_out(autojump_clock, resource):
    account = await run(service({**TOKEN, "resource_url": resource}))
    assert account.content["resource_url"] == ""
