"""A Google of one account for tests: its token endpoint checks what it is asked, and plays what it is told."""

from __future__ import annotations

from copy import copy
from urllib.parse import parse_qsl

import msgspec
import trio

from proxy.net.api import UpstreamBroken
from tests.unit.auth.mock_github import Reply

TOKEN_URL = "https://oauth2.googleapis.com/token"
LIST = {
    "models": {
        "gemini-3-flash": {"displayName": "Gemini 3 Flash"},
        "claude-sonnet-4-5-thinking": {},
        "gemini-2.5-pro": {},
        "new-model": {},
    }
}


class Google:
    """`api.Transport`. `tokens`: answers of the token endpoint in turn, the last one for ever; None = a
    good one. `models`: answers of `fetchAvailableModels` by host."""

    def __init__(self, *tokens, seconds=0.1, models=None):
        self.tokens = list(tokens) or [None]
        self.seconds = seconds
        self.models = models or {}
        self.forms = []
        self.calls = []

    async def send(self, call):
        self.calls.append(call)
        await trio.sleep(self.seconds)
        if call.url == TOKEN_URL:
            return self._token(call)
        if call.url.endswith(":fetchAvailableModels"):
            assert (call.method, call.body) == (b"POST", b"{}")
            told = self.models.get(call.url.split("/")[2], LIST)
            if isinstance(told, Exception):
                raise told
            return copy(told) if isinstance(told, Reply) else Reply(200, told)
        return await self.serve(call)

    async def serve(self, call):
        raise UpstreamBroken("connect", f"unexpected {call.url}")

    def _token(self, call):
        assert call.method == b"POST"
        headers = dict(call.headers)
        assert headers[b"Content-Type"] == b"application/x-www-form-urlencoded"
        self.forms.append(dict(parse_qsl(call.body.decode(), strict_parsing=True)))
        told = self.tokens[0] if len(self.tokens) < 2 else self.tokens.pop(0)
        if isinstance(told, Exception):
            raise told
        if told is None:
            told = {
                "access_token": f"ya29.new-{len(self.forms)}",
                "expires_in": 3599,
                "token_type": "Bearer",
            }
        return copy(told) if isinstance(told, Reply) else Reply(200, told)


def refusal(error, text="", status=400):
    return Reply(status, msgspec.json.encode({"error": error, "error_description": text}))
