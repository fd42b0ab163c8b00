"""Kiro's constants, read once from `data/kiro.toml`. Sheet: kiro."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct


class Endpoint(Struct, frozen=True):
    """One address of the service, and what has to be said there."""

    name: str
    url: str
    origin: str
    target: str


class Facts(Struct, frozen=True, rename="kebab"):
    """The file's content."""

    social_url: str
    oidc_url: str
    region: str
    start_url: str
    scopes: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]
    headers: dict[str, str]
    idc_headers: dict[str, str]
    oidc_headers: dict[str, str]

    def endpoint(self, url: str) -> Endpoint:
        """The one at an address; the first one at an address of one's own."""
        return next((one for one in self.endpoints if one.url == url), self.endpoints[0])


@cache
def facts() -> Facts:
    """Read when the first account needs it."""
    path = Path(__file__).parent / "data" / "kiro.toml"
    return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Facts)
