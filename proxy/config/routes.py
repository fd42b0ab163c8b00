"""routes.d files: upstreams, models, aliases, prefixes, rules, client keys, payload edits.
Source: design, section 3.

Each file is read strictly; names are joined over all files, and a name defined twice is an error that
tells both places. References between names are checked when all files are in.
"""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from proxy.config import copilot, keys, routes_lint, services
from proxy.config.declared import Alias, Declared, Prefix, Route, Rule, Upstream
from proxy.config.diagnose import nearest, quoted
from proxy.config.elsewhere import value_of
from proxy.config.model import ClientKey, Credential, PayloadRule, Timeouts
from proxy.config.routes_file import RouteFile
from proxy.config.routes_names import alias, model, payload, prefix
from proxy.config.routes_rules import client_key, rule
from proxy.config.routes_shape import KEY, PROVIDERS, WIRES
from proxy.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path as FilePath

    from proxy.config.diagnose import Path, Report
    from proxy.config.document import Document
    from proxy.jsonio import Json

_MOST_FINDINGS: Final = 100
_STANDING: Final = tuple(sorted(copilot.GROUPS | services.GROUPS))
"""Upstreams that can be named without being defined, since their accounts are files."""


class Routes:
    """Collects routes.d files. `known`: upstream names that `config.yaml` brings; `api_keys`: its keys."""

    def __init__(
        self,
        report: Report,
        environ: Mapping[str, str],
        known: set[str],
        proxy: str,
        api_keys: tuple[Secret, ...] = (),
    ) -> None:
        self.payload: list[PayloadRule] = []
        self.keys: dict[str, ClientKey] = {}
        self.copilot: dict[str, object] = {}
        """What `provider = "copilot"` says: members of `CopilotOptions`."""
        self.services: dict[str, dict[str, object]] = {}
        """The same of other providers with accounts: members of `ServiceOptions`."""
        self._report = report
        self._environ = environ
        self._known = known
        self._shared_proxy = proxy
        self._api_keys = api_keys
        self._ids = keys.Ids()
        self._upstreams: dict[str, Upstream] = {}
        self._routes: dict[str, Route] = {}
        self._aliases: dict[str, Alias] = {}
        self._prefixes: dict[str, Prefix] = {}
        self._rules: list[tuple[RouteFile, Path, Rule]] = []
        self._sources: dict[str, tuple[RouteFile, Path]] = {}

    def add(self, document: Document, folder: FilePath) -> None:
        """Reads one file; `folder` is where its `file:` values are looked up."""
        secret = partial(value_of, folder=folder, environ=self._environ)
        file = RouteFile(document, self._report, secret)
        table = file.table
        for name, entry in table.get("upstreams", {}).items():
            path: Path = ("upstreams", name)
            if self._fresh("upstream", name, file, path):
                self._upstream(file, name, entry, path)
        for name, entry in table.get("models", {}).items():
            if self._fresh("model", name, file, ("models", name)):
                self._routes[name] = model(file, name, entry)
        self._add_names(file)
        for index, entry in enumerate(table.get("rules", [])):
            found = rule(file, entry, ("rules", index))
            if found:
                self._rules.append((file, ("rules", index), found))
        for index, entry in enumerate(table.get("payload", [])):
            self.payload += payload(file, entry, ("payload", index))
        file.tell_secrets()

    def _add_names(self, file: RouteFile) -> None:
        """What stands for a model, and who may ask."""
        table = file.table
        for name, to in table.get("aliases", {}).items():
            if self._fresh("alias", name, file, ("aliases", name)):
                made = alias(file, name, to)
                self._aliases |= {name: made} if made else {}
        for name, entry in table.get("prefixes", {}).items():
            if self._fresh("prefix", name, file, ("prefixes", name)):
                cut = prefix(file, name, entry)
                self._prefixes |= {name: cut} if cut else {}
        for name, entry in table.get("keys", {}).items():
            if self._fresh("client key", name, file, ("keys", name)):
                key = client_key(file, name, entry)
                self.keys |= {name: key} if key else {}

    def declared(self) -> Declared:
        """All that was read, references checked."""
        for route in self._routes.values():
            file, path = self._sources[f"model {route.id}"]
            for index, (upstream, _) in enumerate(route.to):
                self._reference(upstream, file, (*path, "to", index))
        for cut in self._prefixes.values():
            file, path = self._sources[f"prefix {cut.text}"]
            self._reference(cut.upstream, file, (*path, "upstream"))
        for file, path, found in self._rules:
            for name in found.when.key:
                self._key_reference(name, file, (*path, "when", "key"))
        self._same_keys()
        self._loops()
        declared = Declared(
            upstreams=tuple(self._upstreams.values()),
            routes=tuple(self._routes.values()),
            aliases=tuple(self._aliases.values()),
            prefixes=tuple(self._prefixes.values()),
            rules=tuple(found for _, _, found in self._rules),
        )
        self._report.warnings += islice(routes_lint.findings(declared), _MOST_FINDINGS)
        return declared

    def _fresh(self, kind: str, name: str, file: RouteFile, path: Path) -> bool:
        label = f"{kind} {name}"
        before = self._sources.get(label)
        if before is not None:
            message = f"{kind} {quoted(name)} is defined twice"
            also = str(before[0].place(before[1]))
            file.error("defined-twice", message, path, key=True, also=also)
            return False
        self._sources[label] = (file, path)
        return True

    def _upstream(self, file: RouteFile, name: str, entry: dict[str, Json], path: Path) -> None:
        if not name or ":" in name:
            file.error("bad-name", "an upstream's name may not hold ':'", path, key=True)
        wire = file.word(entry, "wire", path, "")
        word = file.word(entry, "provider", path, "")
        if not (wire or word) and not (entry.get("wire") or entry.get("provider")):
            message = f"upstream {quoted(name)} needs 'wire' or 'provider'"
            file.error("missing-key", message, path, key=True)
        if not word and entry.get("provider"):
            return
        if copilot.upstream_of(
            word, file.document, entry, path, self._report, self.copilot
        ) or services.upstream_of(word, file.document, entry, path, self._report, self.services):
            self._upstreams[name] = Upstream(
                name=name, credentials=(), accounts=word, place=file.place(path)
            )
            return
        provider, own_wire, base = PROVIDERS[word or WIRES.get(wire, "openai-compat")]
        if word and wire and wire != own_wire:
            message = f"provider {quoted(word)} speaks the wire {quoted(own_wire)}"
            file.error("bad-value", message, (*path, "wire"))
        base = entry.get("base-url", base if word else "")
        if provider != "demo" and not keys.is_url(base):
            given = "base-url" in entry
            file.error(
                "bad-value" if given else "missing-key",
                "'base-url' is no http or https URL"
                if given
                else f"upstream {quoted(name)} needs 'base-url'",
                (*path, "base-url") if given else path,
                key=not given,
            )
        if name in self._known and name not in copilot.GROUPS:
            note = f"upstream {quoted(name)} takes the place of the one of config.yaml"
            file.warn("", note, path, key=True)
        limits, where = entry.get("limits", {}), (*path, "limits")
        default = Credential(id="", provider=provider, wire=own_wire, base_url="")
        if "in-flight" not in limits and ("queue" in limits or "wait" in limits):
            file.warn("no-effect", "'limits' has no effect without 'in-flight'", where, key=True)
        shared = Credential(
            id="",
            provider=provider,
            wire=own_wire,
            base_url=base.rstrip("/"),
            headers=self._headers(file, entry, path),
            http2=entry.get("http2", False),
            upstream=name,
            label=name,
            timeouts=_timeouts(file, entry, path),
            in_flight=file.count(limits, "in-flight", where),
            queue=file.count(limits, "queue", where),
            queue_wait=file.time(limits, "wait", where, default.queue_wait),
            overage="never" if file.word(entry, "overage", path, "allow") == "never" else "allow",
        )
        proxy = _proxy(file, entry, path) or self._shared_proxy
        self._upstreams[name] = Upstream(
            name=name,
            credentials=self._credentials(file, entry, path, shared, proxy),
            builtin=bool(word) and provider != "demo",
            place=file.place(path),
        )

    def _credentials(
        self, file: RouteFile, entry: dict[str, Json], path: Path, shared: Credential, proxy: str
    ) -> tuple[Credential, ...]:
        found: list[Credential] = []
        for index, item in enumerate(entry.get("keys", [])):
            where = (*path, "keys", index)
            key = file.reader.part(item, KEY if isinstance(item, dict) else "secret", where)
            table: dict[str, Json] = key if isinstance(key, dict) else {"key": key}
            if not table.get("key"):
                if isinstance(item, dict) and "key" not in item:
                    file.error("missing-key", "needs 'key'", where)
                continue
            file.note_secret(item["key"] if isinstance(item, dict) else item, where)
            weight = file.count(table, "weight", where, least=1, default=1)
            own = _proxy(file, table, where) or proxy
            found.append(_credential(shared, self._ids, str(table["key"]), own, weight))
        return tuple(found) or (_credential(shared, self._ids, "", proxy, 1),)

    def _headers(
        self, file: RouteFile, entry: dict[str, Json], path: Path
    ) -> tuple[tuple[str, str], ...]:
        headers = entry.get("headers", {})
        for name in keys.bad_headers(headers):
            message = f"header {quoted(name)} cannot be sent"
            file.error("bad-header", message, (*path, "headers", name), key=True)
        return keys.headers_of(headers)

    def _reference(self, upstream: str, file: RouteFile, path: Path) -> None:
        if any(upstream in names for names in (self._upstreams, self._known, _STANDING)):
            return
        if f"upstream {upstream}" in self._sources:
            return
        known = dict.fromkeys((*self._upstreams, *self._known, *_STANDING))
        hint = nearest(upstream, known) or (f"known: {', '.join(known)}" if known else "")
        message = f"upstream {quoted(upstream)} is not defined"
        file.error("unknown-upstream", message, path, hint=hint[:200])

    def _key_reference(self, name: str, file: RouteFile, path: Path) -> None:
        if f"client key {name}" in self._sources:
            return
        known = tuple(self.keys)
        hint = nearest(name, known) or (f"known: {', '.join(known)}" if known else "")
        message = f"client key {quoted(name)} is not defined"
        file.error("unknown-key-name", message, path, hint=hint[:200])

    def _same_keys(self) -> None:
        """Two names for one client key: which of them asked could not be told."""
        seen: dict[Secret, str] = {}
        for key in self.keys.values():
            file, path = self._sources[f"client key {key.name}"]
            other = seen.setdefault(key.key, key.name)
            if other != key.name:
                first, where = self._sources[f"client key {other}"]
                message = f"client key {quoted(key.name)} is the same key as {quoted(other)}"
                also = str(first.place(where))
                file.error("same-key", message, path, key=True, also=also)
            elif key.key in self._api_keys:
                message = f"client key {quoted(key.name)} is one of 'api-keys' of the config too"
                hint = "take it out there: without a name it has no limits"
                file.error("same-key", message, path, key=True, hint=hint)

    def _loops(self) -> None:
        """Exact aliases that lead back to themselves; pattern aliases are stopped by resolution."""
        done: set[str] = set()
        for start in self._aliases:
            chain: list[str] = []
            name = start
            while name in self._aliases and name not in self._routes and name not in done:
                if name in chain:
                    loop = [*chain[chain.index(name) :], name]
                    file, path = self._sources[f"alias {name}"]
                    shown = " -> ".join(quoted(part) for part in loop[:10])
                    message = f"alias {quoted(name)} leads back to itself: {shown}"
                    file.error("alias-loop", message, path)
                    break
                chain.append(name)
                to = self._aliases[name].to
                name = to if to in self._aliases else routes_lint.SUFFIX.sub("", to)
            done.update(chain)


def _proxy(file: RouteFile, entry: dict[str, Json], path: Path) -> str:
    value: str = entry.get("proxy", "")
    if value and not keys.is_proxy(value):
        message = "'proxy' is no socks5, http or https URL"
        file.error("bad-value", message, (*path, "proxy"))
    return value


def _timeouts(file: RouteFile, entry: dict[str, Json], path: Path) -> Timeouts:
    table: dict[str, Json] = entry.get("timeouts", {})
    where = (*path, "timeouts")
    default = Timeouts()
    return Timeouts(
        connect=file.time(table, "connect", where, default.connect),
        first_event=file.time(table, "first-event", where, default.first_event),
        idle=file.time(table, "idle", where, default.idle),
        total=file.time(table, "total", where, default.total),
    )


def _credential(shared: Credential, ids: keys.Ids, key: str, proxy: str, weight: int) -> Credential:
    id = ids.make(f"routes:{shared.upstream}", key, shared.base_url, proxy)
    return replace(shared, id=id, key=Secret(key), proxy=proxy, weight=weight)
