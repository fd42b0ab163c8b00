"""Kiro accounts: logins of Google or GitHub (social), AWS Builder IDs, AWS organizations (idc).

Source: kiro sheet, sections 2 and 4. Files that Kiro's own editor wrote are read too.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from proxy.auth import grants
from proxy.auth.files import rfc3339
from proxy.auth.kind import LAST, LoginRefused, OneWire, Token, Unreachable, end_of
from proxy.jsonio import encode
from proxy.net.api import Headers, UpstreamBroken
from proxy.net.fetch import Answer, fetch
from proxy.secret import Secret
from proxy.upstream.kiro_facts import Endpoint, facts

if TYPE_CHECKING:
    from proxy.auth.account import Account
    from proxy.auth.files import AccountFile
    from proxy.config import declared
    from proxy.config.model import AccountOptions, Credential, WireName
    from proxy.errors import ProxyError
    from proxy.net.api import Transport

_OVER: Final = grants.OVER | {"expired_token", "InvalidGrantException"}
_JSON: Final[Headers] = [(b"Content-Type", b"application/json")]
_AWS: Final = ("builder-id", "idc")
_ENDPOINTS: Final = {
    **dict.fromkeys(("codewhisperer", "ide"), "codewhisperer"),
    **dict.fromkeys(("amazonq", "q", "cli"), "amazonq"),
}
"""What `preferred_endpoint` may say."""
_UNSAID: Final = 3600.0


class _Answer(Struct, rename="camel"):
    access_token: str | None = None
    refresh_token: str | None = None
    profile_arn: str | None = None
    expires_in: float | None = None
    error: str | None = None


_answer = msgspec.json.Decoder(_Answer, strict=False)


class Kiro(OneWire):
    """See the module."""

    name = "kiro"
    provider = "kiro"
    wire = "kiro"

    def login(self, file: AccountFile) -> str:
        """See Kind."""
        return _text(file, "refresh_token", "refreshToken")

    def stored(self, file: AccountFile) -> Token | None:
        """See Kind."""
        value = grants.sendable(_text(file, "access_token", "accessToken"))
        if not value:
            return None
        return Token(Secret(value), end_of(file, "expires_at", "expiresAt"))

    def saved(self, token: Token, now: float) -> dict[str, object]:
        """See Kind."""
        found: dict[str, object] = {
            "access_token": token.value.reveal(),
            "expires_at": rfc3339(token.expires),
            "last_refresh": rfc3339(now),
            **token.keys,
        }
        if token.login:
            found["refresh_token"] = token.login.reveal()
        return found

    def plan(self, file: AccountFile, options: AccountOptions) -> str:  # noqa: ARG002  # the file alone says it
        """See Kind."""
        return _method(file)

    def address(self, file: AccountFile, token: Token | None) -> str:  # noqa: ARG002  # the token names none
        """See OneWire."""
        return _endpoints(file)[0].url

    def credential(
        self, file: AccountFile, token: Token | None, options: AccountOptions, wire: WireName
    ) -> Credential:
        """See Kind. Only social logins name their profile to the service."""
        found = super().credential(file, token, options, wire)
        method = _method(file)
        own = not options.service("kiro").base_url
        headers = found.headers
        if method == "idc":
            digest = hashlib.sha256(f"{file.label} {file.name}".encode()).hexdigest()
            known = {n: v.format(digest) for n, v in facts().idc_headers.items()}
            said = {name.lower() for name, _ in headers}
            kept = [(name, value) for name, value in known.items() if name.lower() not in said]
            headers = (*kept, *headers)
        return replace(
            found,
            headers=headers,
            project="" if method in _AWS else _text(file, "profile_arn", "profileArn"),
            mirrors=tuple(one.url for one in _endpoints(file)[1:]) if own else (),
        )

    def declared(
        self, account: Account, learned: dict[str, WireName], now: int
    ) -> list[declared.Account]:
        """See Kind."""
        return [replace(entry, owner="aws") for entry in super().declared(account, learned, now)]

    def is_stale(self, error: ProxyError) -> bool:
        """See Kind. AWS says so with a 403, as it says that an account was suspended."""
        said = error.body[:4096].lower()
        return b"suspended" not in said and (b"token" in said or b"expired" in said)

    async def exchange(
        self, transport: Transport, login: Secret, file: AccountFile, options: AccountOptions
    ) -> Token:
        """See Kind."""
        known = facts()
        id, secret = (
            _text(file, "client_id", "clientId"),
            _text(file, "client_secret", "clientSecret"),
        )
        if _method(file) in _AWS and id and secret:
            region = file.text("region") if _method(file) == "idc" else ""
            if region and not (region.isascii() and region.replace("-", "").isalnum()):
                raise LoginRefused("the file's 'region' is none", lasting=False)
            url = known.oidc_url.format(region or known.region)
            headers = [*_JSON, *((n.encode(), v.encode()) for n, v in known.oidc_headers.items())]
            body = {
                "clientId": id,
                "clientSecret": secret,
                "refreshToken": login.reveal(),
                "grantType": "refresh_token",
            }
        else:
            url, headers, body = known.social_url, _JSON, {"refreshToken": login.reveal()}
        try:
            answer = await fetch(
                transport, b"POST", url, list(headers), encode(body), proxy=options.proxy
            )
        except UpstreamBroken as broken:
            raise Unreachable(f"no token came: {broken.reason}") from None
        return _token(answer)


def _token(answer: Answer) -> Token:
    try:
        found = _answer.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        found = _Answer()
    if answer.status in (400, 401, 403):
        error = found.error or ""
        said = f" ({error})" if error.isidentifier() else ""
        why = f"the service does not accept the login: status {answer.status}{said}"
        raise LoginRefused(why, lasting=error in _OVER)
    value = grants.sendable(found.access_token)
    if answer.status != 200 or not value:
        why = f"status {answer.status}" if answer.status != 200 else "the answer is none"
        raise Unreachable(f"no token came: {why}", grants.retry_after(answer))
    lasts = found.expires_in or 0.0
    return Token(
        Secret(value),
        0.0,
        lasts=lasts if 0.0 < lasts < LAST else _UNSAID,
        login=Secret(found.refresh_token or ""),
        keys={"profile_arn": found.profile_arn} if found.profile_arn else {},
    )


def _text(file: AccountFile, *keys: str) -> str:
    return next(filter(None, (file.text(key) for key in keys)), "")


def _method(file: AccountFile) -> str:
    return _text(file, "auth_method", "authMethod").lower() or "social"


def _endpoints(file: AccountFile) -> list[Endpoint]:
    """The wished one first; organizations are served in the given order only."""
    wished = _ENDPOINTS.get(file.text("preferred_endpoint").lower(), "")
    known = list(facts().endpoints)
    return known if _method(file) == "idc" else sorted(known, key=lambda one: one.name != wished)


KIND: Final = Kiro()
