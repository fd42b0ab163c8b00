"""Row 10: taking turns does not throw the prompt cache away; affinity is on by default."""

from __future__ import annotations

from proxy.accounts.affinity import session_of
from proxy.accounts.pool import Pool
from proxy.config.model import Plan
from proxy.jsonio import encode, top_level
from tests.pools import Caller, plain


def conversation(name: str, turns: int):
    """The requests of a tool that names no session, each with everything said so far."""
    messages = [{"role": "system", "content": "You are a tool."}]
    for number in range(turns):
        messages.append({"role": "user", "content": f"{name} {number} " * 40})
        yield encode({"model": "m", "messages": messages})
        messages.append({"role": "assistant", "content": "done " * 40})


class Cache:
    """What one account has seen; how many bytes of a body it need not read again."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    def read(self, body: bytes) -> int:
        known = max((len(old) for old in self.seen if body.startswith(old)), default=0)
        self.seen.append(body.removesuffix(b"]}"))
        return known


def test_a_session_of_twenty_turns_stays_and_its_prefix_is_read_from_the_cache() -> None:
    assert Plan(asked="m", model="m", targets=()).sticky == "session"
    caller, p = Caller(Pool(), lambda *_: None), plain("a", "b", "c")
    caches = {name: Cache() for name in "abc"}
    accounts: dict[str, set[str]] = {}
    prefix: dict[str, int] = {}
    cached = total = 0
    talks = {name: conversation(name, 20) for name in ("one", "two", "three", "four")}
    for turn in range(20):
        caller.now = turn * 30.0
        for name, talk in talks.items():
            body = next(talk)
            account = caller.request(p, session_of("chat", [], top_level(body), "key"))
            accounts.setdefault(name, set()).add(account)
            known = caches[account].read(body)
            cached, total = cached + min(known, prefix.get(name, 0)), total + prefix.get(name, 0)
            prefix[name] = len(body) - len(b"]}")
    assert all(len(used) == 1 for used in accounts.values())
    assert set().union(*accounts.values()) == {"a", "b", "c"}
    assert cached >= 0.95 * total > 0
