"""What the composition root does in order."""

from __future__ import annotations

import trio

from proxy import handover
from proxy.accounts.cooldown import Cooldown
from proxy.app import Application
from proxy.reload import Origin
from proxy.routing.load import load
from proxy.surface.server import Stop


async def test_a_failed_hand_over_leaves_cooldowns_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))

    async def fails(*_):
        await trio.lowlevel.checkpoint()
        raise handover.HandOverError("it does not start")

    monkeypatch.setattr(handover, "hand_over", fails)
    loaded = load(None, [], {"HOME": str(tmp_path)}, str(tmp_path))
    place = str(tmp_path / "config.yaml")
    origin = Origin(place=place, files=(place,), folders=(), reread=lambda: loaded)
    application = Application(loaded, origin, None)
    application._stop, application._sockets = Stop(), [object()]
    pool = application._app.live.pool
    async with trio.open_nursery() as nursery:
        await nursery.start(application._keep)
        now = trio.current_time()
        rest = Cooldown(now + 5000.0, "quota", firm=True, probe_at=now + 2000.0)
        pool.cooldowns.put("a", "account", rest, now)
        pool.version += 1
        await application._hand_over(nursery)
        assert pool.cooldowns.by["a"]["account"].probe_at == rest.probe_at
        pool.version += 1
        nursery.cancel_scope.cancel()
    application._memory.unlink()  # it was saved, and goes on to be


async def test_a_new_auth_dir_is_followed_once_its_generation_serves(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        account = f'{{"type": "copilot", "github_token": "gho_{name}", "email": "{name}@x.test"}}'
        (tmp_path / name / "a.json").write_text(account)
    config = tmp_path / "config.yaml"

    def write(text):
        config.write_text(text.format(tmp_path))

    def reread():
        return load(str(config), [], {"HOME": str(tmp_path)}, str(tmp_path))

    write("host: 127.0.0.1\nauth-dir: {}/old\n")
    origin = Origin(place=str(config), files=(str(config),), folders=(), reread=reread)
    application = Application(reread(), origin, None)
    book, generation = application._book, application._generation

    async def labels():
        await book.rescan()
        return [view.label for view in book.accounts()]

    assert await labels() == ["old@x.test"]
    write("")
    assert not await generation.reload("watch")
    write("auth-dir: ~nobody-here/new\n")
    assert not await generation.reload("watch")
    assert "no home folder for '~nobody-here/new'" in "".join(application._log._lines)
    assert await labels() == ["old@x.test"], "what is refused moves nothing"
    now, pool = trio.current_time(), application._app.live.pool
    rest = Cooldown(now + 5000.0, "unauthorized", firm=True, probe_at=now + 2000.0)
    pool.cooldowns.put("a.json", "account", rest, now)
    write("host: 127.0.0.1\nauth-dir: ~/new\n")
    assert await generation.reload("watch")
    assert await labels() == ["new@x.test"]
    assert rest.probe_at < now, "the file holds another login, so the account is tried again"
