"""`pointsman check`: reads the configuration as the server would, tells what it found, and stops."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from proxy.cli.main import CONFIG, OK, parser, read, two_dashes
from proxy.cli.offline import with_accounts
from proxy.config.diagnose import ConfigError, render
from proxy.config.settings import refuse_open
from proxy.jsonio import encode

if TYPE_CHECKING:
    from proxy.config.diagnose import Problem
    from proxy.config.model import Warning_
    from proxy.routing.load import Loaded


def run(arguments: list[str]) -> int:
    """Exit status 0 when the configuration can be served, else 78; warnings do not count."""
    options = parser("check")
    options.add_argument("--json", action="store_true")
    found = options.parse_args(two_dashes(arguments))
    try:
        loaded = with_accounts(read(found))
        if loaded.config:
            refuse_open(loaded.settings)
    except ConfigError as error:
        if found.json:
            _json(False, [_problem(problem) for problem in error.problems], None)
        else:
            count = len(error.problems)
            sys.stdout.write(f"{error}\n{count} problem{'s' if count > 1 else ''} found\n")
        return CONFIG
    if found.json:
        _json(True, [], loaded)
    else:
        _text(loaded)
    return OK


def _text(loaded: Loaded) -> None:
    lines = [render(warning) for warning in loaded.warnings]
    models = loaded.table.listed()
    files = [name for name in (loaded.config, *loaded.routes) if name]
    if not models:
        lines.append("warning: no model is configured; every request will be refused")
    lines.append(f"read: {', '.join(files) or 'nothing, the built-in defaults hold'}")
    lines.append(f"well: {len(models)} models, {len(loaded.warnings)} warnings")
    sys.stdout.write("\n".join(lines) + "\n")


def _json(well: bool, problems: list[dict[str, object]], loaded: Loaded | None) -> None:
    answer: dict[str, object] = {"ok": well, "problems": problems}
    if loaded is not None:
        answer |= {
            "config": loaded.config,
            "routes": list(loaded.routes),
            "models": [model.id for model in loaded.table.listed()],
            "warnings": [_problem(warning) for warning in loaded.warnings],
        }
    sys.stdout.write(encode(answer).decode() + "\n")


def _problem(problem: Problem | Warning_) -> dict[str, object]:
    return {
        "code": problem.code,
        "message": problem.message,
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "hint": problem.hint,
        "also": problem.also,
    }
