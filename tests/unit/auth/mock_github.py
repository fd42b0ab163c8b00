"""A GitHub of one account for tests: counts what is asked, answers what it is told to."""

from __future__ import annotations

import msgspec
import trio

from proxy.net.api import UpstreamBroken

LIST = {
    "data": [
        {
            "id": "gpt-4.1",
            "name": "GPT-4.1",
            "vendor": "Azure OpenAI",
            "model_picker_enabled": True,
            "capabilities": {
                "limits": {"max_context_window_tokens": 128000, "max_output_tokens": 16384}
            },
        },
        {
            "id": "gpt-5.1-codex",
            "name": "Codex",
            "model_picker_enabled": True,
            "supported_endpoints": ["/responses"],
        },
        {
            "id": "claude-x",
            "name": "Claude X",
            "model_picker_enabled": True,
            "supported_endpoints": ["/v1/messages", "ws:/responses"],
        },
        {"id": "hidden", "name": "Hidden", "model_picker_enabled": False},
        {"name": "no id"},
    ]
}


class Reply:
    def __init__(self, status, value, headers=()):
        self.status = status
        self.headers = list(headers)
        self.body = value if isinstance(value, bytes) else msgspec.json.encode(value)

    async def receive(self, patience=0.0):
        await trio.lowlevel.checkpoint()
        body, self.body = self.body, b""
        return body

    async def read(self, limit, deadline=0.0):
        return await self.receive()

    async def aclose(self):
        pass


class GitHub:
    """`api.Transport`. `tokens`: answers to exchanges in turn, the last one for ever."""

    def __init__(self, clock, *tokens, seconds=0.1, models=LIST):
        self.clock = clock
        self.tokens = list(tokens)
        self.seconds = seconds
        self.models = models
        self.exchanges = 0
        self.calls = []

    async def send(self, call):
        self.calls.append(call)
        await trio.sleep(self.seconds)
        if call.url.endswith("/copilot_internal/v2/token"):
            self.exchanges += 1
            told = self.tokens[0] if len(self.tokens) < 2 else self.tokens.pop(0)
            if told is None:
                told = self.token()
            if isinstance(told, Exception):
                raise told
            return told if isinstance(told, Reply) else Reply(200, told)
        if call.url.endswith("/models"):
            return self.models if isinstance(self.models, Reply) else Reply(200, self.models)
        raise UpstreamBroken("connect", f"unexpected {call.url}")

    def token(self, **more):
        now = self.clock.now()
        return {
            "token": f"tid={self.exchanges}",
            "expires_at": int(now) + 1800,
            "refresh_in": 1500,
            **more,
        }


class WallClock:
    """Wall time that goes as trio's (mock) clock goes."""

    def now(self):
        return 1_750_000_000.0 + trio.current_time()

    def unique(self):
        return "0123456789abcdef01234567"
