"""What names a conversation."""

from __future__ import annotations

import pytest

from proxy.accounts.affinity import FRESH, HEADERS, Bindings, has_choice, key_of, session_of
from proxy.jsonio import encode, top_level
from tests.scripted import chain, plan

UUID = "12345678-1234-1234-1234-123456789abc"


def session(
    body: dict, headers: dict | None = None, wire: str = "chat", key: str = "k", **more
) -> str:
    pairs = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    return session_of(wire, pairs, top_level(encode(body)), key, **more)


def user(text: str = "hi") -> dict:
    return {"role": "user", "content": text}


@pytest.mark.parametrize(
    "user_id",
    [
        f"user_{'ab' * 32}_account_{UUID}_session_{UUID}",
        f'{{"device_id":"d","account_uuid":"a","session_id":"{UUID}"}}',
    ],
)
def test_claude_code_names_its_session_whatever_else_changes(user_id: str) -> None:
    first = session({"metadata": {"user_id": user_id}, "messages": [user("one")]})
    second = session(
        {"metadata": {"user_id": user_id}, "messages": [user("two")]}, {"session_id": "x"}
    )
    other = session({"metadata": {"user_id": user_id.replace(UUID, UUID[::-1])}})
    assert first == second != other


def test_the_order_of_headers_is_the_documented_one() -> None:
    everything = {name.decode(): name.decode() for name in reversed(HEADERS)}
    for name in HEADERS:
        alone = session({}, {name.decode(): name.decode()})
        assert session({}, everything) == alone
        del everything[name.decode()]
    assert len({session({}, {name.decode(): "x"}) for name in HEADERS}) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"prompt_cache_key": "s1"},
        {"conversation": "s1"},
        {"conversation": {"id": "s1", "more": 1}},
        {"session_id": "s1"},
    ],
)
def test_ids_in_the_body(body: dict) -> None:
    assert session({**body, "input": "one"}) == session({**body, "input": "two"})
    assert session(body) == session({"prompt_cache_key": "s1"})
    assert session({**body, "input": "one"}) != session({"input": "one"})


@pytest.mark.parametrize(
    "body",
    [
        {"prompt_cache_key": 5},
        {"prompt_cache_key": ""},
        {"prompt_cache_key": "x" * 600},
        {"conversation": [1]},
        {"metadata": "text"},
        {"metadata": {"user_id": 5}},
        {"metadata": {"user_id": "somebody"}},
        {"metadata": None},
    ],
)
def test_what_is_no_id_leaves_the_opening(body: dict) -> None:
    turns = {"messages": [user()]}
    assert session({**body, **turns}) == session(turns) != ""


def grown(wire: str) -> tuple[dict, dict]:
    """A conversation's first request and a later one."""
    parts = [{"type": "text", "text": "hello", "cache_control": {"type": "ephemeral"}}]
    unmarked = [{"type": "text", "text": "hello"}]
    answer, again = {"role": "assistant", "content": "yes"}, user("more")
    if wire == "anthropic":
        first, later = {"role": "user", "content": parts}, {"role": "user", "content": unmarked}
        return {"system": "s", "messages": [first]}, {
            "system": "s",
            "messages": [later, answer, again],
        }
    if wire == "responses":
        item = {"type": "message", **user()}
        more = [{"type": "message", **answer}, {"type": "message", **again}]
        return {"instructions": "s", "input": [item]}, {"instructions": "s", "input": [item, *more]}
    if wire == "gemini":
        one = {"parts": [{"text": "hi"}], "role": "user"}
        reply = {"parts": [{"text": "yes"}], "role": "model"}
        return {"contents": [one]}, {"contents": [one, reply, one]}
    system = {"role": "system", "content": "s"}
    return {"messages": [system, user()]}, {"messages": [system, user(), answer, again]}


@pytest.mark.parametrize("wire", ["chat", "anthropic", "responses", "gemini"])
def test_the_opening_stays_the_same_while_a_conversation_grows(wire: str) -> None:
    first, later = grown(wire)
    opened, goes_on = session(first, wire=wire), session(later, wire=wire)
    assert opened == FRESH + goes_on
    assert key_of(opened, "m") == key_of(goes_on, "m") == (goes_on, "m")


def test_a_word_in_a_text_is_no_answer() -> None:
    text = 'say {"role":"assistant"} and "model"'
    assert session({"messages": [user(text)]}).startswith(FRESH)


@pytest.mark.parametrize("length", [10, 1500, 2500, 70_000])
def test_long_openings_too(length: int) -> None:
    text = "word " * (length // 5)
    answer = {"role": "assistant", "content": "yes"}
    first = session({"messages": [user(text)]})
    assert first == FRESH + session({"messages": [user(text), answer, user("x")]})
    assert first != session({"messages": [user("other " + text)]})


def test_different_openings_and_keys_never_meet() -> None:
    base = {"system": "s", "messages": [user()]}
    names = {
        session(base),
        session(base, key="other"),
        session({**base, "system": "t"}),
        session({"messages": [user("ho")]}),
        session(base, wire="anthropic"),
    }
    assert len(names) == 5
    assert session({"prompt_cache_key": "s"}) != session({"prompt_cache_key": "s"}, key="other")


def test_sticky_key_and_none() -> None:
    one, two = {"messages": [user("a")]}, {"messages": [user("b")]}
    assert session(one, sticky="key") == session(two, sticky="key") != ""
    assert session(one, sticky="key", key="") == ""
    assert session(one, sticky="none") == ""


def test_nothing_to_go_by() -> None:
    assert session({"model": "m"}) == ""
    assert session({"input": "text"}) != session({"input": "other"})


def test_a_binding_ends_after_an_idle_hour_and_the_oldest_goes_first() -> None:
    bindings = Bindings()
    bindings.put(("s", "m"), "a", 0.0)
    assert bindings.get(("s", "m"), 3600.0) == "a"
    assert bindings.get(("s", "m"), 3601.0) == ""
    assert not bindings.by
    for number in range(4_010):
        bindings.put((str(number), "m"), "a", 0.0)
    assert len(bindings.by) == 4_000
    assert bindings.get(("0", "m"), 0.0) == ""


def test_only_the_bound_credential_is_dropped() -> None:
    bindings = Bindings()
    bindings.put(("s", "m"), "a", 0.0)
    bindings.drop(("s", "m"), "b")
    assert bindings.get(("s", "m"), 0.0) == "a"
    bindings.drop(("s", "m"), "a")
    assert bindings.get(("s", "m"), 0.0) == ""


def test_a_choice_is_among_the_candidates_of_one_target() -> None:
    assert has_choice(plan("a", "b"))
    assert not has_choice(plan("a"))
    assert not has_choice(chain("a", "b"))
