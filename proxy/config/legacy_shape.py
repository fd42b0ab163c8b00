"""Every key of CLIProxyAPI's `config.yaml` with its type; source: configuration sheet, sections 2, 3.

Keys of later versions of the same file are listed by name, so that they are told from typing errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proxy.config.shape import Shape

_MODELS: Final[Shape] = [{"name": "text", "alias": "text"}]
_TEXTS: Final[Shape] = ["text"]
_HEADERS: Final[Shape] = {"*": "text"}
_KEY: Final[dict[str, Shape]] = {
    "api-key": "text",
    "prefix": "text",
    "base-url": "text",
    "proxy-url": "text",
    "models": _MODELS,
    "headers": _HEADERS,
    "excluded-models": _TEXTS,
}
_RULES: Final[Shape] = [
    {"models": [{"name": "text", "protocol": "text"}], "params": {"*": "any"}},
]

PASSTHRU: Final[dict[str, Shape]] = {
    "model": "text",
    "model-routing-name": "text",
    "protocol": "text",
    "upstream-model": "text",
    "base-url": "text",
    "api-key": "text",
    "api-keys": _TEXTS,
    "proxy-url": "text",
    "headers": _HEADERS,
    "context-window": "int",
    "max-tokens": "int",
}
_GROK: Final[dict[str, Shape]] = {
    "temporary": "bool",
    "dynamic-statsig": "bool",
    "x-statsig-id": "text",
    "cf-clearance": "text",
    "proxy-url": "text",
    "accept-language": "text",
    "show-thinking": "bool",
    "filtered-tags": _TEXTS,
    "image-mode": "text",
    "stream-chunk-timeout": "int",
    "stream-first-chunk-timeout": "int",
    "stream-total-timeout": "int",
    "request-timeout": "int",
}
_KIRO: Final[Shape] = [
    {
        "token-file": "text",
        "access-token": "text",
        "refresh-token": "text",
        "profile-arn": "text",
        "region": "text",
        "proxy-url": "text",
        "agent-task-type": "text",
        "preferred-endpoint": "text",
    }
]
_COPILOT: Final[Shape] = [
    {
        "account-type": "text",
        "proxy-url": "text",
        "header-profile": "text",
        "cli-header-models": _TEXTS,
        "vscode-chat-header-models": _TEXTS,
        "agent-initiator-persist": "bool",
        "force-agent-call": "bool",
    }
]
_AMP_MAPPINGS: Final[Shape] = [{"from": "text", "to": "text", "regex": "bool"}]

CONFIG: Final[dict[str, Shape]] = {
    "host": "text",
    "port": "int",
    "tls": {"enable": "bool", "cert": "text", "key": "text"},
    "auth-dir": "text",
    "api-keys": _TEXTS,
    "auth": {
        "providers": [
            {
                "name": "text",
                "type": "text",
                "sdk": "text",
                "api-keys": _TEXTS,
                "api-key-entries": "any",
                "config": "any",
            }
        ]
    },
    "debug": "bool",
    "commercial-mode": "bool",
    "request-log": "bool",
    "logging-to-file": "bool",
    "logs-max-total-size-mb": "int",
    "usage-statistics-enabled": "bool",
    "proxy-url": "text",
    "ws-auth": "bool",
    "incognito-browser": "bool",
    "scanner-buffer-size": "int",
    "streaming": {"keepalive-seconds": "int", "bootstrap-retries": "int"},
    "remote-management": {
        "allow-remote": "bool",
        "secret-key": "text",
        "disable-control-panel": "bool",
        "panel-github-repository": "text",
    },
    "routing": {"strategy": "text"},
    "force-model-prefix": "bool",
    "request-retry": "int",
    "max-retry-interval": "int",
    "disable-cooling": "bool",
    "quota-exceeded": {"switch-project": "bool", "switch-preview-model": "bool"},
    "gemini-api-key": [_KEY],
    "generative-language-api-key": _TEXTS,
    "claude-api-key": [_KEY],
    "codex-api-key": [_KEY],
    "vertex-api-key": [_KEY],
    "openai-compatibility": [
        {
            "name": "text",
            "prefix": "text",
            "base-url": "text",
            "api-keys": _TEXTS,
            "api-key-entries": [{"api-key": "text", "proxy-url": "text"}],
            "models": _MODELS,
            "headers": _HEADERS,
        }
    ],
    "passthru": [PASSTHRU],
    "copilot-api-key": _COPILOT,
    "grok-api-key": [
        {
            "sso-token": "text",
            "cf-clearance": "text",
            "token-type": "text",
            "label": "text",
            "proxy-url": "text",
        }
    ],
    "grok": _GROK,
    "kiro": _KIRO,
    "kiro-preferred-endpoint": "text",
    "oauth-excluded-models": {"*": _TEXTS},
    "oauth-model-mappings": {"*": [{"name": "text", "alias": "text", "fork": "bool"}]},
    "ampcode": {
        "upstream-url": "text",
        "upstream-api-key": "text",
        "upstream-api-keys": [{"upstream-api-key": "text", "api-keys": _TEXTS}],
        "restrict-management-to-localhost": "bool",
        "model-mappings": _AMP_MAPPINGS,
        "force-model-mappings": "bool",
    },
    "amp-upstream-url": "text",
    "amp-upstream-api-key": "text",
    "amp-restrict-management-to-localhost": "bool",
    "amp-model-mappings": _AMP_MAPPINGS,
    "payload": {"default": _RULES, "override": _RULES},
}

INERT: Final[dict[str, str]] = {
    "grok-api-key": "Grok accounts are not available yet",
    "grok": "Grok accounts are not available yet",
    "kiro": "Kiro accounts are files of auth-dir",
    "kiro-preferred-endpoint": "the account's file says it, as 'preferred_endpoint'",
    "ampcode": "the Amp proxy is not available yet",
    "amp-upstream-url": "the Amp proxy is not available yet",
    "amp-upstream-api-key": "the Amp proxy is not available yet",
    "amp-restrict-management-to-localhost": "the Amp proxy is not available yet",
    "amp-model-mappings": "the Amp proxy is not available yet",
    "remote-management": "the management API is not available yet",
    "quota-exceeded": "nothing reads it, in CLIProxyAPI neither",
    "logging-to-file": "the log goes to standard error",
    "logs-max-total-size-mb": "the log goes to standard error",
    "request-log": "bodies are never logged",
    "usage-statistics-enabled": "usage statistics are not available yet",
    "ws-auth": "there is no WebSocket to guard",
}
"""Known keys that do nothing for now, with the reason that `check` gives."""
