"""Kiro accounts: three kinds of login, their renewals and failures; both endpoints over a whole exchange."""

from __future__ import annotations

import json

import pytest
import trio

from proxy.accounts.pool import Pool
from proxy.config.declared import Declared
from proxy.config.model import Settings
from proxy.errors import ProxyError
from proxy.exchange import Live, run
from proxy.net.api import UpstreamBroken
from proxy.routing.build import build
from proxy.telemetry.log import Log
from proxy.upstream.prepare import Ask
from proxy.wire.eventstream import frame
from tests.scripted import Out
from tests.unit.auth.mock_github import Reply, WallClock
from tests.unit.auth.mock_service import Service, running

pytestmark = pytest.mark.usefixtures("inline_threads")

SOCIAL = "https://prod.us-east-1.auth.desktop.kiro.dev/refreshToken"
OIDC = "https://oidc.us-east-1.amazonaws.com/token"
FIRST = "https://codewhisperer.us-east-1.amazonaws.com/generateAssistantResponse"
SECOND = "https://q.us-east-1.amazonaws.com/"
OVER = "2020-01-01T00:00:00Z"
FILE = {
    "type": "kiro",
    "access_token": "old-access",
    "refresh_token": "old-refresh",
    "profile_arn": "arn:old",
    "expires_at": OVER,
    "auth_method": "social",
    "provider": "Google",
    "email": "dev@example.com",
    "last_refresh": OVER,
}
CLIENT = {"client_id": "client-1", "client_secret": "secret-1"}
FRESH = {"accessToken": "new-access", "refreshToken": "new-refresh", "expiresIn": 3600}
STREAM = [(b"content-type", b"application/vnd.amazon.eventstream")]


def put(folder, **more):
    (folder / "kiro-a.json").write_text(json.dumps({**FILE, **more}))


def kept(folder):
    return json.loads((folder / "kiro-a.json").read_bytes())


def credential(book):
    (entry,) = book.declared()
    return entry.credential


@pytest.mark.parametrize(
    ("more", "url", "body"),
    [
        ({}, SOCIAL, {"refreshToken": "old-refresh"}),
        ({"auth_method": "builder-id"}, SOCIAL, {"refreshToken": "old-refresh"}),
        ({"auth_method": "builder-id", **CLIENT}, OIDC, None),
        ({"auth_method": "builder-id", "region": "eu-west-1", **CLIENT}, OIDC, None),
        (
            {"auth_method": "idc", "region": "eu-central-1", **CLIENT},
            "https://oidc.eu-central-1.amazonaws.com/token",
            None,
        ),
    ],
)
async def test_a_token_is_renewed_where_its_login_came_from(
    tmp_path, autojump_clock, more, url, body
):
    put(tmp_path, **more)
    service = Service().on(url, FRESH)
    async with running(tmp_path, service) as book:
        assert (await book.ready(credential(book))).key.reveal() == "new-access"
        await trio.sleep(1)
    (asked,) = service.asked
    aws = {
        "clientId": "client-1",
        "clientSecret": "secret-1",
        "refreshToken": "old-refresh",
        "grantType": "refresh_token",
    }
    assert asked.json == (body or aws)
    assert asked.headers.get("user-agent") == (None if body else "KiroIDE")
    found = kept(tmp_path)
    assert found.pop("expires_at") == "2025-06-15T16:06:40Z"
    assert found.pop("last_refresh") == "2025-06-15T15:06:40Z"
    assert found == {
        **{k: v for k, v in {**FILE, **more}.items() if k not in ("expires_at", "last_refresh")},
        "access_token": "new-access",
        "refresh_token": "new-refresh",
    }


async def test_a_profile_that_comes_along_is_kept(tmp_path, autojump_clock):
    put(tmp_path)
    service = Service().on(SOCIAL, {**FRESH, "profileArn": "arn:new"})
    async with running(tmp_path, service) as book:
        await book.ready(credential(book))
        await trio.sleep(1)
        assert credential(book).project == "arn:new"


async def test_a_file_as_the_editor_writes_it(tmp_path, autojump_clock):
    content = {
        "type": "kiro",
        "accessToken": "ide-access",
        "refreshToken": "ide-refresh",
        "profileArn": "arn:ide",
        "expiresAt": "2099-01-01T00:00:00.000Z",
        "authMethod": "social",
    }
    (tmp_path / "kiro-a.json").write_text(json.dumps(content))
    async with running(tmp_path, Service()) as book:
        ready = await book.ready(credential(book))
        assert (ready.key.reveal(), ready.project) == ("ide-access", "arn:ide")


async def test_what_the_editors_names_say_stays_true_after_a_renewal(tmp_path, autojump_clock):
    """Our names come first, so the renewed token counts also where the old one stands beside it."""
    content = {
        "type": "kiro",
        "accessToken": "ide-access",
        "refreshToken": "ide-refresh",
        "expiresAt": OVER,
    }
    (tmp_path / "kiro-a.json").write_text(json.dumps(content))
    async with running(tmp_path, Service().on(SOCIAL, FRESH)) as book:
        await book.ready(credential(book))
        await trio.sleep(1)
    async with running(tmp_path, Service()) as book:
        assert (await book.ready(credential(book))).key.reveal() == "new-access"


@pytest.mark.parametrize(
    ("more", "answer", "lasting"),
    [
        ({}, Reply(401, {"message": "Bad credentials: old-refresh"}), False),
        ({}, Reply(400, {"error": "invalid_grant"}), True),
        ({}, Reply(500, {}), False),
        ({}, Reply(429, {}, [(b"retry-after", b"60")]), False),
        ({}, Reply(200, b"<html>"), False),
        ({}, Reply(200, {"expiresIn": 3600}), False),
        ({}, UpstreamBroken("connect", "no route"), False),
        ({"auth_method": "idc", "region": "x.evil/", **CLIENT}, FRESH, False),
        ({"auth_method": "idc", "region": "\u00df-1", **CLIENT}, FRESH, False),
    ],
)
async def test_failures(tmp_path, autojump_clock, more, answer, lasting):
    put(tmp_path, **more)
    async with running(tmp_path, Service().on(SOCIAL, answer)) as book:
        with pytest.raises(ProxyError):
            await book.ready(credential(book))
        (view,) = book.accounts()
        await trio.sleep(2)
    assert view.last_error
    assert "old-refresh" not in view.last_error
    assert ("pointsman_refused" in kept(tmp_path)) is lasting


def told(text, *more):
    event = {":message-type": "event", ":event-type": "assistantResponseEvent"}
    whole = frame(event, json.dumps({"content": text}).encode())
    return Reply(200, whole + b"".join(more), STREAM)


async def ask(folder, service, *, stream=False):
    async with running(folder, service) as book:
        declared = Declared(accounts=book.declared())
        table, _ = build(declared)
        settings = Settings()
        live = Live(
            table=table,
            pool=Pool(),
            settings=settings,
            transport=service,
            clock=WallClock(),
            log=Log(descriptor=-1),
            accounts=book,
        )
        body = {
            "model": "kiro-claude-sonnet-4-5",
            "messages": [{"role": "user", "content": "hi"}],
            "stream": stream,
        }
        out = Out()
        await run(Ask(wire="chat", body=json.dumps(body).encode(), headers=[]), out, live)
        return out


async def test_a_401_renews_and_asks_the_same_account_once_more(tmp_path, autojump_clock):
    put(tmp_path, expires_at="2099-01-01T00:00:00Z")
    service = Service().on(SOCIAL, FRESH).on(FIRST, Reply(401, {"message": "over"}), told("Hi"))
    out = await ask(tmp_path, service)
    assert (out.status, json.loads(out.body)["choices"][0]["message"]["content"]) == (200, "Hi")
    keys = [asked.headers["authorization"] for asked in service.calls(FIRST)]
    assert keys == ["Bearer old-access", "Bearer new-access"]
    assert len(service.calls(SOCIAL)) == 1


@pytest.mark.parametrize(
    ("said", "calls"),
    [
        ("The bearer token included in the request is invalid.", 2),
        ("Your token: the account is temporarily SUSPENDED", 1),
        ("User is not authorized to make this call.", 1),
    ],
)
async def test_a_403_that_means_the_token(tmp_path, autojump_clock, said, calls):
    put(tmp_path, expires_at="2099-01-01T00:00:00Z")
    service = Service().on(SOCIAL, FRESH).on(FIRST, Reply(403, {"message": said}), told("Hi"))
    out = await ask(tmp_path, service)
    assert len(service.calls(FIRST)) == calls
    assert out.status == (200 if calls == 2 else 403)


async def test_an_endpoint_without_quota_is_passed_over(tmp_path, autojump_clock):
    put(tmp_path, expires_at="2099-01-01T00:00:00Z")
    service = Service().on(FIRST, Reply(429, {"message": "slow"})).on(SECOND, lambda _: told("Hi"))
    out = await ask(tmp_path, service, stream=True)
    assert out.status == 200
    assert b'"content":"Hi"' in out.body
    (second,) = service.calls(SECOND)
    assert second.headers["x-amz-target"].endswith("SendMessage")


async def test_without_quota_anywhere_it_is_a_429(tmp_path, autojump_clock):
    put(tmp_path, expires_at="2099-01-01T00:00:00Z")

    def slow(_):
        return Reply(429, {"__type": "x#ThrottlingException", "message": "slow"})

    service = Service().on(FIRST, slow).on(SECOND, slow)
    assert (await ask(tmp_path, service)).status == 429


async def test_an_exception_before_any_output_is_a_failure(tmp_path, autojump_clock):
    put(tmp_path, expires_at="2099-01-01T00:00:00Z")
    headers = {":message-type": "exception", ":exception-type": "ThrottlingException"}
    service = Service().on(FIRST, Reply(200, frame(headers, b'{"message":"slow"}'), STREAM))
    out = await ask(tmp_path, service, stream=True)
    assert out.status == 429
