"""The wall clock and fresh identifiers, injected. Deadlines use trio's clock instead."""

from __future__ import annotations

import os
import time


class Clock:
    """The machine's clock and randomness."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def unique(self) -> str:
        """24 hex digits that no other answer has."""
        return os.urandom(12).hex()


def minute_of_day(seconds: float | None = None) -> int:
    """Minutes since midnight, local time (`TZ`, else the machine's); of now where no time is given."""
    local = time.localtime(seconds)
    return local.tm_hour * 60 + local.tm_min
