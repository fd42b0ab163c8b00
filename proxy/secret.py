"""Strings that never print."""

from __future__ import annotations

import hmac
from typing import Final

_TELLING: Final = 8
"""Shorter values are no secrets, and stand in ordinary words."""


class Secret:
    """A credential. `repr` and `str` are masked; `reveal()` is the one way out."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the one place that sends it."""
        return self._value

    def matches(self, other: str) -> bool:
        """Constant-time comparison."""
        return hmac.compare_digest(self._value.encode(), other.encode())

    def hide(self, data: bytes) -> bytes:
        """Somebody else's text without the value: some services repeat the key that they refuse."""
        value = self._value.encode()
        return data.replace(value, b"***") if len(value) >= _TELLING else data

    def hide_in(self, text: str) -> str:
        """As `hide`."""
        return text.replace(self._value, "***") if len(self._value) >= _TELLING else text

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.matches(other._value)

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __repr__(self) -> str:
        return "Secret(***)" if self._value else "Secret()"

    __str__ = __repr__
