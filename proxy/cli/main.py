"""The verbs of the command line, their options, and what each exit status means."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final, NoReturn

from proxy.cli.verbs import groups, help_of, usual
from proxy.config.diagnose import ConfigError, closest
from proxy.home import NoHome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from proxy.routing.load import Loaded

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
CONFIG: Final = 78
"""EX_CONFIG of sysexits.h."""

_GROUPS: Final = groups()
_SINGLE_DASH: Final = (
    *("config", "routes", "host", "port", "json", "help", "version", "no-browser", "project_id"),
)
"""Options that CLIProxyAPI, or a habit from it, spells with one dash."""
_DEFAULTS: Final = {"accounts": "list"}
"""What a group of commands does when none of them is named."""
_LOGINS: Final = {
    "copilot-login": ("login", "copilot"),
    "github-copilot-login": ("login", "copilot", "--account-type", "individual"),
    "claude-login": ("login", "claude"),
    "codex-login": ("login", "codex"),
    "login": ("login", "gemini-cli"),
    "antigravity-login": ("login", "antigravity"),
    "vertex-import": ("login", "vertex", "--key"),
    "codex-device-login": ("login", "codex", "--device"),
    "qwen-login": ("login", "qwen"),
    "iflow-login": ("login", "iflow"),
    "iflow-cookie": ("login", "iflow", "--cookie"),
    "kiro-aws-login": ("login", "kiro"),
}
"""CLIProxyAPI's login flags, and what they are here."""


class Parser(argparse.ArgumentParser):
    """Errors in one line, with the nearest option; exit status 2."""

    def error(self, message: str) -> NoReturn:
        """One line, and the end."""
        unknown = message.partition("unrecognized arguments: ")[2].split(" ")[0]
        near = closest(unknown, [o for a in self._actions for o in a.option_strings])
        hint = f"; did you mean {near}?" if unknown and near else ""
        sys.stderr.write(f"pointsman: {message}{hint}\nTry 'pointsman --help'.\n")
        raise SystemExit(USAGE)


def run(arguments: list[str]) -> int:
    """Runs one verb; nothing but SystemExit of wrong usage leaves here on purpose."""
    verb, rest = _verb(arguments)
    if verb not in _GROUPS:
        return unknown("command", verb, _GROUPS)
    if any(word in ("-h", "--help", "-help") for word in rest):
        sys.stdout.write(help_of([verb, *rest]))
        return OK
    seconds = _GROUPS[verb]
    if verb in _DEFAULTS and (not rest or rest[0].startswith("-")):
        rest = [_DEFAULTS[verb], *rest]
    if seconds and (not rest or rest[0] not in seconds):
        return unknown(f"'{verb}' command", rest[0] if rest else "", seconds)
    try:
        return _handler(verb)(rest)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return CONFIG
    except NoHome as error:
        sys.stderr.write(f"pointsman: {error}\n")
        return CONFIG
    except BrokenPipeError:
        # The reader of our output is gone; a second failure at exit must not print a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def unknown(kind: str, word: str, known: Iterable[str]) -> int:
    """Says that there is no such word, and which is near. The exit status of wrong usage."""
    near = closest(word, known)
    hint = f"; did you mean '{near}'?" if near else f"; one of: {', '.join(known)}"
    message = f"unknown {kind} '{word}'" if word else f"a {kind} is missing"
    sys.stderr.write(f"pointsman: {message}{hint}\nTry 'pointsman --help'.\n")
    return USAGE


def parser(verb: str) -> argparse.ArgumentParser:
    """The options that all verbs share which read a configuration."""
    made = Parser(prog=f"pointsman {verb}", add_help=False, allow_abbrev=False)
    made.add_argument("--config", metavar="FILE")
    made.add_argument("--routes", metavar="DIR", action="append", default=[])
    return made


def read(options: argparse.Namespace) -> Loaded:
    """The configuration that the options name. Raises ConfigError."""
    from proxy.routing.load import load

    return load(options.config, options.routes, os.environ, os.getcwd())  # noqa: PTH109  # text


def where(options: argparse.Namespace) -> str:
    """By what path the configuration is known that the options name; it may be a broken one."""
    from proxy.config.load import place

    return place(options.config, os.getcwd())  # noqa: PTH109  # text


def two_dashes(arguments: list[str]) -> list[str]:
    """`-config FILE` as CLIProxyAPI spells it, and its `-config=FILE`, in our spelling."""
    return [
        f"-{word}"
        if word.startswith("-")
        and not word.startswith("--")
        and word[1:].partition("=")[0] in _SINGLE_DASH
        else word
        for word in arguments
    ]


def _verb(arguments: list[str]) -> tuple[str, list[str]]:
    arguments = usual(arguments)
    if arguments and not arguments[0].startswith("-"):
        return arguments[0], arguments[1:]
    for index, word in enumerate(arguments):
        login = _LOGINS.get(word.lstrip("-")) if word.startswith("-") else None
        if login is not None:
            verb, *words = login
            return verb, [*words, *arguments[index + 1 :], *arguments[:index]]
    return "serve", arguments


def _handler(verb: str) -> Callable[[list[str]], int]:
    """`run` of the module named after the verb; one of two words finds its second among the arguments."""
    found: Callable[[list[str]], int] = import_module(f"proxy.cli.{verb}").run
    return found
