"""Passthru routes, of `config.yaml` and of `PASSTHRU_MODELS_JSON`. Source: passthru sheet.

Routes are merged by routing name, case aside: the environment wins. Nothing is written back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.config import keys
from proxy.config.declared import Account, OfferedModel
from proxy.config.diagnose import nearest, quoted
from proxy.config.legacy_shape import PASSTHRU
from proxy.config.model import Credential
from proxy.config.shape import Conform
from proxy.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.config.diagnose import Path, Report
    from proxy.config.document import Document
    from proxy.config.model import Provider, WireName
    from proxy.jsonio import Json

_PROTOCOLS: Final[dict[str, str]] = {
    "": "openai",
    "openai": "openai",
    "openai-chat": "openai",
    "openai_compat": "openai",
    "openai-compat": "openai",
    "openai-compatibility": "openai",
    "claude": "claude",
    "codex": "codex",
    "responses": "codex",
    "gemini": "gemini",
}
_PROVIDERS: Final[dict[str, tuple[Provider, WireName, str]]] = {
    "openai": ("openai-compat", "chat", "openai-compatibility"),
    "claude": ("claude", "anthropic", "claude"),
    "codex": ("codex", "responses", "codex"),
    "gemini": ("gemini", "gemini", "gemini"),
}
CONTEXT: Final = 128_000
OUTPUT: Final = 32_000
"""Limits that the lists show for a route that says none, in tokens."""


def env_routes(document: Document, report: Report) -> list[dict[str, Json]]:
    """The checked content of `PASSTHRU_MODELS_JSON`; misfits are reported."""
    routes: list[dict[str, Json]] = Conform(document, report, strict=False).read([PASSTHRU]) or []
    return routes


def passthru(
    document: Document,
    routes: list[dict[str, Json]],
    extra: Document | None,
    report: Report,
    ids: keys.Ids,
    proxy: str,
) -> tuple[Account, ...]:
    """One account per route and key. `proxy`: the global one, for routes without their own."""
    merged: dict[str, tuple[Document, Path, dict[str, Json]]] = {}
    for index, route in enumerate(routes):
        _put(merged, document, ("passthru", index), route, report)
    if extra is not None:
        fresh: dict[str, tuple[Document, Path, dict[str, Json]]] = {}
        for index, route in enumerate(env_routes(extra, report)):
            _put(fresh, extra, (index,), route, report)
        merged |= fresh
    found: list[Account] = []
    for source, path, route in merged.values():
        found += _accounts(source, path, route, report, ids, proxy)
    return tuple(found)


def _put(
    merged: dict[str, tuple[Document, Path, dict[str, Json]]],
    document: Document,
    path: Path,
    route: dict[str, Json],
    report: Report,
) -> None:
    for key in ("model", "base-url"):
        if not str(route.get(key, "")).strip():
            report.warn(f"a passthru route without {quoted(key)} is left out", document, path)
            return
    name = _routing_name(route)
    if name.lower() in merged:
        report.warn(
            f"passthru route {quoted(name)} is listed twice; the last one counts", document, path
        )
    merged[name.lower()] = (document, path, route)


def _routing_name(route: dict[str, Json]) -> str:
    return str(route.get("model-routing-name", "")).strip() or str(route["model"]).strip()


def _accounts(
    document: Document,
    path: Path,
    route: dict[str, Json],
    report: Report,
    ids: keys.Ids,
    proxy: str,
) -> Iterator[Account]:
    word = str(route.get("protocol", "")).strip().lower()
    if word not in _PROTOCOLS:
        hint = nearest(word, (name for name in _PROTOCOLS if name))
        note = f"protocol {quoted(word)} is not known, 'openai' is used"
        report.warn(f"{note}; {hint}" if hint else note, document, (*path, "protocol"))
    protocol = _PROTOCOLS.get(word, "openai")
    provider, wire, group = _PROVIDERS[protocol]
    model, id = str(route["model"]).strip(), _routing_name(route)
    base = str(route["base-url"]).strip()
    upstream = str(route.get("upstream-model", "")).strip() or model
    own_proxy = str(route.get("proxy-url", "")).strip()
    if own_proxy and not keys.is_proxy(own_proxy):
        report.warn("is no proxy URL; no own proxy is used", document, (*path, "proxy-url"))
        own_proxy = ""
    if not keys.is_url(base):
        report.warn("'base-url' is no http or https URL", document, (*path, "base-url"))
    headers = route.get("headers", {})
    for name in keys.bad_headers(headers):
        message = f"header {quoted(name)} cannot be sent"
        report.error("bad-header", message, document, (*path, "headers", name), key=True)
    listed = [str(key).strip() for key in route.get("api-keys", []) if key and str(key).strip()]
    secrets = dict.fromkeys([str(route.get("api-key", "")).strip(), *listed])
    for key in [key for key in secrets if key] or [""]:
        yield Account(
            credential=Credential(
                id=ids.make(f"passthru:{protocol}", id, base, upstream, own_proxy),
                provider=provider,
                wire=wire,
                base_url=base.rstrip("/"),
                key=Secret(key),
                headers=keys.headers_of(headers),
                proxy=own_proxy or proxy,
                upstream=group,
                label=f"passthru:{id}",
                section="passthru",
                legacy=True,
            ),
            group=group,
            models=(
                OfferedModel(
                    name=upstream,
                    id=id,
                    context=_limit(route.get("context-window", 0), CONTEXT),
                    output=_limit(route.get("max-tokens", 0), OUTPUT),
                ),
            ),
            builtin=False,
            owner="passthru",
            kind=group,
        )


def _limit(value: int, default: int) -> int:
    return value if value > 0 else default
