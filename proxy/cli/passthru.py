"""`pointsman passthru add | list | remove | env`: routes to a model of any service, kept in routes.d."""

from __future__ import annotations

import argparse
import getpass
import os
import re
import sys
from functools import partial
from pathlib import Path
from typing import Final

from proxy.cli.main import FAILED, OK, USAGE, Parser, two_dashes
from proxy.config import keys
from proxy.config import passthru_edit as edit
from proxy.config.diagnose import ConfigError
from proxy.config.elsewhere import value_of
from proxy.config.env import PASSTHRU
from proxy.config.passthru_edit import PROTOCOLS, PassthruRoute
from proxy.jsonio import encode
from proxy.store.files import write

_SUFFIXES: Final = (".toml", ".yaml", ".yml")
FILE: Final = "50-passthru.toml"


def run(arguments: list[str]) -> int:
    """0 done, 1 not possible, 2 wrong usage, 78 a file that cannot be read."""
    found = _options().parse_args(two_dashes(arguments))
    handler = {"add": _add, "list": _list, "remove": _remove, "env": _env}[found.verb]
    return handler(found, _file(found))


def _options() -> Parser:
    options = Parser(prog="pointsman passthru", add_help=False, allow_abbrev=False)
    verbs = options.add_subparsers(dest="verb", required=True, parser_class=Parser)
    add = verbs.add_parser("add", add_help=False)
    add.add_argument("model")
    add.add_argument("--base-url", required=True)
    add.add_argument("--protocol", choices=tuple(PROTOCOLS), default="openai")
    add.add_argument("--name")
    add.add_argument("--key", default="")
    add.add_argument("--proxy", default="")
    add.add_argument("--header", action="append", default=[], metavar="NAME=VALUE")
    add.add_argument("--context", type=int, default=0)
    add.add_argument("--output", type=int, default=0)
    add.add_argument("--replace", action="store_true")
    remove = verbs.add_parser("remove", add_help=False)
    remove.add_argument("name")
    for name in ("list", "env"):
        verbs.add_parser(name, add_help=False).add_argument("--json", action="store_true")
    for verb in verbs.choices.values():
        verb.add_argument("--config", metavar="FILE")
        verb.add_argument("--routes", metavar="DIR", action="append", default=[])
        verb.add_argument("--file", default="")
    return options


def _file(options: argparse.Namespace) -> Path:
    """The file that is edited: `--file`, else `50-passthru.toml` where the server looks for routes."""
    if options.file:
        return Path(options.file)
    if options.routes:
        return Path(options.routes[0]) / FILE
    beside = Path(options.config).parent if options.config else Path()
    return beside / "routes.d" / FILE


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _add(options: argparse.Namespace, file: Path) -> int:
    problem = ""
    headers: list[tuple[str, str]] = []
    for word in options.header:
        name, equals, value = word.partition("=")
        if not equals or keys.bad_headers({name: value}) or not name.strip():
            problem = f"--header {word!r} should be NAME=VALUE"
        headers.append((name.strip(), value.strip()))
    if not keys.is_url(options.base_url):
        problem = "--base-url is no http or https URL"
    if options.proxy and not keys.is_proxy(options.proxy):
        problem = "--proxy is no socks5, http or https URL"
    if problem:
        sys.stderr.write(f"pointsman: {problem}\n")
        return USAGE
    key = getpass.getpass("API key: ") if options.key == "-" else options.key
    route = PassthruRoute(
        name=options.name or options.model,
        model=options.model,
        protocol=options.protocol,
        base_url=options.base_url.rstrip("/"),
        key=key.strip(),
        proxy=options.proxy,
        headers=tuple(headers),
        context=options.context,
        output=options.output,
    )
    before = text = _text(file)
    try:
        if options.replace and any(r.name == route.name for r in edit.routes_in(str(file), text)):
            text = edit.remove_route(str(file), text, route.name)
        text = edit.add_route(str(file), text, route)
    except KeyError:
        sys.stderr.write(f"pointsman: {file} has {route.name!r} already; --replace replaces it\n")
        return FAILED
    return _keep(file, text, before, f"{route.name} is served by {route.base_url}")


def _remove(options: argparse.Namespace, file: Path) -> int:
    before = _text(file)
    try:
        text = edit.remove_route(str(file), before, options.name)
    except KeyError:
        sys.stderr.write(f"pointsman: {file} has no model {options.name!r}\n")
        return FAILED
    return _keep(file, text, before, f"{options.name} is removed")


def _keep(file: Path, text: str, before: str, done: str) -> int:
    """Writes the file, and takes that back if it does not hold what the server can read."""
    from proxy.config.load import read

    write(file, text.encode())
    try:
        read(os.devnull, [str(file.parent)], _environ(file.parent), str(Path.cwd()))
    except ConfigError:
        if before:
            write(file, before.encode())
        else:
            file.unlink()
        raise
    print(f"{done} ({file})")
    return OK


def _environ(folder: Path) -> dict[str, str]:
    """The environment, with something for every variable that the files name: theirs may be elsewhere."""
    texts = [p.read_text("utf-8", "replace") for p in folder.iterdir() if p.suffix in _SUFFIXES]
    named = {name for text in texts for name in re.findall(r"env:(\w+)", text)}
    return dict.fromkeys(named, "x") | dict(os.environ)


def _list(options: argparse.Namespace, file: Path) -> int:
    routes = edit.routes_in(str(file), _text(file))
    if options.json:
        print(encode([_shown(route) for route in routes]).decode())
        return OK
    for route in routes:
        print(f"{route.name}  {route.protocol}  {route.base_url}  {route.model}")
    return OK


def _shown(route: PassthruRoute) -> dict[str, object]:
    return {
        "name": route.name,
        "model": route.model,
        "protocol": route.protocol,
        "base-url": route.base_url,
    }


def _env(options: argparse.Namespace, file: Path) -> int:
    """One line for a host's variables; it holds the keys."""
    found: list[dict[str, object]] = []
    for route in edit.routes_in(str(file), _text(file)):
        look = partial(value_of, folder=file.parent, environ=os.environ)
        try:
            key, proxy = look(route.key), look(route.proxy)
            headers = {name: look(value) for name, value in route.headers}
        except LookupError as error:
            sys.stderr.write(f"pointsman: {route.name}: {error.args[0]}\n")
            return FAILED
        entry: dict[str, object] = {
            "model": route.model,
            "model-routing-name": route.name,
            "protocol": route.protocol,
            "base-url": route.base_url,
            "api-key": key,
            "proxy-url": proxy,
            "headers": headers,
            "context-window": route.context,
            "max-tokens": route.output,
        }
        found.append({name: value for name, value in entry.items() if value})
    text = encode(found).decode()
    quoted = text.replace("'", "'\\''")
    print(text if options.json else f"{PASSTHRU}='{quoted}'")
    return OK
