"""Why a request goes where it goes: the functions that the server calls, told step by step. Pure.

The same text stands behind `pointsman routes explain` and, as a digest, behind the header
`x-pointsman-explain` of a live answer.
"""

from __future__ import annotations

import copy
import hashlib
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from proxy.errors import ProxyError
from proxy.jsonio import encode
from proxy.routing import payload
from proxy.routing.match import cut_suffix, reasoning_of
from proxy.upstream.prepare import Work

if TYPE_CHECKING:
    from proxy.accounts.pool import Pool
    from proxy.config.model import Candidate, Plan, Settings
    from proxy.convo.model import Reasoning
    from proxy.routing.table import Table
    from proxy.upstream.prepare import Ask

_SHOWN: Final = 200
"""Longest value of an edit that is shown, in characters."""
_MOST_LOST: Final = 50


class Verdict(Struct, frozen=True, kw_only=True):
    """What the pool says of one candidate. `position`: 1 = tried first, 0 = not tried."""

    upstream: str
    credential: str
    model: str
    position: int
    text: str


class Choice(Struct, frozen=True, kw_only=True):
    """One candidate: its verdict, and the call that it would get. `problem`: why it can get none."""

    upstream: str
    credential: str
    label: str
    model: str
    position: int
    verdict: str
    wire: str
    translated: bool
    url: str = ""
    edits: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    problem: str = ""


class Explanation(Struct, frozen=True, kw_only=True):
    """The whole of it. `error`: why there is no plan, with its `status`."""

    asked: str
    surface: str
    stream: bool
    thinking: str = ""
    steps: tuple[str, ...] = ()
    model: str = ""
    policy: str = ""
    accounts: str = ""
    choices: tuple[Choice, ...] = ()
    error: str = ""
    status: int = 200

    @property
    def text(self) -> str:
        """For a person, and for the digest."""
        kind = "a stream" if self.stream else "a whole answer"
        lines = [f"asked     {self.asked}, over {self.surface}, for {kind}"]
        if self.thinking:
            lines.append(f"thinking  {self.thinking}")
        lines += [f"step      {step}" for step in self.steps]
        if self.error:
            lines.append(f"refused   {self.status}: {self.error}")
        else:
            lines.append(f"model     {self.model}, policy {self.policy}, accounts {self.accounts}")
        for choice in self.choices:
            lines += _lines(choice)
        return "\n".join(lines) + "\n"

    @property
    def digest(self) -> str:
        """What a live answer tells in its header."""
        return hashlib.sha256(self.text.encode("utf-8", "replace")).hexdigest()[:16]


def _lines(choice: Choice) -> list[str]:
    number = str(choice.position) if choice.position else "-"
    how = "translated" if choice.translated else "as it came"
    lines = [
        "",
        f"{number} {choice.upstream}: {choice.credential} ({choice.label}): {choice.verdict}",
        f"    model   {choice.model}",
    ]
    if choice.problem:
        return [*lines, f"    cannot be asked: {choice.problem}"]
    lines += [f"    call    POST {choice.url}", f"    wire    {choice.wire}, {how}"]
    lines += [f"    edit    {edit}" for edit in choice.edits]
    lines += [f"    lost    {field}" for field in choice.lost]
    return lines


def explain(ask: Ask, table: Table, settings: Settings, pool: Pool, now: float) -> Explanation:
    """What would be done with a request now. Changes neither the pool nor the request.

    `now`: seconds on the clock that the pool's cooldowns go by.
    """
    ask = copy.copy(ask)
    surface = ask.wire
    try:
        work = Work(ask)
    except ProxyError as error:
        return Explanation(
            asked=ask.model, surface=surface, stream=False, error=error.message, status=error.status
        )
    try:
        plan = table.resolve(work.model)
    except ProxyError as error:
        return Explanation(
            asked=work.model,
            surface=surface,
            stream=work.stream,
            error=error.message,
            status=error.status,
        )
    by = {
        (target.upstream, candidate.credential.id, candidate.model): candidate
        for target in plan.targets
        for candidate in target.candidates
    }
    return Explanation(
        asked=plan.asked,
        surface=surface,
        stream=work.stream,
        thinking=_thinking(plan),
        steps=plan.steps,
        model=plan.model,
        policy=plan.policy,
        accounts=plan.strategy,
        choices=tuple(
            _choice(
                verdict,
                by[verdict.upstream, verdict.credential, verdict.model],
                ask,
                plan,
                settings,
            )
            for verdict in verdicts(pool, plan, now)
        ),
    )


def verdicts(pool: Pool, plan: Plan, now: float) -> list[Verdict]:
    """Every candidate in the order in which the pool would try them; those it would not try last."""
    pool = copy.deepcopy(pool)  # asking moves its turns on
    tried: list[Verdict] = []
    others: list[Verdict] = []
    for target in pool.targets(plan):
        order = pool.order(target, plan, now)
        for candidate in order:
            word = "next" if tried else "chosen"
            tried.append(_verdict(target.upstream, candidate, len(tried) + 1, word))
        others += [
            _verdict(target.upstream, candidate, 0, "resting, or at its limit")
            for candidate in target.candidates
            if all(candidate is not other for other in order)
        ]
    return tried + others


def _verdict(upstream: str, candidate: Candidate, position: int, text: str) -> Verdict:
    return Verdict(
        upstream=upstream,
        credential=candidate.credential.id,
        model=candidate.model,
        position=position,
        text=text,
    )


def _choice(
    verdict: Verdict, candidate: Candidate, ask: Ask, plan: Plan, settings: Settings
) -> Choice:
    credential = candidate.credential
    work = Work(copy.copy(ask))  # of its own: what one translation loses is not another's
    url = problem = ""
    try:
        url = work.call(candidate, plan, settings).url
    except ProxyError as error:
        problem = error.message
    rules = payload.matching(settings.payload, (candidate.model, plan.model), credential.wire)
    edits = [
        f"{rule.action} {path}" + ("" if rule.action == "remove" else f" = {_short(value)}")
        for rule in rules
        for path, value in rule.params
    ]
    return Choice(
        upstream=verdict.upstream,
        credential=credential.id,
        label=credential.label,
        model=candidate.model,
        position=verdict.position,
        verdict=verdict.text,
        wire=credential.wire,
        translated=not work.same_wire(candidate),
        url=url,
        edits=tuple(edits),
        lost=tuple(f"{lost.path}: {lost.why}" for lost in work.lost[:_MOST_LOST]),
        problem=problem,
    )


def _thinking(plan: Plan) -> str:
    if plan.reasoning is None:
        return ""
    _, value = cut_suffix(plan.asked)
    named = reasoning_of(value) if value else None
    source = "the suffix of the name" if named == plan.reasoning else "the route"
    return f"{_reasoning(plan.reasoning)}, from {source}"


def _reasoning(reasoning: Reasoning) -> str:
    if reasoning.budget is not None:
        return (
            "a budget of its own choice" if reasoning.budget < 0 else f"{reasoning.budget} tokens"
        )
    return f"effort {reasoning.effort}"


def _short(value: object) -> str:
    text = encode(value).decode()
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
