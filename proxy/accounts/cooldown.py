"""Status -> quarantine, as data. Source: routing sheet, section 7, but honouring Retry-After everywhere.

A cooldown is of one credential and one routed model. `firm`: the credential is of no use until then
(bad key, no payment, unknown model, quota). Otherwise it is a suspicion (the upstream stumbled):
such a credential is passed over while another one is free and still used when none is.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

MINUTE: Final = 60.0
BACKOFF_START: Final = 1.0
BACKOFF_CAP: Final = 30 * MINUTE


class Rule(Struct, frozen=True):
    """`seconds` without a hint of the upstream; `word` stands in errors and listings."""

    word: str
    seconds: float
    firm: bool


RULES: Final[dict[int, Rule]] = {
    401: Rule("unauthorized", 30 * MINUTE, firm=True),
    402: Rule("payment_required", 30 * MINUTE, firm=True),
    403: Rule("payment_required", 30 * MINUTE, firm=True),
    404: Rule("not_found", 12 * 60 * MINUTE, firm=True),
    408: Rule("transient", MINUTE, firm=False),
    500: Rule("transient", MINUTE, firm=False),
    502: Rule("transient", MINUTE, firm=False),
    503: Rule("transient", MINUTE, firm=False),
    504: Rule("transient", MINUTE, firm=False),
    529: Rule("overloaded", MINUTE, firm=False),
}
QUOTA: Final = "quota"


def backoff(level: int) -> float:
    """Seconds for the nth 429 without a hint: 1, 2, 4 ... 30 min."""
    return min(BACKOFF_START * 2.0**level, BACKOFF_CAP)
