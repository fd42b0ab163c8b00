"""Scripted upstreams and a recording client for tests of the exchange: no sockets, any clock."""

from __future__ import annotations

import math

import msgspec
import trio

from proxy.accounts.pool import Pool
from proxy.config.model import Candidate, Credential, Plan, Settings, Target
from proxy.exchange import Live, run
from proxy.net.api import endless
from proxy.secret import Secret
from proxy.telemetry.log import Log
from proxy.upstream.prepare import Ask


class FakeClock:
    def now(self) -> float:
        return 1_750_000_000.0

    def unique(self) -> str:
        return "0123456789abcdef01234567"


class FakeReply:
    def __init__(self, status: int, pieces: list, headers: list | None = None) -> None:
        self.status = status
        kind = b"text/event-stream" if status == 200 and len(pieces) > 1 else b"application/json"
        self.headers = headers or [(b"content-type", kind)]
        self.pieces = list(pieces)
        self.closed = False

    async def receive(self, patience: float = 0.0):
        await trio.lowlevel.checkpoint()
        if not self.pieces:
            return b""
        piece = self.pieces.pop(0)
        if isinstance(piece, float):
            if 0 < patience < piece:
                self.pieces.insert(0, piece - patience)
                await trio.sleep(patience)
                return None
            await trio.sleep(piece)
            return await self.receive(patience)
        if isinstance(piece, Exception):
            raise piece
        return piece

    async def read(self, limit: int, deadline: float = math.inf) -> bytes:
        out = b""
        while piece := await self.receive():
            out += piece
            if trio.current_time() > deadline:
                raise endless()
        return out

    async def aclose(self) -> None:
        if not self.closed:
            self.closed = True
            self.closed_at = trio.current_time()


class FakeTransport:
    """Gives its replies in order; a float before one is a wait for its head."""

    def __init__(self, *replies) -> None:
        self.replies = list(replies)
        self.calls = []
        self.given = []

    async def send(self, call):
        await trio.lowlevel.checkpoint()
        self.calls.append(call)
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        self.given.append(reply)
        return reply


class Out:
    def __init__(self) -> None:
        self.started = False
        self.client_gone = False
        self.extra_headers = []
        self.status = 0
        self.headers = []
        self.body = b""
        self.ended = False
        self.committed_at = -1.0

    async def whole(self, status, headers, body) -> None:
        assert not self.started
        self.started = self.ended = True
        self.committed_at = trio.current_time()
        self.status, self.headers, self.body = status, [*self.extra_headers, *headers], body

    def wait_for(self, headers, keepalive, seconds) -> None:
        self.waits = (headers, keepalive, seconds)

    def start(self, status, headers) -> None:
        self.status, self.headers = status, [*self.extra_headers, *headers]

    async def send(self, data: bytes) -> None:
        assert not self.ended
        if not self.started:
            self.committed_at = trio.current_time()
        self.started = True
        self.body += data

    async def end(self) -> None:
        self.ended = True


class FakeTable:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def resolve(self, model: str, facts: object = None) -> Plan:
        return self.plan


def credential(name: str, **more) -> Credential:
    fields = {"provider": "openai-compat", "wire": "chat", "upstream": name, **more}
    return Credential(
        id=name,
        base_url=f"http://{name}.test/v1",
        key=Secret(f"key-{name}"),
        **fields,
    )


class HostTransport(FakeTransport):
    """One script per host: seconds to the head, then its reply or failure."""

    def __init__(self, **scripts) -> None:
        super().__init__()
        self.scripts = scripts

    async def send(self, call):
        self.calls.append(call)
        seconds, reply = self.scripts[call.url.split("/")[2].split(".")[0]]
        await trio.sleep(seconds)
        if isinstance(reply, Exception):
            raise reply
        self.given.append(reply)
        return reply


def chain(*upstreams, **more) -> Plan:
    """A plan with one target per upstream; each is a name or a credential."""
    made = [one if isinstance(one, Credential) else credential(one) for one in upstreams]
    targets = tuple(
        Target(upstream=one.id, candidates=(Candidate(credential=one, model="real"),))
        for one in made
    )
    return Plan(asked="m", model="m", targets=targets, **more)


def plan(*names: str, strategy: str = "fill-first", **more) -> Plan:
    candidates = tuple(Candidate(credential=credential(n), model="real") for n in names)
    return Plan(
        asked="m",
        model="m",
        targets=(Target(upstream="u", candidates=candidates),),
        strategy=strategy,
        **more,
    )


def live_of(transport, the_plan, settings=None) -> Live:
    return Live(
        table=FakeTable(the_plan),
        pool=Pool(),
        settings=settings or Settings(),
        transport=transport,
        clock=FakeClock(),
        log=Log(descriptor=-1),
    )


async def exchange(transport, the_plan, *, wire="chat", stream=False, settings=None, **body):
    request = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **body}
    if stream:
        request["stream"] = True
    out = Out()
    live = live_of(transport, the_plan, settings)
    await run(Ask(wire=wire, body=msgspec.json.encode(request), headers=[]), out, live)
    assert all(reply.closed for reply in transport.given)
    assert live.pool.in_flight == {}
    assert out.ended
    return out, live


def sse(value: object) -> bytes:
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def chunk(**delta) -> bytes:
    finish = delta.pop("finish", None)
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return sse({"id": "c", "object": "chat.completion.chunk", "model": "real", "choices": [choice]})


ROLE = chunk(role="assistant", content="")


def block(kind: str, **fields) -> bytes:
    """One event of an Anthropic stream."""
    return f"event: {kind}\n".encode() + sse({"type": kind, **fields})


def claude_stream(*texts: str) -> list[bytes]:
    """An Anthropic stream, one piece per event."""
    usage = {"input_tokens": 7, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "real"}
    return [
        block("message_start", message={**message, "content": [], "usage": usage}),
        block("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *(
            block("content_block_delta", index=0, delta={"type": "text_delta", "text": text})
            for text in texts
        ),
        block("content_block_stop", index=0),
        block("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9}),
        block("message_stop"),
    ]


def chat_stream(*texts: str) -> list[bytes]:
    """A Chat stream, one piece per chunk."""
    return [ROLE, *(chunk(content=text) for text in texts), chunk(finish="stop"), DONE]


DONE = b"data: [DONE]\n\n"
STREAM = [ROLE, chunk(content="Hello"), chunk(finish="stop"), DONE]
ANSWER = msgspec.json.encode(
    {
        "id": "c",
        "object": "chat.completion",
        "model": "real",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
    }
)
