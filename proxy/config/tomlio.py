"""TOML into values with places. `tomllib` reads the values; it tells no positions, so a second pass
finds them, over text that is known to be valid, and only when a message needs them.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Final

from proxy.config.diagnose import ConfigError, at
from proxy.config.document import DEPTH, Document, Marks, Text

if TYPE_CHECKING:
    from proxy.config.diagnose import Path
    from proxy.jsonio import Json

_PLACE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)\Z")
_BLANK: Final = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_STRING: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:""?(?!"))?|'
    r"'''.*?'''(?:''?(?!'))?|"
    r'"(?:[^"\\\n]|\\.)*"|'
    r"'[^'\n]*'",
    re.DOTALL,
)
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR: Final = re.compile(r"[^,\]}\n#]+")
_HINT: Final = "text needs quotes in TOML, and names with dots need them too"


def parse(file: str, text: str) -> Document:
    """One TOML document. Raises ConfigError."""
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _failure(file, text, str(error)) from None
    except RecursionError:
        raise _failure(file, text, f"is nested deeper than {DEPTH} levels") from None
    except ValueError as error:
        raise _failure(file, text, f"Invalid value: {error}") from None
    if too_deep(value):
        raise _failure(file, text, f"is nested deeper than {DEPTH} levels")
    return Document(file, text, value, _scan)


def too_deep(value: Json) -> bool:
    """Whether lists and tables nest deeper than the limit; without recursion."""
    level: list[Json] = [value]
    for _ in range(DEPTH + 1):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True


def _failure(file: str, text: str, message: str) -> ConfigError:
    found = _PLACE.search(message)
    reason = message[: found.start()] if found else message
    line, column = 1, 1
    if found and found[1]:
        line, column = int(found[1]), int(found[2])
    elif found:
        line = text.count("\n") + 1
        column = len(text) - (text.rfind("\n") + 1) + 1
    hint = _HINT if reason.startswith(("Invalid value", "Expected '=' after")) else ""
    if reason.startswith("Cannot "):
        hint = "it is defined a second time here"
    reason = f"is not TOML: {reason[:1].lower()}{reason[1:]}"
    return ConfigError((at(Text(file, text), line, column, "bad-toml", reason, hint=hint),))


def _scan(text: str) -> Marks:
    scanner = _Scanner(text)
    scanner.document()
    return scanner.marks


class _Scanner:
    """Walks valid TOML once and notes where keys and values stand."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.marks = Marks()
        self._at = 0
        self._line = 1
        self._line_start = 0
        self._counted = 0
        self._counts: dict[Path, int] = {}

    def document(self) -> None:
        base: Path = ()
        self._skip()
        while self._at < len(self.text):
            if self.text.startswith("[", self._at):
                base = self._header()
            else:
                self._pair(base)
            self._skip()

    def _skip(self) -> None:
        match = _BLANK.match(self.text, self._at)
        self._at = match.end() if match else self._at

    def _here(self) -> tuple[int, int]:
        """The current place; lines are counted on from the last call."""
        last = self.text.rfind("\n", self._counted, self._at)
        if last >= 0:
            self._line += self.text.count("\n", self._counted, self._at)
            self._line_start = last + 1
        self._counted = self._at
        return self._line, self._at - self._line_start + 1

    def _header(self) -> Path:
        opening = self._here()
        double = self.text.startswith("[[", self._at)
        self._at += 2 if double else 1
        parts = self._key()
        self._at = self.text.index("]", self._at) + (2 if double else 1)
        path: Path = ()
        for index, (name, place) in enumerate(parts):
            path = (*path, name)
            self.marks.keys.setdefault(path, place)
            if double and index == len(parts) - 1:
                count = self._counts[path] = self._counts.get(path, -1) + 1
                path = (*path, count)
                self.marks.keys[path] = place
            elif path in self._counts:
                path = (*path, self._counts[path])
        self.marks.values[path] = opening
        return path

    def _key(self) -> list[tuple[str, tuple[int, int]]]:
        parts: list[tuple[str, tuple[int, int]]] = []
        while True:
            self._blanks()
            place = self._here()
            string = _STRING.match(self.text, self._at)
            if string:
                written = string[0]
                escaped = "\\" in written and written[0] == '"'
                name: str = tomllib.loads(f"x = {written}")["x"] if escaped else written[1:-1]
                self._at = string.end()
            else:
                bare = _BARE.match(self.text, self._at)
                name = bare[0] if bare else ""
                self._at = bare.end() if bare else self._at + 1
            parts.append((name, place))
            self._blanks()
            if not self.text.startswith(".", self._at):
                return parts
            self._at += 1

    def _blanks(self) -> None:
        while self._at < len(self.text) and self.text[self._at] in " \t":
            self._at += 1

    def _pair(self, base: Path) -> None:
        path = base
        for name, place in self._key():
            path = (*path, name)
            self.marks.keys.setdefault(path, place)
        self._at = self.text.find("=", self._at) + 1 or len(self.text)
        self._blanks()
        self._value(path)

    def _value(self, path: Path) -> None:
        self.marks.values[path] = self._here()
        first = self.text[self._at : self._at + 1]
        if first == "[":
            self._at += 1
            self._items(path, "]")
        elif first == "{":
            self._at += 1
            self._items(path, "}")
        else:
            match = _STRING.match(self.text, self._at) or _SCALAR.match(self.text, self._at)
            self._at = match.end() if match else self._at + 1

    def _items(self, path: Path, end: str) -> None:
        index = 0
        while True:
            self._skip()
            char = self.text[self._at : self._at + 1]
            if char in ("", end):
                self._at += 1
                return
            if char == ",":
                self._at += 1
                continue
            if end == "]":
                self._value((*path, index))
                index += 1
            else:
                self._pair(path)
