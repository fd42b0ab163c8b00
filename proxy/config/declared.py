"""What the files declare, checked but not yet joined: the input of `proxy.routing.build`.

Accounts come from CLIProxyAPI sections and bring their models with them; upstreams, models, aliases,
prefixes and rules come from routes.d. Places are kept for the messages of later steps.
"""

from __future__ import annotations

from msgspec import Struct

from proxy.config.diagnose import Path, Source, finding
from proxy.config.model import (
    CopilotOptions,
    Credential,
    Hedge,
    ListedModel,
    OnBreak,
    OnLoss,
    Policy,
    ServiceOptions,
    Sticky,
    Strategy,
    Warning_,
)


class Place:
    """Where something was written; looked up only when a message needs it."""

    __slots__ = ("_path", "_source")

    def __init__(self, source: Source, path: Path) -> None:
        self._source = source
        self._path = path

    def warning(self, code: str, message: str, *, hint: str = "", also: str = "") -> Warning_:
        """A finding about the key at this place."""
        source, path = self._source, self._path
        return finding(code, message, source, path, key=True, hint=hint, also=also)

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
    hedge: Hedge = Hedge()
    on_break: OnBreak = "error"
    on_loss: OnLoss = "ignore"
    sticky: Sticky = "session"
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


class When(Struct, frozen=True, kw_only=True):
    """The conditions of a rule; all must hold. Empty or None = not asked. Texts are globs where the
    language says so; several mean any of them.
    """

    client: tuple[str, ...] = ()
    surface: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    tool: tuple[str, ...] = ()
    header: tuple[tuple[str, tuple[str, ...]], ...] = ()
    stream: bool | None = None
    thinking: bool | None = None
    tools: bool | None = None
    images: bool | None = None
    tokens_over: int | None = None
    time_of_day: tuple[int, int] | None = None
    """Minutes of the day: from (inclusive), to (exclusive); may wrap midnight."""


class Rule(Struct, frozen=True, kw_only=True):
    """`when` all holds, `use` is asked for instead of the client's model. Rules keep their order."""

    when: When
    use: str
    place: Place


class ModelMapping(Struct, frozen=True, kw_only=True):
    """One entry of `oauth-model-mappings`: upstream `name` is offered as `alias`; `fork`: as both."""

    name: str
    alias: str
    fork: bool = False


class Declared(Struct, frozen=True, kw_only=True):
    """All of it, of all files."""

    accounts: tuple[Account, ...] = ()
    upstreams: tuple[Upstream, ...] = ()
    routes: tuple[Route, ...] = ()
    aliases: tuple[Alias, ...] = ()
    prefixes: tuple[Prefix, ...] = ()
    rules: tuple[Rule, ...] = ()
    mappings: dict[str, tuple[ModelMapping, ...]] = {}
    """`oauth-model-mappings` by channel (lower case), for accounts with a login."""
    excluded: dict[str, tuple[str, ...]] = {}
    """`oauth-excluded-models` by channel: lower-case globs over client ids."""
    strategy: Strategy = "round-robin"
    force_prefix: bool = False
    copilot: CopilotOptions = CopilotOptions()
    services: dict[str, ServiceOptions] = {}
    """How the accounts of other providers behave, by provider."""
    now: int = 0
    """Unix time of loading: the creation date of models that have none."""
