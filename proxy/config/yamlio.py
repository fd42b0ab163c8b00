"""YAML into values with places. Events come from libyaml; the tree is built here, within limits.

Plain scalars follow YAML 1.2's core schema, as the reference's parser reads them: `yes`, `on` and
dates are text. Keys defined twice, aliases that contain themselves and texts that blow up through
aliases are errors. `<<` merges.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import yaml

from proxy.config.diagnose import ConfigError, at, quoted
from proxy.config.document import DEPTH, NODES, Document, Marks, Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.config.diagnose import Path
    from proxy.jsonio import Json

_INT: Final = re.compile(r"[-+]?[0-9]{1,18}\Z|0x[0-9a-fA-F]{1,15}\Z|0o[0-7]{1,20}\Z")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?\Z")
_WORDS: Final[dict[str, Json]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_TAG: Final = "tag:yaml.org,2002:"
_MERGE: Final = "<<"

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse(file: str, text: str) -> Document:
    """One YAML document that is a mapping, or empty (= an empty mapping). Raises ConfigError."""
    builder = _Builder(Text(file, text))
    try:
        value = builder.read()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if error.context_mark and "expected ':'" in str(error.problem):
            # A colon is missed only where the next line begins; the line without it is the context.
            mark = error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _failure(builder.source, line, column, error.problem or "is not YAML") from None
    except yaml.YAMLError as error:
        raise _failure(builder.source, *_reader_place(text, error), "is not YAML text") from None
    except (ValueError, UnicodeError) as error:
        raise _failure(builder.source, 1, 1, f"is not YAML: {error}") from None
    if value is None:
        value = {}
    if not isinstance(value, dict):
        line, column = builder.marks.values.get((), (1, 1))
        raise _failure(builder.source, line, column, "should be a mapping of keys to values")
    return Document(file, text, value, _scan, builder.marks)


def _scan(text: str) -> Marks:
    """The places of a text that was read before."""
    builder = _Builder(Text("", text))
    builder.read()
    return builder.marks


def _reader_place(text: str, error: yaml.YAMLError) -> tuple[int, int]:
    position = getattr(error, "position", 0)
    offset = position if isinstance(position, int) else 0
    offset = min(max(offset, 0), len(text))
    return text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1


def _place(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _failure(source: Text, line: int, column: int, message: str) -> ConfigError:
    hint = ""
    if "\t" in source.text[:200_000] and "found character" in message:
        hint = "YAML is indented with spaces, not tabs"
    return ConfigError((at(source, line, column, "bad-yaml", message, hint=hint),))


class _Builder:
    """Walks the events once; `marks` fills as it goes (libyaml brings places for nothing)."""

    def __init__(self, source: Text) -> None:
        self.source = source
        self.marks = Marks()
        self._anchors: dict[str, tuple[Json, int]] = {}
        self._open: set[str] = set()
        self._nodes = 0

    def read(self) -> Json:
        events = iter(yaml.parse(self.source.text, Loader=_LOADER))
        value: Json = None
        seen = False
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent) and seen:
                raise self._bad(event, "holds a second document; only one is read")
            if isinstance(event, yaml.NodeEvent):
                value = self._node(event, events, (), 0)
                seen = True
        return value

    def _bad(self, event: yaml.Event, message: str) -> ConfigError:
        return _failure(self.source, *_place(event), message)

    def _node(
        self, event: yaml.NodeEvent, events: Iterator[yaml.Event], path: Path, depth: int
    ) -> Json:
        self.marks.values[path] = _place(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if depth > DEPTH:
            raise self._bad(event, f"is nested deeper than {DEPTH} levels")
        before = self._nodes
        self._count(event, 1)
        anchor = event.anchor
        if anchor:
            self._open.add(anchor)
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, path)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(events, path, depth)
        else:
            value = self._mapping(events, path, depth)
        if anchor:
            self._open.discard(anchor)
            self._anchors[anchor] = (value, self._nodes - before)
        return value

    def _count(self, event: yaml.Event, size: int) -> None:
        self._nodes += size
        if self._nodes > NODES:
            raise self._bad(event, f"expands to more than {NODES} values")

    def _alias(self, event: yaml.AliasEvent) -> Json:
        name = event.anchor or ""
        if name in self._open:
            raise self._bad(event, f"alias {quoted(name)} contains itself")
        found = self._anchors.get(name)
        if found is None:
            raise self._bad(event, f"found undefined alias {quoted(name)}")
        self._count(event, found[1])
        return found[0]

    def _sequence(self, events: Iterator[yaml.Event], path: Path, depth: int) -> list[Json]:
        items: list[Json] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            if isinstance(event, yaml.NodeEvent):
                items.append(self._node(event, events, (*path, len(items)), depth + 1))
        return items

    def _mapping(self, events: Iterator[yaml.Event], path: Path, depth: int) -> dict[str, Json]:
        table: dict[str, Json] = {}
        merged: list[Json] = []
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            if not isinstance(event, yaml.ScalarEvent):
                raise self._bad(event, "a key should be plain text")
            self._count(event, 1)
            key = str(event.value)
            place = _place(event)
            item = next(events)
            if not isinstance(item, yaml.NodeEvent):
                raise self._bad(item, "a value is missing")
            value = self._node(item, events, (*path, key), depth + 1)
            if key == _MERGE and event.implicit[0]:
                self._merge(event, value, merged)
                continue
            if key in table:
                line = self.marks.keys[*path, key][0]
                raise self._bad(event, f"key {quoted(key)} is defined twice, first in line {line}")
            self.marks.keys[*path, key] = place
            table[key] = value
        for source in merged:
            for key, value in source.items():
                table.setdefault(key, value)
        return table

    def _merge(self, event: yaml.Event, value: Json, merged: list[Json]) -> None:
        for source in value if isinstance(value, list) else [value]:
            if not isinstance(source, dict):
                raise self._bad(event, "'<<' merges mappings only")
            self._count(event, len(source))
            merged.append(source)

    def _scalar(self, event: yaml.ScalarEvent, path: Path) -> Json:
        text = str(event.value)
        tag = event.tag or ""
        if event.implicit[0]:
            value = plain(text)
            if not isinstance(value, str) or text in ("yes", "no", "on", "off", "y", "n"):
                self.marks.texts[path] = text
            return value
        if tag in ("", "!", _TAG + "str"):
            return text
        if tag in (_TAG + "int", _TAG + "float", _TAG + "bool", _TAG + "null"):
            return plain(text)
        raise self._bad(event, f"tag {quoted(tag)} is not known")


def plain(text: str) -> Json:
    """An unquoted scalar: null, bool, int, float or text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.match(text):
        return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
    if _FLOAT.match(text) and len(text) < 64:
        return float(text)
    return text
