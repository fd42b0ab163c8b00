"""What configuration compiles to: credentials, targets, plans, settings. Immutable once built.

Source: `docs/` config pages; the CLIProxyAPI `config.yaml` and `routes.d` files both end here.
Defaults live here and only here.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from msgspec import Struct

from proxy.convo.model import Capability, Reasoning
from proxy.secret import Secret

Provider: TypeAlias = Literal[
    "openai-compat",
    "claude",
    "codex",
    "gemini",
    "vertex",
    "copilot",
    "qwen",
    "iflow",
    "gemini-cli",
    "antigravity",
    "kiro",
    "demo",
]
WireName: TypeAlias = Literal["chat", "responses", "anthropic", "gemini", "gemini_cli", "kiro"]
Policy: TypeAlias = Literal["failover", "balance", "race", "hedge"]
Strategy: TypeAlias = Literal[
    "round-robin", "fill-first", "weighted", "most-remaining", "soonest-reset"
]
Sticky: TypeAlias = Literal["none", "session", "key"]
Overage: TypeAlias = Literal["allow", "never"]
OnBreak: TypeAlias = Literal["error", "resume"]
OnLoss: TypeAlias = Literal["ignore", "warn", "fail"]


class Timeouts(Struct, frozen=True, kw_only=True):
    """Seconds. `first_event`: from the request being sent to the first useful event; `idle`: between bytes;
    `total`: to the end of an answer that does not stream. Streams may last as long as they move.
    """

    connect: float = 10.0
    first_event: float = 300.0
    idle: float = 300.0
    total: float = 1800.0


class CopilotOptions(Struct, frozen=True, kw_only=True):
    """How Copilot accounts behave. Empty texts: what `proxy/upstream/data/copilot.toml` says."""

    account_type: str = ""
    """`individual`, `business`, `enterprise`: for account files that name none."""
    header_profile: str = ""
    """`cli` or `vscode-chat`; empty = by model."""
    cli_models: tuple[str, ...] = ()
    vscode_models: tuple[str, ...] = ()
    persist: bool = True
    """Later requests under one prompt cache key count as the agent's."""
    force_agent: bool = False
    """Every request says that an agent sent it. May break GitHub's terms."""
    initiator: Literal["payload", "turn"] = "payload"
    """`payload`: by the signals of the whole body, as CLIProxyAPI; `turn`: by who wrote the last item."""
    base_url: str = ""
    proxy: str = ""
    github_url: str = ""
    github_api_url: str = ""
    client_id: str = ""
    headers: tuple[tuple[str, str], ...] = ()


class ServiceOptions(Struct, frozen=True, kw_only=True):
    """How the accounts of one provider behave. Empty texts: what its table in `upstream/data/` says."""

    base_url: str = ""
    proxy: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    client_secret: Secret = Secret("")
    """Of the client that logs in, where another one than the provider's own is used."""
    system_line: bool = True
    """Claude: the first system block that subscriptions are served with, where a client has it not."""
    imitate: bool = False
    """Requests carry the identity of the provider's own tool, whoever sent them. May break its terms."""


_PLAIN: Final = ServiceOptions()


class AccountOptions(Struct, frozen=True, kw_only=True):
    """What the configuration says of accounts that log in."""

    copilot: CopilotOptions = CopilotOptions()
    proxy: str = ""
    """URL; empty = direct."""
    services: dict[str, ServiceOptions] = {}
    """By provider, for those that say something."""

    def service(self, provider: str) -> ServiceOptions:
        """What is said of one provider's accounts."""
        return self.services.get(provider, _PLAIN)


class Credential(Struct, frozen=True, kw_only=True):
    """One key at one base URL: what a request needs to be sent. State lives in `accounts/`, by `id`.

    `legacy`: it came from a CLIProxyAPI section, whose header defaults apply (spec sheets); entries
    of routes.d send only what they say. `section` is that section's name (`claude-api-key`,
    `passthru` ...) or `routes.d`.
    """

    id: str
    """Stable over reloads: `<kind>:<12 hex>` as `spec` has it."""
    provider: Provider
    wire: WireName
    base_url: str
    """Without trailing slash."""
    key: Secret = Secret("")
    headers: tuple[tuple[str, str], ...] = ()
    """Sent last, replacing headers of the same name."""
    proxy: str = ""
    """socks5://, http:// or https:// URL; empty = direct."""
    http2: bool = False
    upstream: str = ""
    """Name of the upstream it belongs to (compat name, `claude`, routes.d table name)."""
    label: str = ""
    prefix: str = ""
    weight: int = 1
    section: str = "routes.d"
    legacy: bool = False
    timeouts: Timeouts = Timeouts()
    in_flight: int = 0
    """Most requests at a time; 0 = no limit."""
    queue: int = 0
    """Most requests that wait for a place when all are taken; 0 = none wait."""
    queue_wait: float = 60.0
    """Seconds that a request may wait for a place."""
    overage: Overage = "allow"
    """`never`: once the upstream says that a request was, or the next will be, paid for on top of the
    plan, the account rests until its quota starts anew."""
    account: str = ""
    """Name of the account file that holds the token; empty = `key` is all that is needed."""
    copilot: CopilotOptions | None = None
    service: ServiceOptions | None = None
    """How accounts of other providers behave, where something is said of them."""
    mirrors: tuple[str, ...] = ()
    """Further addresses of the same service, asked in turn where one cannot be reached or has no quota
    left; without trailing slash."""
    project: str = ""
    """What the service bills and counts requests of this account by, where it has several."""


class Candidate(Struct, frozen=True, kw_only=True):
    """One credential that can serve the routed model, and the model's name there."""

    credential: Credential
    model: str
    capability: Capability = Capability()


class Target(Struct, frozen=True, kw_only=True):
    """One upstream of a plan: its candidates in configured order.

    `weight`: its share of a `balance`d plan; 0 = the sum of its credentials' weights.
    """

    upstream: str
    candidates: tuple[Candidate, ...]
    weight: int = 0


class Hedge(Struct, frozen=True, kw_only=True):
    """When a second target is started beside a silent first one.

    `after`: seconds without a useful event; `max`: most extra starts per request; `budget`: most extra
    starts as a share of all requests of the route.
    """

    after: float = 2.0
    max: int = 1
    budget: float = 0.05


class Plan(Struct, frozen=True, kw_only=True):
    """Where a request goes: `failover` keeps the targets' order, `balance` spreads requests over them by
    weight, `race` starts all, `hedge` starts the next one beside a silent one."""

    asked: str
    """The name as the client spelled it."""
    model: str
    """The routed name, without thinking suffix. Cooldowns go by the model's name at the upstream."""
    targets: tuple[Target, ...]
    policy: Policy = "failover"
    strategy: Strategy = "round-robin"
    reasoning: Reasoning | None = None
    """From the thinking suffix `model(high)`, `model(8192)`."""
    hedge: Hedge = Hedge()
    on_break: OnBreak = "error"
    on_loss: OnLoss = "ignore"
    """What is done about fields of a request that its translation cannot carry."""
    sticky: Sticky = "session"


class ListedModel(Struct, frozen=True, kw_only=True):
    """One entry of the model lists."""

    id: str
    created: int = 0
    owned_by: str = ""
    kind: str = ""
    display_name: str = ""
    description: str = ""
    version: str = ""
    name: str = ""
    """Gemini resource name without `models/`; empty = id."""
    methods: tuple[str, ...] = ()
    context: int = 0
    output: int = 0
    input_limit: int = 0
    output_limit: int = 0
    capability: Capability = Capability()


class PayloadRule(Struct, frozen=True, kw_only=True):
    """Edits of the upstream body (`payload:` of config.yaml, `[[payload]]` of routes.d).

    `models`: (glob, wire or ""); paths are dotted, numbers index arrays.
    """

    action: Literal["default", "override", "remove"]
    models: tuple[tuple[str, str], ...]
    params: tuple[tuple[str, object], ...]


class ClientKey(Struct, frozen=True, kw_only=True):
    """A key that clients present. `models`: globs of names it may ask for, empty = all.

    `in_flight`: most requests at a time; `requests` per `window` seconds; 0 = no limit.
    """

    name: str
    key: Secret
    models: tuple[str, ...] = ()
    in_flight: int = 0
    requests: int = 0
    window: float = 60.0


class Tls(Struct, frozen=True):
    """Server certificate and key files (PEM)."""

    cert: str
    key: str


KEEPALIVE_DEFAULT: Final = 15.0


class Settings(Struct, frozen=True, kw_only=True):
    """Everything that is not a route."""

    host: str = "127.0.0.1"
    port: int = 8317
    tls: Tls | None = None
    api_keys: tuple[Secret, ...] = ()
    keys: tuple[ClientKey, ...] = ()
    """Named client keys of routes.d, besides `api_keys`."""
    auth_dir: str = ""
    proxy_url: str = ""
    debug: bool = False
    request_retry: int = 0
    max_retry_interval: float = 0.0
    """Longest cooldown worth waiting for, seconds."""
    disable_cooling: bool = False
    keepalive: float = KEEPALIVE_DEFAULT
    """Seconds between keep-alives of a quiet stream; 0 = none."""
    bootstrap_retries: int = 0
    payload: tuple[PayloadRule, ...] = ()
    body_limit: int = 64 * 1024 * 1024
    connections: int = 4096
    """Most client connections at a time; further ones get 503."""
    shutdown_grace: float = 30.0
    cors: bool = True


class Warning_(Struct, frozen=True):  # noqa: N801  # `Warning` is a builtin exception
    """Something `check` says that is no error: an unknown key of config.yaml, an inert key.

    Those with a `code` are findings about the routes; they show their line (`source`) and a hint.
    """

    file: str
    line: int
    column: int
    message: str
    code: str = ""
    source: str = ""
    hint: str = ""
    also: str = ""
