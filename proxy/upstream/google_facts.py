"""The constants of Google's accounts, read once from `data/google.toml`. Sheets: gemini-cli, antigravity."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct


class Facts(Struct, frozen=True, rename="kebab"):
    """One service. `base_urls`: in the order in which they are asked."""

    base_urls: tuple[str, ...]
    client_id: str
    client_secret: str
    token_url: str
    headers: dict[str, str]


@cache
def of(service: str) -> Facts:
    """Read when the first account needs it."""
    path = Path(__file__).parent / "data" / "google.toml"
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    return msgspec.convert(tables[service], Facts)
