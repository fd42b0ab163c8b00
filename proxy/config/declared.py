"""What the files declare, checked but not yet joined: the input of `proxy.routing.table`.

Accounts come from CLIProxyAPI sections and bring their models with them; upstreams, models, aliases and
prefixes come from routes.d. Places are kept for the messages of later steps.
"""

from __future__ import annotations

from msgspec import Struct

from proxy.config.diagnose import Path, Source
from proxy.config.model import (
    CopilotOptions,
    Credential,
    ListedModel,
    Policy,
    Strategy,
    Warning_,
)


class Place:
    """Where something was written; looked up only when a message needs it."""

    __slots__ = ("_path", "_source")

    def __init__(self, source: Source, path: Path) -> None:
        self._source = source
        self._path = path

    def warning(self, message: str) -> Warning_:
        """A warning about the key at this place."""
        return Warning_(self._source.file, *self._source.position(self._path, key=True), message)

    def __str__(self) -> str:
        line, column = self._source.position(self._path, key=True)
        return f"{self._source.file}:{line}:{column}"


class OfferedModel(Struct, frozen=True, kw_only=True):
    """A model of an account: `name` upstream, `id` for clients; limits in tokens, 0 = not said."""

    name: str
    id: str
    context: int = 0
    output: int = 0


class Account(Struct, frozen=True, kw_only=True):
    """A credential of a config.yaml section or an account file, and the models it brings.

    `group`: the provider whose rotation it joins. `models` empty: the provider's built-in list.
    `excluded`: lower-case globs over client ids. `owner`, `kind`: how its own models are listed.
    `listed`: the account's own list (name upstream, entry), in place of both. `side`: it serves only
    these, since the account speaks another wire for them; other names ask its main credential.
    """

    credential: Credential
    group: str
    models: tuple[OfferedModel, ...] = ()
    builtin: bool = True
    excluded: tuple[str, ...] = ()
    prefix: str = ""
    owner: str = ""
    kind: str = ""
    listed: tuple[tuple[str, ListedModel], ...] = ()
    side: bool = False


class Upstream(Struct, frozen=True, kw_only=True):
    """An upstream of routes.d: its credentials in order; `builtin`: it brings its provider's list.

    `accounts`: the provider whose accounts it stands for; it has no credentials of its own then.
    """

    name: str
    credentials: tuple[Credential, ...]
    builtin: bool = False
    accounts: str = ""
    place: Place


class Route(Struct, frozen=True, kw_only=True):
    """A model of routes.d. `to`: (upstream, model there or "" for the same name)."""

    id: str
    to: tuple[tuple[str, str], ...]
    policy: Policy = "failover"
    strategy: Strategy = "round-robin"
    context: int = 0
    output: int = 0
    description: str = ""
    place: Place


class Alias(Struct, frozen=True, kw_only=True):
    """A name, or a pattern with `*`, and what it stands for; `{1}` is what the first `*` matched."""

    name: str
    to: str
    place: Place


class Prefix(Struct, frozen=True, kw_only=True):
    """`text` + model asks `upstream` for the model; any model, or only those it is known to have.

    `builtin`: no file says it.
    """

    text: str
    upstream: str
    any_model: bool = False
    builtin: bool = False
    place: Place


class Declared(Struct, frozen=True, kw_only=True):
    """All of it, of all files."""

    accounts: tuple[Account, ...] = ()
    upstreams: tuple[Upstream, ...] = ()
    routes: tuple[Route, ...] = ()
    aliases: tuple[Alias, ...] = ()
    prefixes: tuple[Prefix, ...] = ()
    strategy: Strategy = "round-robin"
    force_prefix: bool = False
    copilot: CopilotOptions = CopilotOptions()
    now: int = 0
    """Unix time of loading: the creation date of models that have none."""
