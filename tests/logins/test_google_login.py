"""The logins of Gemini CLI and Antigravity against a mock Google that checks every parameter and plays
every failure."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from urllib.parse import parse_qs, parse_qsl, urlsplit

import msgspec
import pytest
import trio

from proxy.auth import browser, files, kinds
from proxy.auth.browser import Ticket
from proxy.auth.google import Google
from proxy.auth.login import LoginFailed, Wish, get
from proxy.net.api import UpstreamBroken
from proxy.upstream import google_facts
from tests.unit.auth.mock_github import Reply
from tests.unit.auth.test_browser import Person

METADATA = {
    "ideType": "IDE_UNSPECIFIED",
    "platform": "PLATFORM_UNSPECIFIED",
    "pluginType": "GEMINI",
}
TOKEN = {"access_token": "ya29.new", "refresh_token": "1//new", "expires_in": 3599}
FREE = {"allowedTiers": [{"id": "x"}, {"id": "free-tier", "isDefault": True}]}
STANDARD = {"allowedTiers": [{"id": "standard-tier", "isDefault": True}]}
READY = {"currentTier": {"id": "free-tier"}, "cloudaicompanionProject": "managed-1"}
DONE = {"done": True, "response": {"cloudaicompanionProject": {"id": "managed-2"}}}
TICKET = Ticket("state-1", "verifier-1")


class World:
    """`api.Transport`: answers by the end of the address, in turn, the last one for ever."""

    def __init__(self, **answers):
        first = {
            "token": TOKEN,
            "userinfo": {"email": "dev@example.com"},
            "loadCodeAssist": READY,
            "onboardUser": DONE,
            "projects": {"projects": [{"projectId": "p-1", "name": "One"}, {"projectId": "p-2"}]},
            "service": {"state": "ENABLED"},
            "enable": {},
        }
        self.answers = {
            key: list(told) if isinstance(told, tuple) else [told]
            for key, told in (first | answers).items()
        }
        self.asked = []

    async def send(self, call):
        await trio.lowlevel.checkpoint()
        key = _KEYS[call.url.partition("?")[0].rsplit("/", 1)[1]]
        if key == "token":
            assert (call.method, call.url) == (b"POST", "https://oauth2.googleapis.com/token")
            body = dict(parse_qsl(call.body.decode()))
        else:
            assert dict(call.headers)[b"Authorization"] == b"Bearer ya29.new"
            body = msgspec.json.decode(call.body) if call.body else None
        self.asked.append((key, call.url, body, dict(call.headers)))
        told = self.answers[key]
        told = told[0] if len(told) < 2 else told.pop(0)
        if isinstance(told, Exception):
            raise told
        return told if isinstance(told, Reply) else Reply(200, told)

    def bodies(self, key):
        return [body for name, _, body, _ in self.asked if name == key]


_KEYS = {
    "token": "token",
    "userinfo": "userinfo",
    "v1internal:loadCodeAssist": "loadCodeAssist",
    "v1internal:onboardUser": "onboardUser",
    "projects": "projects",
    "cloudaicompanion.googleapis.com": "service",
    "cloudaicompanion.googleapis.com:enable": "enable",
}


@pytest.fixture
def person(monkeypatch):
    """Who pastes the code at once; no port is bound."""

    async def nobody_listens(*_):
        await trio.lowlevel.checkpoint()
        return False

    monkeypatch.setattr(browser, "_listen", nobody_listens)
    return Person("code-1#{state}")


async def google(world, service="gemini-cli"):
    found = Google(world, service, "")
    await found.redeem("code-1", TICKET, "http://localhost:1/x")
    return found


# Google's page, and the code


@pytest.mark.parametrize(
    ("provider", "address", "redirect", "scopes"),
    [
        (
            "gemini-cli",
            "https://accounts.google.com/o/oauth2/auth",
            "http://localhost:8085/oauth2callback",
            3,
        ),
        (
            "antigravity",
            "https://accounts.google.com/o/oauth2/v2/auth",
            "http://localhost:51121/oauth-callback",
            5,
        ),
    ],
)
def test_every_parameter_of_the_page(provider, address, redirect, scopes):
    url = get(provider, Wish()).url(TICKET)
    query = {key: value for key, (value,) in parse_qs(urlsplit(url).query).items()}
    assert url.partition("?")[0] == address
    asked = query.pop("scope").split(" ")
    assert len(asked) == scopes
    assert all(scope.startswith("https://www.googleapis.com/auth/") for scope in asked)
    challenge = urlsafe_b64encode(hashlib.sha256(b"verifier-1").digest()).rstrip(b"=").decode()
    assert query == {
        "client_id": google_facts.of(provider).client_id,
        "redirect_uri": redirect,
        "response_type": "code",
        "access_type": "offline",
        "prompt": "consent",
        "state": "state-1",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }


@pytest.mark.parametrize("provider", ["gemini-cli", "antigravity"])
async def test_a_login_from_page_to_file(tmp_path, person, provider):
    world = World()
    login = get(provider, Wish())
    account = await login.run(world, person)
    known = google_facts.of(provider)
    (form,) = world.bodies("token")
    assert len(form.pop("code_verifier")) == 128
    assert form == {
        "grant_type": "authorization_code",
        "code": "code-1",
        "client_id": known.client_id,
        "client_secret": known.client_secret,
        "redirect_uri": login.redirect,
    }
    assert world.bodies("loadCodeAssist") == [{"metadata": METADATA}]
    assert world.bodies("onboardUser") == []
    assert (
        account.name
        == {
            "gemini-cli": "dev@example.com-managed-1.json",
            "antigravity": "antigravity-dev_example_com.json",
        }[provider]
    )
    files.create(tmp_path, account.name, account.content)
    file = files.read(tmp_path, account.name)
    kind = kinds.get(file.kind)
    assert kind.name == provider
    assert (file.label, file.text("project_id")) == ("dev@example.com", "managed-1")
    assert kind.login(file) == "1//new"
    assert kind.stored(file).value.reveal() == "ya29.new"
    assert known.client_secret not in (tmp_path / account.name).read_text()


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"token": Reply(400, {"error": "invalid_grant"})}, "gave no token"),
        ({"token": UpstreamBroken("connect", "no route")}, "no route"),
        ({"token": {"access_token": "ya29.new", "expires_in": 1}}, "no lasting login"),
        ({"userinfo": Reply(403, {})}, "status 403"),
        ({"userinfo": {}}, "whose account"),
        ({"userinfo": b"<html>"}, "cannot be read"),
        ({"loadCodeAssist": Reply(403, {"error": {"message": "no\x1b[2J"}})}, "status 403 (no[2J)"),
        ({"loadCodeAssist": UpstreamBroken("timeout", "late")}, "late"),
        ({"loadCodeAssist": FREE, "onboardUser": Reply(500, b"")}, "status 500"),
    ],
)
async def test_every_failure_is_told_in_a_line(person, answers, words):
    answers = {key: Reply(200, v) if isinstance(v, bytes) else v for key, v in answers.items()}
    with pytest.raises(LoginFailed) as caught:
        await get("gemini-cli", Wish()).run(World(**answers), person)
    assert words in str(caught.value)
    assert "1//new" not in str(caught.value)
    assert str(caught.value).isprintable()


async def test_antigravity_is_kept_where_google_names_no_project(person):
    world = World(loadCodeAssist=Reply(403, {}))
    account = await get("antigravity", Wish()).run(world, person)
    assert "project_id" not in account.content
    headers = world.asked[-1][3]
    assert headers[b"X-Goog-Api-Client"] == b"google-cloud-sdk vscode_cloudshelleditor/0.1"


# The project


async def test_a_new_account_is_set_up_and_waited_for(autojump_clock):
    world = World(loadCodeAssist=FREE, onboardUser=({"done": False}, {"done": False}, DONE))
    assert await (await google(world)).project("mine") == "mine"
    assert trio.current_time() == 10
    assert world.bodies("onboardUser")[0] == {"metadata": METADATA, "tierId": "free-tier"}


async def test_a_setting_up_that_never_ends_ends(autojump_clock):
    world = World(loadCodeAssist=FREE, onboardUser={"done": False})
    one = await google(world)
    with pytest.raises(LoginFailed, match="did not finish"):
        await one.project()
    assert trio.current_time() == 180


@pytest.mark.parametrize(
    ("loaded", "wanted", "found", "told"),
    [
        (READY, "", "managed-1", None),
        (READY, "mine", "mine", None),
        ({"currentTier": {"id": "s"}, "cloudaicompanionProject": {"id": "m"}}, "", "m", None),
        (FREE, "", "managed-2", {"tierId": "free-tier"}),
        (STANDARD, "", "", None),
        (
            STANDARD,
            "mine",
            "mine",
            {"tierId": "standard-tier", "cloudaicompanionProject": "mine"},
        ),
        ({}, "mine", "mine", {"tierId": "legacy-tier", "cloudaicompanionProject": "mine"}),
    ],
)
async def test_whose_project_it_is(loaded, wanted, found, told):
    world = World(loadCodeAssist=loaded)
    assert await (await google(world)).project(wanted) == found
    asked = world.bodies("onboardUser")
    assert asked == ([] if told is None else [{"metadata": METADATA, **told}])


async def test_an_account_that_has_to_be_validated_is_told_where():
    reason = {"reasonMessage": "Verify.", "validationUrl": "https://g/v"}
    world = World(loadCodeAssist={"ineligibleTiers": [reason]})
    one = await google(world)
    with pytest.raises(LoginFailed, match=r"Verify\. See https://g/v"):
        await one.project()


@pytest.mark.parametrize(
    ("wish", "typed", "name", "projects"),
    [
        ("", ["2"], "dev@example.com-p-2", "p-2"),
        ("", [" "], "dev@example.com-p-1", "p-1"),
        ("", ["other"], "dev@example.com-other", "other"),
        ("", ["all"], "gemini-dev@example.com-all", "p-1,p-2"),
        ("ALL", [], "gemini-dev@example.com-all", "p-1,p-2"),
        ("a, b,a", [], "gemini-dev@example.com-all", "a,b"),
    ],
)
async def test_projects_of_the_account(person, wish, typed, name, projects):
    person.typed += [f"{word}\n" for word in typed]
    world = World(loadCodeAssist=STANDARD, service={"state": "DISABLED"})
    account = await get("gemini-cli", Wish(project=wish)).run(world, person)
    assert account.name == f"{name}.json"
    assert account.content["project_id"] == projects
    assert account.content["auto"] is False
    assert world.bodies("enable") == [{}] * (projects.count(",") + 1)


async def test_without_a_person_the_project_has_to_be_named(person):
    world = World(loadCodeAssist=STANDARD)
    login = get("gemini-cli", Wish())
    one = await google(world)
    person.typing = False
    with pytest.raises(LoginFailed, match="--project: p-1, p-2"):
        await login._projects(one, person)
    world.answers["projects"] = [{}]
    with pytest.raises(LoginFailed, match="--project"):
        await login._projects(one, person)


async def test_an_api_that_cannot_be_switched_on_ends_the_login():
    off = {"state": "DISABLED"}
    refused = Reply(403, {"error": {"message": "Permission denied"}})
    one = await google(World(service=off, enable=refused))
    with pytest.raises(LoginFailed, match="Permission denied"):
        await one.enable("p-1")
    there = Reply(400, {"error": {"message": "It is already enabled."}})
    await (await google(World(service=Reply(403, {}), enable=there))).enable("p-1")


async def test_all_pages_of_projects_are_read():
    gone = {"projectId": "x", "lifecycleState": "DELETE_REQUESTED"}
    pages = (
        {"projects": [{"projectId": "a"}, gone], "nextPageToken": "t 1"},
        {"projects": [{"projectId": "b"}]},
    )
    world = World(projects=pages)
    found = await (await google(world)).projects()
    assert [project.project_id for project in found] == ["a", "b"]
    assert world.asked[-1][1].endswith("/v1/projects?pageToken=t+1")
