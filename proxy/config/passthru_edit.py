"""Edits of a routes.d file that keep its comments and order: passthru routes, added and taken away.

Texts in, texts out; the caller reads and writes. A route is one upstream of its own and one model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import tomlkit
from msgspec import Struct
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from proxy.config.diagnose import ConfigError, Problem

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

PROTOCOLS: Final = {
    "openai": "chat",
    "codex": "responses",
    "claude": "anthropic",
    "gemini": "gemini",
}
"""Words of CLIProxyAPI's passthru routes, and the wires that they mean."""
_WORDS: Final = {wire: word for word, wire in PROTOCOLS.items()}
_HEAD: Final = "# Passthru routes; `pointsman passthru` edits them, and so may you.\n"


class PassthruRoute(Struct, frozen=True, kw_only=True):
    """One route. `name`: what clients ask for; `model`: its name upstream; `key`: as written."""

    name: str
    model: str
    protocol: str
    base_url: str
    key: str = ""
    proxy: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    context: int = 0
    output: int = 0


def routes_in(file: str, text: str) -> tuple[PassthruRoute, ...]:
    """The routes of a file: models with one target, whose upstream speaks a wire. Raises ConfigError."""
    document = _parse(file, text)
    upstreams, models = _table(document, "upstreams"), _table(document, "models")
    found: list[PassthruRoute] = []
    for name, entry in models.items():
        to = entry.get("to") if isinstance(entry, Table) else None
        target = to.unwrap() if to is not None else []
        if not isinstance(target, list) or len(target) != 1:
            continue
        upstream, _, model = str(target[0]).partition(":")
        where = upstreams.get(upstream)
        if not isinstance(where, Table) or str(where.get("wire", "")) not in _WORDS:
            continue
        keys = where.get("keys")
        listed = keys.unwrap() if keys is not None else []
        headers = where.get("headers")
        pairs = headers.unwrap() if headers is not None else {}
        found.append(
            PassthruRoute(
                name=name,
                model=model or name,
                protocol=_WORDS[str(where["wire"])],
                base_url=str(where.get("base-url", "")),
                key=_key(listed),
                proxy=str(where.get("proxy", "")),
                headers=tuple((str(k), str(v)) for k, v in pairs.items()),
                context=int(str(entry.get("context", 0))),
                output=int(str(entry.get("output", 0))),
            )
        )
    return tuple(found)


def _key(listed: list[object]) -> str:
    first = listed[0] if listed else ""
    return str(first.get("key", "")) if isinstance(first, dict) else str(first)


def add_route(file: str, text: str, route: PassthruRoute) -> str:
    """The text with the route at its end. Raises ConfigError; KeyError when the name is taken."""
    document = _parse(file, text or _HEAD)
    upstream = route.name.replace(":", "-")
    if route.name in _table(document, "models") or upstream in _table(document, "upstreams"):
        raise KeyError(route.name)
    table = tomlkit.table()
    table.add("wire", PROTOCOLS[route.protocol])
    table.add("base-url", route.base_url)
    if route.key:
        table.add("keys", [route.key])
    if route.proxy:
        table.add("proxy", route.proxy)
    if route.headers:
        pairs = tomlkit.inline_table()
        pairs.update(dict(route.headers))
        table.add("headers", pairs)
    table.add(tomlkit.nl())
    model = tomlkit.table()
    model.add("to", [upstream if route.model == route.name else f"{upstream}:{route.model}"])
    for key, value in (("context", route.context), ("output", route.output)):
        if value:
            model.add(key, value)
    for section, name, entry in (("upstreams", upstream, table), ("models", route.name, model)):
        if section not in document:
            document.add(section, tomlkit.table(is_super_table=True))
        _table(document, section).add(name, entry)
    return tomlkit.dumps(document)


def remove_route(file: str, text: str, name: str) -> str:
    """The text without the route; its upstream goes too unless another model uses it.

    Raises ConfigError; KeyError when there is no such model.
    """
    document = _parse(file, text)
    models, upstreams = _table(document, "models"), _table(document, "upstreams")
    to = models[name].get("to") if isinstance(models[name], Table) else None
    used = {str(target).partition(":")[0] for target in (to.unwrap() if to is not None else [])}
    models.remove(name)
    for entry in models.values():
        others = entry.get("to") if isinstance(entry, Table) else None
        used -= {str(o).partition(":")[0] for o in (others.unwrap() if others is not None else [])}
    for upstream in used & set(upstreams):
        upstreams.remove(upstream)
    return tomlkit.dumps(document)


def _parse(file: str, text: str) -> TOMLDocument:
    try:
        return tomlkit.parse(text)
    except TOMLKitError as error:
        raise ConfigError((Problem("bad-toml", f"cannot be edited: {error}", file),)) from None


def _table(document: TOMLDocument, name: str) -> Table:
    found = document.get(name)
    return found if isinstance(found, Table) else tomlkit.table()
