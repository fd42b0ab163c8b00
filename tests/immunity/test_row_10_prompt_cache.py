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


def test_a_session_of_twenty_turns_stays_and_its_prefix_is_read_from_the_cache() -> None:
    assert Plan(asked="m", model="m", targets=()).sticky == "session"
    caller, p = Caller(Pool(), lambda *_: None), plain("a", "b", "c")
    caches: dict[str, list[bytes]] = {}
    accounts: dict[str, set[str]] = {}
    cached = total = 0
    talks = {name: conversation(name, 20) for name in ("one", "two", "three", "four")}
    for turn in range(20):
        caller.now = turn * 30.0
        for name, talk in talks.items():
            body = next(talk)
            session = session_of("chat", [], top_level(body), "key")
            account = caller.request(p, session)
            accounts.setdefault(name, set()).add(account)
            seen = caches.setdefault(account, [])
            best = max((len(old) for old in seen if body.startswith(old[:-2])), default=0)
            if turn:
                cached, total = cached + best, total + len(before[name])
            seen.append(body)
            talks.setdefault(name, talk)
            before = {**(before if turn or name != "one" else {}), name: body}
    assert all(len(used) == 1 for used in accounts.values())
    assert len(set().union(*accounts.values())) == 3
    assert cached >= 0.95 * total
