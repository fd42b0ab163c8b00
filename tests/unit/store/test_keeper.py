"""The keeper: restores first, saves what changed, and once more at the stop."""

from __future__ import annotations

import pytest
import trio

from proxy.store import keeper
from proxy.store.state import StateError


class Kept:
    def __init__(self) -> None:
        self.version = 0
        self.content: object = "fresh"

    def snapshot(self, now: float, wall: float) -> object:
        return {"content": self.content, "wall": wall}

    def restore(self, data, now: float, wall: float) -> None:
        match data:
            case {"content": content}:
                self.content = content
            case _:
                raise ValueError("no snapshot")

    def change(self, content: object) -> None:
        self.content, self.version = content, self.version + 1


class FakeClock:
    def now(self) -> float:
        return 1_750_000_000.0


class Disk:
    """The file, without threads and a disk."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, content: object = None) -> None:
        self.content = content
        self.saves: list[float] = []
        self.broken = ""
        monkeypatch.setattr(keeper, "load", self.load)
        monkeypatch.setattr(keeper, "save", self.save)
        monkeypatch.setattr(trio.to_thread, "run_sync", self.run_sync)

    async def run_sync(self, call, *arguments, **_):
        await trio.lowlevel.checkpoint()
        return call(*arguments)

    def load(self, _path):
        if self.broken:
            raise StateError(self.broken)
        return self.content

    def save(self, _path, content) -> None:
        if self.broken:
            raise StateError(self.broken)
        self.content = content
        self.saves.append(trio.current_time())


async def kept_for(seconds: float, kept: Kept, complaints: list[str], changes=()) -> None:
    """Runs the keeper so long, with changes at given times, then stops it."""
    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        await keeper.restore(kept, "accounts.json", FakeClock(), complaints.append)
        await nursery.start(keeper.run, kept, "accounts.json", FakeClock(), complaints.append)
        for at, content in changes:
            await trio.sleep(begun + at - trio.current_time())
            kept.change(content)
        await trio.sleep(begun + seconds - trio.current_time())
        nursery.cancel_scope.cancel()


async def test_it_is_back_before_the_start_goes_on(autojump_clock, monkeypatch):
    Disk(monkeypatch, {"content": "saved"})
    kept, complaints = Kept(), []
    await kept_for(1.0, kept, complaints)
    assert (kept.content, complaints) == ("saved", [])


async def test_it_saves_what_changed_and_only_then(autojump_clock, monkeypatch):
    disk = Disk(monkeypatch)
    begun = trio.current_time()
    await kept_for(60.0, Kept(), [], [(1.0, "one"), (2.0, "two"), (31.0, "three")])
    assert [at - begun for at in disk.saves] == [5.0, 35.0]
    assert disk.content == {"content": "three", "wall": 1_750_000_000.0}


async def test_it_saves_at_the_stop(autojump_clock, monkeypatch):
    disk = Disk(monkeypatch)
    await kept_for(2.0, Kept(), [], [(1.0, "last")])
    assert disk.content["content"] == "last"
    assert len(disk.saves) == 1


@pytest.mark.parametrize("content", ["garbage", 5])
async def test_garbage_is_told_and_replaced(autojump_clock, monkeypatch, content):
    disk, kept, complaints = Disk(monkeypatch, content), Kept(), []
    await kept_for(20.0, kept, complaints, [(1.0, "new")])
    assert complaints == ["accounts.json: no snapshot; starting without it"]
    assert disk.content["content"] == "new"


async def test_a_disk_that_refuses_stops_nothing_and_is_told_once_per_change(
    autojump_clock, monkeypatch
):
    disk, complaints = Disk(monkeypatch), []
    disk.broken = "accounts.json: No space left on device"
    await kept_for(60.0, Kept(), complaints, [(1.0, "one"), (11.0, "two")])
    assert complaints == [
        "accounts.json: No space left on device; starting without it",
        *["accounts.json: No space left on device"] * 2,
    ]


async def test_with_a_real_file(tmp_path):
    from proxy.accounts.pool import Pool
    from tests.pools import failure, ids, plain

    path, p = tmp_path / "accounts.json", plain("a", "b", strategy="fill-first")
    pool = Pool()
    async with trio.open_nursery() as nursery:
        await nursery.start(keeper.run, pool, path, FakeClock(), print)
        pool.failed(p.targets[0].candidates[0], p, failure(401), trio.current_time())
        nursery.cancel_scope.cancel()
    again = Pool()
    await keeper.restore(again, path, FakeClock(), print)
    assert [s.cooldowns[0].word for s in again.view(trio.current_time())] == ["unauthorized"]
    assert ids(again, p, trio.current_time()) == ["a", "b"]
