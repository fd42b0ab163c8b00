"""Entries of `models`, `aliases`, `prefixes` and `payload`. Source: design, section 3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from proxy.config.declared import Alias, Prefix, Route
from proxy.config.diagnose import quoted
from proxy.config.model import Hedge, PayloadRule
from proxy.config.payload_path import bad_path

if TYPE_CHECKING:
    from proxy.config.diagnose import Path
    from proxy.config.model import OnBreak, OnLoss, Policy, Sticky, Strategy
    from proxy.config.routes_file import RouteFile
    from proxy.jsonio import Json

_CAPTURES: Final = 9
_MANY: Final = ("race", "hedge")
"""Policies that need a second target."""


def model(file: RouteFile, name: str, entry: dict[str, Json]) -> Route:
    """One model of `models`."""
    path: Path = ("models", name)
    if not name.strip():
        file.error("bad-name", "a model needs a name", path, key=True)
    to = [part for part in entry.get("to", []) if part]
    if not to and "to" not in file.document.value.get("models", {}).get(name, {}):
        message = f"model {quoted(name)} needs 'to', a list of upstreams"
        file.error("missing-key", message, path, key=True)
    elif not to and "to" in entry:
        file.error("bad-value", "'to' names no upstream", (*path, "to"))
    for index, part in enumerate(to):
        if part in to[:index]:
            message = f"target {quoted(part)} is listed twice"
            file.warn("no-effect", message, (*path, "to", index))
            break
    policy = cast("Policy", file.word(entry, "policy", path, "failover"))
    if policy in _MANY and len(set(to)) == 1:
        message = f"policy {quoted(policy)} has no effect with one target"
        file.warn("one-target", message, (*path, "policy"))
    return Route(
        id=name,
        to=tuple(_target(part) for part in to),
        policy=policy,
        strategy=cast("Strategy", file.word(entry, "accounts", path, "round-robin")),
        hedge=_hedge(file, entry, path, policy),
        on_break=cast("OnBreak", file.word(entry, "on-break", path, "error")),
        on_loss=cast("OnLoss", file.word(entry, "on-loss", path, "ignore")),
        sticky=cast("Sticky", file.word(entry, "sticky", path, "session")),
        context=file.count(entry, "context", path),
        output=file.count(entry, "output", path),
        description=entry.get("description", ""),
        place=file.place(path),
    )


def _target(word: str) -> tuple[str, str]:
    upstream, _, name = word.partition(":")
    return upstream.strip(), name.strip()


def _hedge(file: RouteFile, entry: dict[str, Json], path: Path, policy: Policy) -> Hedge:
    default = Hedge()
    if "hedge" not in entry:
        return default
    table: dict[str, Json] = entry["hedge"]
    where = (*path, "hedge")
    if policy != "hedge":
        message = f"'hedge' has no effect with policy {quoted(policy)}"
        file.warn("no-effect", message, where, key=True, hint='policy = "hedge" uses it')
    return Hedge(
        after=file.time(table, "after", where, default.after),
        max=file.count(table, "max", where, least=1, default=default.max),
        budget=table.get("budget", default.budget),
    )


def alias(file: RouteFile, name: str, to: str) -> Alias | None:
    """One alias; None when it cannot be used (reported)."""
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
        file.error("bad-value", problem, path)
        return None
    return Alias(name=name, to=to, place=file.place(path))


def prefix(file: RouteFile, text: str, entry: dict[str, Json]) -> Prefix | None:
    """One prefix; None when it names no upstream (reported)."""
    path: Path = ("prefixes", text)
    if not text:
        file.error("bad-name", "a prefix needs at least one letter", path, key=True)
    if not entry.get("upstream"):
        if "upstream" not in file.document.value["prefixes"][text]:
            message = f"prefix {quoted(text)} needs 'upstream'"
            file.error("missing-key", message, path, key=True)
        return None
    return Prefix(
        text=text,
        upstream=entry["upstream"],
        any_model=entry.get("any-model", False),
        place=file.place(path),
    )


_ANTIGRAVITY: Final = "antigravity"


def payload(file: RouteFile, entry: dict[str, Json], path: Path) -> list[PayloadRule]:
    """The edits of one `[[payload]]` table."""
    own = entry.get("wire", "") == _ANTIGRAVITY  # no wire of upstreams, but of edits
    wire = _ANTIGRAVITY if own else file.word(entry, "wire", path, "")
    globs = [name for name in entry.get("models", []) if name]
    if not globs:
        message = "a payload rule needs 'models', a list of names or patterns"
        file.error("missing-key", message, path)
    models = tuple((glob, wire) for glob in globs)
    removed = {name: None for name in entry.get("remove", []) if name}
    default, override = entry.get("default", {}), entry.get("override", {})
    if not (removed or default or override):
        message = "a payload rule needs 'default', 'override' or 'remove'"
        file.error("missing-key", message, path)
    rules: list[PayloadRule] = []
    for rule in (
        PayloadRule(action="default", models=models, params=tuple(default.items())),
        PayloadRule(action="override", models=models, params=tuple(override.items())),
        PayloadRule(action="remove", models=models, params=tuple(removed.items())),
    ):
        for name, _ in rule.params:
            reason = bad_path(name)
            if reason:
                inner = (name,) if rule.action != "remove" else ()
                message = f"path {quoted(name)} {reason}"
                file.error("bad-path", message, (*path, rule.action, *inner))
        if rule.params:
            rules.append(rule)
    return rules
