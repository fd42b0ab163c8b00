"""A token endpoint for tests: rotates logins as the services do, and refuses one that was used before."""

from __future__ import annotations

from copy import copy
from urllib.parse import parse_qsl

import msgspec
import trio

from tests.unit.auth.mock_github import Reply


class TokenEndpoint:
    """`api.Transport` with one address. `script`: answers in turn before it goes by its own rules."""

    def __init__(self, url, login, *script, json=False, more=None, seconds=0.1, lasts=28800):
        self.url = url
        self.valid = login
        self.script = list(script)
        self.json = json
        self.more = more or {}
        self.seconds = seconds
        self.lasts = lasts
        self.asked = []
        self.spent = []

    async def send(self, call):
        assert call.method == b"POST"
        assert call.url == self.url
        headers = {name.decode().lower(): value.decode() for name, value in call.headers}
        assert headers["accept"] == "application/json"
        if self.json:
            assert headers["content-type"] == "application/json"
            fields = msgspec.json.decode(call.body)
        else:
            assert headers["content-type"] == "application/x-www-form-urlencoded"
            fields = dict(parse_qsl(call.body.decode(), strict_parsing=True))
        self.asked.append((fields, call.proxy))
        await trio.sleep(self.seconds)
        if self.script:
            answer = self.script.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return copy(answer) if isinstance(answer, Reply) else Reply(200, answer)
        return self._rule(fields)

    def _rule(self, fields):
        if fields["grant_type"] == "refresh_token":
            assert fields["refresh_token"] not in self.spent, "a login was used twice"
            if fields["refresh_token"] != self.valid:
                return Reply(400, {"error": "invalid_grant"})
            self.spent.append(self.valid)
        number = len(self.spent)
        self.valid = f"login-{number}"
        return Reply(
            200,
            {
                "token_type": "Bearer",
                "access_token": f"access-{number}",
                "refresh_token": self.valid,
                "expires_in": self.lasts,
                **self.more,
            },
        )
