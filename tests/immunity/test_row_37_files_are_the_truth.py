"""Row 37: no edit is lost: what served before stays in the history, and nothing rewrites the files."""

from __future__ import annotations

from tests.unit.reload.test_reload import CONFIG, ROUTES, World


async def test_each_generation_is_kept_as_it_was_written(tmp_path):
    world = World(tmp_path)
    await world.generation.begin("u")
    edits = [CONFIG + f"# edit {n}\nunknown-key-{n}: [kept, as, it, is]\n" for n in range(3)]
    for text in edits:
        world.config.write_text(text)
        assert await world.generation.reload("watch")
        assert world.config.read_text() == text
    kept = [g.texts[str(world.config)].decode() for g in world.generation._history.all()]
    assert kept == [CONFIG, *edits]
    assert "unknown key 'unknown-key-2'" in world.logged
    assert world.routes.read_text() == ROUTES
