"""Constants of services whose accounts log in, read once from `data/<provider>.toml`."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct


class SystemLine(Struct, frozen=True):
    """The text that a service wants first, and how those begin that it takes in its place."""

    line: str
    known: tuple[str, ...] = ()


class Facts(Struct, frozen=True, rename="kebab"):
    """One file's content. `login`: addresses and the client of the login and its renewals."""

    base_url: str
    headers: dict[str, str]
    login: dict[str, str]
    system: SystemLine | None = None
    site_headers: dict[str, str] = {}
    """What the provider's web site is asked with."""


@cache
def of(provider: str) -> Facts:
    """Read when the first account needs it."""
    path = Path(__file__).parent / "data" / f"{provider}.toml"
    return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Facts)
