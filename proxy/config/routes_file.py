"""One routes.d file while it is read: its checked content, and ways to report on its places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.config.declared import Place
from proxy.config.diagnose import CLEAR, quoted
from proxy.config.routes_shape import LATER, NOW, ROUTES
from proxy.config.shape import Conform

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from proxy.config.diagnose import Path, Report
    from proxy.config.document import Document
    from proxy.jsonio import Json

MOST: Final = 1_000_000_000
"""Largest number that a file may ask for."""


class RouteFile:
    """`table` is what the file says, misfits reported and left out. `secret`: see `Conform`."""

    def __init__(self, document: Document, report: Report, secret: Callable[[str], str]) -> None:
        self.document = document
        self.report = report
        self.reader = Conform(document, report, strict=True, secret=secret)
        self.table: dict[str, Json] = self.reader.read(ROUTES)
        self._clear: list[Path] = []

    def error(
        self,
        code: str,
        message: str,
        path: Path,
        *,
        key: bool = False,
        hint: str = "",
        also: str = "",
    ) -> None:
        """A mistake at a value (`key`: at its key)."""
        self.report.error(code, message, self.document, path, key=key, hint=hint, also=also)

    def warn(
        self, code: str, message: str, path: Path, *, key: bool = False, hint: str = ""
    ) -> None:
        """A finding that is no error."""
        self.report.warn(message, self.document, path, key=key, code=code, hint=hint)

    def place(self, path: Path) -> Place:
        """Where a path of this file is written."""
        return Place(self.document, path)

    def known(self, word: str, known: Collection[str], what: str, path: Path) -> bool:
        """Whether a word is one of those; else an error with the nearest."""
        return self.report.is_one_of(word, known, what, self.document, path)

    def word(self, entry: dict[str, Json], key: str, path: Path, default: str) -> str:
        """One of the known words; others are errors, those of later versions by name."""
        word: str = entry.get(key, default)
        later, where = LATER.get(key, ()), (*path, key)
        if word == default or self.report.is_one_of(
            word, NOW[key], key, self.document, where, later=later
        ):
            return word
        return default

    def count(
        self, table: dict[str, Json], key: str, path: Path, *, least: int = 0, default: int = 0
    ) -> int:
        """A whole number of a table at `path`, at least `least`."""
        value: int = table.get(key, default)
        if key not in table or least <= value <= MOST:
            return value
        message = f"{quoted(key)} should be {least} or more"
        self.error("bad-value", message, (*path, key))
        return default

    def time(self, table: dict[str, Json], key: str, path: Path, default: float) -> float:
        """A duration of a table at `path`, in seconds, longer than nothing."""
        value: float = table.get(key, default)
        if value <= 0:
            message = f"{quoted(key)} should be longer than nothing"
            self.error("bad-value", message, (*path, key))
        return value

    def note_secret(self, value: Json, path: Path) -> None:
        """Remembers a key that is written in clear."""
        if isinstance(value, str) and value and not value.startswith(("env:", "file:")):
            self._clear.append(path)

    def tell_secrets(self) -> None:
        """One warning for all keys in clear of this file."""
        if not self._clear:
            return
        count = len(self._clear)
        many = f"{count} keys are written in clear, the first of them here"
        message = "a key is written in clear" if count == 1 else many
        hint = '"env:NAME" or "file:PATH" keeps a key out of this file'
        self.warn(CLEAR, message, self._clear[0], hint=hint)
