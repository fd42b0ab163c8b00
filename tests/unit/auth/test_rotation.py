"""Logins that are new after every renewal: whatever happens, the newest one is what is kept and used."""

from __future__ import annotations

import errno
import json
from contextlib import asynccontextmanager

import pytest
import trio

from proxy.auth import files, kinds
from proxy.auth.book import AccountBook
from proxy.auth.files import rfc3339
from proxy.auth.kind import Kind, LoginRefused, Token, Unreachable
from proxy.config import declared
from proxy.config.model import AccountOptions, Credential
from proxy.errors import ProxyError
from proxy.secret import Secret
from proxy.telemetry.log import Log
from tests.unit.auth.mock_github import WallClock

pytestmark = pytest.mark.usefixtures("inline_threads")


class Rotating(Kind):
    """A service that takes each login once. `life`: seconds that its tokens last."""

    name = "rotating"
    life = 5000.0

    def __init__(self):
        self.asked = []
        self.valid = "L0"
        self.clock = WallClock()

    def credential(self, file, token, options, wire):
        return Credential(
            id=file.name,
            provider="claude",
            wire=wire,
            base_url="http://service.test",
            headers=(("x-note", file.text("note")),),
            proxy=options.proxy,
            account=file.name,
        )

    def declared(self, account, learned, now):
        return [declared.Account(credential=account.credential("chat"), group="rotating")]

    async def exchange(self, transport, login, file, options):
        self.asked.append(login.reveal())
        await trio.sleep(0.1)
        if login.reveal() != self.valid:
            raise LoginRefused("spent", lasting=True)
        self.valid = f"L{len(self.asked)}"
        ends = self.clock.now() + self.life
        return Token(Secret(f"T{len(self.asked)}"), ends, login=Secret(self.valid))


@pytest.fixture
def service(monkeypatch):
    kind = Rotating()
    monkeypatch.setitem(kinds._loaded, "rotating", kind)
    return kind


def put(folder, name="a.json", **more):
    content = {"type": "rotating", "refresh_token": "L0", **more}
    (folder / name).write_text(json.dumps(content))


def kept(folder, name="a.json"):
    return json.loads((folder / name).read_bytes())


@asynccontextmanager
async def running(folder, service):
    log = Log(descriptor=-1)
    book = AccountBook(folder, transport=None, clock=service.clock, log=log)
    book.load()
    async with trio.open_nursery() as nursery:
        await nursery.start(book.run)
        yield book
        nursery.cancel_scope.cancel()


def credential(book, name="a.json"):
    return next(a.credential for a in book.declared() if a.credential.account == name)


async def ask(book, name="a.json"):
    return (await book.ready(credential(book, name))).key.reveal()


async def over(book, service, name="a.json"):
    """Until the token of an account that is not used is over."""
    await trio.sleep(service.life + 10)


@pytest.fixture
def full_disk(monkeypatch):
    """`full_disk.on`: nothing can be written."""

    class Disk:
        on = False

    def write(path, data, _write=files.write):
        if Disk.on:
            raise OSError(errno.ENOSPC, "No space left on device")
        _write(path, data)

    monkeypatch.setattr(files, "write", write)
    return Disk


async def test_each_login_is_used_once_and_the_next_one_kept(tmp_path, service, autojump_clock):
    put(tmp_path)
    async with running(tmp_path, service) as book:
        for number in (1, 2, 3):
            assert await ask(book) == f"T{number}"
            await over(book, service)
            assert kept(tmp_path)["refresh_token"] == f"L{number}"
    assert service.asked == ["L0", "L1", "L2"]


async def test_new_settings_do_not_bring_a_spent_login_back(
    tmp_path, service, full_disk, autojump_clock
):
    put(tmp_path)
    async with running(tmp_path, service) as book:
        full_disk.on = True
        await ask(book)
        book.configure(AccountOptions(proxy="http://proxy.test:1"))
        await over(book, service)
        assert await ask(book) == "T2"
        assert credential(book).proxy == "http://proxy.test:1"
        full_disk.on = False
        await trio.sleep(3)
    assert kept(tmp_path)["refresh_token"] == "L2"


async def test_a_touched_file_does_not_bring_back_a_login_spent_long_ago(
    tmp_path, service, full_disk, autojump_clock
):
    put(tmp_path)
    async with running(tmp_path, service) as book:
        full_disk.on = True
        for number in (1, 2):
            assert await ask(book) == f"T{number}"
            await over(book, service)
        put(tmp_path, note="edited")
        await trio.sleep(2)
        assert await ask(book) == "T3"
        assert credential(book).headers == (("x-note", "edited"),), "the edit counts"
        full_disk.on = False
        await trio.sleep(3)
    assert kept(tmp_path)["refresh_token"] == "L3"
    assert kept(tmp_path)["note"] == "edited"
    assert service.asked == ["L0", "L1", "L2"]


async def test_an_edit_during_the_write_is_noticed(tmp_path, service, monkeypatch, autojump_clock):
    """Between our look at the file and our write; the write takes it along."""
    put(tmp_path)
    async with running(tmp_path, service) as book:
        told = []
        book.on_edit = told.append

        def update(*args, _update=files.update):
            put(tmp_path, note="edited", prefix="team")
            return _update(*args)

        with monkeypatch.context() as patch:
            patch.setattr(files, "update", update)
            await ask(book)
            await trio.sleep(3)
        assert told == ["a.json"]
        assert book._accounts["a.json"].prefix == "team"
        assert (await book.ready(credential(book))).headers == (("x-note", "edited"),)
        await over(book, service)
        assert await ask(book) == "T2"
    assert service.asked == ["L0", "L1"]


async def test_an_edit_that_is_read_while_the_new_login_is_written_does_not_bring_back_the_old(
    tmp_path, service, monkeypatch, autojump_clock
):
    put(tmp_path)

    async def slowly(function, *arguments):
        await trio.sleep(2.5 if "update" in repr(function) else 0)
        return function(*arguments)

    async with running(tmp_path, service) as book:
        monkeypatch.setattr(trio.to_thread, "run_sync", slowly)
        assert await ask(book) == "T1"
        put(tmp_path, note="edited")
        await trio.sleep(2)
        assert await ask(book) == "T1", "it is still the token that came"
        await over(book, service)
        assert await ask(book) == "T2"
        await trio.sleep(3)
    assert service.asked == ["L0", "L1"]
    assert kept(tmp_path)["refresh_token"] == "L2"


async def test_a_file_that_is_written_back_with_a_spent_login_is_told_again(
    tmp_path, service, autojump_clock
):
    """Whoever pauses an account may have read its file just before our write."""
    put(tmp_path)
    async with running(tmp_path, service) as book:
        before = kept(tmp_path)
        for number in (1, 2):
            assert await ask(book) == f"T{number}"
            await trio.sleep(2)
            put(tmp_path, **before, note="edited")
            await trio.sleep(4)
            assert kept(tmp_path)["refresh_token"] == f"L{number}"
            assert kept(tmp_path)["access_token"] == f"T{number}"
            assert kept(tmp_path)["note"] == "edited"
            await over(book, service)
        put(tmp_path, refresh_token="L9")
        service.valid = "L9"
        await trio.sleep(2)
        assert await ask(book) == "T3", "another login is one"
    assert service.asked == ["L0", "L1", "L9"]


async def test_a_slow_write_does_not_put_an_older_login_over_a_newer(
    tmp_path, service, full_disk, monkeypatch, autojump_clock
):
    put(tmp_path)
    waits = []

    async def slowly(function, *arguments):
        update = "update" in repr(function)
        await trio.sleep(waits.pop(0) if update and waits else 0)
        return function(*arguments)

    async with running(tmp_path, service) as book:
        monkeypatch.setattr(trio.to_thread, "run_sync", slowly)
        full_disk.on = True
        await ask(book)
        await trio.sleep(service.life - 30)
        waits += [0, 60, 0]
        await trio.sleep(2)  # the write of L1 that is tried again takes a minute
        full_disk.on = False
        assert await ask(book) == "T2"
        await trio.sleep(90)
    assert kept(tmp_path)["refresh_token"] == "L2"


async def test_a_new_login_is_written_although_the_server_ends(tmp_path, service, autojump_clock):
    put(tmp_path)
    async with running(tmp_path, service) as book:
        exchange, scope = service.exchange, book._nursery.cancel_scope

        async def last(*args):
            token = await exchange(*args)
            scope.cancel()
            return token

        service.exchange = last
        await ask(book)
    assert kept(tmp_path)["refresh_token"] == "L1"


async def test_a_login_that_comes_with_a_token_of_the_past_is_kept(
    tmp_path, service, autojump_clock
):
    service.life = -10.0
    put(tmp_path)
    async with running(tmp_path, service) as book:
        with pytest.raises(ProxyError):
            await ask(book)
        assert "clock" in book.accounts()[0].last_error
        service.life = 5000.0
        await trio.sleep(40)
        assert await ask(book) == "T2"
        await trio.sleep(2)
    assert kept(tmp_path)["refresh_token"] == "L2"
    assert service.asked == ["L0", "L1"]


async def test_a_failure_of_the_old_login_does_not_hold_up_a_new_one(
    tmp_path, service, autojump_clock
):
    put(tmp_path)
    exchange = service.exchange

    async def fail(*_):
        await trio.sleep(5)
        raise Unreachable("down")

    async with running(tmp_path, service) as book, trio.open_nursery() as nursery:
        service.exchange = fail

        async def refused():
            with pytest.raises(ProxyError):
                await ask(book)

        nursery.start_soon(refused)
        await trio.sleep(1)
        put(tmp_path, refresh_token="L9")
        await trio.sleep(6)
        service.exchange, service.valid = exchange, "L9"
        assert await ask(book) == "T1"


async def test_a_token_without_an_end_that_another_program_wrote_is_used(
    tmp_path, service, autojump_clock
):
    put(tmp_path, access_token="old")
    async with running(tmp_path, service) as book:
        assert await ask(book) == "old"
        put(tmp_path, access_token="newer")
        await trio.sleep(2)
        assert await ask(book) == "newer"


async def test_a_request_of_an_older_table_leaves_its_settings_to_nobody(
    tmp_path, service, autojump_clock
):
    put(tmp_path)
    async with running(tmp_path, service) as book:
        old = credential(book)
        await ask(book)
        book.configure(AccountOptions(proxy="http://proxy.test:1"))
        new = credential(book)
        assert (await book.ready(old)).proxy == ""
        assert (await book.ready(new)).proxy == "http://proxy.test:1"


async def test_many_that_are_due_at_once_are_renewed_once_each(tmp_path, service, autojump_clock):
    """Though only some at a time, and each takes longer than the time between two looks."""
    soon = rfc3339(service.clock.now() + 400)
    names = [f"{number:02}.json" for number in range(60)]
    for name in names:
        put(tmp_path, name, refresh_token=name, access_token=f"T-{name}", expired=soon)

    async def exchange(transport, login, file, options):
        service.asked.append(login.reveal())
        await trio.sleep(3)
        return Token(Secret(f"T{len(service.asked)}"), service.clock.now() + 3600)

    service.exchange = exchange
    async with running(tmp_path, service) as book:
        for name in names:
            await ask(book, name)
        await trio.sleep(200)
    assert sorted(service.asked) == names
