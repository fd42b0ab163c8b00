"""Google's side of a login: the code's token, whose account it is, and the project that pays for requests.

Sheets: gemini-cli (login), antigravity (login); the answers of Code Assist as its open client reads them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec
import trio
from msgspec import Struct

from proxy.auth import grants
from proxy.auth.kind import LoginRefused, Unreachable
from proxy.auth.login import LoginFailed
from proxy.net.api import Headers, UpstreamBroken
from proxy.net.fetch import Answer, fetch
from proxy.secret import Secret
from proxy.upstream import google_facts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.auth.browser import Ticket
    from proxy.auth.grants import Grant
    from proxy.net.api import Transport

_T = TypeVar("_T")
SCOPES: Final = "https://www.googleapis.com/auth/"
_USER: Final = "https://www.googleapis.com/oauth2/v1/userinfo?alt=json"
_PROJECTS: Final = "https://cloudresourcemanager.googleapis.com/v1/projects"
_SERVICES: Final = "https://serviceusage.googleapis.com/v1/projects"
_API: Final = "cloudaicompanion.googleapis.com"
_METADATA: Final = {
    "ideType": "IDE_UNSPECIFIED",
    "platform": "PLATFORM_UNSPECIFIED",
    "pluginType": "GEMINI",
}
_LEGACY: Final = "legacy-tier"
_PAUSE: Final = 5.0
_POLLS: Final = 36
"""Most times that Google is asked whether an account is set up: three minutes."""
_PAGES: Final = 20
_LONGEST: Final = 300
_FREE: Final = "free-tier"


class _User(Struct):
    email: str = ""


class _Id(Struct):
    id: str = ""


class _Tier(Struct, rename="camel"):
    id: str = ""
    is_default: bool = False


class _Ineligible(Struct, rename="camel"):
    reason_message: str = ""
    validation_url: str = ""


class _Loaded(Struct, rename="camel"):
    cloudaicompanion_project: str | _Id | None = None
    current_tier: _Tier | None = None
    allowed_tiers: list[_Tier] | None = None
    ineligible_tiers: list[_Ineligible] | None = None


class _Answered(Struct, rename="camel"):
    cloudaicompanion_project: str | _Id | None = None


class _Onboarded(Struct):
    done: bool = False
    response: _Answered | None = None


class Project(Struct, rename="camel"):
    """One of an account's cloud projects."""

    project_id: str
    name: str = ""
    lifecycle_state: str = "ACTIVE"


class _Projects(Struct, rename="camel"):
    projects: list[Project] = []
    next_page_token: str = ""


class _Service(Struct):
    state: str = ""


class _Words(Struct):
    message: str = ""


class _Error(Struct):
    error: _Words


def page_of(service: str, redirect: str, ticket: Ticket) -> str:
    """Google's page for one of its clients."""
    known = google_facts.of(service)
    query = {
        "client_id": known.client_id,
        "redirect_uri": redirect,
        "response_type": "code",
        "scope": " ".join(SCOPES + scope for scope in known.scopes),
        "access_type": "offline",
        "prompt": "consent",
        "state": ticket.state,
        "code_challenge": ticket.challenge,
        "code_challenge_method": "S256",
    }
    return f"{known.auth_url}?{urlencode(query)}"


class Google:
    """One login's way through Google's services. `service`: its table in `google_facts`."""

    def __init__(self, transport: Transport, service: str, proxy: str) -> None:
        self._transport = transport
        self._known = google_facts.of(service)
        self._proxy = proxy
        self._token = Secret("")

    async def redeem(self, code: str, ticket: Ticket, redirect: str) -> Grant:
        """The code becomes a token, which further requests are sent with. Raises LoginFailed."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "client_id": self._known.client_id,
            "client_secret": self._known.client_secret,
            "redirect_uri": redirect,
            "code_verifier": ticket.verifier,
        }
        try:
            grant = await grants.ask(
                self._transport, self._known.token_url, form, Secret(code), self._proxy
            )
        except (LoginRefused, Unreachable) as failure:
            raise LoginFailed(f"Google gave no token: {failure.why}") from None
        if not grant.refresh_token:
            raise LoginFailed(
                "Google gave no lasting login; start it again and agree to all it asks"
            )
        self._token = Secret(grants.sendable(grant.access_token))
        return grant

    async def email(self) -> str:
        """Whose account it is. Raises LoginFailed."""
        answer = await self._ask(b"GET", _USER)
        found = _read(answer, _User, "whose account it is")
        if not found.email:
            raise LoginFailed("Google did not say whose account it is")
        return found.email

    async def project(self, wanted: str = "") -> str:
        """The project that Code Assist uses for the account; sets it up there. "" where it wants to be
        told one. Raises LoginFailed."""
        body: dict[str, object] = {"metadata": _METADATA}
        if wanted:
            body["cloudaicompanionProject"] = wanted
        loaded = _read(await self._assist("loadCodeAssist", body), _Loaded, "about Code Assist")
        named = _id(loaded.cloudaicompanion_project)
        if loaded.current_tier is not None and (wanted or named):
            return wanted or named
        for reason in loaded.ineligible_tiers or ():
            if loaded.current_tier is None and reason.validation_url:
                where = f"{_plain(reason.reason_message)} See {_plain(reason.validation_url)}"
                raise LoginFailed(f"Google wants the account to be validated first: {where}")
        tiers = loaded.allowed_tiers or []
        tier = next((tier.id for tier in tiers if tier.is_default), _LEGACY)
        body["tierId"] = tier
        if tier == _FREE:
            # Google chooses the project of this tier, and refuses to be told one.
            body.pop("cloudaicompanionProject", None)
        elif not (wanted or named):
            return ""
        elif named and not wanted:
            body["cloudaicompanionProject"] = named
        return await self._onboard(body, wanted)

    async def known_project(self) -> str:
        """The project that stands there already; "" where there is none."""
        try:
            answer = await self._assist("loadCodeAssist", {"metadata": _METADATA})
            return _id(_read(answer, _Loaded, "").cloudaicompanion_project)
        except LoginFailed:
            return ""

    async def projects(self) -> list[Project]:
        """The account's own projects that are in use. Raises LoginFailed."""
        found: list[Project] = []
        page = ""
        for _ in range(_PAGES):
            query = f"?{urlencode({'pageToken': page})}" if page else ""
            answer = await self._ask(b"GET", _PROJECTS + query)
            told = _read(answer, _Projects, "the projects of the account")
            found += [
                Project(_plain(p.project_id), _plain(p.name))
                for p in told.projects
                if p.lifecycle_state == "ACTIVE" and p.project_id
            ]
            page = told.next_page_token
            if not page:
                break
        return found

    async def enable(self, project: str) -> None:
        """Switches Code Assist's API on for a project of the account's. Raises LoginFailed."""
        url = f"{_SERVICES}/{quote(project, safe='')}/services/{_API}"
        answer = await self._ask(b"GET", url)
        if answer.status == 200 and _read(answer, _Service, "").state == "ENABLED":
            return
        answer = await self._ask(b"POST", f"{url}:enable", {})
        if answer.status != 200 and "already enabled" not in _words(answer).lower():
            raise LoginFailed(
                f"{_API} could not be switched on for the project {project}: {_said(answer)}"
            )

    async def _onboard(self, body: dict[str, object], wanted: str) -> str:
        for _ in range(_POLLS):
            answer = await self._assist("onboardUser", body)
            told = _read(answer, _Onboarded, "about the account's setting up")
            if told.done:
                named = _id(told.response.cloudaicompanion_project) if told.response else ""
                return wanted or named
            await trio.sleep(_PAUSE)
        raise LoginFailed("Google did not finish setting the account up; start the login again")

    async def _assist(self, method: str, body: Mapping[str, object]) -> Answer:
        base = google_facts.of("gemini-cli").base_urls[0]
        return await self._ask(b"POST", f"{base}/v1internal:{method}", body)

    async def _ask(
        self, method: bytes, url: str, body: Mapping[str, object] | None = None
    ) -> Answer:
        own = self._known.login_headers or self._known.headers
        headers: Headers = [(name.encode(), value.encode()) for name, value in own.items()]
        headers.append((b"Authorization", b"Bearer " + self._token.reveal().encode()))
        data = b""
        if body is not None:
            headers.append((b"Content-Type", b"application/json"))
            data = msgspec.json.encode(body)
        try:
            return await fetch(self._transport, method, url, headers, data, proxy=self._proxy)
        except UpstreamBroken as broken:
            raise LoginFailed(f"Google could not be reached: {broken.reason}") from None


def _id(value: str | _Id | None) -> str:
    found = value.id if isinstance(value, _Id) else value or ""
    return found.strip()


def _read(answer: Answer, kind: type[_T], what: str) -> _T:
    if answer.status != 200:
        raise LoginFailed(f"Google did not tell {what}: {_said(answer)}")
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise LoginFailed(f"Google's answer cannot be read: {what}") from None


def _words(answer: Answer) -> str:
    try:
        return msgspec.json.decode(answer.body, type=_Error).error.message
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _said(answer: Answer) -> str:
    words = _plain(_words(answer))
    return f"status {answer.status}" + (f" ({words})" if words else "")


def _plain(text: str) -> str:
    """For a terminal."""
    return "".join(c for c in text if c.isprintable())[:_LONGEST]
