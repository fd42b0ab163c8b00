"""The keys of a routes.d file with their types. Source: design, section 3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from proxy.config.model import OnBreak, OnLoss, Overage, Policy, Sticky, Strategy

if TYPE_CHECKING:
    from proxy.config.model import Provider, WireName
    from proxy.config.shape import Shape

ROUTES: Final[dict[str, Shape]] = {
    "upstreams": {
        "*": {
            "wire": "text",
            "provider": "text",
            "base-url": "text",
            "keys": ["any"],
            "headers": {"*": "secret"},
            "proxy": "secret",
            "http2": "bool",
            "timeouts": {
                "connect": "seconds",
                "first-event": "seconds",
                "idle": "seconds",
                "total": "seconds",
            },
            "limits": {"in-flight": "int", "queue": "int", "wait": "seconds"},
            "overage": "text",
            "account-type": "text",
            "header-profile": "text",
            "cli-header-models": ["text"],
            "vscode-chat-header-models": ["text"],
            "agent-initiator-persist": "bool",
            "force-agent-call": "bool",
            "initiator": "text",
            "github-url": "text",
            "github-api-url": "text",
            "client-id": "text",
            "system-line": "bool",
            "imitate": "bool",
        }
    },
    "models": {
        "*": {
            "to": ["text"],
            "policy": "text",
            "accounts": "text",
            "sticky": "text",
            "on-break": "text",
            "on-loss": "text",
            "hedge": {"after": "seconds", "max": "int", "budget": "share"},
            "context": "int",
            "output": "int",
            "description": "text",
        }
    },
    "aliases": {"*": "text"},
    "prefixes": {"*": {"upstream": "text", "any-model": "bool"}},
    "rules": [
        {
            "when": {
                "client": "texts",
                "surface": "texts",
                "key": "texts",
                "model": "texts",
                "header": {"*": "texts"},
                "stream": "bool",
                "thinking": "bool",
                "tools": "bool",
                "tool": "texts",
                "images": "bool",
                "tokens-over": "int",
                "time-of-day": "hours",
            },
            "use": "text",
        }
    ],
    "keys": {
        "*": {
            "key": "secret",
            "models": ["text"],
            "limits": {"in-flight": "int", "requests": "rate"},
        }
    },
    "payload": [
        {
            "models": ["text"],
            "wire": "text",
            "default": {"*": "any"},
            "override": {"*": "any"},
            "remove": ["text"],
        }
    ],
}
KEY: Final[dict[str, Shape]] = {"key": "secret", "weight": "int", "proxy": "secret"}

WIRES: Final[dict[str, Provider]] = {
    "chat": "openai-compat",
    "responses": "codex",
    "anthropic": "claude",
    "gemini": "gemini",
}
"""The provider that speaks a wire when an upstream names only the wire."""

PROVIDERS: Final[dict[str, tuple[Provider, WireName, str]]] = {
    "openai-compat": ("openai-compat", "chat", ""),
    "claude": ("claude", "anthropic", "https://api.anthropic.com"),
    "codex": ("codex", "responses", "https://api.openai.com/v1"),
    "gemini": ("gemini", "gemini", "https://generativelanguage.googleapis.com"),
    "vertex": ("vertex", "gemini", "https://aiplatform.googleapis.com"),
    "demo": ("demo", "chat", "demo:"),
    "copilot": ("copilot", "chat", ""),
    "qwen": ("qwen", "chat", ""),
    "iflow": ("iflow", "chat", ""),
    "kiro": ("kiro", "kiro", ""),
}
"""Provider, its wire, and the base URL it has when none is given."""

LATER: Final[dict[str, tuple[str, ...]]] = {
    "provider": (
        "gemini-cli", "antigravity", "grok", "aistudio",
    ),
}  # fmt: skip
"""Words of the language that this version does not carry out yet: an error, not a silent change."""
NOW: Final[dict[str, tuple[str, ...]]] = {
    "provider": tuple(PROVIDERS),
    "wire": tuple(WIRES),
    "policy": get_args(Policy),
    "accounts": get_args(Strategy),
    "sticky": get_args(Sticky),
    "on-break": get_args(OnBreak),
    "on-loss": get_args(OnLoss),
    "overage": get_args(Overage),
}

SURFACES: Final = ("chat", "completions", "responses", "anthropic", "gemini")
"""What a client speaks, as `when.surface` names it."""
CLIENTS: Final[dict[str, tuple[str, ...]]] = {
    "claude-code": ("claude-cli/", "claude-code/"),
    "cline": ("cline/",),
    "codex": ("codex",),
    "copilot": ("githubcopilotchat/", "githubcopilot/", "copilot/"),
    "crush": ("charm crush/", "charm-crush/"),
    "gemini-cli": ("geminicli",),
    "iflow": ("iflow-cli",),
    "kilo-code": ("kilo-code/", "kilocode/"),
    "kiro": ("kiroide",),
    "opencode": ("opencode/",),
    "qwen-code": ("qwencode/",),
    "roo-code": ("roo-code/", "roocode/"),
    "zed": ("zed/",),
}
"""Name of a coding tool -> how its `User-Agent` begins, in lower case."""
