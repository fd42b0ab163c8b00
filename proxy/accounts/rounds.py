"""How a request goes round the credentials of its plan: again or not, and in which order. Pure.

Source: routing sheet (`request-retry`, `max-retry-interval`, `streaming.bootstrap-retries`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from proxy.accounts.pool import Pool
from proxy.config.model import Candidate, Plan, Settings
from proxy.errors import ProxyError

PAUSE: Final = 0.25
"""Seconds before a second round over credentials that only stumbled; doubles per round."""


def pause(
    failure: ProxyError | None,
    round_: int,
    settings: Settings,
    cooldown: Callable[[], float | None],
) -> float | None:
    """Seconds to wait before this further round (1, 2 ...); None if there is none.

    `failure`: the last one, None if nothing could be tried. `cooldown`: seconds until the first
    resting credential is free, None if none rests.
    """
    if failure is not None and failure.kind == "upstream_cut":
        most = max(settings.bootstrap_retries, settings.request_retry)
        return 0.0 if round_ <= most else None
    if round_ > settings.request_retry:
        return None
    if failure is None or failure.status == 429:
        seconds = cooldown()
        return None if seconds is None or seconds > settings.max_retry_interval else seconds
    if failure.status >= 500 or failure.status == 408:
        return PAUSE * float(1 << (round_ - 1))
    return None


def has_choice(plan: Plan) -> bool:
    """Whether it matters who served the same conversation before."""
    targets = plan.targets
    return len(targets) > 1 or (len(targets) == 1 and len(targets[0].candidates) > 1)


def others_first(
    pool: Pool, plan: Plan, now: float, session: str, broken: Sequence[str]
) -> list[Candidate]:
    """Who may go on with an answer that broke: those that did not break it, then those that did."""
    order = [
        candidate
        for target in pool.targets(plan)
        for candidate in pool.order(target, plan, now, session)
    ]
    return sorted(order, key=lambda candidate: candidate.credential.id in broken)
