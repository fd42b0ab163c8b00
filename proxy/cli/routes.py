"""`pointsman routes list | explain | import | fmt`."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final

from proxy.cli.main import OK, parser, read, two_dashes
from proxy.cli.offline import with_accounts
from proxy.jsonio import encode

if TYPE_CHECKING:
    from proxy.config.model import Plan

_MODULES: Final = {
    "explain": "proxy.cli.routes_explain",
    "import": "proxy.cli.routes_import",
    "fmt": "proxy.cli.routes_fmt",
}


def run(arguments: list[str]) -> int:
    """Dispatches on the second word."""
    if arguments[0] == "list":
        return listed(arguments[1:])
    status: int = import_module(_MODULES[arguments[0]]).run(arguments[1:])
    return status


def listed(arguments: list[str]) -> int:
    """Every model that clients can ask for, by name."""
    options = parser("routes list")
    options.add_argument("--json", action="store_true")
    found = options.parse_args(two_dashes(arguments))
    table = with_accounts(read(found)).table
    plans = [(model.id, table.resolve(model.id)) for model in table.listed()]
    if found.json:
        answer = [
            {
                "model": name,
                "targets": targets(plan),
                "policy": plan.policy,
                "accounts": plan.strategy,
                "place": table.place(name) or None,
            }
            for name, plan in plans
        ]
        sys.stdout.write(encode(answer).decode() + "\n")
        return OK
    width = max((len(name) for name, _ in plans), default=0)
    for name, plan in plans:
        place = f"  ({found_at})" if (found_at := table.place(name)) else ""
        print(f"{name:{width}}  {plan.policy:<8}  {', '.join(targets(plan))}{place}")
    if not plans:
        print("no model is configured")
    return OK


def targets(plan: Plan) -> list[str]:
    """`upstream:model-there` of each target, with the number of its credentials when there are more."""
    found: list[str] = []
    for target in plan.targets:
        models = dict.fromkeys(candidate.model for candidate in target.candidates)
        for model in models:
            count = sum(candidate.model == model for candidate in target.candidates)
            keys = f" ({count} keys)" if count > 1 else ""
            found.append(f"{target.upstream}:{model}{keys}")
    return found
