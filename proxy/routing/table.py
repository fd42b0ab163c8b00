"""The compiled routes: which targets a model name stands for. Immutable; no clock, no I/O.

Order: thinking suffix cut, then model of routes.d, prefix, alias, pattern alias, models that accounts
bring; the whole chain with the exact spelling first, then with case aside. Source: design, section 3;
routing sheet, section 4.
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from proxy.config.declared import Alias, Prefix

AUTO: Final = "auto"
_HOPS: Final = 16
"""Most aliases that lead to each other; a pattern alias may make a new name each time."""
_COMPARED: Final = 300
"""Most names that an unknown one is compared with: a hint may not cost more than a request."""
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
        self.aliases: dict[str, str] = {}
        self.patterns: dict[str, str] = {}
        for alias in aliases:
            place = self.patterns if "*" in alias.name else self.aliases
            place.setdefault(spell(alias.name), alias.to)
        self.index = PatternIndex([Pattern(text, fold=fold) for text in self.patterns])


def _spelled(plans: dict[str, Plan], spell: Callable[[str], str]) -> dict[str, Plan]:
    found: dict[str, Plan] = {}
    for name, plan in plans.items():
        found.setdefault(spell(name), plan)
    return found


class Table:
    """See `resolve` and `listed`. Built by `proxy.routing.build`."""

    def __init__(
        self,
        *,
        plans: dict[str, Plan],
        accounts: dict[str, Plan],
        aliases: tuple[Alias, ...],
        prefixes: tuple[Prefix, ...],
        listed: tuple[ListedModel, ...],
        ask: Callable[[str, str, bool], Plan | None],
    ) -> None:
        """`plans`: models of routes.d; `accounts`: models that accounts bring; `ask`: the plan of a
        model at an upstream (upstream, model, any model), for prefixes.
        """
        self._exact = Names(
            plans=plans, accounts=accounts, aliases=aliases, prefixes=prefixes, fold=False
        )
        self._folded = Names(
            plans=plans, accounts=accounts, aliases=aliases, prefixes=prefixes, fold=True
        )
        self._listed = listed
        self._ask = ask
        self._newest = _newest(listed)

    def listed(self) -> tuple[ListedModel, ...]:
        """All models by name, each once, sorted."""
        return self._listed

    def resolve(self, model: str) -> Plan:
        """The plan of a model as a client spelled it.

        Raises:
            ProxyError: 404 `model_not_found`, with the nearest known name; 400 for a thinking level
                that no model has.
        """
        plan = self._exact.plans.get(model)
        if plan is not None and not model.endswith(")"):
            return plan
        if len(model) > _LONGEST:
            raise bad_request(f"the model name is longer than {_LONGEST} characters")
        base, value = cut_suffix(model)
        reasoning = reasoning_of(value) if value else None
        if value and reasoning is None:
            return self._odd_suffix(model, base, value)
        found = self._find(base) or (self._find(model) if value else None)
        if found is None:
            raise self._unknown(model)
        if reasoning is None:
            # Most plans are asked by their own name: those are handed out as they are.
            return found if found.asked == model else replace(found, asked=model)
        return replace(found, asked=model, reasoning=reasoning)

    def knows(self, model: str) -> bool:
        """Whether a name, without thinking suffix, resolves."""
        return self._find(cut_suffix(model)[0]) is not None

    def _odd_suffix(self, model: str, base: str, value: str) -> Plan:
        found = self._find(model)
        if found is not None:
            return replace(found, asked=model)
        if self._find(base) is None:
            raise self._unknown(model)
        words = ", ".join(EFFORTS)
        message = f"unknown thinking level {quoted(value)} for model {base} (levels: {words})"
        raise bad_request(message)

    def _find(self, name: str) -> Plan | None:
        name = name.strip()
        if name == AUTO and self._newest:
            name = self._newest
        return self._chain(name, self._exact) or self._chain(name, self._folded)

    def _chain(self, name: str, names: Names) -> Plan | None:
        reasoning: Reasoning | None = None
        for _ in range(_HOPS):
            key = names.spell(name)
            plan = names.plans.get(key) or self._prefixed(name, key, names)
            if plan is None:
                to = names.aliases.get(key) or _pattern(name, names)
                if to is None:
                    plan = names.accounts.get(key)
                    if plan is None:
                        return None
            if plan is not None:
                return plan if reasoning is None else replace(plan, reasoning=reasoning)
            # An alias may fix the thinking of what it stands for: "deep" = "gpt-5(high)".
            name, value = cut_suffix(to or "")
            asked = reasoning_of(value) if value else None
            reasoning = reasoning or asked
        return None

    def _prefixed(self, name: str, key: str, names: Names) -> Plan | None:
        for text, prefix in names.prefixes:
            if key.startswith(text) and len(key) > len(text):
                plan = self._ask(prefix.upstream, name[len(text) :], prefix.any_model)
                if plan is not None:
                    return replace(plan, asked=name, model=name)
        return None

    def _alike(self, letter: str) -> Iterator[str]:
        """Known names; where there are many, those that begin alike."""
        few = len(self._listed) + len(self._exact.aliases) <= _COMPARED
        for name in chain((model.id for model in self._listed), self._exact.aliases):
            if few or name[:1].lower() == letter:
                yield name

    def _unknown(self, model: str) -> ProxyError:
        base, _ = cut_suffix(model)
        near = closest(base, islice(self._alike(base[:1].lower()), _COMPARED))
        shown = model if len(model) <= 200 else model[:200] + "..."
        message = f"unknown provider for model {shown}"
        return ProxyError(
            f"{message}; did you mean {quoted(near)}?" if near else message,
            fault=Fault.CLIENT,
            status=404,
            kind="model_not_found",
            retry=Retry.NEVER,
        )


def _pattern(name: str, names: Names) -> str | None:
    found = names.index.best(names.spell(name))
    if found is None:
        return None
    pattern, _ = found
    # Captured text keeps the client's spelling, so it is taken from the name itself.
    return fill(names.patterns[pattern.text], pattern.captures(name) or ())


def _newest(listed: tuple[ListedModel, ...]) -> str:
    if not listed:
        return ""
    return min(listed, key=lambda model: (-model.created, model.id)).id
