"""What outlives a restart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.accounts.pool import Pool
from proxy.jsonio import decode, encode
from tests.pools import WALL, candidate, failure, ids, plain


def filled() -> tuple[Pool, object]:
    pool, p = Pool(), plain("a", "b", "c", strategy="fill-first", label="work")
    first, second, _ = p.targets[0].candidates
    pool.signals(
        first,
        [
            (b"x-codex-primary-used-percent", b"40"),
            (b"x-codex-primary-reset-after-seconds", b"900"),
        ],
        0.0,
        WALL,
    )
    pool.failed(first, p, failure(429, kind="usage_limit_reached", retry_after=5 * 86400.0), 0.0)
    pool.failed(second, p, failure(503), 0.0)
    pool.succeeded(p.targets[0].candidates[2], p, 0.0, "s")
    return pool, p


def restarted(pool: Pool, now: float, later: float) -> Pool:
    """The pool of the next process, whose clock starts anew."""
    data = decode(encode(pool.snapshot(now, WALL)))
    again = Pool()
    again.restore(data, 7.0, WALL + later)
    return again


def test_a_restart_keeps_cooldowns_windows_and_bindings_and_probes_early() -> None:
    pool, p = filled()
    again = restarted(pool, 10.0, 100.0)
    state = {s.credential: s for s in again.view(7.0)}
    assert state["a"].label == "work"
    assert state["a"].cooldowns[0].until == pytest.approx(5 * 86400.0 - 110)
    assert state["a"].windows[0].seconds == pytest.approx(790)
    assert "b" not in state  # its minute is over
    assert ids(again, p, 7.0, "s")[0] == "a"  # the probe, once
    assert ids(again, p, 7.0, "s") == ["c", "b"]


def test_what_ended_meanwhile_is_not_kept() -> None:
    pool, p = filled()
    again = restarted(pool, 0.0, 6 * 86400.0)
    assert again.view(7.0) == ()
    assert ids(again, p, 7.0) == ["a", "b", "c"]


def test_overage_is_not_probed_after_a_restart_either() -> None:
    pool, p = Pool(), plain("a")
    never = candidate("a", overage="never", provider="claude", wire="anthropic")
    told = [(b"anthropic-ratelimit-unified-overage-in-use", b"true")]
    pool.signals(never, told, 0.0, WALL)
    again = restarted(pool, 0.0, 100.0)
    assert ids(again, p, 7.0) == []
    assert ids(again, p, 7.0 + 3500) == ["a"]


def test_a_clock_that_jumped_makes_nothing_rest_longer_than_a_month() -> None:
    pool, p = filled()
    again = restarted(pool, 0.0, -400 * 86400.0)
    assert max(c.until for s in again.view(7.0) for c in s.cooldowns) <= 32 * 86400
    assert ids(again, p, 7.0)[0] == "a"


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "x",
        {},
        {"version": 2},
        {"version": 1, "cooldowns": [{"credential": 1}]},
        {"version": 1, "windows": 5},
    ],
)
def test_what_is_no_snapshot_is_refused_and_changes_nothing(data: object) -> None:
    pool = Pool()
    with pytest.raises(ValueError, match="snapshot"):
        pool.restore(data, 0.0, WALL)
    assert pool.view(0.0) == ()


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from([401, 404, 429, 503]), st.floats(0, 500)),
        max_size=12,
    )
)
def test_snapshot_of_a_restored_snapshot_is_the_same(
    failures: list[tuple[str, int, float]],
) -> None:
    pool = Pool()
    for name, status, now in sorted(failures, key=lambda f: f[2]):
        p = plain(name)
        pool.failed(p.targets[0].candidates[0], p, failure(status), now)
    first = pool.snapshot(500.0, WALL)
    again = Pool()
    again.restore(decode(encode(first)), 500.0, WALL)
    assert again.snapshot(500.0, WALL) == first


def test_the_version_tells_when_there_is_something_to_save() -> None:
    pool, p = Pool(), plain("a", "b")
    only = p.targets[0].candidates[0]
    versions = [pool.version]
    ids(pool, p)
    pool.take(only)
    pool.give_back(only)
    pool.succeeded(only, p, 0.0)
    assert pool.version == versions[0]
    for change in (
        lambda: pool.failed(only, p, failure(429), 0.0),
        lambda: pool.succeeded(only, p, 9.0),
        lambda: pool.succeeded(only, p, 9.0, "s"),
        lambda: pool.signals(only, [(b"x-codex-primary-used-percent", b"1")], 9.0, WALL),
        lambda: pool.changed("a"),
    ):
        change()
        versions.append(pool.version)
    assert versions == sorted(set(versions))
