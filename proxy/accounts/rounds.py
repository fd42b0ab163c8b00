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
"""Least seconds before a second round over credentials that are no surer now; doubles per round."""
_MOST_DOUBLINGS: Final = 7
"""No pause is longer than half a minute, whatever `request-retry` says."""


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
    least = PAUSE * 2.0 ** min(round_ - 1, _MOST_DOUBLINGS)
    if failure is None or failure.status == 429:
        seconds = cooldown()
        if seconds is None or seconds > settings.max_retry_interval:
            return None
        # One that is due at once may be in the middle of another request's probe.
        return max(seconds, least)
    return least if failure.status >= 500 or failure.status == 408 else None


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
