"""Logins in a browser (RFC 6749 with PKCE, RFC 7636; loopback redirects as RFC 8252, section 7.3).

The browser comes back to a fixed port of this machine. Where it runs elsewhere, the address that it ends
at is pasted instead; both ways are open at once. Source: `_shared` sheet, login plumbing.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

import trio
from msgspec import Struct
from msgspec.structs import replace

from proxy.auth.login import LoginFailed, NewAccount
from proxy.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.auth.kind import Kind, Token
    from proxy.auth.login import Terminal
    from proxy.net.api import Transport

PATIENCE: Final = 300.0
"""Seconds that a person has for the login."""
_HEAD: Final = 16 * 1024
"""Largest request of a browser, in bytes."""
_SLOWEST: Final = 10.0
_AT_ONCE: Final = 16
"""Most connections at a time; browsers open some in advance."""
_LONGEST: Final = 300
_ALREADY_CLOSED: Final = (trio.BrokenResourceError, trio.ClosedResourceError)


class Ticket(Struct, frozen=True):
    """What makes one login unlike any other. `verifier` never leaves before the code came."""

    state: str
    verifier: str

    @property
    def challenge(self) -> str:
        """S256 of the verifier."""
        return _text_of(hashlib.sha256(self.verifier.encode()).digest())


class Arrival(Struct, frozen=True):
    """What came back with the browser, or was pasted."""

    code: str = ""
    state: str = ""
    error: str = ""


class BrowserLogin:
    """One provider's addresses, and how a code becomes an account."""

    note = ""
    service = ""
    """What a person calls it."""
    port = 0
    path = ""

    @property
    def redirect(self) -> str:
        """Where the browser comes back to; services compare it letter by letter."""
        return f"http://localhost:{self.port}{self.path}"

    def url(self, ticket: Ticket) -> str:
        """The service's page."""
        raise NotImplementedError

    async def finish(self, transport: Transport, code: str, ticket: Ticket) -> NewAccount:
        """The code becomes an account. Raises LoginFailed."""
        raise NotImplementedError

    async def run(self, transport: Transport, terminal: Terminal) -> NewAccount:
        """See Login."""
        ticket = new_ticket()
        code = await code_of(self, ticket, terminal)
        terminal.show(f"{self.service} sent the browser back; asking for the account")
        return await self.finish(transport, code, ticket)


def account_of(kind: Kind, token: Token, name: str) -> NewAccount:
    """The account file of a token that a login gave; `token.lasts` is counted from now."""
    now = Clock().now()
    saved = kind.saved(replace(token, expires=now + token.lasts), now)
    return NewAccount(name=name, content={"type": kind.name, **saved})


def new_ticket() -> Ticket:
    """As the sheets have it: 16 bytes of state, 96 bytes of verifier."""
    return Ticket(secrets.token_hex(16), _text_of(secrets.token_bytes(96)))


def _text_of(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


async def code_of(login: BrowserLogin, ticket: Ticket, terminal: Terminal) -> str:
    """Sends the person to the service's page and waits for what comes back. Raises LoginFailed."""
    outcome: list[Arrival] = []
    async with trio.open_nursery() as nursery:
        nursery.cancel_scope.deadline = trio.current_time() + PATIENCE

        def arrived(arrival: Arrival) -> None:
            outcome.append(arrival)
            nursery.cancel_scope.cancel()

        desk = Desk(login.path, ticket, arrived)
        bound = await _listen(nursery, desk, login.port)
        if bound or terminal.typing:
            _explain(login, ticket, terminal, bound=bound)
            if terminal.typing:
                nursery.start_soon(_read_pasted, desk, terminal)
            terminal.open(login.url(ticket))
        else:
            nursery.cancel_scope.cancel()
    # Judged outside of the nursery, which would wrap what is raised into a group.
    if outcome:
        return _judge(outcome[0], login)
    if not (bound or terminal.typing):
        raise LoginFailed(
            f"port {login.port} of this machine is in use, and {login.service} sends the browser"
            " there: end what listens on it, or log in on a terminal and paste the address"
        )
    raise LoginFailed(f"nothing came back within {PATIENCE / 60:g} minutes; start the login again")


def _judge(arrival: Arrival, login: BrowserLogin) -> str:
    if arrival.error:
        raise LoginFailed(f"{login.service} refused the login: {arrival.error}")
    return arrival.code


def _explain(login: BrowserLogin, ticket: Ticket, terminal: Terminal, *, bound: bool) -> None:
    terminal.show(f"Open this address in a browser:\n\n{login.url(ticket)}\n")
    if bound:
        tunnel = f"ssh -L {login.port}:127.0.0.1:{login.port} THIS-MACHINE"
        terminal.show(f"If the browser runs on another machine, first run there: {tunnel}")
    else:
        terminal.show(
            f"Port {login.port} of this machine is in use, so that the browser will end at a page"
            " that is not ours. Its address is what counts."
        )
    if terminal.typing:
        terminal.show("Or paste the address that the browser ends at here, and press Enter.")


async def _read_pasted(desk: Desk, terminal: Terminal) -> None:
    while text := await terminal.line():
        if text.strip() and (why := desk.take(read_pasted(text))):
            terminal.show(f"That is not it: {why}.")


class Desk:
    """Takes what comes back, by whichever way, and lets only what belongs to this login through."""

    def __init__(self, path: str, ticket: Ticket, arrived: Callable[[Arrival], None]) -> None:
        self.path = path
        self._ticket = ticket
        self._arrived = arrived

    def take(self, arrival: Arrival) -> str:
        """Why it is not what is waited for; "" if it was."""
        if why := self.refuse(arrival):
            return why
        self._arrived(arrival)
        return ""

    def refuse(self, arrival: Arrival) -> str:
        """Why this is not the end of this login; "" if it is."""
        if not (arrival.code or arrival.error):
            return "it holds no code"
        if not arrival.state:
            return "it holds no state; take the whole address"
        state = arrival.state.encode(errors="replace")
        if not hmac.compare_digest(state, self._ticket.state.encode()):
            return "it belongs to another login"
        return ""

    async def serve(self, stream: trio.SocketStream, places: trio.CapacityLimiter) -> None:
        """One connection: one answer."""
        try:
            places.acquire_on_behalf_of_nowait(stream)
        except trio.WouldBlock:
            await trio.aclose_forcefully(stream)
            return
        try:
            with trio.move_on_after(_SLOWEST):
                await self._answer(stream)
        except _ALREADY_CLOSED:
            pass
        finally:
            places.release_on_behalf_of(stream)
            await trio.aclose_forcefully(stream)

    async def _answer(self, stream: trio.SocketStream) -> None:
        arrival = self._arrival(await _target_of(stream))
        if arrival is None:
            await stream.send_all(_page(404, "There is nothing here."))
            return
        why = self.refuse(arrival)
        if why:
            await stream.send_all(_page(400, f"This is not the login that is waited for: {why}."))
            return
        text = "The login was refused." if arrival.error else "The login came back."
        try:
            await stream.send_all(_page(200, f"{text} The terminal tells how it goes on."))
            await stream.send_eof()
        finally:
            # Also where the browser did not wait for the page: the code comes but once.
            self._arrived(arrival)

    def _arrival(self, target: str) -> Arrival | None:
        path, _, query = target.partition("?")
        return arrival_of(query) if path == self.path else None


async def _listen(nursery: trio.Nursery, desk: Desk, port: int) -> bool:
    """Whether browsers of this machine will find us at the port, whatever `localhost` is to them."""
    try:
        listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
    except OSError:
        return False
    try:
        listeners += await trio.open_tcp_listeners(port, host="::1")
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            # Browsers try this address first: the code would come to whoever listens there.
            for listener in listeners:
                await listener.aclose()
            return False
        # There is no IPv6.
    handler = partial(desk.serve, places=trio.CapacityLimiter(_AT_ONCE))
    nursery.start_soon(trio.serve_listeners, handler, listeners)
    return True


async def _target_of(stream: trio.SocketStream) -> str:
    """What a GET asks for; "" for anything else."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = await stream.receive_some(4096)
        head += data
        if not data or len(head) > _HEAD:
            return ""
    method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
    return rest.partition(b" ")[0].decode("latin-1") if method == b"GET" else ""


def _page(status: int, text: str) -> bytes:
    """A page that loads nothing and is kept nowhere; `text` is ours."""
    body = (
        '<!doctype html><meta charset="utf-8"><title>Pointsman</title>'
        f'<p style="font:1.2em sans-serif;margin:3em">{text}</p>'
    ).encode()
    word = {200: "OK", 400: "Bad Request", 404: "Not Found"}[status]
    return (
        f"HTTP/1.1 {status} {word}\r\nContent-Type: text/html; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\nCache-Control: no-store\r\n"
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n"
        "Referrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n\r\n"
    ).encode() + body


def read_pasted(text: str) -> Arrival:
    """A whole address, `?query`, `code=..&state=..` or `code#state`, as a person copies them."""
    text = text.strip().strip("\"'<>")
    if "code=" in text or "error=" in text:
        return arrival_of(text.rpartition("?")[2])
    code, _, state = text.partition("#")
    return Arrival(code, state)


def arrival_of(query: str) -> Arrival:
    """What a query says. Some services write `code#state` where the code stands."""
    try:
        fields = dict(parse_qsl(query[:_HEAD], max_num_fields=50))
    except ValueError:
        return Arrival()
    code, _, behind = fields.get("code", "").partition("#")
    error = fields.get("error", "")
    told = ": ".join(filter(None, (error, fields.get("error_description", "")))) if error else ""
    # These go to a terminal, whose control characters nobody else may send.
    told = "".join(c for c in told if c.isprintable())[:_LONGEST]
    return Arrival(code, fields.get("state", "") or behind, told)
