"""CLIProxyAPI's `config.yaml`, read as it is. Source: configuration sheet and provider sheets.

Unknown keys and entries without effect are warnings; wrong types are errors. The file is never written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.config import keys
from proxy.config.declared import Account, ModelMapping, OfferedModel
from proxy.config.diagnose import nearest, quoted
from proxy.config.legacy_shape import CONFIG, INERT
from proxy.config.model import Credential
from proxy.config.passthru import passthru
from proxy.config.shape import Conform
from proxy.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.config.diagnose import Path, Report
    from proxy.config.document import Document
    from proxy.config.model import Provider, WireName
    from proxy.jsonio import Json


class Section:
    """One credential section: how its entries are read. `kind` begins the ids."""

    def __init__(
        self, name: str, provider: Provider, wire: WireName, *, base: str = "", owner: str = ""
    ) -> None:
        self.name = name
        self.provider = provider
        self.wire = wire
        self.base = base
        self.owner = owner


SECTIONS: Final = (
    Section(
        "gemini-api-key",
        "gemini",
        "gemini",
        base="https://generativelanguage.googleapis.com",
        owner="google",
    ),
    Section(
        "claude-api-key", "claude", "anthropic", base="https://api.anthropic.com", owner="anthropic"
    ),
    Section("codex-api-key", "codex", "responses", owner="openai"),
    Section("vertex-api-key", "vertex", "gemini", owner="google"),
)
CHANNELS: Final = (
    *("gemini-cli", "vertex", "aistudio", "antigravity", "claude", "codex"),
    *("qwen", "iflow", "copilot", "kiro", "grok"),
)
"""Account types with a login, as the `oauth-` sections name them."""
KINDS: Final = {"gemini": "gemini", "claude": "claude", "codex": "openai", "vertex": "gemini"}


class Legacy:
    """Reads one document into accounts; `table` is its checked content, for the settings."""

    def __init__(self, document: Document, report: Report) -> None:
        self.document = document
        self.report = report
        self.table: dict[str, Json] = Conform(document, report, strict=False).read(CONFIG)
        self.ids = keys.Ids()
        self.proxy = self._proxy(self.table.get("proxy-url", ""), ("proxy-url",))

    def accounts(self) -> tuple[Account, ...]:
        """All credentials, sections in a fixed order; passthru is read by the loader, with the env."""
        for name, reason in INERT.items():
            if self.table.get(name):
                self._warn(f"{quoted(name)} has no effect: {reason}", (name,), key=True)
        found: list[Account] = []
        for section in SECTIONS:
            found += self._keys(section)
        found += self._compat()
        return tuple(found)

    def passthru(self, extra: Document | None) -> tuple[Account, ...]:
        """The `passthru` routes with those of `PASSTHRU_MODELS_JSON`."""
        routes = self.table.get("passthru", [])
        return passthru(self.document, routes, extra, self.report, self.ids, self.proxy)

    def mappings(self) -> dict[str, tuple[ModelMapping, ...]]:
        """`oauth-model-mappings` by channel. Names and aliases are unique in a channel, first wins."""
        found: dict[str, tuple[ModelMapping, ...]] = {}
        for channel, path, entries in self._channels("oauth-model-mappings"):
            kept: dict[str, ModelMapping] = {}
            names: set[str] = set()
            for index, entry in enumerate(entries):
                name, alias = (str(entry.get(k, "")).strip() for k in ("name", "alias"))
                where = (*path, index)
                if not (name and alias) or name.lower() == alias.lower():
                    self._warn("a mapping needs 'name' and another 'alias'; it is left out", where)
                elif alias.lower() in kept or name.lower() in names:
                    message = (
                        f"mapping {quoted(name)} to {quoted(alias)} repeats one; it is left out"
                    )
                    self._warn(message, where)
                else:
                    names.add(name.lower())
                    fork = bool(entry.get("fork", False))
                    kept[alias.lower()] = ModelMapping(name=name, alias=alias, fork=fork)
            if kept:
                found[channel] = (*found.get(channel, ()), *kept.values())
        return found

    def excluded(self) -> dict[str, tuple[str, ...]]:
        """`oauth-excluded-models` by channel: lower-cased globs."""
        found = {
            channel: keys.globs_of(entries)
            for channel, _, entries in self._channels("oauth-excluded-models")
        }
        return {channel: globs for channel, globs in found.items() if globs}

    def _channels(self, section: str) -> Iterator[tuple[str, Path, Json]]:
        for name, entries in self.table.get(section, {}).items():
            channel, path = name.strip().lower(), (section, name)
            if channel not in CHANNELS:
                message = f"channel {quoted(name)} is not known; it never matches"
                hint = nearest(channel, CHANNELS)
                self._warn(f"{message}; {hint}" if hint else message, path, key=True)
            yield channel, path, entries

    def _warn(self, message: str, path: Path, *, key: bool = False) -> None:
        self.report.warn(message, self.document, path, key=key)

    def _proxy(self, value: str, path: Path) -> str:
        value = value.strip()
        if value and not keys.is_proxy(value):
            self._warn("is no socks5, http or https URL; no proxy is used", path)
            return ""
        return value

    def _entries(self, section: Section) -> Iterator[tuple[Path, dict[str, Json]]]:
        for index, entry in enumerate(self.table.get(section.name, [])):
            yield (section.name, index), entry
        if section.name == "gemini-api-key":
            old = "generative-language-api-key"
            for index, key in enumerate(self.table.get(old, [])):
                yield (old, index), {"api-key": key or ""}

    def _keys(self, section: Section) -> Iterator[Account]:
        seen: dict[tuple[str, str], Path] = {}
        for path, entry in self._entries(section):
            key = str(entry.get("api-key", "")).strip()
            base = str(entry.get("base-url", "")).strip()
            if not key:
                self._warn(f"entry of {quoted(section.name)} without 'api-key' is left out", path)
                continue
            if not base and not section.base:
                self._warn(f"entry of {quoted(section.name)} without 'base-url' is left out", path)
                continue
            if (key, base) in seen and section.name != "claude-api-key":
                self._warn("the same key with the same 'base-url' is listed twice", path)
                continue
            seen[key, base] = path
            proxy = self._proxy(entry.get("proxy-url", ""), (*path, "proxy-url"))
            parts = (key, base, proxy) if section.provider == "vertex" else (key, base)
            yield Account(
                credential=self._credential(
                    entry,
                    path,
                    id=self.ids.make(f"{section.provider}:apikey", *parts),
                    provider=section.provider,
                    wire=section.wire,
                    base=base or section.base,
                    key=key,
                    upstream=section.provider,
                    section=section.name,
                    proxy=proxy or self.proxy,
                ),
                group=section.provider,
                models=self._models(entry, path, both=section.provider == "vertex"),
                excluded=keys.globs_of(entry.get("excluded-models", [])),
                prefix=self._prefix(entry, path),
                owner=section.owner,
                kind=KINDS[section.provider],
            )

    def _compat(self) -> Iterator[Account]:
        for index, entry in enumerate(self.table.get("openai-compatibility", [])):
            path: Path = ("openai-compatibility", index)
            base = str(entry.get("base-url", "")).strip()
            name = str(entry.get("name", "")).strip()
            group = name.lower() or "openai-compatibility"
            if not base:
                self._warn("entry of 'openai-compatibility' without 'base-url' is left out", path)
                continue
            models = self._models(entry, path)
            if not models:
                self._warn(f"{quoted(group)} lists no models, so nothing is routed to it", path)
            for key, own_proxy in self._compat_keys(entry, path):
                kind = f"openai-compatibility:{group}"
                parts = (base,) if key is None else (key, base, own_proxy)
                yield Account(
                    credential=self._credential(
                        entry,
                        path,
                        id=self.ids.make(kind, *parts),
                        provider="openai-compat",
                        wire="chat",
                        base=base,
                        key=key or "",
                        upstream=group,
                        section="openai-compatibility",
                        proxy=own_proxy or self.proxy,
                    ),
                    group=group,
                    models=models,
                    builtin=False,
                    prefix=self._prefix(entry, path),
                    owner=name or group,
                    kind="openai-compatibility",
                )

    def _compat_keys(self, entry: dict[str, Json], path: Path) -> list[tuple[str | None, str]]:
        found: list[tuple[str | None, str]] = [
            (
                str(item.get("api-key", "")).strip(),
                self._proxy(
                    item.get("proxy-url", ""), (*path, "api-key-entries", index, "proxy-url")
                ),
            )
            for index, item in enumerate(entry.get("api-key-entries", []))
        ]
        known = {key for key, _ in found}
        found += [(key, "") for key in entry.get("api-keys", []) if key and key not in known]
        return found or [(None, "")]

    def _credential(
        self,
        entry: dict[str, Json],
        path: Path,
        *,
        id: str,
        provider: Provider,
        wire: WireName,
        base: str,
        key: str,
        upstream: str,
        section: str,
        proxy: str,
    ) -> Credential:
        headers = entry.get("headers", {})
        for name in keys.bad_headers(headers):
            self.report.error(
                "bad-header",
                f"header {quoted(name)} cannot be sent",
                self.document,
                (*path, "headers", name),
                key=True,
            )
        if not keys.is_url(base):
            self._warn("'base-url' is no http or https URL", (*path, "base-url"))
        return Credential(
            id=id,
            provider=provider,
            wire=wire,
            base_url=base.rstrip("/"),
            key=Secret(key),
            headers=keys.headers_of(headers),
            proxy=proxy,
            upstream=upstream,
            label=str(entry.get("name", "")).strip() or upstream,
            prefix=keys.prefix_of(entry.get("prefix", "")),
            section=section,
            legacy=True,
        )

    def _prefix(self, entry: dict[str, Json], path: Path) -> str:
        value = entry.get("prefix", "")
        prefix = keys.prefix_of(value)
        if value.strip().strip("/") and not prefix:
            self._warn("a prefix may not hold '/'; none is used", (*path, "prefix"))
        return prefix

    def _models(
        self, entry: dict[str, Json], path: Path, *, both: bool = False
    ) -> tuple[OfferedModel, ...]:
        models: dict[str, OfferedModel] = {}
        for index, item in enumerate(entry.get("models", [])):
            name, alias = (str(item.get(k, "")).strip() for k in ("name", "alias"))
            if not (name and alias) and (both or not (name or alias)):
                self._warn("a model without name is left out", (*path, "models", index))
                continue
            model = OfferedModel(name=name or alias, id=alias or name)
            if model.id.lower() in models:
                self._warn(
                    f"model {quoted(model.id)} is listed twice; the first one counts",
                    (*path, "models", index),
                )
                continue
            models[model.id.lower()] = model
        return tuple(models.values())
