"""How accounts that log in behave: `[upstreams.X] provider = "claude"`.

Copilot has more to say, see `copilot`. Source: provider sheets, section 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from proxy.config import keys
from proxy.config.diagnose import quoted
from proxy.config.model import ServiceOptions
from proxy.config.routes_shape import PROVIDERS
from proxy.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.config.diagnose import Path, Report
    from proxy.config.document import Document
    from proxy.jsonio import Json

GROUPS: Final = frozenset({"claude", "codex", "qwen", "iflow", "kiro"})
"""Upstreams that exist by their account files, also before there is one."""
_KEYS: Final = frozenset({"provider", "base-url", "proxy", "headers"})
_ALSO_KEYS: Final = frozenset({"claude", "codex"})
"""Providers that are served with keys too: there `keys` or `base-url` say that it is no account."""
_FLAGS: Final[dict[str, dict[str, str]]] = {
    "claude": {"system-line": "system_line", "imitate": "imitate"},
    "codex": {"imitate": "imitate"},
}
_OWN: Final = frozenset(key for flags in _FLAGS.values() for key in flags)
IMITATED: Final = (
    "imitate gives the requests of any client for those of the provider's own tool; that may break"
    " the provider's terms of service and cost you the account"
)
_SECRETS: Final = {"iflow": "IFLOW_CLIENT_SECRET"}
"""Variables of the environment that name the login's client secret."""


def upstream_of(
    word: str,
    document: Document,
    entry: dict[str, Json],
    path: Path,
    report: Report,
    found: dict[str, dict[str, object]],
) -> bool:
    """Reads an upstream that stands for such accounts into `found`; False for any other."""
    if word not in GROUPS or (word in _ALSO_KEYS and ("keys" in entry or "base-url" in entry)):
        for key in _OWN & entry.keys():
            message = f"{quoted(key)} is for accounts that log in, which this upstream does not use"
            report.error("unknown-key", message, document, (*path, key), key=True)
        return False
    flags = _FLAGS.get(word, {})
    wire = PROVIDERS[word][1]
    for key, value in entry.items():
        if key in _KEYS or key in flags:
            continue
        if key == "wire" and word in _ALSO_KEYS:
            if value != wire:
                message = f"provider {quoted(word)} speaks the wire {quoted(wire)}"
                report.error("bad-value", message, document, (*path, key))
            continue
        message = f"{quoted(key)} is not for {word}, whose accounts are files of the auth directory"
        report.error("unknown-key", message, document, (*path, key), key=True)
    own = found.setdefault(word, {})
    base = entry.get("base-url", "")
    if keys.is_url(base):
        own["base_url"] = base.rstrip("/")
    elif "base-url" in entry:
        message = "'base-url' is no http or https URL"
        report.error("bad-value", message, document, (*path, "base-url"))
    own |= {member: entry[key] for key, member in flags.items() if key in entry}
    if entry.get("imitate"):
        report.warn(IMITATED, document, (*path, "imitate"), key=True)
    own |= shared(document, entry, path, report)
    return True


def shared(
    document: Document, entry: dict[str, Json], path: Path, report: Report
) -> dict[str, object]:
    """`proxy` and `headers`, checked."""
    found: dict[str, object] = {}
    proxy = entry.get("proxy", "")
    if keys.is_proxy(proxy):
        found["proxy"] = proxy
    elif proxy:
        message = "'proxy' is no socks5, http or https URL"
        report.error("bad-value", message, document, (*path, "proxy"))
    headers = entry.get("headers", {})
    for name in keys.bad_headers(headers):
        message = f"header {quoted(name)} cannot be sent"
        report.error("bad-header", message, document, (*path, "headers", name), key=True)
    if headers:
        found["headers"] = keys.headers_of(headers)
    return found


def options_of(
    found: dict[str, dict[str, object]], environ: Mapping[str, str]
) -> dict[str, ServiceOptions]:
    """By provider, for those that files or the environment say something of."""
    said = {word: dict(members) for word, members in found.items() if members}
    for word, name in _SECRETS.items():
        if secret := environ.get(name, "").strip():
            said.setdefault(word, {})["client_secret"] = Secret(secret)
    return {word: replace(ServiceOptions(), **members) for word, members in said.items()}
