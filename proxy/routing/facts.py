"""What rules may ask of a request. Built only for tables that have rules; whatever costs a look into the
body is a function, called when some rule gets that far.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from proxy.config.routes_shape import CLIENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_BEGINNINGS: Final = tuple(
    (beginning, name) for name, beginnings in CLIENTS.items() for beginning in beginnings
)


def _no() -> bool:
    return False


def _none() -> tuple[str, ...]:
    return ()


def _zero() -> int:
    return 0


class Facts(Struct, kw_only=True):
    """One request, as rules see it. `key`: the client key's name; `headers`: names in lower case.

    `size`: bytes of the body; no request is taken for more tokens than that. `minute`: of the day, local
    time of the server.
    """

    client: str = ""
    surface: str = ""
    key: str = ""
    stream: bool = False
    headers: list[tuple[bytes, bytes]] = []
    size: int = 0
    thinking: Callable[[], bool] = _no
    tools: Callable[[], tuple[str, ...]] = _none
    images: Callable[[], bool] = _no
    tokens: Callable[[], int] = _zero
    minute: Callable[[], int] = _zero


def client_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The coding tool that a `User-Agent` names; empty when it names none that is known."""
    agent = next((value for name, value in headers if name == b"user-agent"), b"")
    text = agent[:100].decode("latin-1").lower()
    return next((name for beginning, name in _BEGINNINGS if text.startswith(beginning)), "")
