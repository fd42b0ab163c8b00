"""Parts that all credential sections share: stable ids, headers, URLs, proxies, prefixes."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_URL: Final = re.compile(r"https?://[^\s/?#@]+(?:[/?#]\S*)?\Z", re.IGNORECASE)
_PROXY: Final = re.compile(r"(?:socks5h?|https?)://\S+\Z", re.IGNORECASE)
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")


class Ids:
    """Ids that stay the same over reloads; a repeated one gets `-1`, `-2` ..."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def make(self, kind: str, *parts: str) -> str:
        """`<kind>:<12 hex>` over the kind and its trimmed parts, as CLIProxyAPI makes them."""
        digest = hashlib.sha256("\0".join((kind, *(part.strip() for part in parts))).encode())
        id = f"{kind}:{digest.hexdigest()[:12]}"
        count = self._seen.get(id, 0)
        self._seen[id] = count + 1
        return f"{id}-{count}" if count else id


def is_url(value: str) -> bool:
    """An http or https URL with a host and no user name."""
    return bool(_URL.match(value))


def is_proxy(value: str) -> bool:
    """A proxy URL of a scheme that is spoken."""
    return bool(_PROXY.match(value))


def headers_of(table: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Trimmed pairs; those with an empty name or value are left out."""
    pairs = ((name.strip(), value.strip()) for name, value in table.items())
    return tuple((name, value) for name, value in pairs if name and value)


def bad_headers(table: dict[str, str]) -> list[str]:
    """Names whose name or value cannot be sent in HTTP."""
    return [
        name
        for name, value in table.items()
        if (name.strip() and not _HEADER.match(name.strip()))
        or not all(c == "\t" or " " <= c <= "~" or "\x80" <= c <= "\xff" for c in value.strip())
    ]


def prefix_of(value: str) -> str:
    """Trimmed of blanks and slashes; a prefix that still holds a slash counts as none."""
    trimmed = value.strip().strip("/")
    return "" if "/" in trimmed else trimmed


def globs_of(values: Iterable[str]) -> tuple[str, ...]:
    """Trimmed, lower-cased, each once."""
    return tuple(dict.fromkeys(v.strip().lower() for v in values if v and v.strip()))
