"""The constants of Google's accounts, read once from `data/google.toml`, and Antigravity's model list.
Sheets: gemini-cli, antigravity."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from proxy.config.model import ListedModel
from proxy.convo.model import Capability

_MOST_MODELS: Final = 500


class Model(Struct, frozen=True):
    """A model of an account. `id`: the service's name; `listed`: what clients ask for; `budget`: of its
    thinking, least and most tokens, () = not known to think."""

    id: str
    listed: str = ""
    budget: tuple[int, ...] = ()
    levels: tuple[str, ...] = ()
    context: int = 0
    output: int = 0


class Facts(Struct, frozen=True, rename="kebab"):
    """One service. `base_urls`: in the order in which they are asked."""

    base_urls: tuple[str, ...]
    client_id: str
    client_secret: str
    token_url: str
    auth_url: str
    scopes: tuple[str, ...]
    """Below `https://www.googleapis.com/auth/`."""
    headers: dict[str, str]
    login_headers: dict[str, str] = {}
    """What the login is told by, where that is another client than requests have."""
    hidden: tuple[str, ...] = ()
    models: tuple[Model, ...] = ()


class _Listing(Struct):
    models: dict[str, object]


_listing: Final = msgspec.json.Decoder(_Listing)


@cache
def of(service: str) -> Facts:
    """Read when the first account needs it."""
    path = Path(__file__).parent / "data" / "google.toml"
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    return msgspec.convert(tables[service], Facts)


def models_of(body: bytes) -> tuple[Model, ...]:
    """An account's list as Antigravity tells it. Raises msgspec.DecodeError."""
    facts = of("antigravity")
    known = {model.id: model for model in facts.models}
    names = sorted(_listing.decode(body).models)[:_MOST_MODELS]
    return tuple(
        known.get(name, Model(id=name)) for name in names if name and name not in facts.hidden
    )


def listed(models: tuple[Model, ...], now: int) -> tuple[tuple[str, ListedModel], ...]:
    """Name upstream and entry of each, as `config.declared.Account.listed` has them."""
    return tuple((model.id, _entry(model, now)) for model in models)


def _entry(model: Model, now: int) -> ListedModel:
    name = model.listed or model.id
    thinks = bool(model.budget)
    least, most = model.budget if thinks else (0, 0)
    return ListedModel(
        id=name,
        created=now,
        owned_by="antigravity",
        kind="antigravity",
        display_name=name,
        description=name,
        version=name,
        methods=("generateContent",),
        context=model.context,
        output=model.output,
        capability=Capability(
            thinking=thinks or None,
            levels=model.levels,
            budget_min=least,
            budget_max=most,
            zero_allowed=thinks and least == 0,
            dynamic_allowed=thinks,
            context=model.context,
            output=model.output,
        ),
    )
