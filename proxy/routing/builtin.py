"""The models each provider is known to serve, and what is known of any model by its name.

Data: `builtin_data.py`. A name that is not known restricts nothing (`UNKNOWN`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.convo.model import Capability
from proxy.routing import builtin_data as data

if TYPE_CHECKING:
    from proxy.config.model import ListedModel, Provider
    from proxy.convo.model import Effort

UNKNOWN: Final = Capability()

_MODELS: Final[dict[str, tuple[ListedModel, ...]]] = {
    "gemini-cli": data.GEMINI_CLI,
    "claude": data.CLAUDE,
    "codex": data.CODEX,
    "gemini": data.GEMINI,
    "vertex": data.VERTEX,
    "qwen": data.QWEN,
    "iflow": data.IFLOW,
    "kiro": data.KIRO,
}
_CAPABILITIES: Final = data.OTHER | {
    model.id: model.capability for models in _MODELS.values() for model in models
}


def models_of(provider: Provider) -> tuple[ListedModel, ...]:
    """The built-in list of a provider, in its recorded order; empty for those that have none."""
    return _MODELS.get(provider, ())


def capability_of(model: str) -> Capability:
    """What is known of an upstream model, by exact name, else case-insensitively; else `UNKNOWN`."""
    found = _CAPABILITIES.get(model)
    return found if found is not None else _CAPABILITIES.get(model.lower(), UNKNOWN)


def codex_effort(model: str) -> tuple[str, Effort] | None:
    """`gpt-5-high` -> (`gpt-5`, `high`): the base that is asked, and its effort. None = no such id."""
    return data.EFFORT_IDS.get(model)
