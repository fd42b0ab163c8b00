"""The compiled routes: which targets a model name stands for. Immutable; no clock, no I/O.

Order: thinking suffix cut, then rules, model of routes.d, prefix, alias, pattern alias, models that
accounts bring; the whole chain with the exact spelling first, then with case aside. What a rule names goes
through the rest of the chain, not through rules again. Source: design, section 3; routing sheet, section 4.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from proxy.config.diagnose import closest, quoted
from proxy.config.model import ListedModel, Plan
from proxy.convo.model import Reasoning
from proxy.errors import Fault, ProxyError, Retry, bad_request
from proxy.routing.match import EFFORTS, Pattern, PatternIndex, cut_suffix, fill, reasoning_of
from proxy.routing.rules import Rule, reason
from proxy.routing.trace import Step, Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from proxy.config import declared
    from proxy.config.declared import Alias, Place, Prefix
    from proxy.routing.facts import Facts
    from proxy.routing.trace import StepKind

AUTO: Final = "auto"
_HOPS: Final = 16
"""Most aliases that lead to each other; a pattern alias may make a new name each time."""
_COMPARED: Final = 300
"""Most names that an unknown one is compared with: a hint may not cost more than a request."""
_FOUND: Final = 4096
"""Most names whose plan is remembered: clients may make up names that a pattern or prefix fits."""
_LONGEST: Final = 1024
"""Longest model name that is looked up, in characters."""


class Names:
    """One spelling of all names: exact (`fold` = identity) or lower-cased."""

    def __init__(
        self,
        *,
        plans: dict[str, Plan],
        accounts: dict[str, Plan],
        aliases: Iterable[Alias],
        prefixes: Iterable[Prefix],
        fold: bool,
    ) -> None:
        spell: Callable[[str], str] = str.lower if fold else str
        self.spell = spell
        self.plans = _spelled(plans, spell)
        self.accounts = _spelled(accounts, spell)
        self.prefixes = sorted(
            ((spell(prefix.text), prefix) for prefix in prefixes), key=lambda item: -len(item[0])
        )
        self.aliases: dict[str, Alias] = {}
        self.patterns: dict[str, Alias] = {}
        for alias in aliases:
            place = self.patterns if "*" in alias.name else self.aliases
            place.setdefault(spell(alias.name), alias)
        self.index = PatternIndex([Pattern(text, fold=fold) for text in self.patterns])


def _spelled(plans: dict[str, Plan], spell: Callable[[str], str]) -> dict[str, Plan]:
    found: dict[str, Plan] = {}
    for name, plan in plans.items():
        found.setdefault(spell(name), plan)
    return found


class Table:
    """See `resolve`, `trace` and `listed`. Built by `proxy.routing.build`."""

    def __init__(
        self,
        *,
        plans: dict[str, Plan],
        accounts: dict[str, Plan],
        aliases: tuple[Alias, ...],
        prefixes: tuple[Prefix, ...],
        listed: tuple[ListedModel, ...],
        ask: Callable[[str, str, bool], Plan | None],
        rules: tuple[declared.Rule, ...] = (),
        places: dict[str, Place] | None = None,
    ) -> None:
        """`plans`: models of routes.d; `accounts`: models that accounts bring; `ask`: the plan of a
        model at an upstream (upstream, model, any model), for prefixes; `places`: of routes.d models.
        """
        self._exact = Names(
            plans=plans, accounts=accounts, aliases=aliases, prefixes=prefixes, fold=False
        )
        self._folded = Names(
            plans=plans, accounts=accounts, aliases=aliases, prefixes=prefixes, fold=True
        )
        self._rules = tuple(Rule(number, rule) for number, rule in enumerate(rules, 1))
        self._places = places or {}
        self._listed = listed
        self._ask = ask
        self._newest = _newest(listed)
        self._found: dict[str, Plan] = {}
        """What names led to, where no rule has a say."""

    def listed(self) -> tuple[ListedModel, ...]:
        """All models by name, each once, sorted."""
        return self._listed

    def place(self, model: str) -> str:
        """Where a model of routes.d is written, `file:line:col`; empty for all others."""
        found = self._places.get(model)
        return str(found) if found is not None else ""

    def resolve(self, model: str, facts: Callable[[], Facts] | None = None) -> Plan:
        """The plan of a model as a client spelled it. `facts` is called only if there are rules; without
        it rules are passed over.

        Raises:
            ProxyError: 404 `model_not_found`, with the nearest known name; 400 for a thinking level
                that no model has.
        """
        if facts is not None and self._rules:
            return self._resolve(model, facts, None)
        plan = self._found.get(model)
        if plan is None:
            plan = self._resolve(model, None, None)
            if len(self._found) >= _FOUND:
                self._found.clear()
            self._found[model] = plan
        return plan

    def trace(self, model: str, facts: Callable[[], Facts] | None = None) -> Trace:
        """What `resolve` does, with its steps."""
        steps: list[Step] = []
        try:
            plan = self._resolve(model, facts, steps)
        except ProxyError as error:
            return Trace(asked=model, steps=tuple(steps), error=error)
        return Trace(asked=model, steps=tuple(steps), plan=plan)

    def _resolve(
        self, model: str, facts: Callable[[], Facts] | None, steps: list[Step] | None
    ) -> Plan:
        ruled = facts is not None and bool(self._rules)
        if not ruled:
            plan = self._exact.plans.get(model)
            if plan is not None and not model.endswith(")"):
                if steps is not None:
                    steps.append(self._model_step(plan))
                return plan
        if len(model) > _LONGEST:
            raise bad_request(f"the model name is longer than {_LONGEST} characters")
        base, value = cut_suffix(model)
        reasoning = reasoning_of(value) if value else None
        name = base if reasoning is not None else model
        if steps is not None and reasoning is not None:
            steps.append(Step("suffix", f"thinking suffix '{value}' is cut off"))
        rule = self._rule(facts(), name, reasoning, steps) if ruled and facts is not None else None
        if rule is not None:
            return self._by_rule(rule, model, reasoning, steps)
        if value and reasoning is None:
            return self._odd_suffix(model, base, value, steps)
        found = self._find(base, steps) or (self._find(model, steps) if value else None)
        if found is None:
            raise self._unknown(model)
        return _asked(found, model, reasoning)

    def _rule(
        self, facts: Facts, name: str, reasoning: Reasoning | None, steps: list[Step] | None
    ) -> Rule | None:
        """The first rule that holds."""
        for rule in self._rules:
            failing = rule.failing(facts, name, reasoning)
            if not failing:
                if steps is not None:
                    text = f"rule {rule.number} holds: use '{rule.use}'"
                    steps.append(Step("rule", text, str(rule.place)))
                return rule
            if steps is not None:
                text = f"rule {rule.number} does not hold: {reason(failing, facts, name)}"
                steps.append(Step("no-rule", text, str(rule.place)))
        return None

    def _by_rule(
        self, rule: Rule, model: str, reasoning: Reasoning | None, steps: list[Step] | None
    ) -> Plan:
        found = self._find(rule.name, steps)
        if found is None:
            raise self._unknown(rule.use, f", which rule {rule.number} uses for {_shown(model)}")
        return _asked(found, model, reasoning or rule.reasoning)

    def knows(self, model: str) -> bool:
        """Whether a name, without thinking suffix, resolves."""
        return self._find(cut_suffix(model)[0]) is not None

    def _odd_suffix(self, model: str, base: str, value: str, steps: list[Step] | None) -> Plan:
        found = self._find(model, steps)
        if found is not None:
            return _asked(found, model, None)
        if self._find(base) is None:
            raise self._unknown(model)
        words = ", ".join(EFFORTS)
        message = f"unknown thinking level {quoted(value)} for model {base} (levels: {words})"
        raise bad_request(message)

    def _find(self, name: str, steps: list[Step] | None = None) -> Plan | None:
        name = name.strip()
        found = self._spelled(name, steps)
        if found is None and name == AUTO and self._newest:
            if steps is not None:
                steps.append(Step("auto", f"'auto' is the newest model, '{self._newest}'"))
            found = self._spelled(self._newest, steps)
        return found

    def _spelled(self, name: str, steps: list[Step] | None) -> Plan | None:
        """The whole chain with the exact spelling, then with case aside."""
        before = len(steps) if steps is not None else 0
        for names in (self._exact, self._folded):
            found = self._chain(name, names, steps)
            if found is not None:
                return found
            if steps is not None:
                del steps[before:]
        return None

    def _chain(self, name: str, names: Names, steps: list[Step] | None) -> Plan | None:
        reasoning: Reasoning | None = None
        for _ in range(_HOPS):
            key = names.spell(name)
            plan = names.plans.get(key)
            if plan is not None:
                if steps is not None:
                    steps.append(self._model_step(plan))
            else:
                plan = self._prefixed(name, key, names, steps)
            to = None if plan is not None else _aliased(name, key, names, steps)
            if plan is None and to is None:
                plan = names.accounts.get(key)
                if plan is None:
                    return None
                if steps is not None:
                    steps.append(Step("account", f"model '{plan.model}' of an account or key"))
            if plan is not None:
                return plan if reasoning is None else replace(plan, reasoning=reasoning)
            # An alias may fix the thinking of what it stands for: "deep" = "gpt-5(high)".
            name, value = cut_suffix(to or "")
            asked = reasoning_of(value) if value else None
            reasoning = reasoning or asked
        return None

    def _model_step(self, plan: Plan) -> Step:
        return Step("model", f"model '{plan.model}'", self.place(plan.model))

    def _prefixed(self, name: str, key: str, names: Names, steps: list[Step] | None) -> Plan | None:
        for text, prefix in names.prefixes:
            if key.startswith(text) and len(key) > len(text):
                rest = name[len(text) :]
                plan = self._ask(prefix.upstream, rest, prefix.any_model)
                if plan is not None:
                    if steps is not None:
                        said = f"prefix '{prefix.text}' asks '{prefix.upstream}' for '{rest}'"
                        steps.append(Step("prefix", said, str(prefix.place)))
                    return replace(plan, asked=name, model=name)
        return None

    def _alike(self, letter: str) -> Iterator[str]:
        """Known names; where there are many, those that begin alike."""
        few = len(self._listed) + len(self._exact.aliases) <= _COMPARED
        for name in chain((model.id for model in self._listed), self._exact.aliases):
            if few or name[:1].lower() == letter:
                yield name

    def near(self, model: str, but: str = "") -> str:
        """`did you mean 'x'?`, or nothing. `but`: a known name that is not meant."""
        base, _ = cut_suffix(model)
        alike = (name for name in self._alike(base[:1].lower()) if name != but)
        found = closest(base, islice(alike, _COMPARED))
        return f"did you mean {quoted(found)}?" if found else ""

    def _unknown(self, model: str, why: str = "") -> ProxyError:
        near = self.near(model)
        message = f"unknown provider for model {_shown(model)}{why}"
        return ProxyError(
            f"{message}; {near}" if near else message,
            fault=Fault.CLIENT,
            status=404,
            kind="model_not_found",
            retry=Retry.NEVER,
        )


def _asked(plan: Plan, model: str, reasoning: Reasoning | None) -> Plan:
    """The plan under the name that was asked; most are asked by their own and handed out as they are."""
    if reasoning is not None:
        return replace(plan, asked=model, reasoning=reasoning)
    return plan if plan.asked == model else replace(plan, asked=model)


def _shown(model: str) -> str:
    return model if len(model) <= 200 else model[:200] + "..."


def _aliased(name: str, key: str, names: Names, steps: list[Step] | None) -> str | None:
    """What an alias makes of the name: the exact one, else the pattern with the longest literal part."""
    kind: StepKind = "alias"
    alias = names.aliases.get(key)
    to = alias.to if alias is not None else ""
    if alias is None:
        best = names.index.best(key)
        if best is None:
            return None
        pattern, _ = best
        kind, alias = "wildcard", names.patterns[pattern.text]
        # Captured text keeps the client's spelling, so it is taken from the name itself.
        to = fill(alias.to, pattern.captures(name) or ())
    if steps is not None:
        steps.append(Step(kind, f"alias '{alias.name}' is '{to}'", str(alias.place)))
    return to


def _newest(listed: tuple[ListedModel, ...]) -> str:
    if not listed:
        return ""
    return min(listed, key=lambda model: (-model.created, model.id)).id
