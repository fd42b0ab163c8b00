"""iFlow accounts: an API key that an OAuth login or a browser's cookie yields. Sheet: iflow, 1 to 4.

Requests carry the key. It is asked anew with the refresh token, or with the cookie.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit

import msgspec
import trio
from msgspec import Struct

from proxy.auth import grants
from proxy.auth.files import rfc3339, seconds_of
from proxy.auth.kind import LAST, LoginRefused, OneWire, Token, Unreachable, end_of, is_address
from proxy.jsonio import encode
from proxy.net.api import Headers, UpstreamBroken
from proxy.net.fetch import Answer, fetch
from proxy.secret import Secret
from proxy.upstream import facts

if TYPE_CHECKING:
    from proxy.auth.files import AccountFile
    from proxy.config.model import AccountOptions
    from proxy.net.api import Transport

_ACCEPT: Final[Headers] = [(b"Accept", b"application/json")]
_LONGEST_WORDS: Final = 200
_KEY_SECONDS: Final = 10.0
_KEYLESS: Final = 300.0
"""Seconds after which a login is renewed whose key did not come."""


class User(Struct):
    """Who logged in. `key`: what requests carry."""

    key: str
    name: str
    """Mail address or telephone number."""


class SiteKey(Struct):
    """A key of the web site. `name`: by which it is asked anew; `ends`: as the site writes it."""

    key: str
    name: str
    ends: str


class _UserData(Struct, rename="camel"):
    api_key: str | None = None
    email: str | None = None
    phone: str | None = None


class _UserAnswer(Struct):
    success: bool = False
    data: _UserData | None = None


class _KeyData(Struct, rename="camel"):
    api_key: str | None = None
    name: str | None = None
    expire_time: str | None = None


class _KeyAnswer(Struct):
    success: bool = False
    code: str | None = None
    message: str | None = None
    data: _KeyData | None = None


_user = msgspec.json.Decoder(_UserAnswer)
_key = msgspec.json.Decoder(_KeyAnswer, strict=False)


class IFlow(OneWire):
    """See the module."""

    name = "iflow"
    provider = "iflow"
    wire = "chat"
    lead = 24 * 3600.0

    def login(self, file: AccountFile) -> str:
        """See Kind. The cookie, or the refresh token."""
        return file.text("cookie") or file.text("refresh_token")

    def stored(self, file: AccountFile) -> Token | None:
        """See Kind. A key that cannot be asked anew is used as long as the service takes it."""
        value = grants.sendable(file.text("api_key"))
        if not value:
            return None
        return Token(Secret(value), end_of(file, "expired") if self.login(file) else LAST)

    def saved(self, token: Token, now: float) -> dict[str, object]:
        """See Kind. `token.keys` hold what the login itself gave."""
        found: dict[str, object] = {
            "api_key": token.value.reveal(),
            "expired": rfc3339(token.expires),
            "last_refresh": rfc3339(now),
            **token.keys,
        }
        if token.login:
            found["refresh_token"] = token.login.reveal()
        return found

    def address(self, file: AccountFile, token: Token | None) -> str:  # noqa: ARG002  # the token names none
        """See OneWire."""
        own = file.text("base_url")
        return own if is_address(own) else facts.of("iflow").base_url

    async def exchange(
        self, transport: Transport, login: Secret, file: AccountFile, options: AccountOptions
    ) -> Token:
        """See Kind."""
        if file.text("cookie"):
            name = file.text("email")
            if not name:
                raise LoginRefused("the file has no 'email', the name of its key", lasting=False)
            found = await site_key(transport, login, name, options.proxy)
            if not found.key:
                raise Unreachable("the key did not come: the answer holds none")
            ends = seconds_of(found.ends)
            told = {"expired": found.ends} if ends else {}
            return Token(Secret(found.key), ends or LAST, keys=told)
        form, headers = client(options)
        url = facts.of("iflow").login["token-url"]
        grant = await grants.renew(transport, url, form, login, options.proxy, headers=headers)
        access = Secret(grant.access_token or "")
        key, lasts = grants.sendable(file.text("api_key")), _KEYLESS
        # The old login is spent: the new one must be kept, also where the server ends just now or the
        # key does not come. The old key goes on meanwhile.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _KEY_SECONDS):
            try:
                key, lasts = (await user(transport, access, options.proxy)).key, grant.lasts
            except Unreachable:
                if not key or not grant.refresh_token:
                    raise
        return Token(
            Secret(key),
            0.0,
            lasts=lasts,
            login=Secret(grant.refresh_token or ""),
            keys={"access_token": access.reveal()},
        )


def client(options: AccountOptions) -> tuple[dict[str, str], Headers]:
    """How the login's client names itself, in a form and in a header: iFlow wants both."""
    known = facts.of("iflow").login
    id = known["client-id"]
    secret = options.service("iflow").client_secret.reveal() or known["client-secret"]
    basic = b64encode(f"{id}:{secret}".encode())
    return {"client_id": id, "client_secret": secret}, [(b"Authorization", b"Basic " + basic)]


async def user(transport: Transport, access: Secret, proxy: str) -> User:
    """Whose login it is, and its key. Raises LoginRefused, Unreachable."""
    query = urlencode({"accessToken": access.reveal()})
    url = f"{facts.of('iflow').login['user-url']}?{query}"
    try:
        answer = await fetch(transport, b"GET", url, list(_ACCEPT), proxy=proxy)
    except UpstreamBroken as broken:
        # The reason may hold the address, and with it the token.
        raise Unreachable(f"the key did not come: {broken.kind}") from None
    if answer.status != 200:
        raise Unreachable(
            f"the key did not come: status {answer.status}", grants.retry_after(answer)
        )
    try:
        found = _user.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        found = _UserAnswer()
    data = found.data or _UserData()
    key = grants.sendable(data.api_key)
    if not found.success or not key:
        raise Unreachable("the key did not come: the answer holds none")
    return User(key, (data.email or "").strip() or (data.phone or "").strip())


async def site_key(transport: Transport, cookie: Secret, name: str, proxy: str) -> SiteKey:
    """A fresh key of the web site by its name; without a name, which one there is.

    Raises LoginRefused, Unreachable.
    """
    known = facts.of("iflow")
    url = known.login["key-url"]
    if not cookie.reveal().isascii() or not cookie.reveal().isprintable():
        raise LoginRefused("the cookie cannot be sent", lasting=True)
    headers: Headers = [(n.encode(), v.encode()) for n, v in known.site_headers.items()]
    headers.append((b"Cookie", cookie.reveal().encode()))
    if name:
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(url)).encode()
        headers += [
            (b"Content-Type", b"application/json"),
            (b"Origin", origin),
            (b"Referer", origin + b"/"),
        ]
    else:
        headers += [
            (b"Sec-Fetch-Dest", b"empty"),
            (b"Sec-Fetch-Mode", b"cors"),
            (b"Sec-Fetch-Site", b"same-origin"),
        ]
    body = encode({"name": name}) if name else b""
    method = b"POST" if name else b"GET"
    try:
        answer = await fetch(transport, method, url, headers, body, proxy=proxy)
    except UpstreamBroken as broken:
        raise Unreachable(f"the key did not come: {broken.reason}") from None
    return _site_key(answer, cookie, name)


def _site_key(answer: Answer, cookie: Secret, name: str) -> SiteKey:
    if answer.status in (401, 403):
        raise LoginRefused(f"the cookie is not accepted: status {answer.status}", lasting=False)
    if answer.status != 200:
        raise Unreachable(
            f"the key did not come: status {answer.status}", grants.retry_after(answer)
        )
    try:
        found = _key.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Unreachable("the key did not come: the answer cannot be read") from None
    data = found.data or _KeyData()
    if not found.success:
        said = cookie.hide_in((found.message or "")[:_LONGEST_WORDS])
        shown = f" ({said})" if said and said.isprintable() else ""
        raise LoginRefused(f"the cookie is not accepted{shown}", lasting=False)
    key = grants.sendable(data.api_key)
    if not key and not data.name:
        raise Unreachable("the key did not come: the answer holds none")
    return SiteKey(key, data.name or name, data.expire_time or "")


KIND: Final = IFlow()
