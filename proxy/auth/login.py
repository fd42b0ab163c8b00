"""What a login is: something that ends in an account file. One module each under `logins/`.

A login talks to a person through `Terminal` and to the service through a `Transport`; it knows neither
arguments nor the screen. Those with a browser are `browser.BrowserLogin`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

from proxy.config.model import AccountOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proxy.net.api import Transport

_MODULES: Final = {
    "copilot": "copilot",
    "claude": "claude",
    "codex": "codex",
    "gemini-cli": "gemini_cli",
    "antigravity": "antigravity",
    "vertex": "vertex",
    "qwen": "qwen",
    "iflow": "iflow",
    "kiro": "kiro",
}
"""Provider -> module, which exports `login(wish)`."""
_NAME: Final = 100
"""Most characters of an account in the name of its file."""


class LoginFailed(Exception):  # noqa: N818  # reads as what happened
    """One line for the person who logs in."""


class Wish(Struct, frozen=True, kw_only=True):
    """What the person asked for. `options.proxy` is the configured one."""

    options: AccountOptions = AccountOptions()
    account_type: str = ""
    project: str = ""
    """Of a cloud, where accounts have several; more than one with commas, or `ALL`."""
    key_file: str = ""
    location: str = ""
    """The key of a service account, and where its requests are computed."""
    device: bool = False
    """With a code that is typed on another machine, where the service has both ways."""
    cookie: bool = False
    """With the cookie of a browser, where the service has that way."""
    label: str = ""
    """What the account is called, where the service does not say whose it is."""
    start_url: str = ""
    """The page of an organization at AWS."""
    region: str = ""
    """That organization's region."""


class NewAccount:
    """What a login gave: the account file's name and its keys."""

    def __init__(self, name: str, content: Mapping[str, object]) -> None:
        self.name = name
        self.content = content


class Terminal(Protocol):
    """The person's side."""

    typing: bool
    """Whether somebody can answer."""

    def show(self, text: str) -> None:
        """Lines for the person."""
        ...

    def code(self, address: str, code: str, complete: str = "") -> None:
        """A code to type at an address; `complete`: the address that knows the code already."""
        ...

    def open(self, url: str) -> None:
        """Starts the person's browser, if there is one and it is wanted. Never fails, never waits."""
        ...

    async def line(self) -> str:
        """The next line that is typed; "" at the end of the input."""
        ...


class Login(Protocol):
    """One login of one provider."""

    note: str
    """What the person should know before, in one line; may be empty."""

    async def run(self, transport: Transport, terminal: Terminal) -> NewAccount:
        """From start to end. Raises LoginFailed."""
        ...


def get(provider: str, wish: Wish) -> Login:
    """The login of a provider that `providers` names."""
    make: Callable[[Wish], Login] = import_module(f"proxy.auth.logins.{_MODULES[provider]}").login
    return make(wish)


def providers() -> tuple[str, ...]:
    """Those that one can log in to."""
    return tuple(_MODULES)


async def ask_name(terminal: Terminal) -> str:
    """What the person calls an account whose service does not say it; "" where nobody answers."""
    if not terminal.typing:
        return ""
    terminal.show("A name for this account, such as its mail address (Enter: none):")
    return (await terminal.line()).strip()


def in_name(account: str) -> str:
    """An account's own name as part of a file's: mail addresses stay as they are."""
    safe = (c if c.isascii() and (c.isalnum() or c in "-_.@+") else "_" for c in account)
    return "".join(safe)[:_NAME]
