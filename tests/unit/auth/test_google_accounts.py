"""Gemini CLI, Antigravity and Vertex accounts against a mock Google: files, renewals, refusals, lists."""

from __future__ import annotations

import base64
import json
from contextlib import asynccontextmanager

import pytest
import trio
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from proxy.auth import files, kinds
from proxy.auth.book import AccountBook
from proxy.config.declared import Declared
from proxy.config.model import AccountOptions
from proxy.errors import ProxyError
from proxy.net.api import UpstreamBroken
from proxy.routing.build import build
from proxy.telemetry.log import Log
from proxy.upstream import google_facts
from tests.unit.auth.mock_github import Reply, WallClock
from tests.unit.auth.mock_google import TOKEN_URL, Google, refusal

OVER = "2020-01-01T00:00:00Z"
FAR = "2099-01-01T00:00:00Z"
SECRET = "GOCSPX-"

pytestmark = pytest.mark.usefixtures("inline_threads")


def gemini(expiry=OVER, **more):
    token = {
        "access_token": "ya29.old",
        "refresh_token": "1//fake",
        "token_type": "Bearer",
        "expiry": expiry,
        "scopes": ["a"],
    }
    return {"type": "gemini", "email": "dev@example.com", "project_id": "p1", "token": token} | more


def antigravity(expired=OVER, **more):
    return {
        "type": "antigravity",
        "email": "dev@example.com",
        "project_id": "p1",
        "access_token": "ya29.old",
        "refresh_token": "1//fake",
        "expired": expired,
        "mine": [1.0],
    } | more


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key, form=serialization.PrivateFormat.PKCS8):
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, plain).decode()


def vertex(private_key, **more):
    account = {
        "type": "service_account",
        "project_id": "p1",
        "private_key_id": "k1",
        "private_key": private_key,
        "client_email": "svc@p1.iam.gserviceaccount.com",
        "token_uri": TOKEN_URL,
    }
    return {"type": "vertex", "project_id": "p1", "service_account": account} | more


@asynccontextmanager
async def running(folder, google, content=None, name="a.json"):
    if content is not None:
        (folder / name).write_text(json.dumps(content))
    book = AccountBook(
        folder,
        transport=google,
        clock=WallClock(),
        log=Log(descriptor=-1),
        options=AccountOptions(),
    )
    book.load()
    async with trio.open_nursery() as nursery:
        await nursery.start(book.run)
        yield book
        nursery.cancel_scope.cancel()


def first(book):
    return book.declared()[0].credential


def stored(folder, name="a.json"):
    return json.loads((folder / name).read_text())


# Renewals, of all three


@pytest.mark.parametrize("make", [gemini, antigravity])
async def test_a_renewal_asks_as_the_services_client_and_is_written(tmp_path, autojump_clock, make):
    google = Google()
    async with running(tmp_path, google, make()) as book:
        google.forms.clear()
        book._accounts["a.json"].token = None
        ready = await book.ready(first(book))
    assert ready.key.reveal() == "ya29.new-1"
    (form,) = google.forms
    known = google_facts.of("antigravity" if make is antigravity else "gemini-cli")
    assert form == {
        "client_id": known.client_id,
        "client_secret": known.client_secret,
        "grant_type": "refresh_token",
        "refresh_token": "1//fake",
    }
    assert form["client_secret"].startswith(SECRET)
    file = files.read(tmp_path, "a.json")
    token = kinds.get(file.kind).stored(file)
    assert token.value.reveal() == "ya29.new-1"
    assert token.expires == pytest.approx(1_750_003_599, abs=10)
    left = stored(tmp_path)
    if make is gemini:
        assert left["token"]["scopes"] == ["a"]
        assert left["token"]["refresh_token"] == "1//fake"
    else:
        assert left["mine"] == [1.0]
        assert left["timestamp"] == pytest.approx(1_750_000_000_000, abs=10_000)
        assert left["expires_in"] == pytest.approx(3599, abs=1)


@pytest.mark.parametrize("make", [gemini, antigravity])
async def test_a_new_refresh_token_takes_the_place_of_the_old_one(tmp_path, autojump_clock, make):
    rotated = {"access_token": "t", "expires_in": 3599, "refresh_token": "1//second"}
    google = Google(rotated, None)
    async with running(tmp_path, google, make()) as book:
        account = book._accounts["a.json"]
        for _ in range(2):
            account.token = None
            await book.ready(first(book))
    used = [form["refresh_token"] for form in google.forms]
    assert used[0] == "1//fake"
    assert set(used[1:]) == {"1//second"}
    file = files.read(tmp_path, "a.json")
    assert kinds.get(file.kind).login(file) == "1//second"


@pytest.mark.parametrize("make", [gemini, antigravity])
@pytest.mark.parametrize(
    ("answer", "state", "status", "lasts"),
    [
        (refusal("invalid_grant", "Token has been expired or revoked."), "refused", 401, True),
        (refusal("invalid_client", "no", 401), "failing", 401, False),
        (Reply(429, {}, [(b"retry-after", b"120")]), "failing", 503, False),
        (Reply(503, b"<html>"), "failing", 503, False),
        (Reply(200, b"no JSON"), "failing", 503, False),
        (Reply(200, {"expires_in": 3599}), "failing", 503, False),
        (Reply(200, {"access_token": "a\nb", "expires_in": 3599}), "failing", 503, False),
        (UpstreamBroken("connect", "no route"), "failing", 503, False),
    ],
)
async def test_every_failure_of_a_renewal(
    tmp_path, autojump_clock, make, answer, state, status, lasts
):
    google = Google(answer)
    async with running(tmp_path, google, make()) as book:
        with pytest.raises(ProxyError) as caught:
            await book.ready(first(book))
        (view,) = book.accounts()
    assert (caught.value.status, view.state) == (status, state)
    assert "1//fake" not in view.last_error
    assert (files.REFUSED in stored(tmp_path)) is lasts
    if isinstance(answer, Reply) and answer.status == 429:
        assert caught.value.retry_after == pytest.approx(120, abs=2)


async def test_a_token_that_the_service_gave_no_end_is_used_until_it_is_refused(
    tmp_path, autojump_clock
):
    content = gemini()
    del content["token"]["expiry"]
    google = Google()
    async with running(tmp_path, google, content) as book:
        ready = await book.ready(first(book))
        assert (ready.key.reveal(), google.forms) == ("ya29.old", [])
        assert await book.renew(ready)
        assert (await book.ready(first(book))).key.reveal() == "ya29.new-1"


# Gemini CLI


async def test_fields_at_the_top_of_a_gemini_file_count_too(tmp_path, autojump_clock):
    flat = {
        "type": "gemini-cli",
        "access_token": "ya29.flat",
        "refresh_token": "1//flat",
        "expiry": OVER,
    }
    google = Google()
    async with running(tmp_path, google, flat) as book:
        await book.ready(first(book))
    assert google.forms[0]["refresh_token"] == "1//flat"
    token = stored(tmp_path)["token"]
    assert (token["access_token"], token["refresh_token"]) == ("ya29.new-1", "1//flat")


async def test_each_project_is_a_credential_and_one_token_serves_all(tmp_path, autojump_clock):
    google = Google()
    content = gemini(FAR, project_id=" a, b/c,,a ", prefix="g")
    async with running(tmp_path, google, content) as book:
        both = [entry.credential for entry in book.declared()]
        ready = [await book.ready(each) for each in both]
        table, _ = build(Declared(accounts=book.declared()))
        plan = table.resolve("g/gemini-2.5-pro")
    assert [(c.id, c.project) for c in both] == [("a.json::a", "a"), ("a.json::b_c", "b/c")]
    assert [(c.id, c.project) for c in ready] == [(c.id, c.project) for c in both]
    assert {c.key.reveal() for c in ready} == {"ya29.old"}
    assert len({c.account for c in both}) == 1
    assert [c.credential.project for c in plan.targets[0].candidates] == ["a", "b/c"]


@pytest.mark.parametrize(("said", "project"), [("p1", "p1"), ("p1, p1", "p1"), ("", "")])
async def test_one_project_keeps_the_files_name(tmp_path, autojump_clock, said, project):
    async with running(tmp_path, Google(), gemini(FAR, project_id=said)) as book:
        (entry,) = book.declared()
    assert (entry.credential.id, entry.credential.project) == ("a.json", project)


# Antigravity


async def test_the_list_of_an_antigravity_account_is_the_services(tmp_path, autojump_clock):
    google = Google()
    async with running(tmp_path, google, antigravity(FAR)) as book:
        (entry,) = book.declared()
    names = {upstream: listed.id for upstream, listed in entry.listed}
    assert names == {
        "claude-sonnet-4-5-thinking": "gemini-claude-sonnet-4-5-thinking",
        "gemini-3-flash": "gemini-3-flash-preview",
        "new-model": "new-model",
    }
    (call,) = google.calls
    headers = dict(call.headers)
    assert headers[b"Authorization"] == b"Bearer ya29.old"
    assert headers[b"User-Agent"].startswith(b"antigravity/")


async def test_the_list_comes_from_the_next_address_where_one_is_not_there(
    tmp_path, autojump_clock
):
    first_url, second, _ = (url.split("//")[1] for url in google_facts.of("antigravity").base_urls)
    broken = UpstreamBroken("connect", "no route")
    google = Google(models={first_url: broken, second: Reply(429, {})})
    async with running(tmp_path, google, antigravity(FAR)) as book:
        (entry,) = book.declared()
    assert len(google.calls) == 3
    assert "new-model" in dict(entry.listed)


@pytest.mark.parametrize("answer", [Reply(403, {}), Reply(200, b"[]"), Reply(200, {"models": 1})])
async def test_until_a_list_comes_what_is_known_of_all_accounts_holds(
    tmp_path, autojump_clock, answer
):
    hosts = [url.split("//")[1] for url in google_facts.of("antigravity").base_urls]
    google = Google(models=dict.fromkeys(hosts, answer))
    async with running(tmp_path, google, antigravity(FAR)) as book:
        (entry,) = book.declared()
    assert "claude-sonnet-4-5" in dict(entry.listed)
    assert len(google.calls) == 1


async def test_what_an_antigravity_file_may_say_of_its_own(tmp_path, autojump_clock):
    content = antigravity(
        "", base_url="http://h/", user_agent="mine/1", timestamp=1_750_000_000_000
    )
    content["expires_in"] = 3599
    async with running(tmp_path, Google(), content) as book:
        one = first(book)
        ready = await book.ready(one)
        assert book._accounts["a.json"].token.expires == 1_750_003_599
    assert (one.base_url, one.mirrors, one.headers) == ("http://h", (), (("User-Agent", "mine/1"),))
    assert ready.key.reveal() == "ya29.old"


# Vertex


@pytest.mark.parametrize(
    "form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL]
)
async def test_a_service_account_signs_for_its_token(tmp_path, autojump_clock, key, form):
    google = Google()
    content = vertex(pem(key, form))
    async with running(tmp_path, google, content) as book:
        ready = [await book.ready(first(book)) for _ in range(3)]
    assert {one.key.reveal() for one in ready} == {"ya29.new-1"}
    (sent,) = google.forms
    assert sent["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert set(sent) == {"grant_type", "assertion"}
    head, claims, signature = sent["assertion"].split(".")
    decoded = [json.loads(base64.urlsafe_b64decode(part + "==")) for part in (head, claims)]
    assert decoded[0] == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    assert decoded[1].pop("exp") - decoded[1].pop("iat") == 3600
    assert decoded[1] == {
        "iss": "svc@p1.iam.gserviceaccount.com",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": TOKEN_URL,
    }
    key.public_key().verify(
        base64.urlsafe_b64decode(signature + "=="),
        f"{head}.{claims}".encode(),
        padding.PKCS1v15(),
        hashes.SHA256(),
    )
    assert stored(tmp_path) == content


@pytest.mark.parametrize(
    ("more", "url"),
    [
        ({}, "https://us-central1-aiplatform.googleapis.com/v1/projects/p1/locations/us-central1"),
        (
            {"location": "europe-west4", "project_id": "", "project": "p2"},
            "https://europe-west4-aiplatform.googleapis.com/v1/projects/p2/locations/europe-west4",
        ),
        (
            {"location": "global"},
            "https://aiplatform.googleapis.com/v1/projects/p1/locations/global",
        ),
        (
            {"location": "evil.example/#", "project_id": ""},
            "https://us-central1-aiplatform.googleapis.com/v1/projects/p1/locations/us-central1",
        ),
        (
            {"location": "evil.example", "project_id": "a/../b"},
            "https://us-central1-aiplatform.googleapis.com/v1/projects/-/locations/us-central1",
        ),
    ],
)
async def test_where_a_service_account_asks(tmp_path, autojump_clock, more, url):
    async with running(tmp_path, Google(), vertex("x", **more)) as book:
        assert first(book).base_url == url


@pytest.mark.parametrize(
    ("private_key", "answer", "state"),
    [
        ("no key", None, "refused"),
        ("", None, "refused"),
        (None, refusal("invalid_grant", "Invalid JWT Signature."), "refused"),
        (None, refusal("invalid_grant", "Invalid JWT: Token must be a short-lived"), "failing"),
        (None, Reply(500, b""), "failing"),
    ],
)
async def test_every_failure_of_a_service_account(
    tmp_path, autojump_clock, key, private_key, answer, state
):
    content = vertex(pem(key) if private_key is None else private_key)
    async with running(tmp_path, Google(answer), content) as book:
        with pytest.raises(ProxyError):
            await book.ready(first(book))
        (view,) = book.accounts()
    assert view.state == state
    assert "PRIVATE" not in view.last_error
