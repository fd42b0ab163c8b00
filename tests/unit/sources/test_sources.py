"""When a change of files is one: looks, stillness, contents."""

from __future__ import annotations

from pathlib import Path

import trio
import trio.testing

from proxy.sources import STILL, Places, Stillness, Watch, contents, counts, digest, look


def test_a_look_sees_what_counts(tmp_path):
    folder = tmp_path / "routes.d"
    folder.mkdir()
    for name in ("b.toml", "a.yaml", ".b.toml.swp", "b.toml~", "4913", "#b.toml#", ".hidden.toml"):
        (folder / name).write_text("x")
    (folder / "folder.toml").mkdir()
    config = tmp_path / "config.yaml"
    config.write_text("x")
    places = Places(files=(str(config), str(tmp_path / "none")), folders=(str(folder),))
    assert [Path(path).name for path in look(places)] == ["config.yaml", "a.yaml", "b.toml"]


def test_a_folder_may_be_a_file_or_missing(tmp_path):
    file = tmp_path / "routes.toml"
    file.write_text("x")
    places = Places(folders=(str(file), str(tmp_path / "none")))
    assert list(look(places)) == [str(file)]


def test_drafts_of_editors_do_not_count():
    assert counts("10-work.toml")
    for name in ("10-work.toml~", ".10-work.toml", "#10-work.toml", "10-work.toml.swp", "4913"):
        assert not counts(name)


def test_a_digest_is_of_names_and_contents():
    one = {"a": b"1", "b": b"2"}
    assert digest(one) == digest({"b": b"2", "a": b"1"})
    assert len({digest(t) for t in (one, {"a": b"1"}, {"a": b"12"}, {"a1": b"2"}, {})}) == 5


def test_contents_leave_out_what_cannot_be_read(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    assert contents([str(tmp_path / "a"), str(tmp_path / "none")]) == {str(tmp_path / "a"): b"1"}


def entry(number):
    return {"f": (1, number, number, number, 1)}


def test_stillness_waits_for_the_last_change():
    still = Stillness(entry(0))
    assert not still.ready(entry(0), 0.0)
    assert not still.busy
    assert not still.ready(entry(1), 1.0)
    assert still.busy
    assert not still.ready(entry(2), 1.1)
    assert not still.ready(entry(2), 1.1 + STILL / 2)
    assert still.ready(entry(2), 1.2 + STILL)
    assert not still.ready(entry(2), 9.0)


def test_a_file_that_never_rests_is_read_all_the_same():
    still = Stillness(entry(0))
    found = [still.ready(entry(step), step * 0.1) for step in range(1, 15)]
    assert found.index(True) == 10


def watched(path, steps, known=None):
    """How often a change was told after each step, under a clock ten times as fast."""
    counted = []

    async def main():
        places = Places(files=(str(path),))
        changes = []

        async def changed():
            changes.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            await nursery.start(Watch(lambda: places, known).run, changed)
            for step in steps:
                step()
                await trio.sleep(2)
                counted.append(len(changes))
            nursery.cancel_scope.cancel()

    trio.run(main, clock=trio.testing.MockClock(rate=10))
    return counted


def test_only_new_contents_are_told(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("a")
    steps = [
        lambda: file.write_text("b"),
        lambda: file.write_text("b"),
        lambda: file.write_text("c"),
    ]
    assert watched(file, steps) == [1, 1, 2]


def test_a_change_between_reading_and_watching_is_told(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("a")
    known = digest({str(file): b"what was read at the start"})
    assert watched(file, [lambda: None], known) == [1]
    assert watched(file, [lambda: None], digest({str(file): b"a"})) == [0]
