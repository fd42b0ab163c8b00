"""What the files declare -> `Table`: accounts' models expanded, references joined, plans made ready."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from proxy.config.diagnose import quoted
from proxy.config.model import Candidate, ListedModel, Plan, Target
from proxy.convo.model import Reasoning
from proxy.routing.builtin import UNKNOWN, capability_of, codex_effort, models_of
from proxy.routing.match import Pattern
from proxy.routing.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.config.declared import Account, Declared, OfferedModel, Route, Upstream
    from proxy.config.model import Credential, Policy, Strategy, Warning_
    from proxy.convo.model import Capability, Effort


NOWHERE: Final = "leads-nowhere"
_MOST_FINDINGS: Final = 100
_MOST_HINTS: Final = 20
"""Findings, and those with a hint, per load: a name is compared with hundreds for one."""


def build(declared: Declared) -> tuple[Table, tuple[Warning_, ...]]:
    """The table, and what is odd about it: names that lead nowhere, or are hidden."""
    builder = _Builder(declared)
    table = builder.table()
    return table, builder.warnings(table)


class _Offer:
    """All who serve one client id, by rotation group."""

    __slots__ = ("effort", "groups", "listed")

    def __init__(self, listed: ListedModel) -> None:
        self.listed = listed
        self.groups: dict[str, list[Candidate]] = {}
        self.effort: Effort | None = None


class _Builder:
    def __init__(self, declared: Declared) -> None:
        self._declared = declared
        self._offers: dict[str, _Offer] = {}
        self._upstreams: dict[str, Upstream] = {u.name: u for u in declared.upstreams}
        self._targets = {(u, m or r.id) for r in declared.routes for u, m in r.to}
        self._groups: dict[str, dict[str, Credential]] = {}
        self._sides: dict[tuple[str, str], Credential] = {}
        self._spelled: dict[tuple[str, str], str] = {}
        for account in declared.accounts:
            credential = account.credential
            if account.side:
                self._sides |= {
                    (credential.account, name): credential for name, _ in account.listed
                }
            else:
                self._groups.setdefault(account.group, {})[credential.id] = credential
            for name, _ in account.listed:
                self._spelled[account.group, name.lower()] = name

    def table(self) -> Table:
        declared = self._declared
        for account in declared.accounts:
            for id, candidate, listed, effort in self._account(account):
                self._offer(id, account.group, candidate, listed, effort)
        for upstream in declared.upstreams:
            if upstream.builtin:
                self._builtin(upstream)
        accounts = {id: self._offered(id, offer) for id, offer in self._offers.items()}
        plans = {route.id: self._route(route) for route in declared.routes}
        models = {id: offer.listed for id, offer in self._offers.items()}
        models |= {route.id: self._listed(route, plans[route.id]) for route in declared.routes}
        return Table(
            plans=plans,
            accounts=accounts,
            aliases=declared.aliases,
            prefixes=declared.prefixes,
            listed=tuple(models[id] for id in sorted(models)),
            ask=self.ask,
            rules=declared.rules,
            places={route.id: route.place for route in declared.routes},
        )

    def ask(self, upstream: str, model: str, any_model: bool) -> Plan | None:
        """The plan of a model at one upstream; None when it is not known there and has to be."""
        model = self._spelled.get((upstream, model.lower()), model)
        if not any_model and not self._serves(upstream, model):
            return None
        if upstream not in self._upstreams and upstream not in self._groups:
            return None
        return self._plan(model, ((upstream, model),), "failover", self._declared.strategy, model)

    def warnings(self, table: Table) -> tuple[Warning_, ...]:
        """Rules and aliases whose name leads to no model; prefixes that hide models of accounts."""
        return tuple(islice(self._findings(table), _MOST_FINDINGS))

    def _findings(self, table: Table) -> Iterator[Warning_]:
        hints = iter(range(_MOST_HINTS))

        def hint(name: str, but: str) -> str:
            return table.near(name, but) if next(hints, None) is not None else ""

        for number, rule in enumerate(self._declared.rules, 1):
            if not table.knows(rule.use):
                message = f"rule {number} uses {quoted(rule.use)}, which no upstream has"
                yield rule.place.warning(NOWHERE, message, hint=hint(rule.use, ""))
        for alias in self._declared.aliases:
            if "{" not in alias.to and not table.knows(alias.to):
                to = quoted(alias.to)
                message = f"alias {quoted(alias.name)} leads to {to}, which no upstream has"
                yield alias.place.warning(NOWHERE, message, hint=hint(alias.to, alias.name))
        for prefix in self._declared.prefixes:
            if prefix.builtin:
                continue  # it hides the account's own second names, which mean the same
            hidden = sorted(id for id in self._offers if id.startswith(prefix.text))
            if prefix.any_model and hidden:
                message = f"prefix {quoted(prefix.text)} hides the model {quoted(hidden[0])}"
                more = f" and {len(hidden) - 1} more" if len(hidden) > 1 else ""
                yield prefix.place.warning("shadowed", message + more)

    def _serves(self, upstream: str, model: str) -> bool:
        offer = self._offers.get(model)
        if offer is not None and upstream in offer.groups:
            return True
        return (upstream, model) in self._targets

    def _account(
        self, account: Account
    ) -> Iterator[tuple[str, Candidate, ListedModel, Effort | None]]:
        for id, candidate, listed, effort in self._mapped(account):
            if account.prefix:
                prefixed = f"{account.prefix}/{id}"
                yield prefixed, candidate, replace(listed, id=prefixed), effort
            # A prefix equal to the id keeps the plain name reachable, also when prefixes are forced.
            if not account.prefix or not self._declared.force_prefix or account.prefix == id:
                yield id, candidate, listed, effort

    def _mapped(
        self, account: Account
    ) -> Iterator[tuple[str, Candidate, ListedModel, Effort | None]]:
        """Its own models under the names that `oauth-model-mappings` gives those of logins."""
        mappings = self._declared.mappings.get(account.group, ()) if _logs_in(account) else ()
        named = {mapping.name.lower(): mapping for mapping in mappings}
        for id, candidate, listed, effort in self._own(account):
            mapping = named.get(id.lower())
            if mapping is not None:
                yield mapping.alias, candidate, replace(listed, id=mapping.alias), effort
            if mapping is None or mapping.fork:
                yield id, candidate, listed, effort

    def _own(self, account: Account) -> Iterator[tuple[str, Candidate, ListedModel, Effort | None]]:
        globs = self._declared.excluded.get(account.group, ()) if _logs_in(account) else ()
        excluded = [Pattern(glob) for glob in (*account.excluded, *globs)]
        if account.listed:
            models = list(account.listed)
        elif account.models:
            models = [(m.name, self._custom(account, m)) for m in account.models]
        elif account.builtin:
            models = [(m.id, m) for m in models_of(account.credential.provider)]
        else:
            models = []
        for name, listed in models:
            if any(glob.captures(listed.id.lower()) is not None for glob in excluded):
                continue
            base, effort = _effort(account.credential, name)
            capability = _capability(base, listed.id, listed)
            candidate = Candidate(credential=account.credential, model=base, capability=capability)
            yield listed.id, candidate, listed, effort

    def _custom(self, account: Account, model: OfferedModel) -> ListedModel:
        return ListedModel(
            id=model.id,
            created=self._declared.now,
            owned_by=account.owner,
            kind=account.kind,
            display_name=model.id,
            context=model.context,
            output=model.output,
            capability=_thinking_only(model.name),
        )

    def _offer(
        self,
        id: str,
        group: str,
        candidate: Candidate,
        listed: ListedModel,
        effort: Effort | None,
    ) -> None:
        offer = self._offers.get(id)
        if offer is None:
            offer = self._offers[id] = _Offer(listed)
        offer.groups.setdefault(group, []).append(candidate)
        offer.effort = offer.effort or effort

    def _builtin(self, upstream: Upstream) -> None:
        for credential in upstream.credentials:
            for listed in models_of(credential.provider):
                base, effort = _effort(credential, listed.id)
                capability = _capability(base, listed.id, listed)
                candidate = Candidate(credential=credential, model=base, capability=capability)
                self._offer(listed.id, upstream.name, candidate, listed, effort)

    def _offered(self, id: str, offer: _Offer) -> Plan:
        # As the reference orders them: the provider with most credentials first, then by name;
        # credentials by id, which is what its round-robin counts over.
        groups = sorted(offer.groups.items(), key=lambda item: (-len(item[1]), item[0]))
        targets = tuple(
            Target(
                upstream=group,
                candidates=tuple(sorted(candidates, key=lambda c: c.credential.id)),
                weight=1,  # providers take even turns, however many keys they have
            )
            for group, candidates in groups
        )
        return Plan(
            asked=id,
            model=id,
            targets=targets,
            policy="balance" if len(targets) > 1 else "failover",
            strategy=self._declared.strategy,
            reasoning=Reasoning(effort=offer.effort) if offer.effort else None,
        )

    def _route(self, route: Route) -> Plan:
        to = tuple((upstream, model or route.id) for upstream, model in route.to)
        plan = replace(
            self._plan(route.id, to, route.policy, route.strategy, route.id),
            hedge=route.hedge,
            on_break=route.on_break,
            on_loss=route.on_loss,
            sticky=route.sticky,
        )
        if not (route.context or route.output):
            return plan
        limits = {"context": route.context, "output": route.output}
        known = {key: value for key, value in limits.items() if value}
        return replace(
            plan,
            targets=tuple(
                replace(
                    target,
                    candidates=tuple(
                        replace(c, capability=replace(c.capability, **known))
                        for c in target.candidates
                    ),
                )
                for target in plan.targets
            ),
        )

    def _plan(
        self,
        id: str,
        to: tuple[tuple[str, str], ...],
        policy: Policy,
        strategy: Strategy,
        alias: str,
    ) -> Plan:
        targets: list[Target] = []
        effort: Effort | None = None
        for name, model in to:
            candidates: list[Candidate] = []
            for main in self._credentials(name):
                credential = self._sides.get((main.account, model), main) if main.account else main
                base, own = _effort(credential, model)
                effort = effort or own
                capability = _capability(base, alias, None)
                candidates.append(
                    Candidate(credential=credential, model=base, capability=capability)
                )
            targets.append(Target(upstream=name, candidates=tuple(candidates)))
        return Plan(
            asked=id,
            model=id,
            targets=tuple(targets),
            policy=policy,
            strategy=strategy,
            reasoning=Reasoning(effort=effort) if effort else None,
        )

    def _credentials(self, name: str) -> tuple[Credential, ...]:
        upstream = self._upstreams.get(name)
        if upstream is not None and not upstream.accounts:
            return upstream.credentials
        group = upstream.accounts if upstream is not None else name
        return tuple(self._groups.get(group, {}).values())

    def _listed(self, route: Route, plan: Plan) -> ListedModel:
        first = next((c for t in plan.targets for c in t.candidates), None)
        capability = first.capability if first else UNKNOWN
        return ListedModel(
            id=route.id,
            created=self._declared.now,
            owned_by=plan.targets[0].upstream if plan.targets else "pointsman",
            kind="route",
            display_name=route.id,
            description=route.description,
            context=route.context or capability.context,
            output=route.output or capability.output,
            capability=capability,
        )


def _logs_in(account: Account) -> bool:
    return bool(account.credential.account)


def _effort(credential: Credential, model: str) -> tuple[str, Effort | None]:
    """Codex has no `gpt-5-high`: it is asked for `gpt-5` with that effort."""
    found = codex_effort(model) if credential.provider == "codex" else None
    return found or (model, None)


def _capability(model: str, alias: str, listed: ListedModel | None) -> Capability:
    """Of the upstream name, else of the alias; limits that the configuration states come first."""
    known = capability_of(model)
    if known is UNKNOWN:
        known = capability_of(alias)
    if listed is None or not (listed.context or listed.output):
        return known
    return replace(
        known,
        context=listed.context or known.context,
        output=listed.output or known.output,
    )


def _thinking_only(model: str) -> Capability:
    """An alias is listed with the thinking of its model, not with its limits."""
    return replace(capability_of(model), context=0, output=0)
