"""Files and environment into `Settings` and what they declare. The only module here that reads files."""

from __future__ import annotations

import os
import time
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from proxy import home
from proxy.config import copilot, env, services, settings, tomlio
from proxy.config.declared import Declared
from proxy.config.diagnose import ConfigError, Problem, Report
from proxy.config.document import SIZE, Document, decoded
from proxy.config.legacy import Legacy
from proxy.config.model import Settings, Warning_
from proxy.config.routes import Routes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NAMES: Final = ("config.yaml", "config.yml")
DEMO: Final = FilePath(__file__).parent / "data" / "00-demo.toml"
"""The routes of a first start; the shipped `routes.d/00-demo.toml` is this file."""
SUFFIXES: Final = (".toml", ".yaml", ".yml")


class Read(Struct, frozen=True, kw_only=True):
    """What was read. `config`: the config file, empty = none; `routes`: the routes.d files.

    `texts`: the bytes of these files by path; `folders`: where route files were looked for;
    `environ`: the environment with `.env`.
    """

    settings: Settings
    declared: Declared
    warnings: tuple[Warning_, ...] = ()
    config: str = ""
    routes: tuple[str, ...] = ()
    documents: tuple[Document, ...] = ()
    """The parsed route files, to be released once all messages are made."""
    texts: dict[str, bytes] = {}
    folders: tuple[str, ...] = ()
    environ: Mapping[str, str] = {}


def read(
    config: str | None,
    routes: Sequence[str],
    environ: Mapping[str, str],
    cwd: str,
    *,
    dotenv: bool = True,
) -> Read:
    """Reads everything. Raises ConfigError with all problems found.

    Args:
        config: the file named on the command line; None = `config.yaml` in `cwd`, if there is one.
        routes: folders (or files) named on the command line; empty = the default place.
        environ: the environment; `.env` in `cwd` adds to it.
        cwd: the working directory.
        dotenv: whether `.env` is read; not again at a reload.
    """
    report = Report()
    texts: dict[str, bytes] = {}
    if dotenv:
        environ = _with_dotenv(environ, FilePath(cwd), report)
    file = _config_file(config, FilePath(cwd))
    extra = env.passthru(environ, report)
    legacy = Legacy(_document(file, report, texts), report) if file else None
    empty = legacy or Legacy(Document.empty("config"), report)
    accounts = (*empty.accounts(), *empty.passthru(extra))
    if legacy is None:
        found = settings.of_environment(environ, report)
    else:
        found = settings.of_legacy(legacy, environ, report)
    folders = _folders(routes, file, environ, FilePath(cwd))
    files = _route_files(folders, report)
    if not files and not routes and not accounts and file is None:
        files = [DEMO]
    options = copilot.of_legacy(empty, environ, report)
    groups = {account.group for account in accounts}
    compiled = Routes(report, environ, groups, found.proxy_url, found.api_keys)
    documents = [_document(path, report, texts) for path in files]
    for path, document in zip(files, documents, strict=True):
        compiled.add(document, path.parent)
    declared = compiled.declared()
    mappings, excluded = empty.mappings(), empty.excluded()
    report.check()
    return Read(
        settings=replace(
            found,
            payload=(*found.payload, *compiled.payload),
            keys=tuple(compiled.keys.values()),
        ),
        declared=replace(
            declared,
            accounts=accounts,
            prefixes=copilot.with_prefix(declared.prefixes),
            copilot=replace(options, **compiled.copilot),
            services=services.options_of(compiled.services, environ),
            mappings=mappings,
            excluded=excluded,
            strategy=settings.strategy_of(empty),
            force_prefix=empty.table.get("force-model-prefix", False),
            now=int(time.time()),
        ),
        warnings=tuple(report.warnings),
        config=str(file or ""),
        routes=tuple(str(path) for path in files),
        documents=tuple(documents),
        texts=texts,
        folders=tuple(str(path) for path in folders),
        environ=environ,
    )


def place(config: str | None, cwd: str) -> str:
    """By what path a configuration is known, whether its file exists or not."""
    root = FilePath(cwd)
    return os.path.abspath(_config_file(config, root) or root / NAMES[0])  # noqa: PTH100  # no links


def candidates(
    config: str | None, routes: Sequence[str], environ: Mapping[str, str], cwd: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(config files, route folders or files) that `read` would look at, whether they exist or not."""
    root = FilePath(cwd)
    file = _config_file(config, root)
    configs = [file] if file else [root / name for name in NAMES]
    folders = _folders(routes, file, environ, root) or _default_folders(file, environ, root)
    return tuple(map(str, configs)), tuple(map(str, folders))


def _with_dotenv(environ: Mapping[str, str], cwd: FilePath, report: Report) -> Mapping[str, str]:
    path = cwd / ".env"
    try:
        if not path.is_file():
            return environ
        text = decoded(str(path), _bytes(path))
    except (OSError, ConfigError) as error:
        reason = error.strerror if isinstance(error, OSError) else error.problems[0].message
        report.warnings.append(Warning_(str(path), 1, 1, f"is left out: {reason}"))
        return environ
    return {**env.dotenv(str(path), text, report), **environ}


def _config_file(named: str | None, cwd: FilePath) -> FilePath | None:
    if named is not None:
        return cwd / named
    return next((cwd / name for name in NAMES if _is((cwd / name).is_file)), None)


def _folders(
    named: Sequence[str], config: FilePath | None, environ: Mapping[str, str], cwd: FilePath
) -> list[FilePath]:
    """The named folders (or files); without any, the first default place that is there."""
    if named:
        return [cwd / name for name in named]
    return [f for f in _default_folders(config, environ, cwd) if _is(f.is_dir)][:1]


def _is(asks: Callable[[], bool]) -> bool:
    """What may not even be looked at is not there: another user's home, say."""
    try:
        return asks()
    except OSError:
        return False


def _default_folders(
    config: FilePath | None, environ: Mapping[str, str], cwd: FilePath
) -> list[FilePath]:
    beside = (config.parent if config else cwd) / "routes.d"
    own = _xdg(environ)
    return [beside, own / "pointsman" / "routes.d"] if own is not None else [beside]


def _route_files(folders: Sequence[FilePath], report: Report) -> list[FilePath]:
    """The files of the folders, by name within each."""
    files: list[FilePath] = []
    for folder in folders:
        if _is(folder.is_file):
            files.append(folder)
            continue
        try:
            inside = sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES and p.is_file())
        except OSError as error:
            report.add(Problem("no-file", f"cannot be read: {error.strerror}", str(folder)))
            continue
        files += [path for path in inside if not path.name.startswith(".")]
    return files


def _xdg(environ: Mapping[str, str]) -> FilePath | None:
    """None for a user without a home folder, who has no configuration there."""
    found = environ.get("XDG_CONFIG_HOME", "")
    if found:
        return FilePath(found)
    try:
        return home.expand(environ.get("HOME") or "~", "XDG_CONFIG_HOME") / ".config"
    except home.NoHome:
        return None


def _bytes(path: FilePath) -> bytes:
    with path.open("rb") as file:
        return file.read(SIZE + 1)


def _document(path: FilePath, report: Report, texts: dict[str, bytes]) -> Document:
    """The parsed file; an empty one when it cannot be read, with the reason in the report."""
    name = str(path)
    try:
        data = texts[name] = _bytes(path)
        text = decoded(name, data)
        if path.suffix == ".toml":
            return tomlio.parse(name, text)
        from proxy.config import yamlio  # a first start has no YAML and need not load its parser

        return yamlio.parse(name, text)
    except OSError as error:
        report.add(Problem("no-file", f"cannot be read: {error.strerror}", name))
    except ConfigError as error:
        for problem in error.problems:
            report.add(problem)
    return Document.empty(name)
