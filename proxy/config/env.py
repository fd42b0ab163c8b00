"""What the environment says: `.env` in the working directory (the real environment wins), `PORT`,
`STREAMING_KEEPALIVE_SECONDS`, `PASSTHRU_MODELS_JSON`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from proxy.config import jsontext
from proxy.config.diagnose import ConfigError, Problem, Report
from proxy.config.document import Text
from proxy.config.model import Warning_

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.config.document import Document

PASSTHRU: Final = "PASSTHRU_MODELS_JSON"
_LABEL: Final = "environment"
_LINE: Final = re.compile(
    r"""(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*"""
    r"""(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^#\n]*?))[ \t]*(?:[ \t]#.*|#.*)?\Z"""
)
_ESCAPE: Final = re.compile(r"\\(.)")
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t"}


def dotenv(file: str, text: str, report: Report) -> dict[str, str]:
    """`NAME=value` lines; quotes, `export` and comments allowed. Other lines are warnings."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.match(stripped)
        if match is None:
            report.warnings.append(Warning_(file, number, 1, "is no NAME=value line; left out"))
            continue
        name, double, single, bare = match.groups()
        if double is not None:
            found[name] = _ESCAPE.sub(lambda m: _ESCAPES.get(m[1], m[1]), double)
        else:
            found[name] = single if single is not None else bare.strip()
    return found


def number(
    environ: Mapping[str, str], name: str, report: Report, *, most: float, whole: bool = True
) -> float | None:
    """A number of 0 to `most` from a variable; None when it is not set or empty."""
    text = environ.get(name, "").strip()
    if not text:
        return None
    pattern = r"[0-9]{1,9}" if whole else r"[0-9]{1,9}(?:\.[0-9]{1,6})?"
    if not re.fullmatch(pattern, text) or float(text) > most:
        kind = "a whole number" if whole else "a number"
        message = f"{name} should be {kind} of 0 to {most:g}"
        report.add(Problem("bad-environment", message, _LABEL))
        return None
    return float(text)


def passthru(environ: Mapping[str, str], report: Report) -> Document | None:
    """`PASSTHRU_MODELS_JSON` as a document; None when it is not set, empty or broken (reported)."""
    text = environ.get(PASSTHRU, "")
    if not text.strip():
        return None
    if len(text) > 4 * 1024 * 1024:
        report.add(Problem("too-large", "is larger than 4 MiB", PASSTHRU))
        return None
    try:
        document = jsontext.parse(PASSTHRU, text)
    except ConfigError as error:
        for problem in error.problems:
            report.add(problem)
        return None
    if not isinstance(document.value, list):
        report.error(
            "wrong-type", "should be a JSON array of routes", Text(PASSTHRU, text), hint="[{...}]"
        )
        return None
    return document
