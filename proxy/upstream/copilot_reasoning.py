"""Gemini's reasoning on Copilot, given back where the client left it out. Sheet: copilot, section 8.

Gemini 3 wants its reasoning again with the results of the tools it called, but chat clients send only
standard fields. It is kept by account and id of the first call, and put back into the next request.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw, Struct

from proxy.jsonio import Body, encode
from proxy.upstream.copilot_initiator import value_of

if TYPE_CHECKING:
    from proxy.jsonio import Json

MOST: Final = 1_000
_LONGEST: Final = 256 * 1024
"""Longest reasoning that is kept, in characters."""
_LINE: Final = 8 * 1024 * 1024
_SIZE: Final = 16 * 1024 * 1024
"""Most characters that are kept of all conversations together."""


class _Call(Struct):
    id: str | None = None


class _Said(Struct):
    reasoning_opaque: str | None = None
    reasoning_text: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(Struct):
    delta: _Said | None = None
    message: _Said | None = None


class _Chunk(Struct):
    choices: list[_Choice] = []


_chunk = msgspec.json.Decoder(_Chunk)


class Kept(Struct, frozen=True):
    """One turn's reasoning."""

    opaque: str
    text: str

    @property
    def size(self) -> int:
        """In characters."""
        return len(self.opaque) + len(self.text)


class Reasoning:
    """What is kept, oldest first; bounded in number and in size."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], Kept] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, account: str, call: str, opaque: str, text: str) -> None:
        """Remembers a turn; a later piece of the same turn replaces it."""
        fresh = Kept(opaque, text)
        if fresh.size > _LONGEST:
            return
        old = self._kept.pop((account, call), None)
        self._size += fresh.size - (old.size if old is not None else 0)
        self._kept[account, call] = fresh
        while len(self._kept) > MOST or self._size > _SIZE:
            self._size -= self._kept.popitem(last=False)[1].size

    def give_back(self, account: str, body: Body) -> None:
        """Puts reasoning into the assistant's turns that called tools and have none."""
        raw = body.get("messages")
        if raw is None or not self._kept:
            return
        messages = value_of(raw)
        if not isinstance(messages, list):
            return
        found = [m for m in messages if isinstance(m, dict) and self._put(account, m)]
        if found:
            body["messages"] = Raw(encode(messages))

    def _put(self, account: str, message: dict[str, Json]) -> bool:
        calls = message.get("tool_calls")
        if message.get("role") != "assistant" or not isinstance(calls, list):
            return False
        if message.get("reasoning_opaque") or message.get("reasoning_text"):
            return False
        ids = (call.get("id") for call in calls if isinstance(call, dict))
        first = next((id for id in ids if isinstance(id, str) and id), "")
        kept = self._kept.get((account, first))
        if kept is None:
            return False
        self._kept.move_to_end((account, first))
        if kept.opaque:
            message["reasoning_opaque"] = kept.opaque
        if kept.text:
            message["reasoning_text"] = kept.text
        return True


class Capture:
    """Reads one answer's bytes, streamed or whole, into `Reasoning`."""

    def __init__(self, kept: Reasoning, account: str, *, stream: bool) -> None:
        self._kept = kept
        self._account = account
        self._stream = stream
        self._rest = b""
        self._opaque = ""
        self._text = ""
        self._call = ""

    def __call__(self, data: bytes) -> None:
        """The next piece; b"" at the end."""
        if self._stream:
            *lines, rest = (self._rest + data).split(b"\n")
            self._rest = rest if len(rest) <= _LINE else b""
            for line in lines:
                if line.startswith(b"data:") and _tells(line):
                    self._read(line[5:])
        elif data:
            self._rest = self._rest + data if len(self._rest) <= _LINE else b""
        elif _tells(self._rest):
            self._read(self._rest)

    def _read(self, text: bytes) -> None:
        try:
            choices = _chunk.decode(text).choices
        except msgspec.DecodeError:
            return
        said = (choices[0].delta or choices[0].message) if choices else None
        if said is None:
            return
        self._opaque = said.reasoning_opaque or self._opaque
        self._text += said.reasoning_text or ""
        if not self._call and said.tool_calls:
            self._call = said.tool_calls[0].id or ""
        if self._call and (self._opaque or self._text):
            self._kept.keep(self._account, self._call, self._opaque, self._text)


def _tells(line: bytes) -> bool:
    return b'"reasoning_' in line or b'"tool_calls"' in line
