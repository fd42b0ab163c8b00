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
