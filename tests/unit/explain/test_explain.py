"""`explain` says what the server then does: 10,000 random tables, states and requests."""

from __future__ import annotations

import random
import string

import msgspec
import pytest
import trio

from proxy.accounts.pool import Pool
from proxy.config.declared import Alias, Declared, Place, Prefix, Route, Upstream
from proxy.config.document import Text
from proxy.config.model import Credential, PayloadRule, Settings
from proxy.errors import Fault, ProxyError, Retry
from proxy.exchange import Live, run
from proxy.explain import explain
from proxy.net.api import UpstreamBroken
from proxy.routing.build import build
from proxy.routing.trace import Trace
from proxy.secret import Secret
from proxy.surface.http import HttpRequest
from proxy.surface.router import App
from proxy.telemetry.log import Log
from proxy.upstream.prepare import Ask
from tests.scripted import Out, plan

TABLES = 250
STATES = 8
REQUESTS = 5
PLACE = Place(Text("f", ""), ())
KINDS = (
    ("openai-compat", "chat"),
    ("claude", "anthropic"),
    ("codex", "responses"),
    ("gemini", "gemini"),
)
STATUSES = (401, 404, 429, 500, 503)
BODIES = {
    "chat": {"messages": [{"role": "user", "content": "hi"}]},
    "responses": {"input": "hi"},
    "anthropic": {"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
}


class FakeClock:
    def now(self) -> float:
        return 1_750_000_000.0

    def unique(self) -> str:
        return "0" * 24


class Refusing:
    """A transport that notes the first call, and fails all in a way that ends the request."""

    def __init__(self) -> None:
        self.calls = []

    async def send(self, call):
        self.calls.append(call)
        await trio.lowlevel.checkpoint()
        raise UpstreamBroken("stopped", "the test has seen enough")


def name(dice: random.Random) -> str:
    return "".join(dice.choices(string.ascii_lowercase[:6], k=dice.randint(1, 3)))


def upstream(dice: random.Random, label: str) -> Upstream:
    provider, wire = dice.choice(KINDS)
    credentials = tuple(
        Credential(
            id=f"{label}:{index}",
            provider=provider,
            wire=wire,
            base_url=f"http://{label}-{index}.test",
            key=Secret(f"secret-{label}-{index}"),
            upstream=label,
            in_flight=dice.choice((0, 0, 1, 2)),
        )
        for index in range(dice.randint(1, 4))
    )
    return Upstream(name=label, credentials=credentials, place=PLACE)


def table(dice: random.Random):
    upstreams = [upstream(dice, f"u{index}") for index in range(dice.randint(1, 4))]
    names = list(dict.fromkeys(name(dice) for _ in range(dice.randint(1, 6))))
    routes = [
        Route(
            id=id,
            to=tuple(
                dict.fromkeys(
                    (dice.choice(upstreams).name, dice.choice(("", "there", "gpt-5(high)")))
                    for _ in range(dice.randint(1, 3))
                )
            ),
            policy=dice.choice(("failover", "balance")),
            strategy=dice.choice(("round-robin", "fill-first")),
            place=PLACE,
        )
        for id in names
    ]
    aliases = [
        Alias(
            name=dice.choice((f"alias-{i}", f"{name(dice)}*")), to=dice.choice(names), place=PLACE
        )
        for i in range(dice.randint(0, 3))
    ]
    prefixes = [
        Prefix(text=f"p{i}-", upstream=dice.choice(upstreams).name, any_model=True, place=PLACE)
        for i in range(dice.randint(0, 2))
    ]
    declared = Declared(
        upstreams=tuple(upstreams),
        routes=tuple(routes),
        aliases=tuple(aliases),
        prefixes=tuple(prefixes),
    )
    asked = [*names, *(a.name.replace("*", name(dice)) for a in aliases), "p0-any", "unknown"]
    return build(declared)[0], asked


def unsettle(dice: random.Random, pool: Pool, made, asked: list[str]) -> None:
    """Failures, running requests and turns, as a server's past would leave them."""
    for _ in range(dice.randint(0, 8)):
        try:
            plan = made.resolve(dice.choice(asked))
        except ProxyError:
            continue
        for target in pool.targets(plan):
            for candidate in pool.order(target, plan, trio.current_time()):
                what = dice.random()
                if what < 0.4:
                    error = ProxyError(
                        "no",
                        fault=Fault.UPSTREAM,
                        status=dice.choice(STATUSES),
                        retry=Retry.CREDENTIAL,
                        retry_after=dice.choice((None, 30.0)),
                    )
                    pool.failed(candidate, plan.model, error, trio.current_time())
                elif what < 0.6:
                    pool.take(candidate)


async def one(dice: random.Random, made, pool: Pool, settings: Settings, model: str) -> bool:
    """Whether a call was made; fails where `explain` foretold another one."""
    wire = dice.choice(list(BODIES))
    suffix = dice.choice(("", "", "(low)", "(1000)"))
    body = {"model": model + suffix, "stream": dice.random() < 0.5, **BODIES[wire]}
    ask = Ask(wire=wire, body=msgspec.json.encode(body), headers=[])
    told = explain(ask, made, settings, pool, trio.current_time())
    again = explain(ask, made, settings, pool, trio.current_time())
    assert told.text == again.text, "asking changes nothing"
    transport = Refusing()
    live = Live(
        table=made,
        pool=pool,
        settings=settings,
        transport=transport,
        clock=FakeClock(),
        log=Log(descriptor=-1),
    )
    out = Out()
    await run(ask, out, live)
    first = [choice for choice in told.choices if choice.position == 1]
    if told.error:
        assert (transport.calls, out.status) == ([], told.status)
        assert msgspec.json.encode(told.error)[1:-1] in out.body
    elif not first:
        assert transport.calls == []
    else:
        assert [call.url for call in transport.calls] == [first[0].url], told.text
    assert "secret-" not in told.text
    return bool(transport.calls)


async def test_explain_names_what_the_server_does(autojump_clock):
    dice = random.Random(20260131)
    rule = PayloadRule(action="override", models=(("*", ""),), params=(("user", "x"),))
    called = 0
    for _ in range(TABLES):
        made, asked = table(dice)
        settings = Settings(payload=dice.choice(((), (rule,))))
        for _ in range(STATES):
            pool = Pool()
            unsettle(dice, pool, made, asked)
            for _ in range(REQUESTS):
                called += await one(dice, made, pool, settings, dice.choice(asked))
    assert called > TABLES * STATES * REQUESTS / 2


def ask(body: object, wire: str = "chat") -> Ask:
    return Ask(wire=wire, body=msgspec.json.encode(body), headers=[])


@pytest.mark.parametrize("body", [[], {"model": ""}, {"messages": []}])
def test_a_bad_body_is_told_as_the_server_tells_it(body):
    dice = random.Random(1)
    made, _ = table(dice)
    found = explain(ask(body), made, Settings(), Pool(), 0.0)
    assert found.status == 400
    assert found.choices == ()
    assert "refused   400" in found.text


def test_the_digest_is_of_the_text():
    dice = random.Random(1)
    made, asked = table(dice)
    one = explain(ask({"model": asked[0], **BODIES["chat"]}), made, Settings(), Pool(), 0.0)
    two = explain(ask({"model": "unknown", **BODIES["chat"]}), made, Settings(), Pool(), 0.0)
    assert len(one.digest) == 16
    assert one.digest != two.digest


async def test_a_live_answer_carries_the_digest():
    dice = random.Random(1)
    made, asked = table(dice)
    body = msgspec.json.encode({"model": asked[0], **BODIES["chat"]})
    live = Live(
        table=made,
        pool=Pool(),
        settings=Settings(),
        transport=Refusing(),
        clock=FakeClock(),
        log=Log(descriptor=-1),
    )
    told = explain(Ask(wire="chat", body=body, headers=[]), made, Settings(), live.pool, 0.0)
    for asks in (True, False):
        table_ = {b"x-pointsman-explain": b"1"} if asks else {}
        request = HttpRequest(
            method=b"POST",
            path=b"/v1/chat/completions",
            query=b"",
            headers=list(table_.items()),
            table=table_,
            body=body,
            peer="127.0.0.1",
        )
        out = Out()
        await App(live).handle(request, out)
        carried = dict(out.extra_headers).get(b"x-pointsman-explain")
        assert carried == (told.digest.encode() if asks else None)


def test_a_thousand_keys_are_not_all_called():
    body = {"model": "m", **BODIES["chat"]}

    class Keys:
        def trace(self, model, _facts) -> Trace:
            return Trace(asked=model, steps=(), plan=plan(*map(str, range(1000))))

    found = explain(ask(body), Keys(), Settings(), Pool(), 0.0)
    assert (len(found.choices), found.omitted) == (100, 900)
    assert found.text.endswith("\nand 900 more\n")
