"""Feeds broken bytes to every parser for a while: `python3 build/fuzz.py [SECONDS]` (600).

Seeds are mutated by bit flips, cuts, splices and repeats, from a seed that is printed. A crash prints its
input and ends with status 1; a single input that takes over 2 s, or memory over 1 GiB, counts as one.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import environment

if TYPE_CHECKING:
    from collections.abc import Callable

    Target: TypeAlias = tuple[Callable[[bytes], None], list[bytes]]

SLOWEST = 2.0
MEMORY = 1 << 30


def main() -> None:
    if os.environ.get("POINTSMAN_FUZZ") != "1":
        python = environment.make("test")
        inside = {**os.environ, "POINTSMAN_FUZZ": "1", "PYTHONPATH": str(environment.ROOT)}
        command = [str(python), __file__, *sys.argv[1:]]
        sys.exit(subprocess.run(command, env=inside, check=False).returncode)
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600.0
    seed = int(os.environ.get("POINTSMAN_FUZZ_SEED", time.time_ns() % 10**9))
    print(f"seed {seed}, {seconds:.0f} s", flush=True)
    sys.exit(run(seconds, random.Random(seed)))


def run(seconds: float, chance: random.Random) -> int:
    import resource

    os.nice(10)  # in CI tests with deadlines run beside it
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    chosen = targets()
    counts = dict.fromkeys(chosen, 0)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name, (feed, seeds) in chosen.items():
            data = mutate(chance.choice(seeds), chance)
            start = time.monotonic()
            try:
                feed(data)
            except BaseException as error:  # noqa: BLE001  # whatever it is, it is a finding
                print(f"{name}: {type(error).__name__}: {error}\ninput: {data!r}")
                traceback.print_exception(error)
                return 1
            if time.monotonic() - start > SLOWEST:
                print(f"{name}: took over {SLOWEST} s\ninput: {data!r}")
                return 1
            counts[name] += 1
    for name, count in counts.items():
        print(f"{name}: {count} inputs")
    return 0


def mutate(data: bytes, chance: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(chance.choice((0, 1, 1, 2, 4, 8))):
        at = chance.randrange(len(out) + 1)
        match chance.randrange(5):
            case 0:
                out[at:at] = bytes([chance.randrange(256)])
            case 1:
                del out[at : at + chance.randrange(1, 16)]
            case 2:
                out[at : at + 1] = chance.choice(
                    (b'"', b"{", b"}", b"[", b"null", b"\r\n", b"0", b"-1")
                )
            case 3:
                out[at:at] = out[at : at + 32] * chance.randrange(1, 4)
            case _:
                del out[at:]
    return bytes(out)


def targets() -> dict[str, Target]:
    """What is fed, with the seeds of its inputs."""
    head = b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"
    chunked = head.replace(b"content-length: 2", b"transfer-encoding: chunked")
    chunks = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    found: dict[str, Target] = {
        "request": (request, [head, chunked]),
        "response": (response, [chunks, b"HTTP/1.1 204 No Content\r\n\r\n"]),
        "sse": (sse, [b"event: a\r\ndata: {}\r\n\r\n", b": x\ndata: 1\ndata: 2\n\n"]),
    }
    for name, seeds in SEEDS.items():
        found[f"wire {name}"] = (decoder(name), seeds)
    found["wire kiro"] = (kiro, kiro_seeds())
    found["private key"] = (private_key, [KEY])
    routes = [path.read_bytes() for path in sorted((environment.ROOT / "routes.d").glob("*.toml"))]
    found["routes toml"] = (loader("toml", config=False), routes)
    found["config yaml"] = (loader("yaml", config=True), [CONFIG])
    return found


def request(data: bytes) -> None:
    from proxy.http1.limits import BadRequest
    from proxy.http1.request import RequestParser

    parser = RequestParser(1 << 20)
    with suppress(BadRequest):
        parser.feed(data)
        if parser.peek() is not None:
            parser.head()
            parser.body()


def response(data: bytes) -> None:
    from proxy.http1.limits import BadResponse
    from proxy.http1.response import ResponseParser

    parser = ResponseParser()
    parser.begin(b"POST")
    with suppress(BadResponse):
        parser.feed(data)
        parser.take()


def sse(data: bytes) -> None:
    from proxy.wire.sse import SseOverflow, SseParser

    parser = SseParser()
    with suppress(SseOverflow):
        parser.feed(data)
        parser.eof()


def decoder(name: str) -> Callable[[bytes], None]:
    """All that one wire decodes: streams to itself and to another wire, errors, requests, answers."""
    from proxy import wire as wires
    from proxy.errors import ProxyError
    from proxy.upstream.prepare import Ask, Work
    from proxy.wire.base import AnswerContext
    from proxy.wire.lanes import lane

    wire = wires.get(name)
    other = wires.get("anthropic" if name == "chat" else "chat")
    context = AnswerContext(request=None, model="m", stream=True, now=0, id="0" * 24)

    def feed(data: bytes) -> None:
        for client in (wire, other):
            one = lane(wire, client, context)
            one.feed(data)
            one.eof()
        with suppress(UnicodeDecodeError):  # the exchange tells these as its own error
            wire.decode_error(500, data)
        with suppress(ProxyError):
            _ = Work(Ask(name, data, [], model="m")).request
        with suppress(ProxyError, UnicodeDecodeError):
            wire.decode_answer(data)

    return feed


def kiro_seeds() -> list[bytes]:
    from proxy.wire.eventstream import frame

    head = {":message-type": "event"}
    frames = [frame({**head, ":event-type": kind}, payload) for kind, payload in KIRO_EVENTS]
    return [b"".join(frames), *(payload for _, payload in KIRO_EVENTS)]


def kiro(data: bytes) -> None:
    """As a stream, and as the payload of each event: a frame that was changed has another checksum."""
    from proxy import wire as wires
    from proxy.wire.base import AnswerContext
    from proxy.wire.eventstream import frame
    from proxy.wire.lanes import lane

    wire = wires.get("kiro")
    context = AnswerContext(request=None, model="m", stream=True, now=0, id="0" * 24)
    kinds = {kind for kind, _ in KIRO_EVENTS}
    framed = [frame({":event-type": kind, ":message-type": "event"}, data) for kind in kinds]
    for client in ("chat", "anthropic"):
        for stream in (data, b"".join(framed)):
            one = lane(wire, wires.get(client), context)
            one.feed(stream[:40])
            one.feed(stream[40:])
            one.eof()
    wire.decode_error(500, data)


def private_key(data: bytes) -> None:
    """As it is, and as what stands in a PEM text."""
    from base64 import b64encode

    from proxy.auth import rsa

    for text in (
        data,
        b"-----BEGIN PRIVATE KEY-----" + b64encode(data) + b"-----END PRIVATE KEY-----",
    ):
        with suppress(rsa.BadKey):
            rsa.sign(rsa.read(text.decode("latin-1")), b"x")


def loader(suffix: str, *, config: bool) -> Callable[[bytes], None]:
    """The loader of a config file, or of a file of routes."""
    from proxy.config.diagnose import ConfigError
    from proxy.routing.load import load

    folder = Path(environment.CACHE, "fuzz")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"input.{suffix}"

    def feed(data: bytes) -> None:
        path.write_bytes(data)
        with suppress(ConfigError):
            load(str(path) if config else None, [] if config else [str(path)], {}, str(folder))

    return feed


CONFIG = b"port: 1\nhost: 127.0.0.1\nclaude-api-key:\n  - api-key: a\n    models: [{name: b, alias: c}]\n"
SEEDS = {
    "chat": [
        b'{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"x"}]}],"tools":[]}',
        (
            b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a",'
            b'"function":{"name":"f","arguments":"{}"}}]},"finish_reason":null}],"usage":null}\n\n'
        ),
        b'{"id":"a","choices":[{"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}]}',
    ],
    "responses": [
        b'{"model":"m","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"x"}]}]}',
        (
            b'data: {"type":"response.output_item.added","output_index":0,"item":{"type":"message","id":"a"}}\n\n'
            b'data: {"type":"response.output_text.delta","output_index":0,"delta":"x"}\n\n'
        ),
        b'{"id":"r","output":[{"type":"function_call","name":"f","call_id":"c","arguments":"{}"}]}',
    ],
    "anthropic": [
        b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"text","text":"x"}]}]}',
        (
            b'data: {"type":"message_start","message":{"id":"a","usage":{"input_tokens":1}}}\n\n'
            b'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
            b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}\n\n'
        ),
        b'{"id":"a","type":"message","content":[{"type":"tool_use","id":"t","name":"f","input":{}}]}',
    ],
    "gemini_cli": [
        b'{"model":"m","project":"p","request":{"contents":[{"role":"user","parts":[{"text":"x"}]}]}}',
        b'data: {"response":{"candidates":[{"content":{"parts":[{"text":"x"}]},"finishReason":"STOP"}]}}\n\n',
        b'{"response":{"candidates":[{"content":{"parts":[{"text":"x"}]}}]},"traceId":"t"}',
    ],
    "gemini": [
        b'{"contents":[{"role":"user","parts":[{"text":"x"}]}],"generationConfig":{"thinkingConfig":{}}}',
        b'data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{}}}]},"finishReason":"STOP"}]}\n\n',
        b'[{"candidates":[{"content":{"parts":[{"text":"x"}]}}],"usageMetadata":{"promptTokenCount":1}}]',
    ],
}

KIRO_EVENTS = [
    ("assistantResponseEvent", b'{"content":"a <thinking>b</thinking> c","stopReason":"end_turn"}'),
    ("reasoningContentEvent", b'{"text":"a"}'),
    ("toolUseEvent", b'{"toolUseId":"a","name":"f","input":"{\\"b\\":1}","stop":true}'),
    ("messageMetadataEvent", b'{"tokenUsage":{"outputTokens":9,"uncachedInputTokens":"1e3"}}'),
    ("contextUsageEvent", b'{"contextUsageEvent":{"contextUsagePercentage":2.5}}'),
]
"""Kind and payload."""
KEY = (b"\x30\x82\x01\x00\x02\x01\x00" + b"\x02\x41\x00" + b"\xff" * 64) * 2

if __name__ == "__main__":
    main()
