"""`pointsman login PROVIDER`: a login in the terminal, kept as an account file.

Also `-copilot-login` and `-github-copilot-login`, as CLIProxyAPI spells them.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

import trio
from msgspec.structs import replace

from proxy.auth import device, files
from proxy.auth.device import LoginFailed
from proxy.cli.main import FAILED, OK, USAGE, parser, read, two_dashes
from proxy.net.transport import Transport
from proxy.upstream.copilot_facts import TYPES, type_of

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.auth.device import Code
    from proxy.config.model import CopilotOptions

PROVIDERS: Final = ("copilot",)
LATER: Final = (
    *("claude", "codex", "gemini", "gemini-cli", "antigravity", "qwen", "iflow", "grok", "kiro"),
)
_INTERRUPTED: Final = 130
_RISK: Final = (
    "Note: Copilot is made for GitHub's own clients; GitHub may limit or end an account that is"
    " used otherwise. See docs/copilot.md."
)


def run(arguments: list[str]) -> int:
    """0 when the account is saved, 1 when the login failed, 130 after Ctrl-C."""
    options = parser("login")
    options.add_argument("provider")
    options.add_argument("--no-browser", action="store_true")
    options.add_argument("--account-type", choices=TYPES, default="")
    found = options.parse_args(two_dashes(arguments))
    if found.provider not in PROVIDERS:
        later = "is not available yet" if found.provider in LATER else "is not known"
        sys.stderr.write(f"pointsman: a login for {found.provider!r} {later}; try 'copilot'\n")
        return USAGE
    loaded = read(found)
    settings, copilot = loaded.settings, loaded.declared.copilot
    kind = type_of(found.account_type, copilot.account_type)
    try:
        path = trio.run(
            _login,
            replace(copilot, account_type=kind),
            copilot.proxy or settings.proxy_url,
            files.folder_of(settings.auth_dir),
            not found.no_browser,
        )
    except LoginFailed as failed:
        sys.stderr.write(f"pointsman: {failed}\n")
        return FAILED
    except OSError as error:
        sys.stderr.write(f"pointsman: the account cannot be saved: {error.strerror}\n")
        return FAILED
    except KeyboardInterrupt:
        sys.stderr.write("pointsman: the login was given up\n")
        return _INTERRUPTED
    print(f"Authentication saved to {path}")
    return OK


async def _login(options: CopilotOptions, proxy: str, folder: Path, browser: bool) -> Path:
    transport = Transport()
    async with trio.open_nursery() as nursery:
        try:
            await nursery.start(transport.run)
            code = await device.start(transport, options, proxy)
            _show(code)
            if browser and sys.stdout.isatty():
                nursery.start_soon(_open, code.verification_uri_complete or code.verification_uri)
            token = await device.wait(transport, code, options, proxy, _note)
            login = await device.finish(transport, token, options, proxy)
        except LoginFailed as failed:
            failure: LoginFailed | None = failed
        else:
            failure = None
        nursery.cancel_scope.cancel()
    await transport.aclose()
    if failure is not None:
        # Outside of the nursery, which would wrap it into a group.
        raise failure
    content = {
        "github_token": login.github_token.reveal(),
        "account_type": options.account_type,
        "email": login.email,
        "username": login.username,
        "type": "copilot",
    }
    name = device.file_name(options.account_type, login.username)
    return await trio.to_thread.run_sync(files.create, folder, name, content)


def _show(code: Code) -> None:
    """Code and address; on a terminal also as a picture to scan."""
    address = code.verification_uri
    if sys.stdout.isatty():
        picture = qr(code.verification_uri_complete or address)
        print(f"\n{picture}\n  Open  {address}\n  Code  \033[1m{code.user_code}\033[0m\n")
    else:
        print(f"url: {address}\ncode: {code.user_code}")
    print(_RISK)
    minutes = int(code.expires_in // 60)
    print(f"Waiting for the login; the code holds for {minutes} minutes.", flush=True)


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


def _note(text: str) -> None:
    print(text, flush=True)


async def _open(url: str) -> None:
    """The person's browser; the address stands on the screen if there is none."""
    import webbrowser

    if url.startswith("https://") and (os.name == "nt" or _has_screen()):
        await trio.to_thread.run_sync(webbrowser.open, url, abandon_on_cancel=True)


def _has_screen() -> bool:
    """Whether a window can open: a text browser would take over the terminal."""
    return sys.platform == "darwin" or any(
        os.environ.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY")
    )
