"""How Copilot accounts behave: `copilot-api-key` of config.yaml, COPILOT_* of the environment,
`[upstreams.X] provider = "copilot"` of routes.d. Source: copilot sheet, section 1.

routes.d wins over config.yaml, which wins over the environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from proxy.config import keys, services
from proxy.config.declared import Place, Prefix
from proxy.config.diagnose import quoted
from proxy.config.document import Document
from proxy.config.model import CopilotOptions, Warning_

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.config.diagnose import Path, Report
    from proxy.config.legacy import Legacy
    from proxy.jsonio import Json

GROUPS: Final = frozenset({"copilot", "gemini-cli", "antigravity", "vertex"})
"""Upstreams that exist by their account files, also before there is one."""
_PREFIX: Final = "copilot-"
_SECTION: Final = "copilot-api-key"
_P: Final = "agent-initiator-persist"
_F: Final = "force-agent-call"
_TYPES: Final = ("individual", "business", "enterprise")
_PROFILES: Final = ("cli", "vscode-chat")
_YES: Final = frozenset({"1", "true", "t", "yes", "y", "on"})
FORCED: Final = (
    "force-agent-call tells GitHub that an agent sent every request; that may break its terms of"
    " service and cost you the account"
)
_WORDS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "account-type": ("account_type", _TYPES),
    "header-profile": ("header_profile", _PROFILES),
    "initiator": ("initiator", ("payload", "turn")),
}
_LISTS: Final = {"cli-header-models": "cli_models", "vscode-chat-header-models": "vscode_models"}
_FLAGS: Final = {_P: "persist", _F: "force_agent"}
_URLS: Final = {
    "base-url": "base_url",
    "github-url": "github_url",
    "github-api-url": "github_api_url",
}
_OWN: Final = (*_WORDS, *_LISTS, *_FLAGS, "github-url", "github-api-url", "client-id")
_OTHERS: Final = ("wire", "keys", "http2", "timeouts", "limits")


def of_legacy(legacy: Legacy, environ: Mapping[str, str], report: Report) -> CopilotOptions:
    """The first entry rules; a flag counts if any entry has it."""
    entries: list[dict[str, Json]] = legacy.table.get(_SECTION, [])
    first = entries[0] if entries else {}
    persist = [entry[_P] for entry in entries if _P in entry]
    force = [(index, entry[_F]) for index, entry in enumerate(entries) if _F in entry]
    forced = any(value for _, value in force)
    if forced:
        index = next(i for i, value in force if value)
        report.warn(FORCED, legacy.document, (_SECTION, index, _F), key=True)
    elif not force and _flag(environ, "COPILOT_FORCE_AGENT_CALL", default=False):
        forced = True
        report.warnings.append(Warning_("environment", 1, 1, f"COPILOT_FORCE_AGENT_CALL: {FORCED}"))
    kind = str(first.get("account-type", environ.get("COPILOT_ACCOUNT_TYPE", ""))).strip().lower()
    if kind and kind not in _TYPES:
        message = f"account type {quoted(kind)} is not known, 'individual' is used"
        if "account-type" in first:
            report.warn(message, legacy.document, (_SECTION, 0, "account-type"))
        else:
            report.warnings.append(
                Warning_("environment", 1, 1, f"COPILOT_ACCOUNT_TYPE: {message}")
            )
        kind = "individual"
    profile = str(first.get("header-profile", "")).strip().lower()
    proxy = str(first.get("proxy-url", "")).strip()
    return CopilotOptions(
        account_type=kind,
        header_profile=profile if profile in _PROFILES else "",
        cli_models=keys.globs_of(first.get("cli-header-models", [])),
        vscode_models=keys.globs_of(first.get("vscode-chat-header-models", [])),
        persist=any(persist)
        if persist
        else _flag(environ, "COPILOT_AGENT_INITIATOR_PERSIST", default=True),
        force_agent=forced,
        proxy=proxy if keys.is_proxy(proxy) else "",
    )


def _flag(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = environ.get(name, "").strip().lower()
    return text in _YES if text else default


def upstream_of(
    word: str,
    document: Document,
    entry: dict[str, Json],
    path: Path,
    report: Report,
    found: dict[str, object],
) -> bool:
    """Reads an upstream that stands for Copilot's accounts into `found`; False for any other."""
    ours = word == "copilot"
    for key in _OTHERS if ours else _OWN:
        if key in entry:
            message = (
                f"{quoted(key)} is not for Copilot, whose accounts are files of the auth directory"
                if ours
                else f'{quoted(key)} belongs to provider = "copilot"'
            )
            report.error("unknown-key", message, document, (*path, key), key=True)
    if not ours:
        return False
    _words(document, entry, path, report, found)
    _addresses(document, entry, path, report, found)
    for key, member in _LISTS.items():
        if key in entry:
            found[member] = keys.globs_of(entry[key])
    for key, member in _FLAGS.items():
        if key in entry:
            found[member] = entry[key]
    if entry.get(_F):
        report.warn(FORCED, document, (*path, _F), key=True)
    if "client-id" in entry:
        found["client_id"] = entry["client-id"].strip()
    return True


def _words(
    document: Document,
    entry: dict[str, Json],
    path: Path,
    report: Report,
    found: dict[str, object],
) -> None:
    for key, (member, words) in _WORDS.items():
        if key not in entry:
            continue
        value = entry[key].strip().lower()
        if report.is_one_of(value, words, key, document, (*path, key)):
            found[member] = value


def _addresses(
    document: Document,
    entry: dict[str, Json],
    path: Path,
    report: Report,
    found: dict[str, object],
) -> None:
    for key, member in _URLS.items():
        if key not in entry:
            continue
        if keys.is_url(entry[key]):
            found[member] = entry[key].rstrip("/")
        else:
            message = f"{quoted(key)} is no http or https URL"
            report.error("bad-value", message, document, (*path, key))
    found |= services.shared(document, entry, path, report)


def with_prefix(prefixes: tuple[Prefix, ...]) -> tuple[Prefix, ...]:
    """The prefixes with `copilot-`, which asks any account for any model, unless it is defined."""
    if any(prefix.text.lower() == _PREFIX for prefix in prefixes):
        return prefixes
    place = Place(Document.empty("built in"), ())
    prefix = Prefix(text=_PREFIX, upstream="copilot", any_model=True, builtin=True, place=place)
    return (*prefixes, prefix)
