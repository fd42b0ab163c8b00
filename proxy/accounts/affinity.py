"""Which requests belong together, and which credential served them last. Pure; bounded.

Prompt caches live at one account, so a conversation should stay there. `session_of` finds what names
a conversation, cheaply: no body is decoded, only small values of the top level.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final, TypeAlias

import msgspec

from proxy.config.model import Plan, Sticky
from proxy.jsonio import Body, Raw

Headers: TypeAlias = Iterable[tuple[bytes, bytes]]
Key: TypeAlias = tuple[str, str]

FRESH: Final = "+"
"""Begins the name of a conversation that has no past: nobody has a cache of it."""

HEADERS: Final = (
    b"x-claude-code-session-id",
    b"x-session-id",
    b"session-id",
    b"session_id",
    b"x-opencode-session",
    b"conversation-id",
    b"conversation_id",
    b"x-conversation-id",
    b"thread-id",
)
"""In this order; the first that has a value names the session."""
_RANK: Final = {name: rank for rank, name in enumerate(HEADERS)}
_BODY_IDS: Final = ("prompt_cache_key", "conversation", "session_id")
_SYSTEM: Final = ("system", "instructions", "systemInstruction", "system_instruction")
_TURNS: Final = ("messages", "input", "contents")
_PREFIX: Final = 2048
"""Bytes of a text that go into a digest."""
_LONGEST_ID: Final = 512
_CLAUDE_CODE: Final = re.compile(r'session_(?:id\\?":\s*\\?")?([0-9A-Za-z-]{8,64})')
"""`user_..._account_..._session_UUID`, or the newer JSON text with a member `session_id`."""
_ANSWER: Final = re.compile(rb'"(?:assistant|model|function_call|reasoning)"')
"""Roles and item types of what a model said, of all protocols."""
_USER_TURN: Final = re.compile(rb'"role"\s*:\s*"user"')
_NEXT_TURN: Final = re.compile(rb'"role"\s*:')
_CACHE_MARK: Final = re.compile(rb',?\s*"cache_control"\s*:\s*\{[^{}]*\}')
"""Clients move these marks to the newest turn, so they are no part of a conversation's opening."""
_FAR: Final = 65_536
"""How far into the turns the first one of the user is looked for."""


class _Named(msgspec.Struct):
    """`conversation` of Responses is a text or an object with an id."""

    id: str = ""


class _Metadata(msgspec.Struct):
    user_id: str = ""


_named: Final = msgspec.json.Decoder(str | _Named)
_metadata: Final = msgspec.json.Decoder(_Metadata)


def has_choice(plan: Plan) -> bool:
    """Whether affinity can mean anything: it orders the candidates of one target."""
    for target in plan.targets:  # noqa: SIM110 - `any` would cost each request a generator
        if len(target.candidates) > 1:
            return True
    return False


def session_of(wire: str, headers: Headers, top: Body, key: str, sticky: Sticky = "session") -> str:
    """A short name of the conversation that a request belongs to, "" if nothing tells.

    Tried in this order: `metadata.user_id` of Claude Code (its session part), the headers of
    `HEADERS`, `prompt_cache_key`, `conversation`, `session_id` of the body, and at last a digest of
    the system text and the first turn. Names of different client keys never meet. With `sticky`
    "key", all requests of one client key belong together; with "none", none do.

    A digest of a request that holds no answer yet begins with `FRESH`: the conversation is new, even
    where another one opened with the same words.
    """
    if sticky == "none":
        return ""
    if sticky == "key":
        return _digest("key", key.encode()) if key else ""
    found = _claude_code(top) or _header(headers) or _body_id(top)
    if found:
        return _digest(key, found.encode())
    opening = _opening(wire, top)
    if not opening:
        return ""
    return _digest(key, opening) if _holds_answer(top) else FRESH + _digest(key, opening)


def key_of(session: str, model: str) -> Key:
    """Under what a session of a routed model is bound."""
    return session.removeprefix(FRESH), model


def _holds_answer(top: Body) -> bool:
    """Whether the model has spoken before. In a text the quotes would be escaped."""
    turns = _first_raw(top, _TURNS)
    return turns is not None and _ANSWER.search(memoryview(turns)) is not None


def _digest(key: str, value: bytes) -> str:
    return blake2b(value, digest_size=12, key=key.encode()[:64]).hexdigest()


def _claude_code(top: Body) -> str:
    raw = top.get("metadata")
    if not isinstance(raw, Raw):
        return ""
    try:
        said = _metadata.decode(raw).user_id
    except msgspec.DecodeError:
        return ""
    match = _CLAUDE_CODE.search(said)
    return match[1] if match else ""


def _header(headers: Headers) -> str:
    best, rank = b"", len(HEADERS)
    for name, value in headers:
        place = _RANK.get(name, rank)
        if place < rank and 0 < len(value.strip()) <= _LONGEST_ID:
            best, rank = value.strip(), place
    return best.decode("latin-1")


def _body_id(top: Body) -> str:
    for key in _BODY_IDS:
        raw = top.get(key)
        if not isinstance(raw, Raw) or not 2 < len(memoryview(raw)) <= _LONGEST_ID:
            continue
        try:
            said = _named.decode(raw)
        except msgspec.DecodeError:
            continue
        text = said if isinstance(said, str) else said.id
        if text:
            return text
    return ""


def _opening(wire: str, top: Body) -> bytes:
    """The bytes that a conversation begins with and keeps: its system text and first user turn."""
    turns = _first_raw(top, _TURNS)
    if turns is None:
        return b""
    view = memoryview(turns)
    system = _first_raw(top, _SYSTEM)
    before = bytes(memoryview(system)[:_PREFIX]) if system is not None else b""
    user = _USER_TURN.search(view, 0, _FAR)
    begin = user.start() if user is not None else 0
    parts = (wire.encode(), before, bytes(view[: min(begin, _PREFIX)]), _turn(view, user))
    opening = b"\0".join(parts)
    return _CACHE_MARK.sub(b"", opening) if b"cache_control" in opening else opening


def _first_raw(top: Body, keys: tuple[str, ...]) -> Raw | None:
    for key in keys:
        value = top.get(key)
        if isinstance(value, Raw):
            return value
    return None


def _turn(view: memoryview, user: re.Match[bytes] | None) -> bytes:
    """The user's first turn from its role on, the same bytes whether or not more turns follow."""
    if user is None:
        return bytes(view[:_PREFIX])
    begin, stop = user.span()
    if bytes(view[stop : stop + 8]).lstrip().startswith(b"}"):
        return bytes(view[begin:stop])
    following = _NEXT_TURN.search(view, stop, stop + _PREFIX)
    if following is None and len(view) > stop + _PREFIX:
        return bytes(view[begin : stop + _PREFIX])
    text = bytes(view[begin : following.start() if following is not None else len(view)])
    return text[: text.rfind(b"}")]


_MOST_BINDINGS: Final = 4_000
_IDLE: Final = 3600.0


class Bindings:
    """Session and routed model -> credential id. The one that was idle longest goes first."""

    def __init__(self) -> None:
        self.by: OrderedDict[Key, tuple[str, float]] = OrderedDict()

    def get(self, key: Key, now: float) -> str:
        """The credential that served this session, "" if none did within the hour."""
        bound = self.by.get(key)
        if bound is None:
            return ""
        if now - bound[1] > _IDLE:
            del self.by[key]
            return ""
        return bound[0]

    def put(self, key: Key, credential: str, now: float) -> None:
        """Binds, or moves a binding, or notes that it was used."""
        self.by[key] = (credential, now)
        self.by.move_to_end(key)
        if len(self.by) > _MOST_BINDINGS:
            self.by.popitem(last=False)

    def drop(self, key: Key, credential: str) -> None:
        """Unbinds the session if it is bound to this credential."""
        bound = self.by.get(key)
        if bound is not None and bound[0] == credential:
            del self.by[key]
