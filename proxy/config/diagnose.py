"""What is wrong with a configuration file, and where: problems with the line, a caret and a hint.

A loader collects all problems into a `Report` and raises one `ConfigError`. Codes are stable words, so
that scripts may rely on them. Shown lines are masked where they hold a credential.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from msgspec import Struct

from proxy.config.model import Warning_

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

Path: TypeAlias = tuple[str | int, ...]

CLEAR: Final = "clear-secret"
_WIDTH: Final = 100
"""Longest part of a source line that is shown, in characters."""
_MOST: Final = 100
"""Problems kept per load: a broken file may be wrong on every line."""
_SECRET_PAIR: Final = re.compile(
    r"""(?i)((?:[\w-]*(?:key|token|secret|password|dsn)s?|authorization|cookie)["']?\s*[:=]\s*)"""
    r"""("[^"]*"|'[^']*'|\[[^\]]*\]?|[^\s,}\]#]+(?:[ ][^\s,}\]#]+)*)"""
)
_SECRET_WORD: Final = re.compile(r"\b(?:sk-|AIza|ya29\.|gh[opu]_|xai-|eyJ)[\w.\-]{4,}")
_ITEM: Final = re.compile(
    r"""([\w-]+(?=\s*=\s)|[\w-]+(?=:\s))|"[^"]*"?|'[^']*'?|[^\s,\[\]{}"'=]+"""
)
"""A name before its value, else one item of a list."""
_REFERENCE: Final = re.compile(r"""^["'\[\s]*(?:env|file):""")


class Source(Protocol):
    """A text with a name, and the position of each value in it (1-based)."""

    file: str
    text: str

    def position(self, path: Path, *, key: bool = False) -> tuple[int, int]:
        """Line and column of a value, or of its key."""


class Problem(Struct, frozen=True):
    """One mistake. `line` 0 = the file as a whole. `also` names a second place (a double definition)."""

    code: str
    message: str
    file: str
    line: int = 0
    column: int = 0
    source: str = ""
    hint: str = ""
    also: str = ""

    def render(self) -> str:
        """`file:line:col: message`, the line with a caret, the hint; no trailing newline."""
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return "\n".join([f"{where}: {self.message} [{self.code}]", *_below(self)])


def render(warning: Warning_) -> str:
    """`file:line:col: warning: message`; with line, caret and hint where it has a code."""
    first = f"{warning.file}:{warning.line}:{warning.column}: warning: {warning.message}"
    if not warning.code:
        return first
    return "\n".join([f"{first} [{warning.code}]", *_below(warning)])


def _below(said: Problem | Warning_) -> list[str]:
    """The lines below a message."""
    lines: list[str] = []
    if said.line and said.source:
        shown, caret = _window(_masked(said.source), said.column)
        number = str(said.line)
        lines += [f"  {number} | {shown}", f"  {' ' * len(number)} | {' ' * caret}^"]
    if said.also:
        lines.append(f"  also here: {said.also}")
    if said.hint:
        lines.append(f"  hint: {said.hint}")
    return lines


class ConfigError(Exception):
    """The configuration cannot be used; `problems` holds all that was found, in reading order."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(problem.render() for problem in problems))
        self.problems = problems


class Report:
    """Collects problems and warnings while files are read."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Warning_] = []
        self.left_out = 0

    def error(
        self,
        code: str,
        message: str,
        source: Source,
        path: Path = (),
        *,
        key: bool = False,
        hint: str = "",
        also: str = "",
    ) -> None:
        """A mistake at a value of a document (`key`: at its key)."""
        line, column = source.position(path, key=key)
        self.add(at(source, line, column, code, message, hint=hint, also=also))

    def is_one_of(
        self,
        word: str,
        known: Collection[str],
        what: str,
        source: Source,
        path: Path,
        *,
        later: Collection[str] = (),
    ) -> bool:
        """Whether a word at a value is known; else an error with the nearest. `later`: known, but not yet
        to be used.
        """
        if word in known:
            return True
        if word in later:
            self.error("not-yet", f"{what} {quoted(word)} is not available yet", source, path)
            return False
        hint = nearest(word, (*known, *later)) or f"one of: {', '.join(known)}"
        self.error("bad-value", f"{what} {quoted(word)} is not known", source, path, hint=hint)
        return False

    def add(self, problem: Problem) -> None:
        """A problem with its place; beyond the limit they are only counted."""
        if len(self.problems) >= _MOST:
            self.left_out += 1
        else:
            self.problems.append(problem)

    def warn(
        self,
        message: str,
        source: Source,
        path: Path = (),
        *,
        key: bool = False,
        code: str = "",
        hint: str = "",
        also: str = "",
    ) -> None:
        """Something that is no error."""
        if len(self.warnings) < _MOST:
            found = finding(code, message, source, path, key=key, hint=hint, also=also)
            self.warnings.append(found)

    def check(self) -> None:
        """Raises ConfigError if there are problems."""
        if not self.problems:
            return
        files = list(dict.fromkeys(problem.file for problem in self.problems))
        order = {file: index for index, file in enumerate(files)}
        problems = tuple(sorted(self.problems, key=lambda p: (order[p.file], p.line, p.column)))
        if self.left_out:
            last = Problem("too-many", f"{self.left_out} more problems are not shown", "pointsman")
            problems = (*problems, last)
        raise ConfigError(problems)


def finding(
    code: str,
    message: str,
    source: Source,
    path: Path,
    *,
    key: bool = False,
    hint: str = "",
    also: str = "",
) -> Warning_:
    """A warning at a value of a document (`key`: at its key). Keys in clear never show their line."""
    line, column = source.position(path, key=key)
    shown = line_of(source.text, line) if code not in ("", CLEAR) else ""
    return Warning_(source.file, line, column, message, code, shown, hint, also)


def at(
    source: Source,
    line: int,
    column: int,
    code: str,
    message: str,
    *,
    hint: str = "",
    also: str = "",
) -> Problem:
    """A problem at a place of a text."""
    return Problem(
        code=code,
        message=message,
        file=source.file,
        line=line,
        column=column,
        source=line_of(source.text, line),
        hint=hint,
        also=also,
    )


def line_of(text: str, line: int) -> str:
    """The line's text, without its end; empty when there is no such line."""
    lines = text.split("\n", line) if line > 0 else []
    return lines[line - 1].rstrip("\r") if 0 < line <= len(lines) else ""


def nearest(word: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?`, or nothing."""
    found = closest(word, known)
    return f"did you mean '{found}'?" if found else ""


def closest(word: str, known: Iterable[str]) -> str:
    """The known word nearest to `word`, case aside; empty when none is near."""
    if len(word) > _WIDTH:
        return ""
    by_fold = {name.casefold(): name for name in known}
    folded = word.casefold()
    longer = [name for name in by_fold if name.startswith(folded)] if len(folded) > 3 else []
    # A cut name (`claude-sonnet-4-5`) means what it begins; letters alone would find a sibling.
    found = sorted(longer, key=len)[:1]
    if not found:
        from difflib import get_close_matches  # a server without mistakes starts without it

        found = get_close_matches(folded, by_fold, n=1, cutoff=0.6)
    return by_fold[found[0]] if found else ""


def quoted(value: str) -> str:
    """A name from a file, safe to print: escaped, and cut when long."""
    shown = value if len(value) <= _WIDTH else value[: _WIDTH - 3] + "..."
    return "'" + "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown) + "'"


def masked_line(line: str) -> str:
    """A line with stars for what looks like a credential in it."""
    return _masked(line)


def _masked(line: str) -> str:
    def pair(match: re.Match[str]) -> str:
        value = match[2]
        if value.startswith("["):
            return match[1] + _ITEM.sub(_starred, value)
        if _REFERENCE.match(value):
            return match[0]
        return match[1] + re.sub(r"[^\s\"'\[\],]", "*", value)

    masked = _SECRET_PAIR.sub(pair, line)
    return _SECRET_WORD.sub(lambda match: "*" * len(match[0]), masked)


def _starred(match: re.Match[str]) -> str:
    item = match[0]
    if match[1] or item == ":" or _REFERENCE.match(item):
        return item
    return re.sub(r"[^\s\"']", "*", item)


def _window(line: str, column: int) -> tuple[str, int]:
    """The part of a line around the column, printable, and where its caret stands."""
    text = "".join(c if c.isprintable() else " " for c in line)
    index = min(max(column - 1, 0), len(text))
    if len(text) <= _WIDTH:
        return text, index
    start = max(0, min(index - _WIDTH // 2, len(text) - _WIDTH))
    head = "..." if start else ""
    tail = "..." if start + _WIDTH < len(text) else ""
    return head + text[start : start + _WIDTH] + tail, index - start + len(head)
