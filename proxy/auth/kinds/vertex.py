"""Vertex AI by service account: a key that signs for tokens of an hour. Sheet: vertex; RFC 7523."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final

import trio

from proxy.auth import grants, rsa
from proxy.auth.kind import LoginRefused, OneWire, Token, keeps_secrets
from proxy.secret import Secret

if TYPE_CHECKING:
    from proxy.auth.files import AccountFile
    from proxy.config.model import AccountOptions
    from proxy.net.api import Transport

_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_TOKEN_URL: Final = "https://oauth2.googleapis.com/token"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_HOUR: Final = 3600
_LOCATION: Final = "us-central1"
_PLACE: Final = re.compile(r"[a-z0-9-]+")
_PROJECT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]*")
"""They stand in the address."""
_CLOCK: Final = "short-lived"
"""How Google says that this machine's clock, not the key, is wrong."""


class Vertex(OneWire):
    """See the module. Tokens are kept in memory: a new one costs one request an hour."""

    name = "vertex"
    provider = "vertex"
    wire = "gemini"
    owner = "google"
    family = "gemini"
    login_key = "service_account"

    def login(self, file: AccountFile) -> str:
        """See Kind."""
        return _text(file, "private_key")

    def stored(self, file: AccountFile) -> Token | None:  # noqa: ARG002  # a token there is none of ours
        """See Kind."""
        return None

    def saved(self, token: Token, now: float) -> dict[str, object]:  # noqa: ARG002  # see the class
        """See Kind."""
        return {}

    def plan(self, file: AccountFile, options: AccountOptions) -> str:  # noqa: ARG002  # the file says it
        """The project that pays."""
        return _project(file)

    def address(self, file: AccountFile, token: Token | None) -> str:  # noqa: ARG002  # the file names it
        """See OneWire."""
        return _address(file)

    async def exchange(
        self, transport: Transport, login: Secret, file: AccountFile, options: AccountOptions
    ) -> Token:
        """See Kind."""
        url = _text(file, "token_uri") or _TOKEN_URL
        if not keeps_secrets(url):
            raise LoginRefused("the file's 'token_uri' is no https address", lasting=False)
        try:
            assertion = await trio.to_thread.run_sync(_assertion, login, file, url)
        except rsa.BadKey as bad:
            raise LoginRefused(f"the private key of the file: {bad}", lasting=True) from None
        form = {"grant_type": _GRANT, "assertion": assertion}
        try:
            grant = await grants.ask(transport, url, form, Secret(assertion), options.proxy)
        except LoginRefused as refused:
            raise LoginRefused(
                refused.why, lasting=refused.lasting and _CLOCK not in refused.why
            ) from None
        return Token(
            value=Secret(grants.sendable(grant.access_token)), expires=0.0, lasts=grant.lasts
        )


def _assertion(login: Secret, file: AccountFile, url: str) -> str:
    now = int(time.time())
    claims: dict[str, object] = {
        "iss": _text(file, "client_email") or file.text("email"),
        "scope": _SCOPE,
        "aud": url,
        "iat": now,
        "exp": now + _HOUR,
    }
    return rsa.token(rsa.read(login.reveal()), _text(file, "private_key_id"), claims)


def _text(file: AccountFile, key: str) -> str:
    """A text of the key that Google made for the service account."""
    value = file.table("service_account").get(key)
    return value.strip() if isinstance(value, str) else ""


def _project(file: AccountFile) -> str:
    return file.text("project_id") or file.text("project") or _text(file, "project_id")


def _address(file: AccountFile) -> str:
    """Where the project's models are in its location; that may be `global`."""
    location, project = file.text("location"), _project(file)
    if not _PLACE.fullmatch(location):
        location = _LOCATION
    if not _PROJECT.fullmatch(project):
        project = "-"
    host = "aiplatform" if location == "global" else f"{location}-aiplatform"
    base = file.text("base_url").rstrip("/") or f"https://{host}.googleapis.com"
    return f"{base}/v1/projects/{project}/locations/{location}"


KIND: Final = Vertex()
