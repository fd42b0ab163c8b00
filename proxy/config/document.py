"""A parsed configuration text: its values, and the place of each of them, found when it is asked for.

Positions are needed only for messages, so a file without mistakes pays nothing for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.config.diagnose import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.config.diagnose import Path
    from proxy.jsonio import Json

SIZE: Final = 8 * 1024 * 1024
"""Largest configuration text, in bytes."""
DEPTH: Final = 64
"""Deepest nesting of lists and tables."""
NODES: Final = 1_000_000
"""Most values of one text, aliases counted each time they are used."""


class Marks:
    """Places of values and keys by path: (line, column), 1-based; `texts`: plain scalars as written."""

    __slots__ = ("keys", "texts", "values")

    def __init__(self) -> None:
        self.values: dict[Path, tuple[int, int]] = {}
        self.keys: dict[Path, tuple[int, int]] = {}
        self.texts: dict[Path, str] = {}


class Document:
    """One text and its value (a dict for all formats but JSON, which may be a list)."""

    def __init__(
        self,
        file: str,
        text: str,
        value: Json,
        scan: Callable[[str], Marks],
        marks: Marks | None = None,
    ) -> None:
        self.file = file
        self.text = text
        self.value = value
        self._scan = scan
        self._marks = marks
        self._lines = 0

    @staticmethod
    def empty(file: str) -> Document:
        """A file that says nothing."""
        return Document(file, "", {}, lambda _: Marks())

    @property
    def marks(self) -> Marks:
        """All places; scanned on first use."""
        if self._marks is None:
            self._marks = self._scan(self.text)
        return self._marks

    def position(self, path: Path, *, key: bool = False) -> tuple[int, int]:
        """The place of a value or its key; of the nearest parent that has one; else the first line."""
        marks = self.marks
        self._lines = self._lines or self.text.count("\n") + 1
        for end in range(len(path), 0, -1):
            part = path[:end]
            found = marks.keys.get(part) if key else marks.values.get(part)
            found = found or marks.keys.get(part) or marks.values.get(part)
            if found is not None:
                # libyaml puts what is missing on the line after the last one.
                return min(found[0], self._lines), found[1]
        return (1, 1)

    def release(self) -> None:
        """Drops what only reading needs; places are found again when one is asked for."""
        self.value = {}
        self._marks = None

    def written(self, path: Path) -> str | None:
        """A YAML plain scalar as it was written (`1.0`, `yes`); None where that is not known."""
        return self.marks.texts.get(path)


class Text:
    """A text that could not be parsed: enough of a `Source` for a message."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text

    def position(self, path: Path, *, key: bool = False) -> tuple[int, int]:  # noqa: ARG002  # protocol
        """The first line: nothing else is known."""
        return (1, 1)


def decoded(file: str, data: bytes) -> str:
    """UTF-8 text without BOM. Raises ConfigError: too large, not UTF-8, holds a NUL."""
    if len(data) > SIZE:
        message = f"is larger than {SIZE // 1024 // 1024} MiB"
        raise ConfigError((Problem("too-large", message, file),))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        start = data.rfind(b"\n", 0, error.start) + 1
        shown = data[start:].partition(b"\n")[0].decode(errors="replace")
        column = len(data[start : error.start].decode(errors="replace")) + 1
        problem = Problem("not-utf-8", "is not UTF-8 text", file, line, column, shown)
        raise ConfigError((problem,)) from None
    return text
