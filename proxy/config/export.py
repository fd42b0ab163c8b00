"""Upstreams, models and payload rules as the text of a routes.d file. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from proxy.jsonio import encode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.config.model import PayloadRule
    from proxy.secret import Secret

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+\Z")
_NAME: Final = re.compile(r"[^A-Za-z0-9._-]+")


class UpstreamEntry(Struct, frozen=True, kw_only=True):
    """One `[upstreams.NAME]`. Either `wire` or `provider`; `keys`: (key, its own proxy or "")."""

    name: str
    wire: str = ""
    provider: str = ""
    base_url: str = ""
    keys: tuple[tuple[Secret, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


class ModelEntry(Struct, frozen=True, kw_only=True):
    """One `[models.NAME]`; what has its default is not written."""

    id: str
    to: tuple[str, ...]
    policy: str = "failover"
    accounts: str = "round-robin"
    context: int = 0
    output: int = 0


def upstream_name(wanted: str, taken: Iterable[str]) -> str:
    """A name that can stand before a colon, and that nobody has: `zai`, `zai-2` ..."""
    base = _NAME.sub("-", wanted).strip("-") or "upstream"
    used = set(taken)
    name, number = base, 1
    while name in used:
        number += 1
        name = f"{base}-{number}"
    return name


def toml(
    head: Iterable[str],
    upstreams: Iterable[UpstreamEntry],
    models: Iterable[ModelEntry],
    payload: Iterable[PayloadRule],
) -> str:
    """The whole file; `head` becomes its first comment."""
    parts = ["\n".join(f"# {line}".rstrip() for line in head)]
    parts += [_upstream(entry) for entry in upstreams]
    parts += [_model(entry) for entry in models]
    parts += [_rule(rule) for rule in payload]
    return "\n\n".join(parts) + "\n"


def _upstream(entry: UpstreamEntry) -> str:
    lines = [f"[upstreams.{_key(entry.name)}]"]
    pairs = {"provider": entry.provider, "wire": entry.wire, "base-url": entry.base_url}
    lines += [f"{key} = {_value(value)}" for key, value in pairs.items() if value]
    keys = [(key.reveal(), proxy) for key, proxy in entry.keys if key or proxy]
    if keys:
        lines += ["keys = [", *(f"  {_secret(key, proxy)}," for key, proxy in keys), "]"]
    if entry.headers:
        lines.append(f"headers = {_value(dict(entry.headers))}")
    return "\n".join(lines)


def _secret(key: str, proxy: str) -> str:
    return _value({"key": key, "proxy": proxy}) if proxy else _value(key)


def _model(entry: ModelEntry) -> str:
    lines = [f"[models.{_key(entry.id)}]", f"to = {_value(list(entry.to))}"]
    if entry.policy != "failover":
        lines.append(f"policy = {_value(entry.policy)}")
    if entry.accounts != "round-robin":
        lines.append(f"accounts = {_value(entry.accounts)}")
    limits = {"context": entry.context, "output": entry.output}
    lines += [f"{key} = {value}" for key, value in limits.items() if value]
    return "\n".join(lines)


def _rule(rule: PayloadRule) -> str:
    """One `[[payload]]` for each wire that the rule names."""
    parts: list[str] = []
    for wire in dict.fromkeys(wire for _, wire in rule.models):
        globs = [glob for glob, limit in rule.models if limit == wire]
        lines = ["[[payload]]", f"models = {_value(globs)}"]
        if wire:
            lines.append(f"wire = {_value(wire)}")
        if rule.action == "remove":
            lines.append(f"remove = {_value([path for path, _ in rule.params])}")
        else:
            lines.append(f"{rule.action} = {_value(dict(rule.params))}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def expressible(value: object) -> bool:
    """Whether TOML can say it: it has no null."""
    if isinstance(value, dict):
        return all(expressible(item) for item in value.values())
    if isinstance(value, list):
        return all(expressible(item) for item in value)
    return value is not None


def _key(name: str) -> str:
    return name if _BARE.match(name) else _value(name)


def _value(value: object) -> str:
    """Inline TOML. A JSON string is a TOML string, but for the one control character that JSON allows."""
    if isinstance(value, dict):
        inside = ", ".join(f"{_key(str(key))} = {_value(item)}" for key, item in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list):
        return f"[{', '.join(_value(item) for item in value)}]"
    return encode(value).decode().replace("\x7f", "\\u007F")
