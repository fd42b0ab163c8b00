"""routes.d files: upstreams, models, aliases, prefixes, payload rules. Source: design, section 3.

Each file is read strictly; names are joined over all files, and a name defined twice is an error that
tells both places. References between names are checked when all files are in.
"""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Final

from proxy.config import copilot, keys
from proxy.config.declared import Alias, Declared, Place, Prefix, Route, Upstream
from proxy.config.diagnose import nearest, quoted
from proxy.config.model import Credential, PayloadRule, Timeouts
from proxy.config.payload_path import bad_path
from proxy.config.routes_shape import KEY, LATER, NOW, PROVIDERS, ROUTES, WIRES
from proxy.config.shape import Conform
from proxy.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.config.diagnose import Path, Report
    from proxy.config.document import Document
    from proxy.config.model import Strategy
    from proxy.jsonio import Json

_SECRET_SIZE: Final = 64 * 1024
_CAPTURES: Final = 9


class Routes:
    """Collects routes.d files. `known`: upstream names that `config.yaml` brings."""

    def __init__(
        self, report: Report, environ: Mapping[str, str], known: set[str], proxy: str
    ) -> None:
        self.payload: list[PayloadRule] = []
        self.copilot: dict[str, object] = {}
        """What `provider = "copilot"` says: members of `CopilotOptions`."""
        self._report = report
        self._environ = environ
        self._known = known
        self._shared_proxy = proxy
        self._ids = keys.Ids()
        self._upstreams: dict[str, Upstream] = {}
        self._routes: dict[str, Route] = {}
        self._aliases: dict[str, Alias] = {}
        self._prefixes: dict[str, Prefix] = {}
        self._sources: dict[str, tuple[Document, Path]] = {}

    def add(self, document: Document, folder: FilePath) -> None:
        """Reads one file; `folder` is where its `file:` values are looked up."""
        reader = Conform(
            document, self._report, strict=True, secret=lambda word: self._secret(word, folder)
        )
        table: dict[str, Json] = reader.read(ROUTES)
        if table.get("rules"):
            message = "'rules' are not available yet"
            self._report.error("not-yet", message, document, ("rules",), key=True)
        for name, entry in table.get("upstreams", {}).items():
            path: Path = ("upstreams", name)
            if self._fresh("upstream", name, document, path):
                self._upstream(reader, name, entry, path)
        for name, entry in table.get("models", {}).items():
            if self._fresh("model", name, document, ("models", name)):
                self._model(document, name, entry)
        for name, to in table.get("aliases", {}).items():
            if self._fresh("alias", name, document, ("aliases", name)):
                self._alias(document, name, to)
        for name, entry in table.get("prefixes", {}).items():
            if self._fresh("prefix", name, document, ("prefixes", name)):
                self._prefix(document, name, entry)
        for index, entry in enumerate(table.get("payload", [])):
            self._payload(document, entry, ("payload", index))

    def declared(self) -> Declared:
        """All that was read, references checked."""
        for route in self._routes.values():
            document, path = self._sources[f"model {route.id}"]
            for index, (upstream, _) in enumerate(route.to):
                self._reference(upstream, document, (*path, "to", index))
        for prefix in self._prefixes.values():
            document, path = self._sources[f"prefix {prefix.text}"]
            self._reference(prefix.upstream, document, (*path, "upstream"))
        self._loops()
        return Declared(
            upstreams=tuple(self._upstreams.values()),
            routes=tuple(self._routes.values()),
            aliases=tuple(self._aliases.values()),
            prefixes=tuple(self._prefixes.values()),
        )

    def _secret(self, word: str, folder: FilePath) -> str:
        kind, _, name = word.partition(":")
        if kind == "env":
            found = self._environ.get(name, "")
            if not found:
                raise LookupError(f"environment variable {quoted(name)} is not set")
            return found
        try:
            with (folder / FilePath(name).expanduser()).open("rb") as file:
                line = file.readline(_SECRET_SIZE).decode().strip()
        except (OSError, ValueError, RuntimeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is not text"
            raise LookupError(f"file {quoted(name)} cannot be read: {reason}") from None
        if not line:
            raise LookupError(f"file {quoted(name)} has an empty first line")
        return line

    def _fresh(self, kind: str, name: str, document: Document, path: Path) -> bool:
        label = f"{kind} {name}"
        before = self._sources.get(label)
        if before is not None:
            self._report.error(
                "defined-twice",
                f"{kind} {quoted(name)} is defined twice",
                document,
                path,
                key=True,
                also=str(_place(*before)),
            )
            return False
        self._sources[label] = (document, path)
        return True

    def _word(
        self, document: Document, entry: dict[str, Json], key: str, path: Path, default: str
    ) -> str:
        """One of the known words; others are errors, those of later versions by name."""
        word: str = entry.get(key, default)
        if word in NOW[key] or word == default:
            return word
        where = (*path, key)
        if word in LATER.get(key, ()):
            message = f"{key} {quoted(word)} is not available yet"
            self._report.error("not-yet", message, document, where)
        else:
            known = (*NOW[key], *LATER.get(key, ()))
            hint = nearest(word, known) or f"one of: {', '.join(NOW[key])}"
            message = f"{key} {quoted(word)} is not known"
            self._report.error("bad-value", message, document, where, hint=hint)
        return default

    def _upstream(self, reader: Conform, name: str, entry: dict[str, Json], path: Path) -> None:
        document, error = reader.document, self._report.error
        if not name or ":" in name:
            error("bad-name", "an upstream's name may not hold ':'", document, path, key=True)
        wire = self._word(document, entry, "wire", path, "")
        word = self._word(document, entry, "provider", path, "")
        if not (wire or word) and not (entry.get("wire") or entry.get("provider")):
            message = f"upstream {quoted(name)} needs 'wire' or 'provider'"
            error("missing-key", message, document, path, key=True)
        if not word and entry.get("provider"):
            return
        if copilot.upstream_of(word, document, entry, path, self._report, self.copilot):
            self._upstreams[name] = Upstream(
                name=name, credentials=(), accounts=word, place=_place(document, path)
            )
            return
        provider, own_wire, base = PROVIDERS[word or WIRES.get(wire, "openai-compat")]
        if word and wire and wire != own_wire:
            message = f"provider {quoted(word)} speaks the wire {quoted(own_wire)}"
            error("bad-value", message, document, (*path, "wire"))
        base = entry.get("base-url", base if word else "")
        if provider != "demo" and not keys.is_url(base):
            given = "base-url" in entry
            error(
                "bad-value" if given else "missing-key",
                "'base-url' is no http or https URL"
                if given
                else f"upstream {quoted(name)} needs 'base-url'",
                document,
                (*path, "base-url") if given else path,
                key=not given,
            )
        if name in self._known:
            note = f"upstream {quoted(name)} takes the place of the one of config.yaml"
            self._report.warn(note, document, path, key=True)
        shared = Credential(
            id="",
            provider=provider,
            wire=own_wire,
            base_url=base.rstrip("/"),
            headers=self._headers(document, entry, path),
            http2=entry.get("http2", False),
            upstream=name,
            label=name,
            timeouts=self._timeouts(document, entry, path),
            in_flight=self._count(document, entry.get("limits", {}), "in-flight", path, "limits"),
        )
        proxy = self._proxy(document, entry, path) or self._shared_proxy
        self._upstreams[name] = Upstream(
            name=name,
            credentials=self._credentials(reader, entry, path, shared, proxy),
            builtin=bool(word) and provider != "demo",
            place=_place(document, path),
        )

    def _credentials(
        self, reader: Conform, entry: dict[str, Json], path: Path, shared: Credential, proxy: str
    ) -> tuple[Credential, ...]:
        found: list[Credential] = []
        for index, item in enumerate(entry.get("keys", [])):
            where = (*path, "keys", index)
            key = reader.part(item, KEY if isinstance(item, dict) else "secret", where)
            table: dict[str, Json] = key if isinstance(key, dict) else {"key": key}
            if not table.get("key"):
                if isinstance(item, dict) and "key" not in item:
                    self._report.error("missing-key", "needs 'key'", reader.document, where)
                continue
            weight = self._count(reader.document, table, "weight", where, "", least=1)
            own = self._proxy(reader.document, table, where) or proxy
            found.append(_credential(shared, self._ids, str(table["key"]), own, weight))
        return tuple(found) or (_credential(shared, self._ids, "", proxy, 1),)

    def _headers(
        self, document: Document, entry: dict[str, Json], path: Path
    ) -> tuple[tuple[str, str], ...]:
        headers = entry.get("headers", {})
        for name in keys.bad_headers(headers):
            message = f"header {quoted(name)} cannot be sent"
            where = (*path, "headers", name)
            self._report.error("bad-header", message, document, where, key=True)
        return keys.headers_of(headers)

    def _proxy(self, document: Document, entry: dict[str, Json], path: Path) -> str:
        value: str = entry.get("proxy", "")
        if value and not keys.is_proxy(value):
            message = "'proxy' is no socks5, http or https URL"
            self._report.error("bad-value", message, document, (*path, "proxy"))
        return value

    def _timeouts(self, document: Document, entry: dict[str, Json], path: Path) -> Timeouts:
        table: dict[str, float] = entry.get("timeouts", {})
        for key, value in table.items():
            if value <= 0:
                message = f"{quoted(key)} should be longer than nothing"
                self._report.error("bad-value", message, document, (*path, "timeouts", key))
        default = Timeouts()
        return Timeouts(
            connect=table.get("connect", default.connect),
            first_event=table.get("first-event", default.first_event),
            idle=table.get("idle", default.idle),
        )

    def _count(
        self,
        document: Document,
        table: dict[str, Json],
        key: str,
        path: Path,
        parent: str,
        *,
        least: int = 0,
    ) -> int:
        value: int = table.get(key, least)
        if least <= value <= 1_000_000_000:
            return value
        message = f"{quoted(key)} should be {least} or more"
        where = (*path, parent, key) if parent else (*path, key)
        self._report.error("bad-value", message, document, where)
        return least

    def _model(self, document: Document, name: str, entry: dict[str, Json]) -> None:
        path: Path = ("models", name)
        if not name.strip():
            message = "a model needs a name"
            self._report.error("bad-name", message, document, path, key=True)
        to = [part for part in entry.get("to", []) if part]
        if not to and "to" not in document.value.get("models", {}).get(name, {}):
            message = f"model {quoted(name)} needs 'to', a list of upstreams"
            self._report.error("missing-key", message, document, path, key=True)
        elif not to and "to" in entry:
            message = "'to' names no upstream"
            self._report.error("bad-value", message, document, (*path, "to"))
        if "hedge" in entry:
            message = "'hedge' is not available yet"
            self._report.error("not-yet", message, document, (*path, "hedge"), key=True)
        self._word(document, entry, "sticky", path, "none")
        self._word(document, entry, "on-break", path, "error")
        balance = self._word(document, entry, "policy", path, "failover") == "balance"
        self._routes[name] = Route(
            id=name,
            to=tuple(_target(part) for part in to),
            policy="balance" if balance else "failover",
            strategy=self._strategy(document, entry, path),
            context=self._count(document, entry, "context", path, ""),
            output=self._count(document, entry, "output", path, ""),
            description=entry.get("description", ""),
            place=_place(document, path),
        )

    def _strategy(self, document: Document, entry: dict[str, Json], path: Path) -> Strategy:
        word = self._word(document, entry, "accounts", path, "round-robin")
        return "fill-first" if word == "fill-first" else "round-robin"

    def _alias(self, document: Document, name: str, to: str) -> None:
        path: Path = ("aliases", name)
        stars = name.count("*")
        problem = ""
        if not name.strip() or not to.strip():
            problem = "an alias needs a name on both sides"
        elif stars > _CAPTURES:
            problem = f"an alias may hold {_CAPTURES} '*' at most"
        elif "*" in to:
            problem = "the right side of an alias may not hold '*'; {1} repeats what it matched"
        else:
            asked = [i for i in range(1, 10) if f"{{{i}}}" in to]
            if asked and asked[-1] > stars:
                problem = f"{{{asked[-1]}}} has no '*' on the left side"
        if problem:
            self._report.error("bad-value", problem, document, path)
            return
        self._aliases[name] = Alias(name=name, to=to, place=_place(document, path))

    def _prefix(self, document: Document, text: str, entry: dict[str, Json]) -> None:
        path: Path = ("prefixes", text)
        if not text:
            message = "a prefix needs at least one letter"
            self._report.error("bad-name", message, document, path, key=True)
        if not entry.get("upstream"):
            if "upstream" not in document.value["prefixes"][text]:
                message = f"prefix {quoted(text)} needs 'upstream'"
                self._report.error("missing-key", message, document, path, key=True)
            return
        self._prefixes[text] = Prefix(
            text=text,
            upstream=entry["upstream"],
            any_model=entry.get("any-model", False),
            place=_place(document, path),
        )

    def _payload(self, document: Document, entry: dict[str, Json], path: Path) -> None:
        wire = self._word(document, entry, "wire", path, "")
        globs = [model for model in entry.get("models", []) if model]
        if not globs:
            message = "a payload rule needs 'models', a list of names or patterns"
            self._report.error("missing-key", message, document, path)
        models = tuple((glob, wire) for glob in globs)
        removed = {name: None for name in entry.get("remove", []) if name}
        tables = {"default": entry.get("default", {}), "override": entry.get("override", {})}
        if not (removed or any(tables.values())):
            message = "a payload rule needs 'default', 'override' or 'remove'"
            self._report.error("missing-key", message, document, path)
        for action, params in (*tables.items(), ("remove", removed)):
            for name in params:
                reason = bad_path(name)
                if reason:
                    message = f"path {quoted(name)} {reason}"
                    where = (*path, action, name) if action != "remove" else (*path, action)
                    self._report.error("bad-path", message, document, where)
            if params:
                self.payload.append(
                    PayloadRule(
                        action="default"
                        if action == "default"
                        else ("override" if action == "override" else "remove"),
                        models=models,
                        params=tuple(params.items()),
                    )
                )

    def _reference(self, upstream: str, document: Document, path: Path) -> None:
        if upstream in self._upstreams or upstream in self._known:
            return
        if f"upstream {upstream}" in self._sources:
            return
        known = (*self._upstreams, *self._known)
        hint = nearest(upstream, known) or (f"known: {', '.join(known)}" if known else "")
        message = f"upstream {quoted(upstream)} is not defined"
        self._report.error("unknown-upstream", message, document, path, hint=hint[:200])

    def _loops(self) -> None:
        """Exact aliases that lead back to themselves; pattern aliases are stopped by resolution."""
        done: set[str] = set()
        for start in self._aliases:
            chain: list[str] = []
            name = start
            while name in self._aliases and name not in self._routes and name not in done:
                if name in chain:
                    loop = [*chain[chain.index(name) :], name]
                    document, path = self._sources[f"alias {name}"]
                    shown = " -> ".join(quoted(part) for part in loop[:10])
                    message = f"alias {quoted(name)} leads back to itself: {shown}"
                    self._report.error("alias-loop", message, document, path)
                    break
                chain.append(name)
                name = self._aliases[name].to
            done.update(chain)


def _credential(shared: Credential, ids: keys.Ids, key: str, proxy: str, weight: int) -> Credential:
    id = ids.make(f"routes:{shared.upstream}", key, shared.base_url, proxy)
    return Credential(
        id=id,
        provider=shared.provider,
        wire=shared.wire,
        base_url=shared.base_url,
        key=Secret(key),
        headers=shared.headers,
        proxy=proxy,
        http2=shared.http2,
        upstream=shared.upstream,
        label=shared.label,
        weight=weight,
        timeouts=shared.timeouts,
        in_flight=shared.in_flight,
    )


def _target(word: str) -> tuple[str, str]:
    upstream, _, model = word.partition(":")
    return upstream.strip(), model.strip()


def _place(document: Document, path: Path) -> Place:
    return Place(document, path)
