"""Configuration texts for other eyes: what is a credential is starred out, all else stays."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from proxy.config import tomlio
from proxy.config.diagnose import ConfigError, masked_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.jsonio import Json

_SECRET_NAME: Final = re.compile(
    r"(?i)(?:[\w-]*(?:key|token|secret|password|dsn)s?|authorization|cookie|cf-clearance)\Z"
)
_REFERENCE: Final = ("env:", "file:")
_NAMED: Final = re.compile(r"\s*(?:- +)?(?:\[+[^\]\n]*\]+\s*\Z|[\w.\"'-]+\s*(?::\s|:\Z|=)\s*)")
_USER: Final = re.compile(r"(?<=://)[^/@\s\"']+(?=@)")


def masked(file: str, text: str) -> str:
    """The text with stars for each credential; of a text that cannot be parsed, for every value."""
    whole = _value(file, text)
    if whole is None:
        return "\n".join(_starred(line) for line in text.split("\n"))
    for value in sorted(set(_secrets(whole, secret=False)), key=len, reverse=True):
        # Word boundaries: the key `a` must not star out every a.
        pattern = rf"(?<![\w-]){re.escape(value)}(?![\w-])"
        text = re.sub(pattern, "*" * len(value), text)
    text = _USER.sub(lambda match: "*" * len(match[0]), text)
    return "\n".join(masked_line(line) for line in text.split("\n"))


def _value(file: str, text: str) -> Json:
    try:
        if file.endswith(".toml"):
            return tomlio.parse(file, text).value
        from proxy.config import yamlio  # needed for YAML alone

        return yamlio.parse(file, text).value
    except ConfigError:
        return None


def _starred(line: str) -> str:
    """Only what stands before `:` or `=` is surely a name."""
    match = _NAMED.match(line)
    start = match.end() if match else 0
    return line[:start] + re.sub(r"[^\s\[\]{}\"',]", "*", line[start:])


def _secrets(value: Json, *, secret: bool) -> Iterator[str]:
    """All texts below a name that holds credentials."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _secrets(item, secret=bool(_SECRET_NAME.match(name)))
    elif isinstance(value, list):
        for item in value:
            yield from _secrets(item, secret=secret)
    elif secret and isinstance(value, str) and value and not value.startswith(_REFERENCE):
        yield value
