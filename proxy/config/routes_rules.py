"""Entries of `rules` and `keys`: which requests go elsewhere, and who may ask. Source: design, section 3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.config.declared import Rule, When
from proxy.config.diagnose import quoted
from proxy.config.model import ClientKey
from proxy.config.routes_file import MOST
from proxy.config.routes_shape import CLIENTS, SURFACES
from proxy.secret import Secret

if TYPE_CHECKING:
    from proxy.config.diagnose import Path
    from proxy.config.routes_file import RouteFile
    from proxy.jsonio import Json

_MOST_REQUESTS: Final = 100_000
"""Largest number of a rate: the times of that many requests are kept."""


def rule(file: RouteFile, entry: dict[str, Json], path: Path) -> Rule | None:
    """One rule; None when it cannot be used (reported)."""
    before = len(file.report.problems)
    written: dict[str, Json] = file.document.value["rules"][path[-1]]
    table: dict[str, Json] = entry.get("when", {})
    if not table and not (isinstance(written, dict) and written.get("when")):
        hint = 'when = { model = "*" } holds for every request'
        file.error("missing-key", "a rule needs 'when', its conditions", path, hint=hint)
    use: str = entry.get("use", "").strip()
    if not use and not (isinstance(written, dict) and "use" in written and "use" not in entry):
        file.error("missing-key", "a rule needs 'use', the name of a model", path)
    elif "*" in use:
        file.error("bad-value", "'use' is one name; it may not hold '*'", (*path, "use"))
    when = _when(file, table, (*path, "when"))
    if not table or not use or len(file.report.problems) > before:
        return None
    return Rule(when=when, use=use, place=file.place((*path, "when")))


def _when(file: RouteFile, table: dict[str, Json], path: Path) -> When:
    for word, known in (("client", CLIENTS), ("surface", SURFACES)):
        for name in table.get(word, ()):
            file.known(name, known, word, (*path, word))
    header = {name.lower(): tuple(globs) for name, globs in table.get("header", {}).items()}
    if table.get("tools") is False and "tool" in table:
        message = "a request without tools has no 'tool': this can never hold"
        file.error("bad-value", message, (*path, "tool"), key=True)
    return When(
        client=tuple(table.get("client", ())),
        surface=tuple(table.get("surface", ())),
        key=tuple(table.get("key", ())),
        model=tuple(table.get("model", ())),
        tool=tuple(table.get("tool", ())),
        header=tuple(sorted(header.items())),
        stream=table.get("stream"),
        thinking=table.get("thinking"),
        tools=table.get("tools"),
        images=table.get("images"),
        tokens_over=file.count(table, "tokens-over", path) if "tokens-over" in table else None,
        time_of_day=table.get("time-of-day"),
    )


def client_key(file: RouteFile, name: str, entry: dict[str, Json]) -> ClientKey | None:
    """One client key; None when it cannot be used (reported)."""
    path: Path = ("keys", name)
    written: dict[str, Json] = file.document.value["keys"][name]
    if not name.strip():
        file.error("bad-name", "a client key needs a name", path, key=True)
    key: str = entry.get("key", "").strip()
    if not key:
        if not (isinstance(written, dict) and "key" in written and "key" not in entry):
            message = f"client key {quoted(name)} needs 'key'"
            file.error("missing-key", message, path, key=True)
        return None
    file.note_secret(written["key"], (*path, "key"))
    models = tuple(glob for glob in entry.get("models", []) if glob)
    if "models" in entry and not models:
        message = "'models' names none, so this key may ask for nothing"
        file.error("bad-value", message, (*path, "models"), hint="leave it out to allow all")
    limits: dict[str, Json] = entry.get("limits", {})
    requests, window = limits.get("requests", (0, 60.0))
    if requests > _MOST_REQUESTS or window > MOST:
        message = f"'requests' should be {_MOST_REQUESTS} or less"
        file.error("bad-value", message, (*path, "limits", "requests"))
    return ClientKey(
        name=name,
        key=Secret(key),
        models=models,
        in_flight=file.count(limits, "in-flight", (*path, "limits")),
        requests=requests,
        window=window,
    )
