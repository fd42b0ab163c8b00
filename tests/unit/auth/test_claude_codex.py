"""Claude and Codex accounts against token endpoints that check every parameter and play every failure."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from contextlib import asynccontextmanager

import pytest
import trio

from proxy.auth import grants, kinds
from proxy.auth.book import AccountBook
from proxy.auth.files import parse
from proxy.auth.kind import LAST, keeps_secrets
from proxy.auth.kinds.codex import Claims, claims_of
from proxy.config.declared import Declared
from proxy.config.model import AccountOptions, ServiceOptions
from proxy.errors import ProxyError
from proxy.net.api import UpstreamBroken
from proxy.net.fetch import Answer
from proxy.routing.build import build
from proxy.telemetry.log import Log
from tests.unit.auth.mock_github import Reply, WallClock
from tests.unit.auth.mock_oauth import TokenEndpoint

pytestmark = pytest.mark.usefixtures("inline_threads")

CLAUDE_URL = "https://console.anthropic.com/v1/oauth/token"
CODEX_URL = "https://auth.openai.com/oauth/token"
OVER, GOOD = "2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"


def id_token(claims):
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return f"e30.{urlsafe_b64encode(payload).rstrip(b'=').decode()}.c2ln"


PLUS = {
    "aud": "one-text",
    "email": "dev@example.com",
    "https://api.openai.com/auth": {
        "chatgpt_account_id": "acct-1",
        "chatgpt_plan_type": "plus",
    },
}
FILES = {
    "claude": {"type": "claude", "email": "dev@example.com", "refresh_token": "login-0", "x": [1]},
    "codex": {
        "type": "codex",
        "email": "dev@example.com",
        "account_id": "acct-0",
        "refresh_token": "login-0",
        "x": [1],
    },
}
KINDS = ("claude", "codex")


def endpoint(kind, *script, **more):
    if kind == "claude":
        return TokenEndpoint(CLAUDE_URL, "login-0", *script, json=True, **more)
    return TokenEndpoint(CODEX_URL, "login-0", *script, lasts=864000, **more)


def put(folder, kind, name="a.json", **more):
    (folder / name).write_text(json.dumps({**FILES[kind], **more}))


@asynccontextmanager
async def running(folder, service, options=AccountOptions()):  # noqa: B008  # frozen
    book = AccountBook(
        folder, transport=service, clock=WallClock(), log=Log(descriptor=-1), options=options
    )
    book.load()
    async with trio.open_nursery() as nursery:
        await nursery.start(book.run)
        yield book
        nursery.cancel_scope.cancel()


def credential(book):
    return book.declared()[0].credential


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("claude", {"client_id": "9d1c250a-e61b-44d9-88ed-5944d1962f5e"}),
        (
            "codex",
            {"client_id": "app_EMoamEEZ73f0CkXaXp7hrann", "scope": "openid profile email"},
        ),
    ],
)
async def test_every_parameter_and_what_is_kept(tmp_path, autojump_clock, kind, fields):
    put(tmp_path, kind, access_token="old", expired=OVER)
    service = endpoint(kind)
    async with running(tmp_path, service, AccountOptions(proxy="http://p:1")) as book:
        ready = await book.ready(credential(book))
        await trio.sleep(2)
    assert ready.key.reveal() == "access-1"
    expected = {"grant_type": "refresh_token", "refresh_token": "login-0", **fields}
    assert service.asked == [(expected, "http://p:1")]
    kept = json.loads((tmp_path / "a.json").read_bytes())
    assert kept.pop("access_token") == "access-1"
    assert kept.pop("refresh_token") == "login-1"
    assert kept.pop("expired").startswith("2025-06-")
    assert kept.pop("last_refresh") == "2025-06-15T15:06:40Z"
    assert kept == {key: value for key, value in FILES[kind].items() if key != "refresh_token"}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_hundred_requests_make_one_renewal_and_no_login_is_used_twice(
    tmp_path, autojump_clock, kind
):
    put(tmp_path, kind, access_token="old", expired=OVER)
    service = endpoint(kind)
    async with running(tmp_path, service) as book:
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(book.ready, credential(book))
        assert len(service.asked) == 1
        for _ in range(3):
            await trio.sleep(20)
            held = await book.ready(credential(book))
            assert await book.renew(held)  # as after a 401
    assert service.spent == ["login-0", "login-1", "login-2", "login-3"]


@pytest.mark.parametrize(("kind", "lead"), [("claude", 4 * 3600), ("codex", 5 * 86400)])
async def test_a_token_in_use_is_renewed_ahead_of_its_end(tmp_path, autojump_clock, kind, lead):
    put(tmp_path, kind, access_token="old", expired=OVER)
    service = endpoint(kind)
    async with running(tmp_path, service) as book:
        await book.ready(credential(book))
        account = book._accounts["a.json"]
        assert account.token.expires - account.renew_at == pytest.approx(lead, abs=70)
        account.used = float("inf")
        await trio.sleep(service.lasts - lead + 10)
        assert len(service.asked) == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_a_token_that_holds_is_used_as_it_is(tmp_path, autojump_clock, kind):
    put(tmp_path, kind, access_token="kept", expired=GOOD)
    service = endpoint(kind)
    async with running(tmp_path, service) as book:
        assert (await book.ready(credential(book))).key.reveal() == "kept"
    assert service.asked == []


LASTING = [
    ("claude", Reply(400, {"error": "invalid_grant", "error_description": "Refresh token gone"})),
    ("claude", Reply(400, {"type": "error", "error": {"type": "invalid_grant", "message": "x"}})),
    ("codex", Reply(400, {"error": "invalid_grant"})),
    ("codex", Reply(401, {"error": {"code": "refresh_token_reused", "message": "used before"}})),
    ("codex", Reply(401, {"error": {"code": "refresh_token_expired"}})),
]


@pytest.mark.parametrize(("kind", "answer"), LASTING)
async def test_a_login_that_is_over_is_asked_once_also_after_a_restart(
    tmp_path, autojump_clock, kind, answer
):
    put(tmp_path, kind, access_token="old", expired=OVER)
    service = endpoint(kind, answer)
    for _ in range(2):
        async with running(tmp_path, service) as book:
            with pytest.raises(ProxyError) as caught:
                await book.ready(credential(book))
            assert caught.value.status == 401
            await trio.sleep(3600)
            (view,) = book.accounts()
            assert view.state == "refused"
            assert "login-0" not in view.last_error
    assert len(service.asked) == 1


PASSING = [
    (Reply(429, {"error": "rate_limited"}, [(b"retry-after", b"120")]), 120),
    (Reply(500, b"<html>"), 30),
    (Reply(529, {"type": "error", "error": {"type": "overloaded_error"}}), 30),
    (Reply(200, b"garbage"), 30),
    (Reply(200, {"access_token": ""}), 30),
    (Reply(200, {"access_token": "two words"}), 30),
    (Reply(200, {"access_token": 5}), 30),
    (UpstreamBroken("connect", "no route"), 30),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("answer", "after"), PASSING)
async def test_a_failure_that_passes_is_waited_out(tmp_path, autojump_clock, kind, answer, after):
    put(tmp_path, kind, access_token="old", expired=OVER)
    service = endpoint(kind, answer)
    async with running(tmp_path, service) as book:
        with pytest.raises(ProxyError) as caught:
            await book.ready(credential(book))
        assert caught.value.status == 503
        assert caught.value.retry_after == pytest.approx(after, abs=1)
        await trio.sleep(after - 2)
        with pytest.raises(ProxyError):
            await book.ready(credential(book))
        assert len(service.asked) == 1
        await trio.sleep(3)
        assert (await book.ready(credential(book))).key.reveal() == "access-1"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refusal_of_another_kind_does_not_last(tmp_path, autojump_clock, kind):
    put(tmp_path, kind, access_token="old", expired=OVER)
    service = endpoint(kind, Reply(403, b"<html>blocked"))
    async with running(tmp_path, service) as book:
        with pytest.raises(ProxyError) as caught:
            await book.ready(credential(book))
        assert caught.value.status == 401
        await trio.sleep(1900)
        assert (await book.ready(credential(book))).key.reveal() == "access-1"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_failed_renewal_leaves_a_token_that_still_holds(tmp_path, autojump_clock, kind):
    put(tmp_path, kind, access_token="old", expired="2025-06-15T15:10:00Z")  # 200 s from now
    service = endpoint(kind, *[Reply(500, b"")] * 9)
    async with running(tmp_path, service) as book:
        for _ in range(3):
            assert (await book.ready(credential(book))).key.reveal() == "old"
            await trio.sleep(60)
        assert 2 <= len(service.asked) <= 6


async def test_an_answer_without_a_new_login_keeps_the_old_one(tmp_path, autojump_clock):
    put(tmp_path, "claude", access_token="old", expired=OVER)
    service = endpoint("claude", {"access_token": "new", "expires_in": 28800})
    async with running(tmp_path, service) as book:
        await book.ready(credential(book))
        await trio.sleep(2)
    assert json.loads((tmp_path / "a.json").read_bytes())["refresh_token"] == "login-0"


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ({"account": {"uuid": "u", "email_address": "new@example.com"}}, "new@example.com"),
        ({"account": {"email_address": ""}}, "dev@example.com"),
        ({"account": {"email_address": None}}, "dev@example.com"),
        ({"account": None}, "dev@example.com"),
        ({}, "dev@example.com"),
    ],
)
async def test_the_address_of_a_claude_account_is_never_erased(
    tmp_path, autojump_clock, told, kept
):
    put(tmp_path, "claude", access_token="old", expired=OVER)
    async with running(tmp_path, endpoint("claude", more=told)) as book:
        await book.ready(credential(book))
        await trio.sleep(2)
    assert json.loads((tmp_path / "a.json").read_bytes())["email"] == kept


@pytest.mark.parametrize(
    ("token", "claims"),
    [
        (id_token(PLUS), Claims("dev@example.com", "acct-1", "plus")),
        (id_token({"email": 5, "https://api.openai.com/auth": []}), Claims()),
        (id_token({"https://api.openai.com/auth": {"chatgpt_plan_type": ["x"]}}), Claims()),
        (id_token([1]), Claims()),
        (id_token(b"\xff"), Claims()),
        (id_token(b"[" * 2000), Claims()),
        ("a.b", Claims()),
        ("a.%%%.c", Claims()),
        ("a.é.c", Claims()),
        ("", Claims()),
        ("a." + "A" * 100_000 + ".c", Claims()),
    ],
)
def test_claims_are_read_whatever_their_types_are(token, claims):
    assert claims_of(token) == claims


async def test_what_a_codex_id_token_says_is_kept_and_shown(tmp_path, autojump_clock):
    put(tmp_path, "codex", access_token="old", expired=OVER)
    service = endpoint("codex", more={"id_token": id_token(PLUS)})
    async with running(tmp_path, service) as book:
        assert credential(book).headers == (("Chatgpt-Account-Id", "acct-0"),)
        old = credential(book)
        await book.ready(old)
        await trio.sleep(2)
        assert (await book.ready(old)).headers == (("Chatgpt-Account-Id", "acct-1"),)
        (view,) = book.accounts()
        assert (view.plan, view.state, view.label) == ("plus", "ready", "dev@example.com")
        assert credential(book).headers == (("Chatgpt-Account-Id", "acct-1"),)
    kept = json.loads((tmp_path / "a.json").read_bytes())
    assert (kept["account_id"], kept["id_token"]) == ("acct-1", id_token(PLUS))


async def test_a_codex_file_without_its_account_takes_it_from_the_id_token(
    tmp_path, autojump_clock
):
    put(tmp_path, "codex", account_id="", id_token=id_token(PLUS), access_token="t", expired=GOOD)
    options = AccountOptions(services={"codex": ServiceOptions(headers=(("X-A", "b"),))})
    async with running(tmp_path, endpoint("codex"), options) as book:
        headers = credential(book).headers
        assert headers == (("Chatgpt-Account-Id", "acct-1"), ("X-A", "b"))


@pytest.mark.parametrize(
    ("kind", "base", "model"),
    [
        ("claude", "https://api.anthropic.com", "claude-sonnet-4-5-20250929"),
        ("codex", "https://chatgpt.com/backend-api/codex", "gpt-5-codex"),
    ],
)
async def test_accounts_join_their_providers_rotation_with_its_models(
    tmp_path, autojump_clock, kind, base, model
):
    put(tmp_path, kind, access_token="t", expired=GOOD)
    put(
        tmp_path,
        kind,
        "b.json",
        access_token="t2",
        expired=GOOD,
        prefix="team",
        base_url="http://h/",
    )
    async with running(tmp_path, endpoint(kind)) as book:
        table, _ = build(Declared(accounts=book.declared()))
    plan = table.resolve(model)
    found = {c.credential.id: c.credential.base_url for t in plan.targets for c in t.candidates}
    assert found == {"a.json": base, "b.json": "http://h"}
    prefixed = table.resolve(f"team/{model}")
    assert [c.credential.id for t in prefixed.targets for c in t.candidates] == ["b.json"]


def test_no_kind_keeps_state():
    for name in KINDS:
        kind = kinds.get(name)
        assert kind is not None
        assert vars(kind) == {}


@pytest.mark.parametrize(
    ("said", "end"),
    [
        ({}, LAST),
        ({"expired": None}, LAST),
        ({"expired": 1_900_000_000}, 1_900_000_000.0),
        ({"expired": 1_900_000_000_000}, 1_900_000_000.0),
        ({"expired": "1900000000"}, 1_900_000_000.0),
        ({"expired": "2030-03-17T20:46:40+03:00"}, 1_900_000_000.0),
        ({"expired": "at noon"}, 0.0),
    ],
)
def test_when_a_stored_token_ends(said, end):
    file = parse("a.json", json.dumps({"type": "claude", "access_token": "t", **said}).encode())
    token = kinds.get("claude").stored(file)
    assert token is not None
    assert token.expires == end


@pytest.mark.parametrize("value", ["a\nb", "a\r\nX: y", "\u00e9", "", 5, None])
def test_a_stored_token_that_cannot_be_sent_is_none(value):
    file = parse("a.json", json.dumps({"type": "claude", "access_token": value}).encode())
    assert kinds.get("claude").stored(file) is None


@pytest.mark.parametrize("body", [b'{"a":' * 5000, b"[]", b"", b"\xff", b'{"error":"\xff"}'])
def test_an_answer_that_cannot_be_read_is_none(body):
    assert grants.read(body) is None


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://oauth2.googleapis.com/token", True),
        ("http://127.0.0.1:9/token", True),
        ("http://[::1]:9/token", True),
        ("http://localhost/token", True),
        ("http://oauth2.googleapis.com/token", False),
        ("http://localhost.evil/token", False),
        ("http://localhost@evil/token", False),
        ("https://user:secret@h/token", False),
        ("ftp://127.0.0.1/token", False),
        ("https://", False),
        ("https://[x", False),
        ("token", False),
    ],
)
def test_where_a_login_may_be_sent(url, safe):
    assert keeps_secrets(url) is safe


def test_a_service_that_wants_to_be_left_alone_for_no_time_at_all():
    for said, seconds in ((b"nan", 0.0), (b"inf", 86400.0), (b"-1", 0.0), (b"x", 0.0), (b"3", 3.0)):
        assert grants.retry_after(Answer(503, [(b"retry-after", said)], b"")) == seconds
