"""The one TLS context of the upstream side, made when the first https call needs it (it costs 20 ms
and 2 MB)."""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=2)
def client_context(*, http2: bool = False) -> ssl.SSLContext:
    """Checks certificates against the system's authorities; SSL_CERT_FILE and SSL_CERT_DIR replace
    them, as OpenSSL does. Where the system has none, certifi's list."""
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"] and not _has_folder_of_authorities():
        import certifi  # only where the system has no authorities

        context.load_verify_locations(certifi.where())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2", "http/1.1"] if http2 else ["http/1.1"])
    return context


def _has_folder_of_authorities() -> bool:
    """A folder is read on demand, so its authorities are not in the count."""
    folder = ssl.get_default_verify_paths().capath
    if not folder:
        return False
    try:
        return any(Path(folder).iterdir())
    except OSError:
        return False
