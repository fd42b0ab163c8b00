"""The Kiro login at AWS against a mock service that checks every parameter and plays every failure."""

from __future__ import annotations

import re

import pytest

from proxy.auth import login as logins
from proxy.auth.files import seconds_of
from proxy.auth.login import LoginFailed, Wish
from proxy.net.api import UpstreamBroken
from tests.logins.test_qwen_login import Person, pending
from tests.unit.auth.mock_github import Reply
from tests.unit.auth.mock_service import Service

CLIENT = {"clientId": "client-1", "clientSecret": "secret-1", "clientSecretExpiresAt": 1}
CODE = {
    "deviceCode": "dev-1",
    "userCode": "ABCD-1234",
    "verificationUri": "https://device.sso.us-east-1.amazonaws.com/",
    "verificationUriComplete": "https://device.sso.us-east-1.amazonaws.com/?user_code=ABCD-1234",
    "expiresIn": 600,
    "interval": 1,
}
TOKEN = {"accessToken": "aoa-fake", "refreshToken": "aor-fake", "expiresIn": 3600, "tokenType": "B"}


def service(*polls, region="us-east-1", client=CLIENT, code=CODE):
    host = f"https://oidc.{region}.amazonaws.com"
    world = Service().on(f"{host}/client/register", client)
    return world.on(f"{host}/device_authorization", code).on(f"{host}/token", *polls)


async def run(world, person=None, **wish):
    return await logins.get("kiro", Wish(**wish)).run(world, person or Person())


@pytest.mark.parametrize(
    ("wish", "region", "page", "name", "more"),
    [
        (
            {},
            "us-east-1",
            "https://view.awsapps.com/start",
            "kiro-aws-me@x.example.json",
            {"auth_method": "builder-id"},
        ),
        (
            {"start_url": "https://org.awsapps.com/start", "region": "eu-central-1"},
            "eu-central-1",
            "https://org.awsapps.com/start",
            "kiro-idc-me@x.example.json",
            {
                "auth_method": "idc",
                "start_url": "https://org.awsapps.com/start",
                "region": "eu-central-1",
            },
        ),
    ],
)
async def test_every_parameter(autojump_clock, wish, region, page, name, more):
    world, person = service(pending(), TOKEN, region=region), Person()
    account = await run(world, person, label="me@x.example", **wish)
    register, start, *polls = world.asked
    assert register.json == {
        "clientName": "Kiro IDE",
        "clientType": "public",
        "scopes": [
            "codewhisperer:completions",
            "codewhisperer:analysis",
            "codewhisperer:conversations",
            "codewhisperer:transformations",
            "codewhisperer:taskassist",
        ],
        "grantTypes": ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"],
    }
    who = {"clientId": "client-1", "clientSecret": "secret-1"}
    assert start.json == {**who, "startUrl": page}
    grant = "urn:ietf:params:oauth:grant-type:device_code"
    assert [asked.json for asked in polls] == 2 * [
        {**who, "deviceCode": "dev-1", "grantType": grant}
    ]
    assert person.opened == [CODE["verificationUriComplete"]]
    assert account.name == name
    content = dict(account.content)
    assert seconds_of(content.pop("expires_at")) - seconds_of(content.pop("last_refresh")) == 3600
    assert content == {
        "type": "kiro",
        "provider": "AWS",
        "email": "me@x.example",
        "access_token": "aoa-fake",
        "refresh_token": "aor-fake",
        "client_id": "client-1",
        "client_secret": "secret-1",
        **more,
    }


async def test_an_account_without_a_name_gets_one(autojump_clock):
    account = await run(service(TOKEN))
    assert re.fullmatch(r"kiro-aws-\d{5}\.json", account.name)


@pytest.mark.parametrize(
    "wish", [{"region": "us_east"}, {"region": "x/y-1"}, {"start_url": "http://x.example"}]
)
async def test_what_is_no_region_and_no_page(autojump_clock, wish):
    with pytest.raises(LoginFailed, match="--region"):
        await run(service(TOKEN), **wish)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"client": Reply(400, {"error": "invalid_request"})}, "gave no client"),
        ({"client": UpstreamBroken("connect", "no route")}, "cannot be reached"),
        ({"code": Reply(400, {})}, "gave no code"),
    ],
)
async def test_failures(autojump_clock, more, said):
    with pytest.raises(LoginFailed, match=said):
        await run(service(TOKEN, **more))


@pytest.mark.parametrize("word", ["expired_token", "access_denied", "invalid_client"])
async def test_answers_that_end_the_login(autojump_clock, word):
    with pytest.raises(LoginFailed):
        await run(service(pending(), Reply(400, {"error": word})))
