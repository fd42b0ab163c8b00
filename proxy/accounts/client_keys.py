"""How much each client key uses: requests under way, and requests of the last window. Pure: the caller
brings the time.

Only keys with limits are counted. State is kept by name, so it survives a reload of the configuration.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from proxy.errors import Fault, ProxyError

if TYPE_CHECKING:
    from proxy.config.model import ClientKey

_MOST_NAMES: Final = 10_000
"""Names kept; those that no configuration has any more go first."""
_SOON: Final = 1.0
"""Seconds after which a client with too many requests under way may ask again."""


class _Use(Struct):
    in_flight: int
    times: deque[float]


class KeyUsage:
    """Counters of all client keys."""

    def __init__(self) -> None:
        self._uses: dict[str, _Use] = {}

    def enter(self, key: ClientKey, now: float) -> None:
        """Counts a request in. Raises ProxyError (429) when the key is at one of its limits."""
        if not _limited(key):
            return
        use = self._uses.pop(key.name, None) or _Use(0, deque())
        self._uses[key.name] = use
        if len(self._uses) > _MOST_NAMES:
            self._forget()
        if key.in_flight and use.in_flight >= key.in_flight:
            said = f"has {use.in_flight} requests under way, which is its limit"
            raise _refusal(key, said, _SOON)
        if key.requests:
            while use.times and use.times[0] <= now - key.window:
                use.times.popleft()
            if len(use.times) >= key.requests:
                said = f"is limited to {key.requests} requests in {key.window:g} s"
                raise _refusal(key, said, use.times[-key.requests] + key.window - now)
            use.times.append(now)
        use.in_flight += 1

    def leave(self, key: ClientKey) -> None:
        """That request is over, however it ended. `key`: the one that it entered with."""
        use = self._uses.get(key.name) if _limited(key) else None
        if use is None or not use.in_flight:
            return
        use.in_flight -= 1
        if not use.in_flight and not use.times:
            del self._uses[key.name]

    def _forget(self) -> None:
        """The name that was idle for longest."""
        idle = next((name for name, use in self._uses.items() if not use.in_flight), None)
        if idle is not None:
            del self._uses[idle]


def _limited(key: ClientKey) -> bool:
    return key.in_flight > 0 or key.requests > 0


def _refusal(key: ClientKey, said: str, seconds: float) -> ProxyError:
    return ProxyError(
        f"client key '{key.name}' {said}",
        fault=Fault.CLIENT,
        status=429,
        kind="rate_limit_error",
        retry_after=seconds,
    )
