"""Row 40: however a file is replaced, the change is noticed within two seconds."""

from __future__ import annotations

import os

import pytest
import trio
import trio.testing

from proxy.sources import Places, Watch


def rename_over(folder, data):
    draft = folder / "draft.tmp"
    draft.write_bytes(data)
    draft.replace(folder / "config.yaml")


def in_place(folder, data):
    (folder / "config.yaml").write_bytes(data)


def symlink_swap(folder, data):
    """As a mounted config map is updated: the file is a link into a folder that is a link."""
    number = len(list(folder.glob("..v*")))
    version = folder / f"..v{number}"
    version.mkdir()
    (version / "config.yaml").write_bytes(data)
    draft = folder / "..data_tmp"
    draft.symlink_to(version.name)
    draft.replace(folder / "..data")
    config = folder / "config.yaml"
    if not config.is_symlink():
        config.unlink()
        config.symlink_to("..data/config.yaml")


def other_name(folder, data):
    """As a single file that is mounted: written under a name of which we know nothing."""
    outside = folder / "outside.yaml"
    if not outside.exists():
        os.link(folder / "config.yaml", outside)
    with outside.open("r+b") as file:
        file.write(data)
        file.truncate()


def removed_and_made(folder, data):
    (folder / "config.yaml").unlink()
    (folder / "config.yaml").write_bytes(data)


WAYS = (rename_over, in_place, symlink_swap, other_name, removed_and_made)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_replaced_file_is_noticed_within_two_seconds(way, tmp_path):
    (tmp_path / "config.yaml").write_bytes(b"port: 1")
    places = Places(files=(str(tmp_path / "config.yaml"),))

    async def main():
        seen = trio.Event()

        async def changed():
            seen.set()

        async with trio.open_nursery() as nursery:
            await nursery.start(Watch(lambda: places).run, changed)
            for data in (b"port: 2", b"port: 3"):  # of the same length
                way(tmp_path, data)
                with trio.fail_after(2):
                    await seen.wait()
                seen = trio.Event()
            nursery.cancel_scope.cancel()

    trio.run(main, clock=trio.testing.MockClock(rate=10))
