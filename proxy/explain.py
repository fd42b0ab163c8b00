"""Why a request goes where it goes: the functions that the server calls, told step by step. Pure.

The same text stands behind `pointsman routes explain` and, as a digest, behind the header
`x-pointsman-explain` of a live answer.
"""

from __future__ import annotations

import copy
import hashlib
from typing import TYPE_CHECKING, Final

from msgspec import Struct, structs

from proxy.accounts.affinity import session_of
from proxy.clock import minute_of_day
from proxy.errors import ProxyError, bad_request
from proxy.jsonio import encode
from proxy.routing import payload
from proxy.routing.match import cut_suffix, reasoning_of
from proxy.upstream.prepare import Work
from proxy.upstream.request_facts import facts_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.accounts.pool import Pool
    from proxy.accounts.report import Verdict
    from proxy.config.model import Candidate, Plan, Settings
    from proxy.convo.model import Lost, Reasoning
    from proxy.routing.table import Table
    from proxy.upstream.prepare import Ask

_SHOWN: Final = 200
"""Longest value of an edit that is shown, in characters."""
_MOST_LOST: Final = 50
_MOST_CHOICES: Final = 100
"""Each costs the making of a call, and live requests may ask for the digest."""


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
    omitted: int = 0
    """Further ones that are not shown."""
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
        if self.omitted:
            lines += ["", f"and {self.omitted} more"]
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


def explain(
    ask: Ask,
    table: Table,
    settings: Settings,
    pool: Pool,
    now: float,
    minute: Callable[[], int] | None = None,
) -> Explanation:
    """What would be done with a request now. Changes neither the pool nor the request.

    `now`: seconds on the clock that the pool's cooldowns go by; `minute`: of the day, for rules.
    """
    ask = copy.copy(ask)
    surface = ask.wire
    try:
        work = Work(ask)
    except ProxyError as error:
        return Explanation(
            asked=ask.model, surface=surface, stream=False, error=error.message, status=error.status
        )
    trace = table.trace(work.model, lambda: facts_of(work, minute or minute_of_day))
    plan = trace.plan
    steps = tuple(map(str, trace.steps))
    if plan is None:
        why = trace.error or bad_request("nothing is known of it")
        return Explanation(
            asked=work.model,
            surface=surface,
            stream=work.stream,
            steps=steps,
            error=why.message,
            status=why.status,
        )
    session = session_of(ask.wire, ask.headers, work.top, ask.key, plan.sticky)
    by = {
        (target.upstream, candidate.credential.id, candidate.model): candidate
        for target in plan.targets
        for candidate in target.candidates
    }
    verdicts = pool.verdicts(plan, now, session)
    return Explanation(
        asked=plan.asked,
        surface=surface,
        stream=work.stream,
        thinking=_thinking(plan),
        steps=steps,
        model=plan.model,
        policy=plan.policy,
        accounts=plan.strategy,
        choices=tuple(
            _choice(
                verdict,
                by[verdict.upstream, verdict.credential, verdict.model],
                work,
                plan,
                settings,
            )
            for verdict in verdicts[:_MOST_CHOICES]
        ),
        omitted=max(len(verdicts) - _MOST_CHOICES, 0),
    )


def _choice(
    verdict: Verdict, candidate: Candidate, work: Work, plan: Plan, settings: Settings
) -> Choice:
    credential = candidate.credential
    url = problem = ""
    # A route that ignores losses does not look for them; who asks wants to know.
    asked = structs.replace(plan, on_loss="warn") if plan.on_loss == "ignore" else plan
    found: list[Lost] = []
    try:
        url = work.call(candidate, asked, settings, found).url
    except ProxyError as error:
        problem = error.message
    names = (candidate.model, plan.model)
    rules = payload.matching(settings.payload, names, payload.protocol_of(credential))
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
        lost=_lost(found),
        problem=problem,
    )


def _lost(found: list[Lost]) -> tuple[str, ...]:
    named = [lost for lost in found if not lost.more]
    shown = [f"{lost.path}: {lost.why}" for lost in named[:_MOST_LOST]]
    further = len(named) - len(shown) + sum(lost.more for lost in found)
    return (*shown, f"and {further} more") if further else tuple(shown)


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
