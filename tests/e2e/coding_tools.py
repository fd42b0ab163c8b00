"""How each coding tool is pointed at a server, and run once without a person.

Each function writes what the tool needs into its empty home folder and returns its command and
environment. README shows the same settings.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = Path(os.environ.get("POINTSMAN_CLIENTS", ROOT / "build" / ".venv" / "clients"))
"""Where npm installs the tools; git does not see it."""
PROMPT = "Run the shell command that you think best, then tell me its output."
KEY = "sk-client-of-the-tests"


@dataclass
class Job:
    """One run of a tool: an empty home, a server, a model."""

    home: Path
    url: str
    model: str
    key: str = KEY


def install():
    """Installs the tools with npm if they are not there; returns the folder of their commands."""
    manifest = (HERE / "clients" / "package.json").read_bytes()
    mark = CACHE / "installed.json"
    commands = CACHE / "node_modules" / ".bin"
    if not mark.exists() or mark.read_bytes() != manifest:
        CACHE.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(CACHE / "node_modules", ignore_errors=True)
        (CACHE / "package.json").write_bytes(manifest)
        npm = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"]
        subprocess.run(npm, cwd=CACHE, check=True, stdout=subprocess.DEVNULL, timeout=600)
        mark.write_bytes(manifest)
    return commands


def claude(job):
    """Claude Code: everything by environment."""
    environment = {
        "ANTHROPIC_BASE_URL": job.url,
        "ANTHROPIC_AUTH_TOKEN": job.key,
        "ANTHROPIC_MODEL": job.model,
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": job.model,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "IS_SANDBOX": "1",  # root may skip permissions only in a sandbox
    }
    return ["claude", "-p", PROMPT, "--dangerously-skip-permissions"], environment


def codex(job):
    """Codex CLI: a model provider in config.toml; the key by environment."""
    folder = job.home / ".codex"
    folder.mkdir()
    folder.joinpath("config.toml").write_text(
        f'model = "{job.model}"\n'
        'model_provider = "pointsman"\n'
        "check_for_update_on_startup = false\n"
        "[analytics]\nenabled = false\n"
        "[model_providers.pointsman]\n"
        'name = "Pointsman"\n'
        f'base_url = "{job.url}/v1"\n'
        'env_key = "POINTSMAN_KEY"\n'
        'wire_api = "responses"\n'
    )
    command = [
        "codex",
        "exec",
        "--skip-git-repo-check",
        "--dangerously-bypass-approvals-and-sandbox",
    ]
    return [*command, PROMPT], {"POINTSMAN_KEY": job.key, "CODEX_HOME": str(folder)}


def gemini(job):
    """Gemini CLI: everything by environment; the way to log in is a setting."""
    folder = job.home / ".gemini"
    folder.mkdir()
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": False},
        "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
        "telemetry": {"enabled": False},
    }
    folder.joinpath("settings.json").write_text(json.dumps(settings))
    environment = {
        "GOOGLE_GEMINI_BASE_URL": job.url,
        "GEMINI_API_KEY": job.key,
        "GEMINI_CLI_TRUST_WORKSPACE": "true",
    }
    return ["gemini", "-m", job.model, "--yolo", "-p", PROMPT], environment


def opencode(job):
    """opencode: an OpenAI-compatible provider in opencode.json."""
    config = {
        "$schema": "https://opencode.ai/config.json",
        "autoupdate": False,
        "share": "disabled",
        "model": f"pointsman/{job.model}",
        "small_model": f"pointsman/{job.model}",
        "permission": "allow",
        "provider": {
            "pointsman": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "Pointsman",
                "options": {"baseURL": f"{job.url}/v1", "apiKey": job.key},
                "models": {job.model: {"name": job.model}},
            }
        },
    }
    (job.home / "work" / "opencode.json").write_text(json.dumps(config))
    environment = {"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1"}
    return ["opencode", "run", PROMPT], environment


def qwen(job):
    """Qwen Code: an OpenAI endpoint by environment."""
    folder = job.home / ".qwen"
    folder.mkdir()
    settings = {
        "security": {"auth": {"selectedType": "openai"}},
        "privacy": {"usageStatisticsEnabled": False},
        "general": {"disableAutoUpdate": True, "enableAutoUpdate": False},
        "telemetry": {"enabled": False},
    }
    folder.joinpath("settings.json").write_text(json.dumps(settings))
    environment = {
        "OPENAI_BASE_URL": f"{job.url}/v1",
        "OPENAI_API_KEY": job.key,
        "OPENAI_MODEL": job.model,
    }
    return ["qwen", "--yolo", "-p", PROMPT], environment


TOOLS = {"claude": claude, "codex": codex, "gemini": gemini, "opencode": opencode, "qwen": qwen}
OWN_WIRE = {
    "claude": "anthropic",
    "codex": "responses",
    "gemini": "gemini",
    "opencode": "chat",
    "qwen": "chat",
}


def run(tool, job, timeout=60):
    """Runs a tool once; its exit status and everything it printed."""
    commands = install()
    (job.home / "work").mkdir()
    command, environment = TOOLS[tool](job)
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    home = {"HOME": str(job.home), "XDG_CONFIG_HOME": str(job.home / ".config"), "CI": "1"}
    home |= {"XDG_DATA_HOME": str(job.home / ".local"), "XDG_CACHE_HOME": str(job.home / ".cache")}
    quiet = {"NO_PROXY": "127.0.0.1,localhost", "TERM": "dumb", "NO_COLOR": "1"}
    return subprocess.run(
        [str(commands / command[0]), *command[1:]],
        cwd=job.home / "work",
        env={**kept, **home, **quiet, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
