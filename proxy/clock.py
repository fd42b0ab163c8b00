"""The wall clock and fresh identifiers, injected. Deadlines use trio's clock instead."""

from __future__ import annotations

import os
import time
from itertools import count


class Clock:
    """The machine's clock and randomness."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def unique(self) -> str:
        """24 hex digits that no other answer has."""
        return os.urandom(12).hex()


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
