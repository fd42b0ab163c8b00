"""`pointsman login PROVIDER`: a login in the terminal, kept as an account file.

Also `-copilot-login`, `-claude-login` and so on, as CLIProxyAPI spells them.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

import trio

from proxy.auth import files, login
from proxy.auth.login import LoginFailed, Wish
from proxy.cli.main import FAILED, OK, USAGE, parser, read, two_dashes
from proxy.net.transport import Transport

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.auth.login import Login

LATER: Final = ("grok", "aistudio")
TYPES: Final = ("individual", "business", "enterprise")
_INTERRUPTED: Final = 130
_LINE: Final = 16 * 1024


def run(arguments: list[str]) -> int:
    """0 when the account is saved, 1 when the login failed, 130 after Ctrl-C."""
    options = parser("login")
    options.add_argument("provider")
    options.add_argument("--no-browser", action="store_true")
    options.add_argument("--account-type", choices=TYPES, default="")
    options.add_argument("--project", "--project_id", default="", metavar="ID")
    options.add_argument("--key", default="", metavar="FILE")
    options.add_argument("--location", default="")
    options.add_argument("--device", action="store_true")
    options.add_argument("--cookie", action="store_true")
    options.add_argument("--label", default="")
    options.add_argument("--start-url", default="")
    options.add_argument("--region", default="")
    found = options.parse_args(two_dashes(arguments))
    known = login.providers()
    if found.provider not in known:
        later = "is not available yet" if found.provider in LATER else "is not known"
        names = ", ".join(known)
        sys.stderr.write(f"pointsman: a login for {found.provider!r} {later}; one of: {names}\n")
        return USAGE
    loaded = read(found)
    wish = Wish(
        options=loaded.account_options,
        account_type=found.account_type,
        project=found.project,
        key_file=found.key,
        location=found.location,
        device=found.device,
        cookie=found.cookie,
        label=found.label.strip(),
        start_url=found.start_url.strip(),
        region=found.region.strip(),
    )
    try:
        chosen = login.get(found.provider, wish)
        folder = files.folder_of(loaded.settings.auth_dir)
        path = trio.run(_login, chosen, folder, not found.no_browser)
    except LoginFailed as failed:
        sys.stderr.write(f"pointsman: {failed}\n")
        return FAILED
    except OSError as error:
        sys.stderr.write(f"pointsman: the account cannot be saved: {error.strerror}\n")
        return FAILED
    except (KeyboardInterrupt, BaseExceptionGroup) as end:
        if isinstance(end, BaseExceptionGroup) and end.split(KeyboardInterrupt)[1] is not None:
            raise
        # Nurseries wrap a Ctrl-C into groups.
        sys.stderr.write("\npointsman: the login was given up\n")
        return _INTERRUPTED
    print(f"Authentication saved to {path}")
    return OK


async def _login(chosen: Login, folder: Path, browser: bool) -> Path:
    transport = Transport()
    failure: LoginFailed | None = None
    async with trio.open_nursery() as nursery:
        try:
            await nursery.start(transport.run)
            account = await chosen.run(transport, Screen(nursery, chosen.note, browser=browser))
        except LoginFailed as failed:
            failure = failed
        nursery.cancel_scope.cancel()
    await transport.aclose()
    if failure is not None:
        # Outside of the nursery, which would wrap it into a group.
        raise failure
    return await trio.to_thread.run_sync(files.create, folder, account.name, account.content)


class Screen:
    """`login.Terminal` on standard input and output. `note` is told before anything else."""

    def __init__(self, nursery: trio.Nursery, note: str, *, browser: bool) -> None:
        self._nursery = nursery
        self._note = note
        self._browser = browser and sys.stdout.isatty()
        self._typed = b""
        self.typing = sys.stdin.isatty() and sys.stdout.isatty()

    def show(self, text: str) -> None:
        """See Terminal."""
        if self._note:
            print(self._note)
            self._note = ""
        print(text, flush=True)

    def code(self, address: str, code: str, complete: str = "") -> None:
        """Code and address; on a terminal also as a picture to scan."""
        if sys.stdout.isatty():
            picture = qr(complete or address)
            self.show(f"\n{picture}\n  Open  {address}\n  Code  \033[1m{code}\033[0m\n")
        else:
            self.show(f"url: {address}\ncode: {code}")

    def open(self, url: str) -> None:
        """See Terminal. The address stands on the screen if there is no browser."""
        web = url.startswith("https://")
        if self._browser and web and (os.name == "nt" or _has_screen()):
            self._nursery.start_soon(_open, url)

    async def line(self) -> str:
        """See Terminal. An answer that nobody waits for any more is left to its thread."""
        while b"\n" not in self._typed and len(self._typed) < _LINE:
            # Not `sys.stdin`, whose lock a thread that is left behind would hold at the end.
            data = await trio.to_thread.run_sync(os.read, 0, _LINE, abandon_on_cancel=True)
            if not data:
                break
            self._typed += data
        line, newline, self._typed = self._typed.partition(b"\n")
        return (line + newline).decode(errors="replace")


def qr(text: str) -> str:
    """A QR code in half blocks; empty when its library is not there."""
    try:
        import segno  # only a login on a terminal draws one
    except ImportError:
        return ""
    from io import StringIO

    out = StringIO()
    segno.make(text, error="l").terminal(out, compact=True, border=2)
    return out.getvalue()


async def _open(url: str) -> None:
    import webbrowser

    await trio.to_thread.run_sync(webbrowser.open, url, abandon_on_cancel=True)


def _has_screen() -> bool:
    """Whether a window can open: a text browser would take over the terminal."""
    return sys.platform == "darwin" or any(
        os.environ.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY")
    )
