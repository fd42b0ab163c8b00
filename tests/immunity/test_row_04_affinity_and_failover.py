"""Row 4: a session that is bound to an account is still served when that account fails."""

from __future__ import annotations

import pytest

from proxy.accounts.pool import Pool
from tests.pools import Caller, failure, plain


@pytest.mark.parametrize("status", [401, 429, 500, 503, 529])
def test_the_next_account_serves_the_same_request_and_the_session_moves_once(status: int) -> None:
    broken: set[str] = set()
    caller = Caller(Pool(), lambda name, _m, _now: failure(status) if name in broken else None)
    p = plain("a", "b", "c")
    home = caller.request(p, "session")
    assert [caller.request(p, "session") for _ in range(5)] == [home] * 5
    broken.add(home)
    calls = len(caller.calls)
    away = caller.request(p, "session")
    assert away != home
    assert len(caller.calls) == calls + 2
    assert dict(caller.pool.bindings.by) == {("session", "m"): (away, caller.now)}
    broken.clear()
    for second in (1.0, 30.0, 200.0, 3000.0, 6000.0):
        caller.now = second
        served = caller.request(p, "session")
        assert served == away or home in {n for at, n, _ in caller.calls if at == second}
    assert caller.request(p, "session") == away
    assert len(caller.pool.bindings.by) == 1


def test_other_sessions_stay_where_they_are() -> None:
    broken: set[str] = set()
    caller = Caller(Pool(), lambda name, _m, _now: failure(429) if name in broken else None)
    p = plain("a", "b", "c")
    homes = {s: caller.request(p, s) for s in ("s1", "s2", "s3")}
    assert set(homes.values()) == {"a", "b", "c"}
    broken.add(homes["s1"])
    moved = caller.request(p, "s1")
    assert moved != homes["s1"]
    assert [caller.request(p, s) for s in ("s2", "s3")] == [homes["s2"], homes["s3"]]
