"""The account book against a mock GitHub, on a clock that jumps: one exchange for all who wait, renewals
ahead of time, refusals that last, files that come, change and go."""

from __future__ import annotations

import json
import time
from contextlib import asynccontextmanager

import pytest
import trio

from proxy.accounts.pool import Pool
from proxy.auth import files
from proxy.auth.book import AccountBook
from proxy.config.declared import Declared
from proxy.config.model import AccountOptions, Candidate, CopilotOptions
from proxy.errors import ProxyError
from proxy.net.api import UpstreamBroken
from proxy.routing.build import build
from proxy.secret import Secret
from proxy.telemetry.log import Log
from tests.unit.auth.mock_github import GitHub, Reply, WallClock

FILE = {
    "type": "copilot",
    "github_token": "gho_fake",
    "account_type": "individual",
    "email": "dev@example.com",
    "mine": {"kept": [1.0, None]},
}


pytestmark = pytest.mark.usefixtures("inline_threads")


def put(folder, name="a.json", **more):
    (folder / name).write_text(json.dumps({**FILE, **more}))


@asynccontextmanager
async def running(folder, *tokens, options=None, log=None, **more):
    clock = WallClock()
    github = GitHub(clock, *(tokens or (None,)), **more)
    book = AccountBook(
        folder,
        transport=github,
        clock=clock,
        log=log or Log(descriptor=-1),
        options=AccountOptions(copilot=options or CopilotOptions()),
    )
    book.load()
    async with trio.open_nursery() as nursery:
        await nursery.start(book.run)
        yield book, github
        nursery.cancel_scope.cancel()


def credential(book, wire="chat"):
    return next(a.credential for a in book.declared() if a.credential.wire == wire)


async def test_a_hundred_requests_on_an_expired_token_make_one_exchange(tmp_path, autojump_clock):
    put(tmp_path, copilot_token="old", copilot_token_expiry="2020-01-01T00:00:00Z")
    async with running(tmp_path, seconds=0.5) as (book, github):
        book._accounts["a.json"].token = None
        before, got = github.exchanges, []

        async def ask():
            got.append((await book.ready(credential(book))).key.reveal())

        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(ask)
        assert github.exchanges == before + 1
        assert len(got) == 100
        assert len(set(got)) == 1


async def test_a_client_that_leaves_does_not_end_the_exchange_of_the_others(
    tmp_path, autojump_clock
):
    put(tmp_path)
    async with running(tmp_path) as (book, github):
        book._accounts["a.json"].token = None
        github.exchanges = 0
        got = []

        async def ask(scope):
            with scope:
                got.append((await book.ready(credential(book))).key)

        first = trio.CancelScope()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, first)
            await trio.sleep(0.01)
            nursery.start_soon(ask, trio.CancelScope())
            await trio.sleep(0.01)
            first.cancel()
        assert (len(got), github.exchanges) == (1, 1)


async def test_a_token_is_kept_in_the_file_with_everything_else(tmp_path, autojump_clock):
    put(tmp_path)
    async with running(tmp_path) as (book, _):
        key = (await book.ready(credential(book))).key
        await trio.sleep(3)
    kept = json.loads((tmp_path / "a.json").read_bytes())
    assert kept.pop("copilot_token") == key.reveal()
    assert kept.pop("copilot_token_expiry").endswith("Z")
    assert kept == FILE
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


async def test_a_token_that_still_holds_is_used_without_asking(tmp_path, autojump_clock):
    put(tmp_path, copilot_token="tid=kept", copilot_token_expiry="2099-01-01T00:00:00Z")
    async with running(tmp_path) as (book, github):
        assert (await book.ready(credential(book))).key.reveal() == "tid=kept"
        assert github.exchanges == 0


async def test_a_token_in_use_is_renewed_ahead_of_its_end(tmp_path, autojump_clock):
    put(tmp_path)
    async with running(tmp_path) as (book, github):
        await book.ready(credential(book))
        await trio.sleep(1600)
        assert github.exchanges == 2
        await book.ready(credential(book))
        assert github.exchanges == 2


async def test_a_token_that_nobody_uses_is_left_alone(tmp_path, autojump_clock):
    put(tmp_path)
    async with running(tmp_path) as (_, github):
        await trio.sleep(4000)
        assert github.exchanges == 1


async def test_a_refused_login_is_asked_once_also_after_a_restart(tmp_path, autojump_clock):
    put(tmp_path)
    for _ in range(2):
        async with running(tmp_path, Reply(401, {"message": "Bad credentials"})) as (book, github):
            for _ in range(3):
                with pytest.raises(ProxyError) as caught:
                    await book.ready(credential(book))
                assert caught.value.status == 401
            await trio.sleep(100)
            (view,) = book.accounts()
            assert view.state == "refused"
            assert view.last_error.startswith("copilot_auth_rejected")
            asked = github.exchanges
    assert asked == 0
    put(tmp_path, github_token="gho_new")
    async with running(tmp_path) as (book, _):
        assert (await book.ready(credential(book))).key


async def test_no_subscription_is_told_and_looked_at_again_later(tmp_path, autojump_clock):
    put(tmp_path)
    answer = Reply(403, {"message": "no seat"})
    async with running(tmp_path, answer, None) as (book, github):
        with pytest.raises(ProxyError) as caught:
            await book.ready(credential(book))
        assert caught.value.status == 401
        assert "no seat" in book.accounts()[0].last_error
        await trio.sleep(1900)
        await book.ready(credential(book))
        assert github.exchanges == 2


@pytest.mark.parametrize(
    "broken", [Reply(500, {}), Reply(200, b"<html>"), UpstreamBroken("connect", "refused")]
)
async def test_a_stumble_is_503_for_a_while_and_then_over(tmp_path, autojump_clock, broken):
    put(tmp_path)
    async with running(tmp_path, broken, None) as (book, github):
        for _ in range(5):
            with pytest.raises(ProxyError) as caught:
                await book.ready(credential(book))
        assert caught.value.status == 503
        assert 0 < caught.value.retry_after <= 30
        assert github.exchanges == 1
        await trio.sleep(31)
        assert (await book.ready(credential(book))).key


async def test_a_failed_renewal_leaves_the_token_in_use_until_it_ends(tmp_path, autojump_clock):
    put(tmp_path)
    async with running(tmp_path, None, Reply(500, {})) as (book, _):
        await book.ready(credential(book))
        account = book._accounts["a.json"]
        await trio.sleep(account.token.expires - book._clock.now() - 30)
        assert (await book.ready(credential(book))).key.reveal() == "tid=1"
        await trio.sleep(40)
        with pytest.raises(ProxyError):
            await book.ready(credential(book))


async def test_a_401_renews_once_for_all_who_got_it(tmp_path, autojump_clock):
    put(tmp_path, copilot_token="tid=kept", copilot_token_expiry="2099-01-01T00:00:00Z")
    async with running(tmp_path) as (book, github):
        used = await book.ready(credential(book))
        answers = []

        async def renew():
            answers.append(await book.renew(used))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(renew)
        assert (answers, github.exchanges) == ([True] * 20, 1)
        assert await book.renew(used)
        assert github.exchanges == 1
        fresh = await book.ready(credential(book))
        assert fresh.key != used.key
        assert not await book.renew(fresh)  # it was renewed a moment ago: the fault lies elsewhere


async def test_files_that_come_change_and_go_are_noticed_within_two_seconds(
    tmp_path, autojump_clock
):
    put(tmp_path)
    async with running(tmp_path) as (book, _):
        generations = []
        book.on_change = lambda: generations.append(len(book.declared()))
        await trio.sleep(5)
        generations.clear()
        put(tmp_path, "b.json", github_token="gho_b")
        await trio.sleep(2)
        assert {view.name for view in book.accounts()} == {"a.json", "b.json"}
        assert generations
        put(tmp_path, "a.json", disabled=True)
        await trio.sleep(2)
        assert {a.credential.account for a in book.declared()} == {"b.json"}
        assert book.accounts()[0].state == "paused"
        draft = tmp_path / "draft"
        draft.write_text(json.dumps({**FILE, "email": "new@example.com"}))
        draft.rename(tmp_path / "a.json")
        (tmp_path / "b.json").unlink()
        await trio.sleep(2)
        assert [view.label for view in book.accounts()] == ["new@example.com"]
        with pytest.raises(ProxyError):
            await book.ready(credential(book).__class__(**_gone(book)))


async def test_new_settings_hold_from_the_next_request_on(tmp_path, autojump_clock):
    put(tmp_path)
    async with running(tmp_path) as (book, _):
        await book.ready(credential(book))
        copilot = CopilotOptions(base_url="https://new.test")
        book.configure(AccountOptions(copilot=copilot, proxy="http://proxy:1"))
        told = await book.ready(credential(book))
        assert (told.base_url, told.proxy) == ("https://new.test", "http://proxy:1")
        assert told.key


async def test_a_clock_that_goes_wrong_asks_no_more_often(tmp_path, autojump_clock):
    put(tmp_path)
    told = {"token": "tid=1", "expires_at": 1, "refresh_in": 1500}
    async with running(tmp_path, told) as (book, github):
        for _ in range(5):
            assert (await book.ready(credential(book))).key
        assert github.exchanges == 1
    put(tmp_path)
    async with running(tmp_path, {"token": "tid=1", "expires_at": 1}) as (book, github):
        for _ in range(5):
            with pytest.raises(ProxyError):
                await book.ready(credential(book))
        assert github.exchanges == 1
        assert "clock" in book.accounts()[0].last_error


@pytest.mark.parametrize("end", [1.8e12, 1e300, -1e300])
async def test_a_time_that_is_none_costs_one_token_not_the_server(tmp_path, autojump_clock, end):
    """Milliseconds, say."""
    put(tmp_path)
    told = {"token": "tid=1", "expires_at": end, "refresh_in": 1500}
    async with running(tmp_path, told, None) as (book, _):
        with pytest.raises(ProxyError):
            await book.ready(credential(book))
        assert book.accounts()[0].last_error
        await trio.sleep(31)
        assert (await book.ready(credential(book))).key


async def test_answers_in_another_encoding_are_no_fault_of_ours(tmp_path, autojump_clock):
    put(tmp_path)
    latin = b'{"message": "caf\xe9", "token": "caf\xe9", "expires_at": 1, "data": [{"id": "\xe9"}]}'
    async with running(tmp_path, Reply(403, latin)) as (book, _):
        assert "copilot_no_subscription" in book.accounts()[0].last_error
    put(tmp_path, "b.json", github_token="gho_b")
    (tmp_path / "a.json").unlink()
    async with running(tmp_path, Reply(200, latin)) as (book, _):
        assert book.accounts()[0].last_error.startswith("copilot_upstream_error")
    async with running(tmp_path, None, models=Reply(200, latin)) as (book, _):
        assert (await book.ready(credential(book))).key


async def test_a_folder_that_cannot_be_read_is_told_once_and_looked_at_again(
    tmp_path, autojump_clock, monkeypatch
):
    put(tmp_path)
    real, log = files.scan, Log(descriptor=-1)

    def refuses(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files, "scan", refuses)
    async with running(tmp_path, log=log) as (book, _):
        await trio.sleep(60)
        assert [line for line in log._lines if "Permission denied" in line] == log._lines
        assert len(log._lines) == 1
        assert book.accounts() == ()
        monkeypatch.setattr(files, "scan", real)
        await trio.sleep(3)
        assert [view.name for view in book.accounts()] == ["a.json"]
        monkeypatch.setattr(files, "scan", refuses)
        await trio.sleep(60)
        assert sum("Permission denied" in line for line in log._lines) == 2


async def test_a_new_token_from_another_program_is_used_and_changes_no_routes(
    tmp_path, autojump_clock
):
    put(tmp_path)
    async with running(tmp_path) as (book, _):
        changes = []
        await trio.sleep(2)
        book.on_change = lambda: changes.append(1)
        put(tmp_path, copilot_token="tid=theirs", copilot_token_expiry="2099-01-01T00:00:00Z")
        await trio.sleep(2)
        assert (await book.ready(credential(book))).key.reveal() == "tid=theirs"
        assert changes == []


def _gone(book):
    told = credential(book)
    return {name: getattr(told, name) for name in told.__struct_fields__} | {"account": "b.json"}


async def test_broken_files_are_named_and_skipped(tmp_path, autojump_clock):
    put(tmp_path)
    (tmp_path / "broken.json").write_text("{not json")
    (tmp_path / "empty.json").write_text("")
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "latin.json").write_bytes(b'{"type": "\xff"}')
    (tmp_path / "no-type.json").write_text("{}")
    (tmp_path / "huge.json").write_bytes(b" " * (1024 * 1024 + 1))
    (tmp_path / "other.json").write_text('{"type": "nope"}')
    (tmp_path / "notes.txt").write_text("hello")
    log = Log(descriptor=-1)
    async with running(tmp_path, log=log) as (book, _):
        names = ["broken", "empty", "list", "latin", "no-type", "huge"]
        text = "".join(log._lines)
        assert all(f"file={name}.json skipped=" in text for name in names)
        states = {view.name: view.state for view in book.accounts()}
        assert states == {"a.json": "ready", "other.json": "unsupported"}


async def test_a_file_deleted_during_a_renewal_stays_deleted(tmp_path, autojump_clock):
    put(tmp_path)
    async with running(tmp_path) as (book, _):
        (tmp_path / "a.json").unlink()
        await book.renew(credential(book))
        await trio.sleep(3)
        assert book.accounts() == ()
    assert [path.name for path in tmp_path.iterdir()] == []


async def test_the_models_of_the_account_take_the_place_of_the_built_in_list(
    tmp_path, autojump_clock
):
    put(tmp_path)
    async with running(tmp_path) as (book, _):
        table, _ = build(Declared(accounts=book.declared()))
        ids = {model.id for model in table.listed()}
        own = {"gpt-4.1", "gpt-5.1-codex", "claude-x", "gemini-3-flash-preview"}
        assert ids == own | {f"copilot-{id}" for id in own}
        wires = {
            name: table.resolve(name).targets[0].candidates[0].credential.wire
            for name in ("gpt-4.1", "gpt-5.1-codex", "copilot-claude-x")
        }
        assert wires == {
            "gpt-4.1": "chat",
            "gpt-5.1-codex": "responses",
            "copilot-claude-x": "anthropic",
        }


async def test_without_a_list_the_built_in_one_is_served(tmp_path, autojump_clock):
    put(tmp_path)
    async with running(tmp_path, models=Reply(500, {})) as (book, _):
        table, _ = build(Declared(accounts=book.declared()))
        assert len(table.listed()) == 42


async def test_one_error_teaches_where_a_model_is_served(tmp_path, autojump_clock):
    put(tmp_path)
    async with running(tmp_path) as (book, _):
        changed = []
        book.on_change = lambda: changed.append(1)
        candidate = Candidate(credential=credential(book), model="GPT-4.1")
        body = b'{"error":{"message":"no","code":"unsupported_api_for_model"}}'
        error = ProxyError("no", status=400, body=body)
        other = book.learn(candidate, error)
        assert other.credential.wire == "responses"
        assert other.credential.account == "a.json"
        assert book.learn(candidate, ProxyError("bad", status=400, body=b"{}")) is None
        await trio.sleep(1.5)
        assert changed
        table, _ = build(Declared(accounts=book.declared()))
        (target,) = table.resolve("gpt-4.1").targets
        assert [c.credential.wire for c in target.candidates] == ["responses"]


@pytest.mark.parametrize(
    ("file", "options", "endpoint", "expected"),
    [
        ({}, {}, "", "https://api.individual.githubcopilot.com"),
        ({"account_type": " Business "}, {}, "", "https://api.business.githubcopilot.com"),
        (
            {"account_type": ""},
            {"account_type": "enterprise"},
            "",
            "https://api.enterprise.githubcopilot.com",
        ),
        (
            {"account_type": "business"},
            {"account_type": "enterprise"},
            "",
            "https://api.business.githubcopilot.com",
        ),
        ({}, {}, "https://api.own.test/", "https://api.own.test"),
        ({}, {"base_url": "https://conf.test"}, "https://api.own.test", "https://conf.test"),
        (
            {"base_url": "https://file.test/"},
            {"base_url": "https://conf.test"},
            "https://api.own.test",
            "https://file.test",
        ),
        ({}, {}, "http://plain.test", "https://api.individual.githubcopilot.com"),
        ({}, {}, "https://user@evil.test", "https://api.individual.githubcopilot.com"),
    ],
)
async def test_where_an_account_is_served(
    tmp_path, autojump_clock, file, options, endpoint, expected
):
    put(tmp_path, **file)
    clock = WallClock()
    told = {"token": "tid=1", "expires_at": clock.now() + 1800, "endpoints": {"api": endpoint}}
    async with running(tmp_path, told, options=CopilotOptions(**options)) as (book, _):
        assert (await book.ready(credential(book))).base_url == expected


async def test_two_thousand_accounts_are_read_and_routed_in_two_seconds(tmp_path):
    for number in range(2000):
        put(tmp_path, f"copilot_{number:04}.json", github_token=f"gho_{number}")
    began = time.perf_counter()
    book = AccountBook(tmp_path, transport=GitHub(None), clock=_Now(), log=Log(descriptor=-1))
    book.load()
    table, _ = build(Declared(accounts=book.declared()))
    assert time.perf_counter() - began < 2.0
    plan = table.resolve("copilot-gpt-5")
    assert len(Pool().order(plan.targets[0], plan, 0.0)) == 2000


class _Now:
    def now(self):
        return time.time()


async def test_no_token_is_ever_shown(tmp_path, autojump_clock):
    put(tmp_path, copilot_token="tid=kept", copilot_token_expiry="2020-01-01T00:00:00Z")
    log = Log(descriptor=-1)
    async with running(tmp_path, Reply(403, {"message": "x"}), log=log) as (book, _):
        with pytest.raises(ProxyError) as caught:
            await book.ready(credential(book))
        shown = f"{log._lines} {book.accounts()} {caught.value} {book.declared()!r}"
        assert "gho_fake" not in shown
        assert "tid=" not in shown
    assert "gho_fake" not in repr(Secret("gho_fake"))


async def test_troubles_are_told_when_they_come_and_go(tmp_path, autojump_clock):
    put(tmp_path)
    put(tmp_path, "b.json", disabled=True)
    told = []
    clock = WallClock()
    github = GitHub(clock, Reply(502, {}), Reply(502, {}), None)
    book = AccountBook(tmp_path, transport=github, clock=clock, log=Log(descriptor=-1))
    book.on_trouble = told.append
    book.load()
    async with trio.open_nursery() as nursery:
        await nursery.start(book.run)
        assert told == [{"a.json": "copilot_upstream_error: GitHub answered 502"}]
        await trio.sleep(31)
        with pytest.raises(ProxyError):
            await book.ready(credential(book))
        await trio.sleep(31)
        assert len(told) == 1, "the same again"
        assert (await book.ready(credential(book))).key
        await trio.sleep(2)
        assert told[1:] == [{}]
        nursery.cancel_scope.cancel()


async def test_a_refusal_that_repeats_the_login_does_not_show_it(tmp_path, autojump_clock):
    put(tmp_path, github_token="gho_fake_0123456789")
    answer = Reply(403, {"message": "no seat for gho_fake_0123456789"})
    log = Log(descriptor=-1)
    async with running(tmp_path, answer, log=log) as (book, _):
        assert book.accounts()[0].last_error.endswith("(no seat for ***)")
        assert "gho_fake" not in "".join(log._lines)


async def test_who_edits_an_account_or_logs_in_again_is_told_of(tmp_path, autojump_clock):
    """What stood against it may be over; a new token alone says nothing."""
    put(tmp_path)
    async with running(tmp_path) as (book, github):
        told = []
        book.on_edit = told.append
        await book.ready(credential(book))
        await trio.sleep(2)
        put(tmp_path, copilot_token="tid=theirs", copilot_token_expiry="2099-01-01T00:00:00Z")
        await trio.sleep(2)
        assert told == []
        asked = sum(call.url.endswith("/models") for call in github.calls)
        put(tmp_path, github_token="gho_again")
        await trio.sleep(2)
        assert told == ["a.json"]
        assert sum(call.url.endswith("/models") for call in github.calls) == asked + 1
        put(tmp_path, github_token="gho_again", proxy_url="http://proxy.test:1")
        await trio.sleep(2)
        put(tmp_path, "b.json")
        await trio.sleep(2)
        assert told == ["a.json", "a.json", "b.json"]


async def test_another_folder_is_followed(tmp_path, autojump_clock):
    """Also where a file of the same name holds another login."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    put(old)
    put(old, "gone.json", github_token="gho_gone")
    put(new, github_token="gho_other", email="other@example.com")
    async with running(old, seconds=5.0) as (book, github):
        changes = []
        book.on_change = lambda: changes.append({a.credential.account for a in book.declared()})

        async def ask():
            with pytest.raises(ProxyError):
                await book.ready(credential(book))

        await trio.sleep(5)
        async with trio.open_nursery() as nursery:
            book._accounts["a.json"].token = None
            nursery.start_soon(ask)  # its exchange is under way meanwhile
            await trio.sleep(0.1)
            book.place = lambda: new
            await trio.sleep(2)
            assert [view.label for view in book.accounts()] == ["other@example.com"]
            assert changes[-1] == {"a.json"}
        assert (await book.ready(credential(book))).key
        await trio.sleep(2)
        asked = [
            dict(call.headers)[b"Authorization"] for call in github.calls if "token" in call.url
        ]
        assert asked[-1] == b"token gho_other"
    kept = json.loads((new / "a.json").read_bytes())
    assert (kept["github_token"], kept["copilot_token"]) == ("gho_other", f"tid={github.exchanges}")


async def test_another_folder_that_cannot_be_read_leaves_the_accounts(tmp_path, autojump_clock):
    put(tmp_path)
    log = Log(descriptor=-1)
    async with running(tmp_path, log=log) as (book, _):
        real = files.scan
        book.place = lambda: tmp_path / "other"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(files, "scan", lambda f: real(f) if f == tmp_path else refuse())
            await trio.sleep(5)
            assert [view.name for view in book.accounts()] == ["a.json"]
            assert sum(f"folder={tmp_path}/other" in line for line in log._lines) == 1
        await trio.sleep(2)
        assert book.accounts() == ()


def refuse():
    raise PermissionError(13, "Permission denied")


async def test_options_that_are_only_tried_change_nothing(tmp_path, autojump_clock):
    put(tmp_path)
    async with running(tmp_path) as (book, _):
        before = credential(book)
        tried = AccountOptions(copilot=CopilotOptions(base_url="https://tried.test"))
        assert {a.credential.base_url for a in book.declared(tried)} == {"https://tried.test"}
        assert credential(book) == before
        assert (await book.ready(before)).base_url == before.base_url


async def test_who_has_a_successor_renews_nothing_ahead(tmp_path, autojump_clock):
    put(tmp_path)
    async with running(tmp_path) as (book, github):
        await book.ready(credential(book))
        book.retire()
        before = github.exchanges
        await trio.sleep(1750)
        assert github.exchanges == before
        await book.ready(credential(book))
        await trio.sleep(100)
        await book.ready(credential(book))
        assert github.exchanges == before + 1


async def test_an_account_that_cannot_be_served_takes_no_other_along(
    tmp_path, autojump_clock, monkeypatch
):
    put(tmp_path)
    put(tmp_path, "b.json")
    log = Log(descriptor=-1)
    async with running(tmp_path, log=log) as (book, _):

        def broken(*_):
            raise LookupError("odd")

        monkeypatch.setattr(book._accounts["a.json"], "declared", broken)
        assert {entry.credential.account for entry in book.declared()} == {"b.json"}
        assert "crash where=account" in "".join(log._lines)
