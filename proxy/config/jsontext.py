"""JSON into values with places, for `PASSTHRU_MODELS_JSON`. Decoding is msgspec's; places are found here."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from proxy import jsonio
from proxy.config.diagnose import ConfigError, Path, at
from proxy.config.document import DEPTH, Document, Marks, Text

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)
_OFFSET: Final = re.compile(r"byte (\d+)")


def parse(file: str, text: str) -> Document:
    """One JSON value. Raises ConfigError."""
    if _depth(text) > DEPTH:
        source = Text(file, text)
        raise ConfigError((at(source, 1, 1, "bad-json", f"is nested deeper than {DEPTH} levels"),))
    try:
        value = jsonio.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        found = _OFFSET.search(str(error))
        data = text.encode(errors="replace")
        offset = min(int(found[1]) if found else len(data), len(data))
        before = data[:offset].decode(errors="replace")
        line, column = _place(before, len(before))
        reason = re.sub(r"^JSON is malformed: | \(byte \d+\)$", "", str(error)).strip()
        problem = at(Text(file, text), line, column, "bad-json", f"is not JSON: {reason}")
        raise ConfigError((problem,)) from None
    return Document(file, text, value, _scan)


def _place(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1


def _depth(text: str) -> int:
    deepest = depth = 0
    for match in _TOKEN.finditer(text):
        first = match[0][0]
        if first in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif first in "}]":
            depth -= 1
    return deepest


def _scan(text: str) -> Marks:
    """Places of a text that is known to be valid JSON."""
    marks = Marks()
    path: list[str | int] = []
    lists: list[bool] = []
    expect_key = False
    for match in _TOKEN.finditer(text):
        token = match[0]
        here = _place(text, match.start())
        if expect_key and token[0] == '"':
            path[-1] = jsonio.decode(token)
            marks.keys[tuple(path)] = here
            expect_key = False
        elif token == ",":
            last = path[-1]
            if lists[-1] and isinstance(last, int):
                path[-1] = last + 1
            expect_key = not lists[-1]
        elif token in "}]":
            lists.pop()
            path.pop()
            expect_key = False
        elif token != ":":
            where: Path = tuple(path)
            marks.values[where] = here
            if token in "{[":
                lists.append(token == "[")
                path.append(0 if token == "[" else "")
                expect_key = token == "{"
    return marks
