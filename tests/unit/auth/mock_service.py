"""A token service for tests: answers each path in turn (the last one for ever), keeps what was asked."""

from __future__ import annotations

from contextlib import asynccontextmanager
from urllib.parse import parse_qsl, urlsplit

import msgspec
import trio

from proxy.auth.book import AccountBook
from proxy.config.model import AccountOptions
from proxy.net.api import UpstreamBroken
from proxy.telemetry.log import Log
from tests.unit.auth.mock_github import Reply, WallClock


class Asked:
    """One call as the service saw it."""

    def __init__(self, call):
        self.method = call.method.decode()
        self.proxy = call.proxy
        parts = urlsplit(call.url)
        self.url = f"{parts.scheme}://{parts.netloc}{parts.path}"
        self.query = dict(parse_qsl(parts.query))
        self.headers = {name.decode().lower(): value.decode() for name, value in call.headers}
        self.body = call.body
        self.at = trio.current_time()

    @property
    def form(self):
        assert self.headers["content-type"] == "application/x-www-form-urlencoded"
        return dict(parse_qsl(self.body.decode(), strict_parsing=True))

    @property
    def json(self):
        assert self.headers["content-type"] == "application/json"
        return msgspec.json.decode(self.body)


class Service:
    """`api.Transport`. `answers`: URL -> answers in turn: a Reply, an exception or a JSON value."""

    def __init__(self, seconds=0.1):
        self.seconds = seconds
        self.answers = {}
        self.asked = []

    def on(self, url, *answers):
        self.answers[url] = list(answers)
        return self

    async def send(self, call):
        asked = Asked(call)
        self.asked.append(asked)
        await trio.sleep(self.seconds)
        turns = self.answers.get(asked.url)
        if turns is None:
            raise UpstreamBroken("connect", f"unexpected {asked.url}")
        told = turns[0] if len(turns) < 2 else turns.pop(0)
        if callable(told):
            told = told(asked)
        if isinstance(told, Exception):
            raise told
        return told if isinstance(told, Reply) else Reply(200, told)

    def calls(self, url):
        return [asked for asked in self.asked if asked.url == url]


@asynccontextmanager
async def running(folder, service, options=None, log=None):
    """An account book that is being run."""
    book = AccountBook(
        folder,
        transport=service,
        clock=WallClock(),
        log=log or Log(descriptor=-1),
        options=options or AccountOptions(),
    )
    book.load()
    async with trio.open_nursery() as nursery:
        await nursery.start(book.run)
        yield book
        nursery.cancel_scope.cancel()
