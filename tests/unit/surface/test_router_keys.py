"""Client keys at the door: who asks, what the lists show, limits in the client's own protocol."""

from __future__ import annotations

import msgspec
import pytest
import trio
import trio.testing

from proxy.accounts.pool import Pool
from proxy.exchange import Live
from proxy.routing.load import load
from proxy.surface.http import HttpRequest
from proxy.surface.router import App
from proxy.telemetry.log import Log

CONFIG = "host: 127.0.0.1\napi-keys: [shared]\n"
ROUTES = """
[upstreams.z]
wire = "chat"
base-url = "https://z.example"
[models]
gpt-5 = { to = ["z"] }
secret-model = { to = ["z"] }
[keys.ci]
key = "env:CI"
models = ["GPT-*"]
limits = { in-flight = 1, requests = "3/1m" }
[[rules]]
when = { key = "ci", stream = true }
use = "secret-model"
"""
ANSWER = msgspec.json.encode(
    {
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
        ]
    }
)


class Clock:
    def now(self):
        return 0.0

    def unique(self):
        return "0" * 24


class Reply:
    status = 200
    headers = ((b"content-type", b"application/json"),)

    async def read(self, limit, deadline=0.0):
        return ANSWER

    async def aclose(self):
        await trio.lowlevel.checkpoint()


class Transport:
    def __init__(self):
        self.models = []
        self.hold = None

    async def send(self, call):
        self.models.append(msgspec.json.decode(call.body)["model"])
        if self.hold is not None:
            await self.hold.wait()
        return Reply()


class Out:
    def __init__(self):
        self.started = False
        self.extra_headers = []

    async def whole(self, status, headers, body):
        self.started = True
        self.status, self.headers, self.body = status, dict([*self.extra_headers, *headers]), body

    def wait_for(self, headers, keepalive, seconds):
        self.waits = seconds

    def start(self, status, headers):
        self.status = status

    async def send(self, data):
        self.started = True

    async def end(self):
        await trio.lowlevel.checkpoint()


@pytest.fixture
def app(tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "routes.d").mkdir()
    (tmp_path / "routes.d" / "a.toml").write_text(ROUTES)
    loaded = load(None, [], {"HOME": str(tmp_path), "CI": "ci-key"}, str(tmp_path))
    live = Live(
        table=loaded.table,
        pool=Pool(),
        settings=loaded.settings,
        transport=Transport(),
        clock=Clock(),
        log=Log(descriptor=-1),
    )
    return App(live)


async def ask(app, path, key, body=None):
    headers = [(b"authorization", b"Bearer " + key.encode())]
    request = HttpRequest(
        method=b"GET" if body is None else b"POST",
        path=path,
        query=b"",
        headers=headers,
        table=dict(headers),
        body=b"" if body is None else msgspec.json.encode(body),
        peer="127.0.0.1",
    )
    out = Out()
    await app.handle(request, out)
    return out


def chat(model, **more):
    return {"model": model, "messages": [{"role": "user", "content": "hi"}], **more}


async def test_each_key_is_known_and_only_those(app):
    for key, status in (("shared", 200), ("ci-key", 200), ("ci-keys", 401), ("", 401)):
        assert (await ask(app, b"/v1/models", key)).status == status


async def test_lists_show_what_a_key_may_ask_for(app):
    def ids(out):
        return [model["id"] for model in msgspec.json.decode(out.body)["data"]]

    assert ids(await ask(app, b"/v1/models", "shared")) == ["gpt-5", "secret-model"]
    assert ids(await ask(app, b"/v1/models", "ci-key")) == ["gpt-5"]
    names = msgspec.json.decode((await ask(app, b"/v1beta/models", "ci-key")).body)["models"]
    assert [model["name"] for model in names] == ["models/gpt-5"]
    assert (await ask(app, b"/v1/models/secret-model", "ci-key")).status == 404
    assert (await ask(app, b"/v1beta/models/secret-model", "ci-key")).status == 404
    assert (await ask(app, b"/v1/models/secret-model", "shared")).status == 200


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        (b"/v1/chat/completions", chat("secret-model"), ("error", "type")),
        (b"/v1/messages", {**chat("secret-model"), "max_tokens": 5}, ("error", "type")),
        (b"/v1/responses", {"model": "secret-model", "input": "x"}, ("error", "type")),
        (b"/v1beta/models/secret-model:generateContent", {"contents": []}, ("error", "status")),
    ],
)
async def test_another_model_is_refused_in_the_clients_shape(app, path, body, kind):
    out = await ask(app, path, "ci-key", body)
    assert out.status == 403
    told = msgspec.json.decode(out.body)[kind[0]]
    assert told[kind[1]].lower() in ("permission_error", "permission_denied")
    assert "client key 'ci' may not ask for model secret-model" in told["message"]
    assert app.live.transport.models == []


async def test_rules_know_the_key_and_may_lead_beyond_its_models(app):
    assert (await ask(app, b"/v1/chat/completions", "ci-key", chat("gpt-5"))).status == 200
    for key in ("ci-key", "shared"):
        out = await ask(app, b"/v1/chat/completions", key, chat("gpt-5", stream=True))
        assert out.status == 200
    assert app.live.transport.models == ["gpt-5", "secret-model", "gpt-5"]


async def test_requests_of_a_window(app, autojump_clock):
    for _ in range(3):
        assert (await ask(app, b"/v1/chat/completions", "ci-key", chat("gpt-5"))).status == 200
    out = await ask(app, b"/v1/messages", "ci-key", {**chat("gpt-5"), "max_tokens": 5})
    assert (out.status, out.headers[b"retry-after"]) == (429, b"60")
    assert msgspec.json.decode(out.body)["error"]["type"] == "rate_limit_error"
    assert (await ask(app, b"/v1/chat/completions", "shared", chat("gpt-5"))).status == 200
    assert (await ask(app, b"/v1/models", "ci-key")).status == 200
    await trio.sleep(60)
    assert (await ask(app, b"/v1/chat/completions", "ci-key", chat("gpt-5"))).status == 200


def lines(app):
    told, app.live.log._lines = app.live.log._lines, []
    return told


async def test_who_is_refused_at_the_door_can_be_found_in_the_log(app, autojump_clock):
    for _ in range(3):
        await ask(app, b"/v1/chat/completions", "ci-key", chat("gpt-5"))
    lines(app)
    out = await ask(app, b"/v1/chat/completions", "ci-key", chat("gpt-5"))
    (line,) = lines(app)
    assert "warn refused" in line
    assert f" id={out.headers[b'x-request-id'].decode()} " in line
    assert " key=ci " in line
    assert " status=429 " in line


@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/v1beta/models/m:generateContent"])
async def test_unknown_keys_are_logged_now_and_then_and_never_shown(app, path, monkeypatch):
    now = 1000
    monkeypatch.setattr("proxy.telemetry.log.time", lambda: now)
    out = await ask(app, path, "guessed-key", chat("gpt-5"))
    (line,) = lines(app)
    assert f" id={out.headers[b'x-request-id'].decode()} " in line
    assert " status=401 " in line
    assert " peer=127.0.0.1 " in line
    for _ in range(100):
        await ask(app, path, "guessed-key", chat("gpt-5"))
    told = lines(app)
    assert len(told) < 10
    now += 1
    await ask(app, path, "guessed-key", chat("gpt-5"))
    told += lines(app)
    assert f" more={101 - len(told)}" in told[-1]
    assert "guessed" not in line + "".join(told)


async def test_requests_under_way(app, autojump_clock):
    transport = app.live.transport
    transport.hold = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, app, b"/v1/chat/completions", "ci-key", chat("gpt-5"))
        await trio.testing.wait_all_tasks_blocked()
        out = await ask(app, b"/v1/chat/completions", "ci-key", chat("gpt-5"))
        assert (out.status, out.headers[b"retry-after"]) == (429, b"1")
        transport.hold.set()
    assert (await ask(app, b"/v1/chat/completions", "ci-key", chat("gpt-5"))).status == 200


async def test_a_cancelled_request_gives_its_place_back(app, autojump_clock):
    app.live.transport.hold = trio.Event()
    with trio.move_on_after(1):
        await ask(app, b"/v1/chat/completions", "ci-key", chat("gpt-5"))
    app.live.transport.hold = None
    assert (await ask(app, b"/v1/chat/completions", "ci-key", chat("gpt-5"))).status == 200
