"""The pool: order, cooldowns and their scopes, probes, what is left when all rest."""

from __future__ import annotations

import pytest

from proxy.accounts.pool import Pool
from proxy.config.model import Target
from proxy.errors import Retry
from tests.pools import WALL, candidate, failure, ids, plain, plan, target


def spend(pool: Pool, the_plan, now: float = 0.0) -> str:
    """One request that is answered."""
    chosen = pool.order(the_plan.targets[0], the_plan, now)[0]
    pool.take(chosen)
    pool.succeeded(chosen, the_plan, now)
    pool.give_back(chosen)
    return chosen.credential.id


def fail(pool: Pool, the_plan, error, now: float = 0.0, which: int = 0) -> None:
    """A request that began before and fails now."""
    pool.failed(the_plan.targets[0].candidates[which], the_plan, error, now)


def test_round_robin_starts_one_further_each_time() -> None:
    pool, p = Pool(), plain("a", "b", "c")
    assert [ids(pool, p)[0] for _ in range(4)] == ["a", "b", "c", "a"]


def test_fill_first_keeps_the_order() -> None:
    pool, p = Pool(), plain("a", "b", strategy="fill-first")
    assert [ids(pool, p) for _ in range(2)] == [["a", "b"], ["a", "b"]]


def test_a_look_moves_nothing_on() -> None:
    pool, p = Pool(), plain("a", "b", "c")
    assert [ids(pool, p, peek=True) for _ in range(3)] == [["a", "b", "c"]] * 3
    pool.order(p.targets[0], p, 0.0, "s", peek=True)
    assert not pool.bindings.by


@pytest.mark.parametrize(
    ("status", "seconds"), [(401, 1800), (402, 1800), (403, 1800), (404, 43200)]
)
def test_firm_cooldowns_last_as_the_table_says(status: int, seconds: int) -> None:
    pool, p = Pool(), plain("a", "b", strategy="fill-first")
    fail(pool, p, failure(status))
    states = pool.view(1.0)[0].cooldowns
    assert [(s.firm, s.until) for s in states] == [(True, seconds - 1)]
    assert ids(pool, p, 59.0) == ["b"]
    assert ids(pool, p, seconds + 1) == ["a", "b"]


def test_a_stumble_only_puts_a_credential_last() -> None:
    pool, p = Pool(), plain("a", "b", strategy="fill-first")
    fail(pool, p, failure(500))
    assert ids(pool, p, 1.0) == ["b", "a"]
    assert ids(pool, p, 61.0) == ["a", "b"]


def test_quota_backs_off_doubling_and_honours_a_hint() -> None:
    pool, p, now = Pool(), plain("a"), 100.0
    for expected in (1.0, 2.0, 4.0):
        fail(pool, p, failure(429), now)
        assert pool.wait(p, now) == expected
        now += expected
    fail(pool, p, failure(429, retry_after=50.0), now)
    assert pool.wait(p, now) == 50.0
    assert spend(pool, p, now + 51) == "a"
    assert pool.wait(p, now + 51) is None


def test_requests_that_fail_side_by_side_double_the_pause_once() -> None:
    pool, p = Pool(), plain("a")
    for _ in range(10):
        fail(pool, p, failure(429), 5.0)
    assert pool.wait(p, 5.0) == 1.0


def test_disable_cooling_switches_the_quota_backoff_off_only() -> None:
    pool, p = Pool(disable_cooling=True), plain("a")
    fail(pool, p, failure(429))
    assert ids(pool, p) == ["a"]
    fail(pool, p, failure(401))
    assert ids(pool, p, 1.0) == []


def test_a_clients_mistake_costs_the_credential_nothing() -> None:
    pool, p = Pool(), plain("a")
    fail(pool, p, failure(400, retry=Retry.NEVER))
    fail(pool, p, failure(404, kind="previous_response_not_found"))
    assert ids(pool, p) == ["a"]
    assert pool.view(0.0) == ()


def test_exhausted_tells_quota_from_the_rest() -> None:
    pool, p = Pool(), plain("a", "b")
    fail(pool, p, failure(429, retry_after=9.0))
    fail(pool, p, failure(429, retry_after=5.0), which=1)
    error = pool.exhausted(p, 1.0)
    assert (error.status, error.kind, error.retry_after) == (429, "model_cooldown", 4.0)
    fail(pool, p, failure(401))
    assert (pool.exhausted(p, 1.0).status, pool.exhausted(p, 1.0).kind) == (503, "auth_unavailable")


def test_a_client_is_told_to_come_back_at_the_next_probe_of_a_long_cooldown() -> None:
    pool, p = Pool(), plain("a")
    fail(pool, p, failure(429, retry_after=5 * 86400.0))
    assert pool.exhausted(p, 10.0).retry_after == 50.0


def test_in_flight_limit_holds_a_credential_back() -> None:
    pool = Pool()
    limited = candidate("a", in_flight=1)
    p = plan(Target(upstream="u", candidates=(limited,)))
    pool.take(limited)
    assert ids(pool, p) == []
    error = pool.exhausted(p, 0.0)
    assert (error.status, error.kind, error.retry_after) == (429, "too_many_requests", 1.0)
    pool.give_back(limited)
    assert ids(pool, p) == ["a"]
    assert pool.in_flight == {}


def test_what_an_older_order_said_is_asked_again() -> None:
    pool, p = Pool(), plain("a", "b", in_flight=1)
    first, second = pool.order(p.targets[0], p, 0.0)
    pool.take(second)
    assert pool.usable(first, 0.0)
    assert not pool.usable(second, 0.0)
    pool.give_back(second)
    fail(pool, p, failure(401), which=1)
    assert not pool.usable(second, 0.0)


def test_made_up_models_do_not_grow_the_state() -> None:
    pool = Pool()
    for number in range(300):
        fail(pool, plain("a", model=f"m{number}"), failure(500), float(number))
    assert len(pool.cooldowns.by["a"]) <= 256
    for number in range(20_010):
        fail(pool, plain(f"k{number}"), failure(500))
    assert len(pool.cooldowns.by) <= 20_000
    assert len(pool.labels) <= 20_000


def test_a_new_conversation_takes_its_turn_and_then_stays() -> None:
    pool, p = Pool(), plain("a", "b", "c")
    firsts = []
    for number in range(4):
        first = pool.order(p.targets[0], p, float(number), "+same words")[0]
        pool.succeeded(first, p, float(number), "+same words")
        firsts.append(first.credential.id)
    assert firsts == ["a", "b", "c", "a"]
    stays = {pool.order(p.targets[0], p, 5.0, "same words")[0].credential.id for _ in range(5)}
    assert stays == {"a"}


# Scopes


@pytest.mark.parametrize(
    ("error", "other_model"),
    [
        (failure(401), ["a"]),
        (failure(402), []),
        (failure(403), ["a"]),
        (failure(429, kind="usage_limit_reached"), []),
        (failure(429, kind="insufficient_quota"), []),
        (failure(429, kind="rate_limit_error", retry_after=30.0), ["a"]),
        (failure(404), ["a"]),
        (failure(403, kind="model_not_supported"), ["a"]),
    ],
)
def test_how_far_a_failure_reaches(error, other_model) -> None:
    pool = Pool()
    fail(pool, plain("a", model="m"), error)
    assert ids(pool, plain("a", model="m"), 1.0) == []
    assert ids(pool, plain("a", model="other"), 1.0) == other_model


def test_two_routes_to_one_model_share_its_cooldown() -> None:
    pool = Pool()
    first = plan(target("u", "a", model="real"), model="name")
    second = plan(target("u", "a", model="real"), model="pfx/name")
    fail(pool, first, failure(404))
    assert ids(pool, second, 1.0) == []


@pytest.mark.parametrize(
    ("claim", "sonnet", "other_opus"),
    [("seven_day_opus", ["a"], []), ("seven_day", [], []), ("five_hour", [], [])],
)
def test_a_429_reaches_as_far_as_the_window_that_is_used_up(claim, sonnet, other_opus) -> None:
    pool = Pool()
    opus = plain("a", model="claude-opus-4-5", wire="anthropic", provider="claude")
    chosen = opus.targets[0].candidates[0]
    told = [
        (b"anthropic-ratelimit-unified-status", b"rejected"),
        (b"anthropic-ratelimit-unified-representative-claim", claim.encode()),
        (b"anthropic-ratelimit-unified-reset", b"%d" % (WALL + 7200)),
    ]
    pool.signals(chosen, told, 0.0, WALL)
    pool.failed(chosen, opus, failure(429, kind="rate_limit_error"), 0.0)
    assert pool.view(0.0)[0].cooldowns[0].until == 7200
    assert ids(pool, plain("a", model="claude-sonnet-4-5"), 1.0) == sonnet
    assert ids(pool, plain("a", model="claude-opus-4-1"), 1.0) == other_opus


# Trips


def test_three_stumbles_in_a_minute_trip_and_success_between_does_not() -> None:
    pool, p = Pool(), plain("a", "b", strategy="fill-first")
    for now in (0.0, 10.0):
        fail(pool, p, failure(503), now)
    assert ids(pool, p, 11.0) == ["b", "a"]
    fail(pool, p, failure(503), 20.0)
    assert ids(pool, p, 21.0) == ["b"]
    assert ids(pool, p, 25.5) == ["a", "b"]  # half-open: one request tries it
    assert ids(pool, p, 25.6) == ["b"]

    pool = Pool()
    for now in (0.0, 10.0, 20.0, 30.0):
        fail(pool, p, failure(503), now)
        pool.succeeded(p.targets[0].candidates[0], p, now + 1)
    assert ids(pool, p, 31.0) == ["a", "b"]


def test_stumbles_far_apart_do_not_trip() -> None:
    pool, p = Pool(), plain("a", "b", strategy="fill-first")
    for now in (0.0, 40.0, 80.0, 120.0):
        fail(pool, p, failure(502), now)
    assert ids(pool, p, 121.0) == ["b", "a"]


def test_a_trip_doubles_with_each_failed_try_and_not_with_requests_begun_before() -> None:
    pool, p = Pool(), plain("a")
    for _ in range(8):
        fail(pool, p, failure(503), 0.0)
    pauses, now = [], 0.0
    for _ in range(6):
        pause = pool.wait(p, now)
        pauses.append(pause)
        now += pause
        probe = pool.order(p.targets[0], p, now)[0]
        pool.take(probe)
        pool.failed(probe, p, failure(503), now)
        pool.give_back(probe)
    assert pauses == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]


# Probes


def test_one_probe_at_a_time_and_it_is_given_first() -> None:
    pool, p = Pool(), plain("a", "b", strategy="fill-first")
    fail(pool, p, failure(429, retry_after=1e5))
    assert ids(pool, p, 59.0) == ["b"]
    probe, other = pool.order(p.targets[0], p, 60.0)
    assert [probe.credential.id, other.credential.id] == ["a", "b"]
    assert ids(pool, p, 60.0) == ["b"]
    pool.take(probe)
    assert ids(pool, p, 600.0) == ["b"]
    pool.succeeded(probe, p, 601.0)
    pool.give_back(probe)
    assert ids(pool, p, 601.0) == ["a", "b"]


def test_a_probe_that_is_never_taken_is_given_again() -> None:
    pool, p = Pool(), plain("a")
    fail(pool, p, failure(401))
    assert ids(pool, p, 60.0) == ["a"]
    assert ids(pool, p, 65.0) == []
    assert ids(pool, p, 70.5) == ["a"]


def test_probes_of_credentials_that_are_gone_are_forgotten() -> None:
    pool = Pool()
    for number in range(20):
        p = plain(f"key{number}")
        fail(pool, p, failure(401), now=number * 1000.0)
        assert ids(pool, p, number * 1000.0 + 60.0) == [f"key{number}"]
    assert len(pool._probes) == 1


def test_a_cancelled_probe_leaves_the_next_one_due() -> None:
    pool, p = Pool(), plain("a")
    fail(pool, p, failure(401))
    (probe,) = pool.order(p.targets[0], p, 60.0)
    pool.take(probe)
    pool.give_back(probe)
    assert ids(pool, p, 61.0) == ["a"]


def test_probes_back_off_to_a_quarter_of_an_hour() -> None:
    pool, p, now, gaps = Pool(), plain("a"), 0.0, []
    fail(pool, p, failure(429, retry_after=5 * 86400.0))
    for _ in range(7):
        gap = pool.wait(p, now)
        gaps.append(gap)
        now += gap
        (probe,) = pool.order(p.targets[0], p, now)
        pool.take(probe)
        pool.failed(probe, p, failure(429, retry_after=5 * 86400.0 - now), now)
        pool.give_back(probe)
    assert gaps == [60.0, 120.0, 240.0, 480.0, 900.0, 900.0, 900.0]


def test_a_request_begun_before_the_cooldown_does_not_lift_it() -> None:
    pool, p = Pool(), plain("a", "b", strategy="fill-first")
    elder = p.targets[0].candidates[0]
    pool.take(elder)
    fail(pool, p, failure(429, retry_after=300.0))
    pool.succeeded(elder, p, 1.0)
    pool.give_back(elder)
    assert ids(pool, p, 2.0) == ["b"]


def test_all_that_are_due_are_tried_where_nothing_else_is_free() -> None:
    pool, p = Pool(), plain("a", "b", "c", strategy="fill-first")
    for which in (0, 1):
        fail(pool, p, failure(401), which=which)
    assert ids(pool, p, 61.0) == ["a", "c"]
    fail(pool, p, failure(401), 61.0, which=2)
    pool = Pool()
    for which in (0, 1, 2):
        fail(pool, p, failure(401), which=which)
    assert ids(pool, p, 61.0) == ["a", "b", "c"]
    assert ids(pool, p, 61.0) == []


def test_a_probe_that_meets_a_bad_request_says_nothing_and_the_next_comes_later() -> None:
    pool, p = Pool(), plain("a")
    fail(pool, p, failure(401))
    (probe,) = pool.order(p.targets[0], p, 60.0)
    pool.take(probe)
    pool.failed(probe, p, failure(400, retry=Retry.NEVER), 60.0)
    pool.give_back(probe)
    assert pool.wait(p, 60.0) == 60.0


def test_a_changed_credential_is_probed_at_once() -> None:
    pool, p = Pool(), plain("a")
    fail(pool, p, failure(401))
    assert ids(pool, p, 1.0) == []
    pool.changed("a")
    assert ids(pool, p, 1.0) == ["a"]


def test_a_fresh_signal_of_room_makes_the_probe_due_once() -> None:
    pool, p = Pool(), plain("a", wire="responses", provider="codex")
    only = p.targets[0].candidates[0]
    full = [
        (b"x-codex-primary-used-percent", b"100"),
        (b"x-codex-primary-reset-after-seconds", b"999999"),
    ]
    pool.signals(only, full, 0.0, WALL)
    pool.failed(only, p, failure(429, kind="usage_limit_reached"), 0.0)
    pool.signals(only, full, 1.0, WALL + 1)
    assert ids(pool, p, 1.0) == []
    room = [(b"x-codex-primary-used-percent", b"3"), (b"x-codex-primary-reset-after-seconds", b"9")]
    pool.signals(only, room, 2.0, WALL + 2)
    (probe,) = pool.order(p.targets[0], p, 2.0)
    pool.take(probe)
    pool.failed(probe, p, failure(429, kind="usage_limit_reached"), 2.0)
    pool.give_back(probe)
    pool.signals(only, room, 3.0, WALL + 3)
    assert ids(pool, p, 3.0) == []
    assert ids(pool, p, 63.0) == ["a"]


# Affinity


def test_a_session_stays_and_new_ones_take_turns() -> None:
    pool, p = Pool(), plain("a", "b", "c")
    firsts = [ids(pool, p, session=s)[0] for s in ("s1", "s2", "s1", "s3", "s2", "s1")]
    assert firsts == ["a", "b", "a", "c", "b", "a"]


def test_a_session_moves_from_a_resting_account_and_back_from_a_full_one() -> None:
    pool, p = Pool(), plain("a", "b", strategy="fill-first", in_flight=1)
    first, second = p.targets[0].candidates
    assert ids(pool, p, session="s") == ["a", "b"]
    pool.take(first)
    assert ids(pool, p, session="s") == ["b"]
    pool.succeeded(second, p, 0.0, "s")
    pool.give_back(first)
    assert ids(pool, p, session="s")[0] == "a"
    pool.failed(first, p, failure(429, retry_after=5.0), 1.0)
    assert ids(pool, p, 2.0, session="s") == ["b"]
    assert ids(pool, p, 9.0, session="s")[0] == "b"


def test_without_stickiness_or_choice_nothing_is_bound() -> None:
    pool = Pool()
    for p in (plain("a"), plan(target("u", "a", "b"), sticky="none")):
        ids(pool, p, session="s")
        pool.succeeded(p.targets[0].candidates[0], p, 0.0, "s")
    assert not pool.bindings.by


def test_a_session_that_a_later_target_served_returns_to_the_first() -> None:
    pool = Pool()
    p = plan(target("u", "a", "b"), target("v", "c", "d"))
    pool.succeeded(p.targets[1].candidates[0], p, 0.0, "s")
    assert pool.bindings.get(("s", "m"), 0.0) == "c"
    chosen = pool.order(p.targets[0], p, 1.0, "s")[0]
    pool.succeeded(chosen, p, 1.0, "s")
    assert [ids(pool, p, 2.0, "s")[0] for _ in range(3)] == [chosen.credential.id] * 3


def test_a_short_cooldown_is_not_cut_by_a_signal_of_room() -> None:
    pool, p = Pool(), plain("a")
    fail(pool, p, failure(429, kind="usage_limit_reached", retry_after=30.0))
    room = [(b"x-codex-primary-used-percent", b"3")]
    pool.signals(p.targets[0].candidates[0], room, 1.0, WALL + 1)
    assert ids(pool, p, 1.0) == []
