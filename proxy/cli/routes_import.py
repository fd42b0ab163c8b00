"""`pointsman routes import`: the upstreams of a CLIProxyAPI config.yaml as a file of routes.d.

What is written comes from the compiled table, not from the sections: every model keeps the upstreams,
names and wires that it has.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec.structs import replace

from proxy.cli.main import FAILED, OK, USAGE, parser, two_dashes
from proxy.config import settings as settings_of
from proxy.config.declared import Declared
from proxy.config.diagnose import ConfigError, Problem, Report
from proxy.config.document import decoded
from proxy.config.export import ModelEntry, UpstreamEntry, expressible, toml, upstream_name
from proxy.config.legacy import Legacy
from proxy.config.yamlio import parse
from proxy.routing.build import build
from proxy.routing.builtin import codex_effort, models_of
from proxy.routing.load import load
from proxy.store import files

if TYPE_CHECKING:
    from proxy.config.model import Candidate, Credential, ListedModel, PayloadRule, Plan, Settings
    from proxy.routing.table import Table

NAME: Final = "10-imported.toml"
_SECTIONS: Final = (
    *("openai-compatibility", "passthru", "claude-api-key", "codex-api-key", "gemini-api-key"),
    *("generative-language-api-key", "vertex-api-key", "payload"),
)
_WIRES: Final = {
    "openai-compat": "chat",
    "codex": "responses",
    "claude": "anthropic",
    "gemini": "gemini",
}
"""Providers that an upstream gets by its wire, and then without a list of models."""

Served: TypeAlias = "frozenset[tuple[str, str]]"
"""(client's name, name there) of all that a credential serves."""
Group: TypeAlias = "tuple[str, str, str, str, tuple[tuple[str, str], ...], Served]"


def run(arguments: list[str]) -> int:
    """Exit status 1 when the file exists already or cannot be written."""
    options = parser("routes import")
    options.add_argument("file", nargs="?")
    options.add_argument("--out")
    found = options.parse_args(two_dashes(arguments))
    name = found.file or found.config
    if name is None:
        sys.stderr.write("pointsman: 'routes import' needs the path of a config.yaml\n")
        return USAGE
    source = Path(name)
    out = Path(found.out) if found.out else source.absolute().parent / "routes.d"
    target = out / NAME
    if target.exists():
        sys.stderr.write(f"pointsman: {target} exists already; move it away first\n")
        return FAILED
    text, notes = imported(source)
    try:
        files.write(target, text.encode())
    except OSError as error:
        sys.stderr.write(f"pointsman: {target}: {error.strerror}\n")
        return FAILED
    load(str(source), [str(target)], {}, str(Path.cwd()))  # what we wrote has to be well
    print(f"written: {target}")
    for note in notes:
        print(note)
    return OK


def imported(source: Path) -> tuple[str, list[str]]:
    """The text, and what to know about it. Raises ConfigError for a config that cannot be used."""
    try:
        document = parse(str(source), decoded(str(source), source.read_bytes()))
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise ConfigError((Problem("no-file", message, str(source)),)) from None
    report = Report()
    legacy = Legacy(document, report)
    accounts = (*legacy.accounts(), *legacy.passthru(None))
    found = settings_of.of_legacy(legacy, {}, report)
    report.check()
    declared = Declared(
        accounts=accounts,
        strategy=settings_of.strategy_of(legacy),
        force_prefix=legacy.table.get("force-model-prefix", False),
    )
    table, _ = build(declared)
    export = _Export(table, found)
    payload, dropped = _payload(found)
    head = [
        f"Imported from {source.name}. This file holds the keys that were written there: better keep them",
        'in the environment ("env:NAME") or in files ("file:PATH").',
        "The upstreams here get the documented headers of their API; those of CLIProxyAPI's sections get",
        "the ones that it sends.",
    ]
    text = toml(head, export.upstreams.values(), export.models(), payload)
    return text, [*dropped, *_notes(legacy, source)]


class _Export:
    """Upstreams and models of a table. One upstream for all keys of one address that serve the same."""

    def __init__(self, table: Table, settings: Settings) -> None:
        self._settings = settings
        self._plans = {model.id: table.resolve(model.id) for model in table.listed()}
        self._listed = {model.id: model for model in table.listed()}
        served: dict[str, set[tuple[str, str]]] = {}
        self._credentials: dict[str, Credential] = {}
        for id, plan in self._plans.items():
            for candidate in _candidates(plan):
                credential = candidate.credential
                self._credentials[credential.id] = credential
                served.setdefault(credential.id, set()).add((id, _there(plan, candidate)))
        self._served: dict[str, Served] = {id: frozenset(all_) for id, all_ in served.items()}
        others = {c.provider for c in self._credentials.values() if c.provider not in _WIRES}
        self._forced = {model.id for provider in others for model in models_of(provider)}
        """What is on a list that cannot be left out, because its provider has no wire of its own."""
        self.upstreams: dict[Group, UpstreamEntry] = {}
        for id in sorted(self._credentials):
            self._add(self._credentials[id])

    def _group(self, credential: Credential) -> Group:
        return (
            credential.upstream,
            credential.provider,
            credential.wire,
            credential.base_url,
            credential.headers,
            self._served[credential.id],
        )

    def _add(self, credential: Credential) -> None:
        group = self._group(credential)
        proxy = "" if credential.proxy == self._settings.proxy_url else credential.proxy
        key = (credential.key, proxy)
        entry = self.upstreams.get(group)
        if entry is not None:
            self.upstreams[group] = replace(entry, keys=(*entry.keys, key))
            return
        wire = _WIRES.get(credential.provider, "")
        wanted = credential.label.removeprefix("passthru:") or credential.upstream
        by_provider = not wire or self._brings_its_list(credential)
        self.upstreams[group] = UpstreamEntry(
            name=upstream_name(wanted, [known.name for known in self.upstreams.values()]),
            provider=credential.provider if by_provider else "",
            wire="" if by_provider else wire,
            base_url=credential.base_url,
            keys=(key,),
            headers=credential.headers,
        )

    def _brings_its_list(self, credential: Credential) -> bool:
        """Whether the provider's own list says all that this upstream serves, and nobody else does."""
        own = self._served[credential.id]
        if not own or own != {(model.id, model.id) for model in models_of(credential.provider)}:
            return False
        if any(id in self._forced for id, _ in own):
            return False
        group = self._group(credential)
        return all(self._alone(self._plans[id], group) for id, _ in own)

    def _alone(self, plan: Plan, group: Group) -> bool:
        found = _candidates(plan)
        ordered = plan.strategy == "fill-first" and len(found) > 1
        return not ordered and all(self._group(c.credential) == group for c in found)

    def models(self) -> list[ModelEntry]:
        """All that no upstream brings by itself, by name."""
        brought = {
            id
            for group, entry in self.upstreams.items()
            if entry.provider and entry.provider in _WIRES
            for id, _ in group[-1]
        }
        return [self._model(id) for id in sorted(self._plans) if id not in brought]

    def _model(self, id: str) -> ModelEntry:
        plan = self._plans[id]
        to = dict.fromkeys(
            f"{self.upstreams[self._group(c.credential)].name}:{_there(plan, c)}"
            for c in _candidates(plan)
        )
        filled = plan.strategy == "fill-first"
        spread = len(plan.targets) > 1 or (len(to) > 1 and not filled)
        limits = _limits(self._listed[id])
        return ModelEntry(
            id=id,
            to=tuple(to),
            policy="balance" if spread else "failover",
            accounts="fill-first" if filled else "round-robin",
            context=limits[0],
            output=limits[1],
        )


def _candidates(plan: Plan) -> list[Candidate]:
    return [candidate for target in plan.targets for candidate in target.candidates]


def _there(plan: Plan, candidate: Candidate) -> str:
    """The name to write: Codex gets its effort by name."""
    effort = plan.reasoning.effort if plan.reasoning is not None else None
    if effort and candidate.credential.provider == "codex":
        name = f"{candidate.model}-{effort}"
        if codex_effort(name) == (candidate.model, effort):
            return name
    return candidate.model


def _limits(listed: ListedModel) -> tuple[int, int]:
    """Those that a passthru route states; others are known by the model's name."""
    return (listed.context, listed.output) if listed.owned_by == "passthru" else (0, 0)


def _payload(settings: Settings) -> tuple[list[PayloadRule], list[str]]:
    rules: list[PayloadRule] = []
    dropped: list[str] = []
    for rule in settings.payload:
        params = tuple(pair for pair in rule.params if expressible(pair[1]))
        dropped += [
            f"left out: payload {rule.action} of '{path}': TOML has no null"
            for path, value in rule.params
            if not expressible(value)
        ]
        if params:
            rules.append(replace(rule, params=params))
    return rules, dropped


def _notes(legacy: Legacy, source: Path) -> list[str]:
    present = [name for name in _SECTIONS if legacy.table.get(name)]
    kept = [name for name in legacy.document.value if name not in present]
    notes = [f"{source} still holds these sections; take them out of it: {', '.join(present)}"]
    if kept:
        notes.append(f"and these settings, which stay there: {', '.join(map(str, kept))}")
    return notes if present else notes[1:]
