"""What a client's request says and no decoder reads: the paths of members that no Struct has. Pure.

The Structs that the decoders read with say what is known of every nested object, and this walks the
client's JSON beside them. It runs only for those who ask (`on-loss`, `explain`, `transcode`), so that
decoders stay as fast as they are. Each wire names its Structs in `reading.py`, and by hand no more than
what they cannot say: which members count where one Struct stands for objects of several kinds.

Free-form values (JSON schemas, arguments of calls, metadata) are data and never looked into. Objects of a
kind that a decoder does not know are not looked into either: encoders list them whole. Top-level members
that nobody knows are in `Request.extras`, which encoders list too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from typing import Final, TypeAlias, cast

import msgspec
from msgspec import Raw, Struct, inspect

from proxy.convo.model import Lost, Request
from proxy.jsonio import Body

MOST: Final = 50
"""Most members that are listed by name."""
LOOKS: Final = 50_000
"""Most objects that are looked into: a few hundredths of a second, more than long conversations have."""
_LONGEST: Final = 200
"""Most characters of a path."""
_NOTHING: Final = frozenset((b"null", b"[]", b"{}", b'""'))
"""Values that say nothing."""
_SHORT: Final = 8
_BRACE, _BRACKET, _QUOTE = b'{["'
_WHY: Final = "not known to this program, which translates what it knows"

IGNORED: Final[Mapping[str, str]] = {
    "Item.status": "what a client sends back is over",
    "Item.id": "names an item of an answer; calls and results find each other by `call_id`",
    "Content.logprobs": "how likely the words of an earlier answer were",
    "MessageIn.name": "the tool of a result is known by its call",
    "Body.project": "Code Assist is asked for the account's own project",
    "Body.user_prompt_id": "names a request in its client's log",
}
"""Members that are not read and need no mention, with the reason: `Struct.member` (`Body` = top level).
A message's `name` is read but where the message is a tool's result."""

Members: TypeAlias = Mapping[str, Raw]
"""A JSON object as it came."""


class Reading(Struct, frozen=True, kw_only=True):
    """How a wire's request is read, as far as its Structs do not say it by themselves.

    `members`: top-level member -> the type that it is decoded into; the others are scalars, or data.
    `inside`: members that a Struct keeps as `Raw` and a decoder reads further on.
    `kinds`: of a Struct that stands for objects of several kinds, the members that are read of this one;
    None where it stays as it is. `camel`: Structs that take snake_case as well. `kept`: what goes out again
    as it came where the upstream speaks this wire, top-level members and Structs. `top`: all top-level
    members that are read, of a dialect that drops the others. `envelope`: the member that holds the request.
    """

    members: Mapping[str, object]
    inside: Mapping[tuple[type, str], object] = {}
    kinds: Mapping[type, Callable[[Members], Collection[str] | None]] = {}
    camel: frozenset[type] = frozenset()
    kept: frozenset[object] = frozenset()
    top: Collection[str] | None = None
    envelope: str = ""


class _Value:
    """A type, seen as JSON: what an object of it holds, by the word of its kind if it has several, and what
    the elements of an array are."""

    def __init__(self) -> None:
        self.tag = ""
        self.objects: dict[str, _Object] = {}
        self.item: _Value | None = None

    @property
    def plain(self) -> bool:
        """There is nothing to look into."""
        return not self.objects and self.item is None


class _Object:
    """A Struct: its members, and what is in those that are not plain."""

    def __init__(self, struct: type) -> None:
        self.struct = struct
        self.name = struct.__name__
        self.members: set[str] = set()
        self.nested: dict[str, _Value] = {}


_object = msgspec.json.Decoder(dict[str, Raw])
_list = msgspec.json.Decoder(list[Raw])
_word = msgspec.json.Decoder(str)
_readers: dict[str, _Reader] = {}
_BASES: Final = {"gemini_cli": "gemini", "completions": "chat"}
"""Dialect -> the wire that its requests are decoded as."""


def unread(wire: str, top: Body, request: Request, upstream: str, most: int = MOST) -> list[Lost]:
    """The members of a client's request that its decoder passed over, on its way to `upstream`.

    `top`: the body by top-level member. After `most` of them one entry says how many there are further.
    """
    reader = _readers.get(wire)
    if reader is None:
        module = import_module(f"proxy.wire.{wire}.reading")
        reader = _readers[wire] = _Reader(cast("Reading", module.READING))
    reading = reader.reading
    own = request.origin == _BASES.get(upstream, upstream)
    kept = reading.kept if own else frozenset()
    walk = _Walk(reading, kept, most)
    members: Members = {key: raw for key, raw in top.items() if isinstance(raw, Raw)}
    if reading.top is not None:
        for key, raw in members.items():
            if key not in reading.top:
                walk.note("Body", key, raw, "")
    before = ""
    if reading.envelope:
        before = reading.envelope + "."
        members = _members_of(members.get(reading.envelope))
    whole = request.extras.keys() - set(request.implied) | kept
    try:
        for key, raw in members.items():
            value = reader.value(key)
            if value is not None and reader.spelled(key) not in whole:
                walk.look(raw, value, before + key)
    except RecursionError:
        walk.found.append(Lost("...", "nested too deeply to be looked through"))
    if walk.further:
        walk.found.append(Lost("", _WHY, walk.further))
    if walk.looks > LOOKS:
        walk.found.append(Lost("...", f"only {LOOKS} objects of a request are looked into"))
    return walk.found


def _members_of(raw: Raw | None) -> Members:
    return _object.decode(raw) if raw is not None and _begins(raw, _BRACE) else {}


def _begins(raw: Raw, mark: int) -> bool:
    return memoryview(raw)[0] == mark


class _Reader:
    """The Structs of a wire as values, made once."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self._known: dict[type, _Object] = {}
        types = inspect.multi_type_info(list(reading.members.values()))
        self._members = {
            key: self._value(info) for key, info in zip(reading.members, types, strict=True)
        }

    def spelled(self, key: str) -> str:
        """A top-level member as the wire's table spells it."""
        return key if key in self._members or not self.reading.camel else camel(key)

    def value(self, key: str) -> _Value | None:
        """What a top-level member holds; None where there is nothing to look into."""
        return self._members.get(self.spelled(key))

    def _value(self, info: inspect.Type) -> _Value:
        value = _Value()
        self._fill(value, info)
        return value

    def _fill(self, value: _Value, info: inspect.Type) -> None:
        if isinstance(info, inspect.UnionType):
            for member in info.types:
                self._fill(value, member)
        elif isinstance(info, inspect.ListType):
            value.item = self._value(info.item_type)
        elif isinstance(info, inspect.StructType):
            value.tag = value.tag or info.tag_field or ""
            value.objects[str(info.tag or "")] = self._struct(info)

    def _struct(self, info: inspect.StructType) -> _Object:
        known = self._known.get(info.cls)
        if known is None:
            known = self._known[info.cls] = _Object(info.cls)
            if info.tag_field:
                known.members.add(info.tag_field)
            for field in info.fields:
                found = self._value(self._type(info.cls, field))
                known.members.add(field.encode_name)
                if not found.plain:
                    known.nested[field.encode_name] = found
        return known

    def _type(self, struct: type, field: inspect.Field) -> inspect.Type:
        inside = self.reading.inside.get((struct, field.name))
        return field.type if inside is None else inspect.type_info(inside)


class _Walk:
    """One walk over a request, and what it found."""

    def __init__(self, reading: Reading, kept: frozenset[object], most: int) -> None:
        self.found: list[Lost] = []
        self.further = 0
        self.looks = 0
        self._reading = reading
        self._kept = kept
        self._most = most

    def look(self, raw: Raw, value: _Value, path: str) -> None:
        """Looks into one value."""
        if value.objects and _begins(raw, _BRACE):
            self.looks += 1
            if self.looks > LOOKS:
                return
            members = _object.decode(raw)
            known = value.objects.get(word(members, value.tag) if value.tag else "")
            if known is not None and known.struct not in self._kept:
                self._members(members, known, path)
        elif value.item is not None and not value.item.plain and _begins(raw, _BRACKET):
            for number, item in enumerate(_list.decode(raw)):
                self.look(item, value.item, f"{path}[{number}]")

    def _members(self, members: Members, known: _Object, path: str) -> None:
        reading, struct = self._reading, known.struct
        choose = reading.kinds.get(struct)
        read: Collection[str] | None = known.members if choose is None else choose(members)
        if read is None:
            return
        both = struct in reading.camel
        for key, raw in members.items():
            name = camel(key) if both else key
            if name not in read:
                self.note(known.name, key, raw, path)
                continue
            inner = known.nested.get(name)
            if inner is not None:
                self.look(raw, inner, f"{path}.{key}")

    def note(self, struct: str, key: str, raw: Raw, path: str) -> None:
        """Lists a member, unless it says nothing."""
        if len(raw) <= _SHORT and bytes(raw).replace(b" ", b"") in _NOTHING:
            return
        if f"{struct}.{key}" in IGNORED:
            return
        if len(self.found) >= self._most:
            self.further += 1
            return
        whole = f"{path}.{key}" if path else key
        if len(whole) > _LONGEST:
            whole = whole[:_LONGEST] + "..."
        self.found.append(Lost(whole, _WHY))


def word(members: Members, key: str) -> str:
    """A text member of an object; "" where it is absent or none."""
    raw = members.get(key)
    return _word.decode(raw) if raw is not None and _begins(raw, _QUOTE) else ""


def object_in(members: Members, key: str) -> Members:
    """An object that is a member of an object; {} where it is absent or none."""
    return _members_of(members.get(key))


def camel(name: str) -> str:
    """`max_items` -> `maxItems`."""
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)
