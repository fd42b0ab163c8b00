"""Row 8: what is left is visible, and the choice uses it."""

from __future__ import annotations

from collections import Counter

from proxy.accounts.pool import Pool
from tests.pools import Caller, plain


def spending(**used: float) -> Caller:
    """Accounts whose replies tell what is used; each call uses one percent more."""

    def headers(name: str, _now: float) -> list[tuple[bytes, bytes]]:
        used[name] = used.get(name, 0.0) + 1
        return [
            (b"x-codex-primary-used-percent", b"%.1f" % used[name]),
            (b"x-codex-primary-reset-after-seconds", b"18000"),
        ]

    return Caller(Pool(), lambda *_: None, headers)


def test_it_is_shown() -> None:
    caller, p = spending(a=51, b=11), plain("a", "b", label="team")
    for _ in range(2):
        caller.request(p)
    shown = {
        s.credential: (s.label, s.windows[0].used, s.windows[0].seconds)
        for s in caller.pool.view(0.0)
    }
    assert shown == {"a": ("team", 0.52, 18000.0), "b": ("team", 0.12, 18000.0)}


def test_the_account_with_most_left_is_used_until_they_are_even() -> None:
    caller, p = spending(a=51, b=11), plain("a", "b", strategy="most-remaining")
    first = [caller.request(p) for _ in range(45)]
    assert Counter(first)["a"] <= 5
    assert abs(Counter(caller.request(p) for _ in range(20))["a"] - 10) <= 1


def test_unknown_is_neutral() -> None:
    caller, p = spending(a=80, b=10), plain("a", "b", "c", strategy="most-remaining")
    for name in "ab":
        caller.request(plain(name))
    order = [c.credential.id for c in caller.pool.order(p.targets[0], p, 0.0)]
    assert order == ["b", "c", "a"]
