"""A generation takes the place of another, or is refused."""

from __future__ import annotations

import pytest
import trio

from proxy.accounts.pool import Pool
from proxy.cli import serve
from proxy.config.load import place
from proxy.exchange import Live
from proxy.reload import Generation
from proxy.routing.load import load
from proxy.store.generations import Generations
from proxy.store.status import StatusFile
from proxy.surface.router import App
from proxy.telemetry.log import Log


class Clock:
    def now(self) -> float:
        return 5.0


class Options:
    host = None
    port = None
    routes = ()


CONFIG = "host: 127.0.0.1\nport: 1\napi-keys: [one]\n"
ROUTES = """
[upstreams.local]
wire = "chat"
base-url = "http://127.0.0.1:9/v1"
[models.first]
to = ["local"]
"""


class World:
    """A server's objects without its port."""

    def __init__(self, folder, **options):
        self.environ = {"XDG_STATE_HOME": str(folder / "state"), "HOME": str(folder)}
        self.config = folder / "config.yaml"
        self.routes = folder / "routes.d" / "10.toml"
        self.routes.parent.mkdir()
        self.config.write_text(CONFIG)
        self.routes.write_text(ROUTES)
        words = type("Words", (Options,), {"config": str(self.config), **options})
        loaded = load(words.config, (), self.environ, str(folder))
        origin = serve._origin(loaded, words, ())
        loaded = serve._with_options(loaded, words, ())
        self.place = place(words.config, str(folder))
        self.log = Log(descriptor=-1)
        live = Live(
            table=loaded.table,
            pool=Pool(),
            settings=loaded.settings,
            transport=None,
            clock=Clock(),
            log=self.log,
        )
        self.app = App(live)
        self.generation = Generation(loaded, self.app, origin, self.environ)

    @property
    def models(self):
        return [model.id for model in self.app.live.table.listed()]

    @property
    def keys(self):
        return [key.reveal() for key in self.app.live.settings.api_keys]

    @property
    def status(self):
        return StatusFile(self.environ, self.place).read()

    @property
    def history(self):
        return [(g.number, g.source) for g in Generations(self.environ, self.place).all()]

    @property
    def logged(self):
        return "".join(self.log._lines)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


async def test_a_generation_takes_over(world):
    before = world.app.live
    await world.generation.begin("http://here")
    assert world.status.url == "http://here"
    world.config.write_text(CONFIG.replace("one", "two"))
    world.routes.write_text(ROUTES.replace("first", "second"))
    assert await world.generation.reload("watch")
    assert (world.models, world.keys) == (["second"], ["two"])
    assert before.table.knows("first"), "requests under way keep theirs"
    assert world.app.live.pool is before.pool
    assert world.status.generation == 2
    assert world.history == [(1, "start"), (2, "watch")]
    await world.generation.end()
    assert world.status is None


async def test_a_bad_generation_is_refused(world):
    await world.generation.begin("u")
    world.routes.write_text(ROUTES + "[models.second]\nto = ['nowhere']\n")
    assert not await world.generation.reload("watch")
    assert world.models == ["first"]
    expected = f"{world.routes}:8:7: upstream 'nowhere' is not defined"
    assert world.status.refused.startswith(expected)
    assert expected in world.logged
    assert world.history == [(1, "start")]
    world.routes.write_text(ROUTES)
    assert await world.generation.reload("watch")
    assert world.status.refused == ""
    assert world.history == [(1, "start")]


@pytest.mark.parametrize("gone", ["config", "routes"])
async def test_files_that_are_gone_do_not_empty_a_server(world, gone):
    await world.generation.begin("u")
    getattr(world, gone).unlink()
    if gone == "routes":
        world.routes.parent.rmdir()
    assert not await world.generation.reload("watch")
    assert world.models == ["first"]
    assert "cannot be read" in world.status.refused


async def test_what_belongs_to_the_port_needs_a_restart(world):
    world.config.write_text(CONFIG.replace("port: 1", "port: 2"))
    assert await world.generation.reload("watch")
    assert world.app.live.settings.port == 1
    assert "a new 'port' needs a restart" in world.logged


async def test_options_win_over_a_new_generation_too(tmp_path):
    world = World(tmp_path, port=7)
    world.config.write_text(CONFIG.replace("port: 1", "port: 2"))
    assert await world.generation.reload("watch")
    assert world.app.live.settings.port == 7
    assert "needs a restart" not in world.logged


async def test_a_public_server_keeps_its_keys(tmp_path):
    world = World(tmp_path, host="0.0.0.0")
    world.config.write_text("host: 127.0.0.1\nport: 1\n")
    assert not await world.generation.reload("watch")
    assert world.keys == ["one"]


async def test_an_empty_file_takes_no_keys_away(world):
    world.config.write_text("\n")
    assert not await world.generation.reload("watch")
    assert world.keys == ["one"]


async def test_without_a_state_folder_serving_goes_on(tmp_path):
    world = World(tmp_path)
    (tmp_path / "state").write_text("a file")
    await world.generation.begin("u")
    world.routes.write_text(ROUTES.replace("first", "second"))
    assert await world.generation.reload("watch")
    assert world.models == ["second"]
    assert world.logged.count("no status and no history") == 1
    await world.generation.end()


async def test_a_retired_process_leaves_the_files_to_its_successor(world):
    await world.generation.begin("u")
    world.generation.retire()
    world.routes.write_text(ROUTES.replace("first", "second"))
    await world.generation.reload("hangup")
    assert world.history == [(1, "start")]


async def test_a_fault_while_reading_is_refused(world):
    def broken():
        raise ZeroDivisionError

    world.generation._origin.reread = broken
    await world.generation.begin("u")
    assert not await world.generation.reload("hangup")
    assert "ZeroDivisionError" in world.status.refused


async def test_reloads_wait_for_each_other(world):
    await world.generation.begin("u")
    async with trio.open_nursery() as nursery:
        for number in range(5):
            world.routes.write_text(ROUTES.replace("first", f"model-{number}"))
            nursery.start_soon(world.generation.reload, "hangup")
    assert world.models == ["model-4"]


def test_a_config_file_that_appears_is_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = type("Words", (Options,), {"config": None})
    loaded = load(None, (), {"HOME": str(tmp_path)}, str(tmp_path))
    origin = serve._origin(loaded, words, ())
    assert str(tmp_path / "config.yaml") in origin.files
    assert str(tmp_path / "routes.d") in origin.folders
    assert "demo" in [model.id for model in loaded.table.listed()]
    (tmp_path / "routes.d").mkdir()
    (tmp_path / "routes.d" / "10.toml").write_text(ROUTES)
    assert [model.id for model in origin.reread().table.listed()] == ["first"]


async def test_other_accounts_are_no_other_generation(world):
    """The files are the same. The first accounts come before the port is open."""
    assert await world.generation.reload("accounts")
    await world.generation.begin("u")
    before = world.status
    assert await world.generation.reload("accounts")
    assert world.logged.count("generation number=1") == 1
    assert world.logged.count("info accounts generation=1") == 2
    assert (world.status, world.history) == (before, [(1, "start")])


async def test_files_that_change_with_the_accounts_are_one(world):
    await world.generation.begin("u")
    world.routes.write_text(ROUTES.replace("first", "second"))
    assert await world.generation.reload("accounts")
    assert (world.models, world.status.generation) == (["second"], 2)
    assert "generation number=2 source=accounts" in world.logged


async def test_files_that_change_before_the_port_is_open_are_the_first_generation(world):
    world.routes.write_text(ROUTES.replace("first", "second"))
    assert await world.generation.reload("accounts")
    await world.generation.begin("u")
    assert world.models == ["second"]
    assert world.logged.count(" generation number=") == 1
    assert (world.status.generation, world.history) == (1, [(1, "start")])


async def test_troubles_of_accounts_stand_in_the_status(world):
    await world.generation.tell_troubles({"a.json": "GitHub answered 502"})
    assert world.status is None
    await world.generation.begin("u")
    assert world.status.troubles == {"a.json": "GitHub answered 502"}
    await world.generation.tell_troubles({})
    assert world.status.troubles == {}
