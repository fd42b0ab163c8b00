"""The wall clock and fresh identifiers, injected, and how upstreams write durations. Deadlines use
trio's clock instead."""

from __future__ import annotations

import math
import os
import re
import time
from itertools import count
from typing import Final

_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|d|h|m|s)")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration(text: str) -> float | None:
    """`1h2m3.5s`, `250ms`, `0.8s` or bare seconds; None for anything else."""
    try:
        plain = float(text)
    except ValueError:
        pass
    else:
        return plain if math.isfinite(plain) and plain >= 0 else None
    total, end = 0.0, 0
    for part in _PART.finditer(text):
        if part.start() != end:
            return None
        total, end = total + float(part[1]) * _UNITS[part[2]], part.end()
    return total if end and end == len(text) else None


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


class _RequestIds:
    """Random per process, counted within it: a system call per request would cost more than its log line."""

    def __init__(self) -> None:
        self.renew()
        os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        """Another process, another salt."""
        self._salt = os.urandom(5).hex()
        self._next = count(1).__next__

    def make(self) -> str:
        """16 hex digits."""
        return f"{self._salt}{self._next():06x}"


request_id = _RequestIds().make
"""Makes the id by which a person finds a request in the log: header `x-request-id`."""
