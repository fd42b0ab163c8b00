"""The rules of `tests/wire_deviations.toml`: which recorded differences they excuse.

A difference is a line of compare.py: `PATH: - RECORDED + OURS`. In patterns `[*]` is any index and `*`
any text; everything else stands for itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any


def glob(pattern: str) -> re.Pattern[str]:
    """A pattern of the file as a regular expression."""
    plain = re.escape(pattern).replace(r"\[\*\]", r"\[\d+\]")
    return re.compile(plain.replace(r"\*", ".*"), re.DOTALL)


def values(patterns: str | list[str] | None) -> str:
    """One or several patterns of a value; none means any value."""
    listed = [patterns] if isinstance(patterns, str) else patterns or ["*"]
    return "(?:" + "|".join(glob(pattern).pattern for pattern in listed) + ")"


@dataclass
class Rule:
    """One reason, and where it holds."""

    id: str
    scenarios: list[re.Pattern[str]]
    paths: list[re.Pattern[str]]
    change: re.Pattern[str]
    timing: bool
    """What it excuses depends on how fast the machine is: it may excuse nothing."""

    def covers(self, scenario: str, problem: str) -> bool:
        """Whether this difference is on the rule."""
        path, _, change = problem.partition(": ")
        return (
            any(pattern.fullmatch(scenario) for pattern in self.scenarios)
            and any(pattern.fullmatch(path) for pattern in self.paths)
            and self.change.fullmatch(change) is not None
        )


class Rules:
    """The file's rules, in order."""

    def __init__(self, listed: dict[str, Any]) -> None:
        self.rules = [
            Rule(
                entry["id"],
                [glob(pattern) for pattern in entry["scenarios"]],
                [glob(pattern) for pattern in entry["paths"]],
                re.compile(
                    rf"- {values(entry.get('recorded'))} \+ {values(entry.get('ours'))}", re.DOTALL
                ),
                entry.get("timing", False),
            )
            for entry in listed["rule"]
        ]

    def excuse(self, scenario: str, problem: str) -> str | None:
        """The id of the first rule that covers a difference, if any."""
        for rule in self.rules:
            if rule.covers(scenario, problem):
                return rule.id
        return None
