"""`Settings` from the keys of `config.yaml` and the environment."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from proxy.config import env
from proxy.config.diagnose import ConfigError, Problem, quoted
from proxy.config.model import KEEPALIVE_DEFAULT, PayloadRule, Settings, Tls
from proxy.config.payload_path import bad_path
from proxy.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.config.diagnose import Path, Report
    from proxy.config.legacy import Legacy
    from proxy.config.model import Strategy
    from proxy.jsonio import Json

_FILL_FIRST: Final = frozenset({"fill-first", "fillfirst", "ff"})
_PROTOCOLS: Final = {
    "": "",
    "openai": "chat",
    "openai-response": "responses",
    "codex": "responses",
    "claude": "anthropic",
    "gemini": "gemini",
    "antigravity": "antigravity",
}
_MOST_SECONDS: Final = 86_400


def of_environment(environ: Mapping[str, str], report: Report) -> Settings:
    """Without a config file: loopback, the default port or `PORT`."""
    return Settings(port=_port(environ, report), keepalive=_keepalive(environ, report))


def of_legacy(legacy: Legacy, environ: Mapping[str, str], report: Report) -> Settings:
    """A config file rules; what it does not say comes from the environment, then the defaults."""
    table = legacy.table
    streaming = table.get("streaming", {})
    keepalive = streaming.get("keepalive-seconds")
    port = _bounded(legacy, ("port",), table.get("port"), 65_535)
    return Settings(
        host=str(table.get("host", "")).strip(),
        port=_port(environ, report) if port is None else port,
        tls=_tls(legacy),
        api_keys=_api_keys(legacy),
        auth_dir=table.get("auth-dir", ""),
        proxy_url=legacy.proxy,
        debug=table.get("debug", False),
        request_retry=_bounded(legacy, ("request-retry",), table.get("request-retry"), 100) or 0,
        max_retry_interval=_bounded(
            legacy, ("max-retry-interval",), table.get("max-retry-interval"), _MOST_SECONDS
        )
        or 0,
        disable_cooling=table.get("disable-cooling", False),
        keepalive=_keepalive(environ, report)
        if keepalive is None
        else max(0.0, float(min(keepalive, _MOST_SECONDS))),
        bootstrap_retries=_bounded(
            legacy, ("streaming", "bootstrap-retries"), streaming.get("bootstrap-retries"), 100
        )
        or 0,
        payload=_payload(legacy),
    )


def strategy_of(legacy: Legacy) -> Strategy:
    """`routing.strategy`: fill-first in three spellings, else round-robin."""
    word = str(legacy.table.get("routing", {}).get("strategy", "")).strip().lower()
    if word not in ("", "round-robin", "roundrobin", "rr", *_FILL_FIRST):
        message = f"strategy {quoted(word)} is not known, 'round-robin' is used"
        legacy.report.warn(message, legacy.document, ("routing", "strategy"))
    return "fill-first" if word in _FILL_FIRST else "round-robin"


def refuse_open(settings: Settings) -> None:
    """Raises ConfigError if anyone on the network could use the accounts."""
    if settings.api_keys or settings.keys or is_loopback(settings.host):
        return
    where = quoted(settings.host) if settings.host else "all network interfaces"
    message = f"without 'api-keys' anyone who reaches {where} could use your accounts"
    hint = "add api-keys to the config, or listen on this machine only: host: 127.0.0.1"
    raise ConfigError((Problem("open-to-all", message, "pointsman", hint=hint),))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address; names other than localhost count as public."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _port(environ: Mapping[str, str], report: Report) -> int:
    found = env.number(environ, "PORT", report, most=65_535)
    return Settings().port if found is None else int(found)


def _keepalive(environ: Mapping[str, str], report: Report) -> float:
    name = "STREAMING_KEEPALIVE_SECONDS"
    found = env.number(environ, name, report, most=_MOST_SECONDS, whole=False)
    return KEEPALIVE_DEFAULT if found is None else found


def _bounded(legacy: Legacy, path: Path, value: int | None, most: int) -> int | None:
    if value is None or 0 <= value <= most:
        return value
    message = f"{quoted(str(path[-1]))} should be 0 to {most}"
    legacy.report.error("bad-value", message, legacy.document, path)
    return None


def _tls(legacy: Legacy) -> Tls | None:
    table = legacy.table.get("tls", {})
    if not table.get("enable"):
        return None
    cert, key = (str(table.get(name, "")).strip() for name in ("cert", "key"))
    if not (cert and key):
        legacy.report.error(
            "bad-value", "tls needs 'cert' and 'key', two PEM files", legacy.document, ("tls",)
        )
        return None
    return Tls(cert, key)


def _api_keys(legacy: Legacy) -> tuple[Secret, ...]:
    table = legacy.table
    found = [key for key in table.get("api-keys", []) if key and key.strip()]
    if not found:
        # The block of older versions counts only where the list is empty.
        for provider in table.get("auth", {}).get("providers", []):
            if provider.get("type") == "config-api-key":
                found = [key for key in provider.get("api-keys", []) if key and key.strip()]
                break
    return tuple(Secret(key.strip()) for key in dict.fromkeys(found))


def _payload(legacy: Legacy) -> tuple[PayloadRule, ...]:
    rules: list[PayloadRule] = []
    for action in ("default", "override"):
        entries: list[dict[str, Json]] = legacy.table.get("payload", {}).get(action, [])
        for index, entry in enumerate(entries):
            path: Path = ("payload", action, index)
            rule = _rule(legacy, action, entry, path)
            if rule.models and rule.params:
                rules.append(rule)
            else:
                legacy.report.warn(
                    "a payload rule needs 'models' and 'params'; it is left out",
                    legacy.document,
                    path,
                )
    return tuple(rules)


def _rule(legacy: Legacy, action: str, entry: dict[str, Json], path: Path) -> PayloadRule:
    models: list[tuple[str, str]] = []
    for index, model in enumerate(entry.get("models", [])):
        name = str(model.get("name", "")).strip()
        word = str(model.get("protocol", "")).strip().lower()
        where = (*path, "models", index)
        if word not in _PROTOCOLS:
            message = f"protocol {quoted(word)} is not known; it never matches"
            legacy.report.warn(message, legacy.document, (*where, "protocol"))
        elif name:
            models.append((name, _PROTOCOLS[word]))
    params: list[tuple[str, object]] = []
    for name, value in entry.get("params", {}).items():
        reason = bad_path(name)
        if reason:
            message = f"path {quoted(name)} {reason}; it is left out"
            legacy.report.warn(message, legacy.document, (*path, "params", name), key=True)
        else:
            params.append((name, value))
    return PayloadRule(
        action="default" if action == "default" else "override",
        models=tuple(models),
        params=tuple(params),
    )
