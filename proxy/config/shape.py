"""Shapes of configuration tables as data, and the one function that holds a document against them.

A shape is a word (`text`, `texts` = one or a list, `int`, `number`, `bool`, `any`, `seconds`, `share`,
`rate`, `hours`, `secret`), `[shape]` for a list, `{"*": shape}` for a map, or `{"key": shape}` for a
table. `conform` answers the value with what does
not fit left out, and reports each misfit: unknown keys are errors (`strict`) or warnings.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from proxy.config.diagnose import nearest, quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.config.diagnose import Path, Report
    from proxy.config.document import Document
    from proxy.jsonio import Json

Shape: TypeAlias = str | list["Shape"] | dict[str, "Shape"]

_DURATION: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h)\Z")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SHARE: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)%\Z")
_RATE: Final = re.compile(r"([0-9]{1,9})/(.+)\Z")
_HOURS: Final = re.compile(r"([01]?[0-9]|2[0-4]):([0-5][0-9])-([01]?[0-9]|2[0-4]):([0-5][0-9])\Z")
_DAY: Final = 24 * 60
_NAMES: Final = {
    "text": "text",
    "texts": "text or a list of texts",
    "int": "a whole number",
    "number": "a number",
    "bool": "true or false",
    "seconds": 'a duration such as "30s"',
    "share": 'a share such as "5%"',
    "rate": 'a number per time such as "100/1m"',
    "hours": 'a time of day such as "22:00-06:00"',
    "secret": 'text, "env:NAME" or "file:PATH"',
}
_SPELLED: Final = frozenset(_NAMES[word] for word in ("seconds", "share", "rate", "hours"))
"""Texts that have a spelling of their own: a wrong one is shown as it is."""
_YES: Final = {"yes": True, "y": True, "on": True, "no": False, "n": False, "off": False}


class Conform:
    """Holds one document against a shape.

    `secret` looks up `env:NAME` and `file:PATH` (raises LookupError with the reason); without it such
    values are text as they are.
    """

    def __init__(
        self,
        document: Document,
        report: Report,
        *,
        strict: bool,
        secret: Callable[[str], str] | None = None,
    ) -> None:
        self.document = document
        self.report = report
        self.strict = strict
        self.secret = secret

    def read(self, shape: Shape) -> Json:
        """The document's value as the shape has it; misfits are reported and left out."""
        return self._value(self.document.value, shape, ())

    def part(self, value: Json, shape: Shape, path: Path) -> Json:
        """One value of the document, whose shape depends on what it is."""
        return self._value(value, shape, path)

    def _value(self, value: Json, shape: Shape, path: Path) -> Json:
        if isinstance(shape, list):
            if not isinstance(value, list):
                return self._misfit(value, "a list", path)
            return [self._item(item, shape[0], (*path, i)) for i, item in enumerate(value)]
        if isinstance(shape, dict):
            if not isinstance(value, dict):
                return self._misfit(value, "a table of keys and values", path)
            return self._table(value, shape, path)
        return self._scalar(value, shape, path)

    def _item(self, value: Json, shape: Shape, path: Path) -> Json:
        found = None if value is None else self._value(value, shape, path)
        if found is None and isinstance(shape, dict):
            return {}
        return found

    def _table(self, value: dict[str, Json], shape: dict[str, Shape], path: Path) -> Json:
        table: dict[str, Json] = {}
        for key, item in value.items():
            inner = shape.get(key) or shape.get("*")
            if inner is None:
                self._unknown(key, shape, path)
            elif item is None and inner != "any":
                if self.strict:
                    self._misfit(item, "a value", (*path, key))
            else:
                found = self._value(item, inner, (*path, key))
                if found is not None or inner == "any":
                    table[key] = found
        return table

    def _unknown(self, key: str, shape: dict[str, Shape], path: Path) -> None:
        hint = nearest(key, shape)
        message = f"unknown key {quoted(key)}"
        if self.strict:
            if not hint:
                known = ", ".join(shape)
                hint = f"known here: {known}" if known else ""
            self.report.error(
                "unknown-key", message, self.document, (*path, key), key=True, hint=hint
            )
            return
        note = f"{message}; {hint}" if hint else f"{message} has no effect"
        self.report.warn(note, self.document, (*path, key), key=True)

    def _misfit(self, value: Json, wanted: str, path: Path) -> None:
        name = ".".join(str(part) for part in path if not isinstance(part, int)) or "this"
        spelled = isinstance(value, str) and wanted in _SPELLED
        message = (
            f"{quoted(name)} should be {wanted}, not {quoted(value) if spelled else _kind(value)}"
        )
        self.report.error("wrong-type", message, self.document, path)

    def _scalar(self, value: Json, shape: str, path: Path) -> Json:
        if shape == "any":
            return value
        if shape in ("text", "secret"):
            return self._text(value, shape, path)
        if shape == "texts":
            return self._texts(value, path)
        found: Json = None
        reader = _READERS.get(shape)
        if shape == "bool":
            found = value if isinstance(value, bool) else self._yes(value, path)
        elif reader is not None:
            found = reader(value)
        elif isinstance(value, bool):
            found = None
        elif shape == "int" and isinstance(value, int | float) and value == int_of(value):
            found = int(value)
        elif shape == "number" and isinstance(value, int | float):
            found = value
        if found is None:
            self._misfit(value, _NAMES[shape], path)
        return found

    def _texts(self, value: Json, path: Path) -> list[str] | None:
        items = value if isinstance(value, list) else [value]
        found: list[str] = []
        for index, item in enumerate(items):
            where = (*path, index) if isinstance(value, list) else path
            text = None if item is None else self._text(item, "texts", where)
            if text:
                found.append(text)
        if not items or any(item in (None, "") for item in items):
            self._misfit(value, _NAMES["texts"], path)
        return found or None

    def _yes(self, value: Json, path: Path) -> bool | None:
        """Go's YAML takes the plain words yes, no, on and off for a bool; quoted ones are text."""
        written = self.document.written(path) if not self.strict else None
        return _YES.get(written) if written == value and written else None

    def _text(self, value: Json, shape: str, path: Path) -> str | None:
        if not isinstance(value, str):
            # A key or name of digits only, unquoted in YAML, is text where text is wanted.
            written = self.document.written(path) if not isinstance(value, dict | list) else None
            if written is None:
                self._misfit(value, _NAMES[shape], path)
            return written
        if "\0" in value:
            self.report.error("bad-value", "text may not hold a NUL", self.document, path)
            return None
        if shape == "secret" and self.secret and value.startswith(("env:", "file:")):
            try:
                return self.secret(value)
            except LookupError as error:
                self.report.error("no-secret", str(error.args[0]), self.document, path)
                return None
        return value


def seconds(value: Json) -> float | None:
    """`"1500ms"`, `"30s"`, `"5m"`, `"1h"` -> seconds; None for anything else."""
    match = _DURATION.match(value) if isinstance(value, str) else None
    return float(match[1]) * _UNITS[match[2]] if match else None


def share(value: Json) -> float | None:
    """`"5%"` -> 0.05, at most 100 %; None for anything else."""
    match = _SHARE.match(value) if isinstance(value, str) else None
    return float(match[1]) / 100 if match and float(match[1]) <= 100 else None


def rate(value: Json) -> tuple[int, float] | None:
    """`"100/1m"` -> (100, 60.0); None for anything else."""
    match = _RATE.match(value) if isinstance(value, str) else None
    window = seconds(match[2]) if match else None
    return (int(match[1]), window) if match and window and int(match[1]) else None


def hours(value: Json) -> tuple[int, int] | None:
    """`"22:00-06:00"` -> minutes of the day, from (inclusive) to (exclusive); None for anything else."""
    match = _HOURS.match(value) if isinstance(value, str) else None
    if match is None:
        return None
    start, end = (int(match[i]) * 60 + int(match[i + 1]) for i in (1, 3))
    return (start, end) if start < _DAY and end <= _DAY and start != end else None


_READERS: Final = {"seconds": seconds, "share": share, "rate": rate, "hours": hours}


def int_of(value: float) -> int | None:
    """The whole number that a float is; None when it is none (fraction, infinity, too large)."""
    if isinstance(value, float) and (value != value or abs(value) > 1e15):  # noqa: PLR0124  # NaN
        return None
    return int(value)


def _kind(value: Json) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {str(value)[:40]}"
    if isinstance(value, str):
        return "text" if value else "empty text"
    if isinstance(value, list):
        return "a list"
    return "a table" if isinstance(value, dict) else "a date or time"
