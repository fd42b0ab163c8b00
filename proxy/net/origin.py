"""Where a URL leads, cut once and remembered."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

from msgspec import Struct

from proxy.net.api import UpstreamBroken


class Origin(Struct, frozen=True):
    """What a pooled connection is for."""

    host: str
    port: int
    tls: bool


class Address(Struct, frozen=True):
    """`host` is the Host header's value, `target` the request target."""

    origin: Origin
    host: bytes
    target: bytes


@lru_cache(maxsize=1024)
def address_of(url: str) -> Address:
    """Raises UpstreamBroken for what is no http(s) URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname or ""
        netloc = parts.netloc.rpartition("@")[2].encode("idna" if not url.isascii() else "ascii")
    except ValueError:
        raise UpstreamBroken("protocol", "the URL is malformed") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise UpstreamBroken("protocol", "the URL is neither http nor https")
    target = parts.path or "/"
    if parts.query:
        target += "?" + parts.query
    if not target.isascii() or not target.isprintable() or " " in target:
        raise UpstreamBroken("protocol", "the URL is not escaped")
    tls = parts.scheme == "https"
    origin = Origin(host=host, port=port or (443 if tls else 80), tls=tls)
    return Address(origin=origin, host=netloc, target=target.encode())
