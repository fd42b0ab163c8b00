"""Property: over random tables the documented order of resolution holds, and nothing but ProxyError leaves."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.config.declared import (
    Account,
    Alias,
    Declared,
    OfferedModel,
    Place,
    Prefix,
    Route,
    Rule,
    Upstream,
    When,
)
from proxy.config.document import Text
from proxy.config.model import Credential
from proxy.errors import ProxyError
from proxy.routing.build import build
from proxy.routing.facts import Facts

PLACE = Place(Text("a.toml", ""), ())
NAMES = st.text("ab-", min_size=1, max_size=4)
GLOBS = st.text("ab-*", min_size=1, max_size=5)
RIGHT = st.one_of(NAMES, st.sampled_from(["{1}", "a{1}", "{1}b", "b-{2}", "{1}{2}"]))
RULES = st.lists(st.tuples(GLOBS, st.one_of(st.none(), st.booleans()), NAMES), max_size=3)


def credential(name: str) -> Credential:
    return Credential(
        id=name, provider="openai-compat", wire="chat", base_url="http://x", upstream=name
    )


@st.composite
def tables(draw) -> Declared:
    models = draw(st.lists(NAMES, unique=True, max_size=4))
    offered = draw(st.lists(NAMES, unique=True, max_size=4))
    aliases = draw(st.dictionaries(GLOBS, RIGHT, max_size=6))
    prefixes = draw(
        st.dictionaries(st.text("ab-", min_size=1, max_size=2), st.booleans(), max_size=2)
    )
    rules = draw(RULES)
    account = Account(
        credential=credential("acc"),
        group="acc",
        models=tuple(OfferedModel(name=id, id=id) for id in offered),
        builtin=False,
    )
    return Declared(
        accounts=(account,) if offered else (),
        upstreams=(Upstream(name="u", credentials=(credential("u"),), place=PLACE),),
        routes=tuple(Route(id=id, to=(("u", ""),), place=PLACE) for id in models),
        aliases=tuple(Alias(name=n, to=to, place=PLACE) for n, to in aliases.items()),
        prefixes=tuple(
            Prefix(text=t, upstream="u", any_model=every, place=PLACE)
            for t, every in prefixes.items()
        ),
        rules=tuple(
            Rule(when=When(model=(glob,), stream=stream), use=use, place=PLACE)
            for glob, stream, use in rules
        ),
    )


def expression(glob: str) -> re.Pattern[str]:
    first, *rest = (re.escape(part) for part in glob.split("*"))
    # Each star takes the least that fits, the last one what is left.
    return re.compile(first + "".join(f"(.*?){part}" for part in rest))


def expected(declared: Declared, name: str, hops: int = 16) -> tuple[str, str] | None:
    """The documented order, said as plainly as can be: (kind, the model at the upstream)."""
    if not hops:
        return None
    models = {route.id for route in declared.routes}
    if name in models:
        return "model", name
    for prefix in sorted(declared.prefixes, key=lambda p: -len(p.text)):
        rest = name.removeprefix(prefix.text)
        if name.startswith(prefix.text) and rest and (prefix.any_model or rest in models):
            return "prefix", rest
    exact = {alias.name: alias.to for alias in declared.aliases if "*" not in alias.name}
    if name in exact:
        return expected(declared, exact[name], hops - 1)
    wild = [
        (alias, match)
        for alias in declared.aliases
        if "*" in alias.name and (match := expression(alias.name).fullmatch(name))
    ]
    if wild:
        alias, match = max(wild, key=lambda pair: len(pair[0].name.replace("*", "")))
        to = alias.to
        for number, text in enumerate(match.groups(), 1):
            to = to.replace(f"{{{number}}}", text)
        return expected(declared, to, hops - 1)
    offered = {model.id for account in declared.accounts for model in account.models}
    return ("account", name) if name in offered else None


def ruled(declared: Declared, name: str, stream: bool) -> str:
    for rule in declared.rules:
        if expression(rule.when.model[0]).fullmatch(name) and rule.when.stream in (None, stream):
            return rule.use
    return name


@settings(max_examples=400, deadline=None)
@given(tables(), st.lists(NAMES, min_size=1, max_size=6), st.booleans())
def test_the_documented_order_holds(declared, names, stream):
    table, _ = build(declared)
    for name in names:
        wanted = expected(declared, ruled(declared, name, stream))
        trace = table.trace(name, lambda: Facts(stream=stream))
        if wanted is None:
            assert trace.plan is None
            assert trace.error is not None
            continue
        assert trace.plan is not None
        assert trace.plan == table.resolve(name, lambda: Facts(stream=stream))
        last = trace.plan.targets[0].candidates[0]
        assert (trace.steps[-1].kind, last.model) == wanted
        assert trace.plan.asked == name


ODD = st.text(st.sampled_from("ab-*(){}1 AB)high(İ\ud800\0/:"), max_size=12)


@settings(max_examples=300, deadline=None)
@given(tables(), st.one_of(ODD, st.text(max_size=2000)))
def test_nothing_but_a_proxy_error_leaves(declared, name):
    table, _ = build(declared)
    trace = table.trace(name, Facts)
    if trace.plan is None:
        assert trace.error is not None
        assert trace.error.status in (400, 404)
        with pytest.raises(ProxyError):
            table.resolve(name, Facts)
    else:
        assert trace.plan.asked == name
        assert trace.plan.targets[0].candidates
        assert table.resolve(name, Facts) == trace.plan
