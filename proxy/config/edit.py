"""The usual layout of route files. Nothing but blanks and line ends changes: values, comments and
their order are compared before and after, and a text where they would differ stays as it is.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Final

from proxy.config import tomlio
from proxy.config.diagnose import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.jsonio import Json

_TOKEN: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|'
    r"'''.*?'{3,5}|"
    r'"(?:\\.|[^"\\\n])*"|'
    r"'[^'\n]*'|#[^\n]*|[\[\]{}=\n]",
    re.DOTALL,
)
_OPEN: Final = "[{"
_CLOSE: Final = "]}"
_GAP: Final = "  "
"""Before a comment that stands close to its value."""
_YAML_COMMENT: Final = re.compile(r"(?:^|\s)(#.*)$", re.MULTILINE)


def formatted(file: str, text: str) -> str:
    """The text in its usual layout. Raises ConfigError: it cannot be read, or cannot be laid out."""
    text = text.replace("\r\n", "\n")
    if file.endswith(".toml"):
        value = tomlio.parse(file, text).value
        made = _toml(text)
        same = value == tomlio.parse(file, made).value and _comments(text) == _comments(made)
    else:
        from proxy.config import yamlio  # needed for YAML alone

        value = yamlio.parse(file, text).value
        made = _yaml(text, value)
        same = value == yamlio.parse(file, made).value and _notes(text) == _notes(made)
        same = same and _yaml(made, value) == made
    if not same:
        message = "cannot be laid out without a change of meaning; it is left as it is"
        raise ConfigError((Problem("no-layout", message, file),))
    return made


class _Line:
    """One line of TOML. `depth`: open brackets at its start; `start`, `end`: whether these lie inside a
    text of many lines; `equals`, `comment`: where they stand, -1 = nowhere.
    """

    __slots__ = ("comment", "depth", "end", "equals", "start", "text")

    def __init__(self, text: str, depth: int, *, start: bool) -> None:
        self.text = text
        self.depth = depth
        self.start = start
        self.end = False
        self.equals = self.comment = -1


def _lines(text: str) -> Iterator[_Line]:
    if not text.endswith("\n"):
        text += "\n"
    begin = depth = 0
    line = _Line("", 0, start=False)
    for match in _TOKEN.finditer(text):
        token, at = match[0], match.start()
        if token == "\n" or "\n" in token:
            for offset in [i for i, c in enumerate(token) if c == "\n"]:
                line.text = text[begin : at + offset]
                line.end = token != "\n"
                yield line
                begin = at + offset + 1
                line = _Line("", depth, start=token != "\n")
        elif token in _OPEN:
            depth += 1
        elif token in _CLOSE:
            depth -= 1
        elif token == "=":
            if line.equals < 0 and line.depth == 0 and not line.start:
                line.equals = at - begin
        elif token.startswith("#"):
            line.comment = at - begin


def _comments(text: str) -> list[str]:
    return [line.text[line.comment :].rstrip() for line in _lines(text) if line.comment >= 0]


def _toml(text: str) -> str:
    out: list[str] = []
    for line in _lines(text):
        shown = line.text if line.end else line.text.rstrip()
        if line.depth or line.start:
            out.append(shown)
            continue
        shown = _statement(line, shown)
        if shown.startswith("["):
            _part(out)
        if shown or (out and out[-1]):
            out.append(shown)
    while out and not out[-1]:
        out.pop()
    return "".join(f"{shown}\n" for shown in out)


def _statement(line: _Line, shown: str) -> str:
    """A key with its value, a heading, or a comment: one blank around `=`, more before it stay."""
    if line.comment >= 0 and shown[: line.comment].strip():
        value = shown[: line.comment].rstrip()
        gap = shown[len(value) : line.comment] or _GAP
        shown = value + gap + shown[line.comment :]
    if line.equals >= 0:
        key, value = shown[: line.equals], shown[line.equals + 1 :].lstrip(" \t")
        gap = key[len(key.rstrip()) :] or " "
        shown = f"{key.rstrip()}{gap}= {value}"
    return shown.lstrip(" \t")


def _part(out: list[str]) -> None:
    """A blank line before a heading and the comments right above it."""
    at = len(out)
    while at and out[at - 1].startswith("#"):
        at -= 1
    if at and out[at - 1]:
        out.insert(at, "")


def _notes(text: str) -> list[str]:
    return [match[1].rstrip() for match in _YAML_COMMENT.finditer(text)]


def _yaml(text: str, value: Json) -> str:
    if not value:
        # A file of comments: the parser would write down that there is nothing.
        return "".join(f"{line.rstrip()}\n" for line in text.strip("\n").split("\n"))
    from ruamel.yaml import YAML  # an editor's tool, slower than the reader of a server

    editor = YAML(typ="rt")
    editor.preserve_quotes = True
    editor.width = 1_000_000
    editor.indent(mapping=2, sequence=4, offset=2)
    out = io.StringIO()
    editor.dump(editor.load(text), out)
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().strip("\n").split("\n"))
