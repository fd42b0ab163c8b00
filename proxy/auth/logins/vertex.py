"""A service account of Vertex AI: its key file becomes an account file. Sheet: vertex, import."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from proxy.auth import files, rsa
from proxy.auth.login import LoginFailed, NewAccount, in_name
from proxy.jsonio import decode

if TYPE_CHECKING:
    from proxy.auth.login import Terminal, Wish
    from proxy.net.api import Transport

_LOCATION: Final = "us-central1"
_PLACE: Final = re.compile(r"[a-z0-9-]+")


class VertexLogin:
    """See Login. Nobody is asked: the key is the login."""

    note = ""

    def __init__(self, wish: Wish) -> None:
        if not wish.key_file:
            raise LoginFailed("name the key file of the service account: --key FILE")
        self._path = Path(wish.key_file)
        self._location = wish.location.strip() or _LOCATION
        if not _PLACE.fullmatch(self._location):
            raise LoginFailed(
                f"the location {self._location!r} is none of Google's, as us-central1 is"
            )

    async def run(self, transport: Transport, terminal: Terminal) -> NewAccount:  # noqa: ARG002  # nobody is asked
        """See Login."""
        try:
            data = await trio.to_thread.run_sync(_content, self._path)
        except OSError as error:
            raise LoginFailed(f"{self._path} cannot be read: {error.strerror}") from None
        return _account(str(self._path), data, self._location)


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(files.SIZE)


def _account(path: str, data: bytes, location: str) -> NewAccount:
    try:
        key = decode(data.decode())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise LoginFailed(f"{path} is no JSON") from None
    if not isinstance(key, dict) or key.get("type") != "service_account":
        raise LoginFailed(f"{path} is no key of a service account")
    texts = {name: key.get(name) for name in ("project_id", "client_email", "private_key")}
    for name, value in texts.items():
        if not isinstance(value, str) or not value.strip():
            raise LoginFailed(f"{path} has no {name!r}")
    try:
        rsa.read(str(texts["private_key"]))
    except rsa.BadKey as bad:
        raise LoginFailed(f"the private key of {path}: {bad}") from None
    project = str(texts["project_id"]).strip()
    return NewAccount(
        name=f"vertex-{in_name(project)}.json",
        content={
            "type": "vertex",
            "project_id": project,
            "email": str(texts["client_email"]).strip(),
            "location": location,
            "service_account": key,
        },
    )


login: Final = VertexLogin
