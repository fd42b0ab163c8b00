"""100,000 requests, 50 at a time: one in ten left by the client, one in ten failed by the upstream.

Run: python tests/bench/soak.py PYZ [REQUESTS]   (loopback only)

Prints the server's memory and descriptors after a tenth and after all, and what its answers were.
The upstream is this process.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path

import trio

ANSWER = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"hello"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}'
)
FAILURE = b'{"error":{"message":"broken","type":"server_error"}}'
PARALLEL = 50
CONFIG = """
host: 127.0.0.1
port: 0
api-keys: [soak]
auth-dir: {folder}/auths
openai-compatibility:
  - name: up
    base-url: http://127.0.0.1:{port}/v1
    api-key-entries: [{{api-key: a}}, {{api-key: b}}, {{api-key: c}}]
    models: [{{name: m, alias: m}}]
"""


async def upstream(stream: trio.SocketStream) -> None:
    """Answers until it is left; a body with `fail` gets a 500, one with `slow` waits."""
    with suppress(trio.BrokenResourceError):
        await answer_all(stream)


async def answer_all(stream: trio.SocketStream) -> None:
    data = b""
    async with stream:
        while True:
            while b"\r\n\r\n" not in data:
                more = await stream.receive_some()
                if not more:
                    return
                data += more
            head, _, data = data.partition(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            while len(data) < length:
                data += await stream.receive_some()
            body, data = data[:length], data[length:]
            if b"slow" in body:
                await trio.sleep(0.02)
            status, answer = (b"500 Oops", FAILURE) if b"fail" in body else (b"200 OK", ANSWER)
            kind = b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(answer)
            await stream.send_all(b"HTTP/1.1 %b\r\n%b%b" % (status, kind, answer))


async def client(port: int, numbers: range, seen: Counter[str]) -> None:
    """Its share of the requests, on one connection while that lasts."""
    stream: trio.SocketStream | None = None
    for number in numbers:
        word = b"slow" if number % 10 == 3 else b"fail" if number % 10 == 7 else b"good"
        body = b'{"model":"m","messages":[{"role":"user","content":"%b %d"}]}' % (word, number)
        if stream is None:
            stream = await trio.open_tcp_stream("127.0.0.1", port)
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer soak\r\n"
        await stream.send_all(head + b"content-length: %d\r\n\r\n%b" % (len(body), body))
        if word == b"slow":
            await stream.aclose()
            stream = None
            seen["left"] += 1
            continue
        data = b""
        while b"\r\n\r\n" not in data:
            data += await stream.receive_some()
        top, _, rest = data.partition(b"\r\n\r\n")
        length = int(top.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        while len(rest) < length:
            rest += await stream.receive_some()
        seen[top[9:12].decode()] += 1


def state(pid: int) -> str:
    """Resident memory and open descriptors."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    memory = status.split("VmRSS:")[1].split("kB")[0].strip()
    descriptors = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return f"RSS {int(memory) / 1024:.1f} MB, {descriptors} descriptors"


async def main(pyz: str, requests: int) -> None:
    """Upstream, server and clients."""
    with tempfile.TemporaryDirectory() as folder:
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, upstream, 0, host="127.0.0.1"))
            port = listeners[0].socket.getsockname()[1]
            config = trio.Path(folder, "config.yaml")
            await config.write_text(CONFIG.format(folder=folder, port=port), encoding="utf-8")
            command = [sys.executable, pyz, "--config", str(config)]
            environ = {**os.environ, "HOME": folder, "XDG_STATE_HOME": folder}
            server = await nursery.start(
                partial(trio.run_process, command, env=environ, stderr=-1, check=False)
            )
            text = b""
            while b"url=http://127.0.0.1:" not in text:
                text += await server.stderr.receive_some()
            where = int(text.split(b"url=http://127.0.0.1:")[1].split()[0])
            nursery.start_soon(drain, server.stderr)
            seen: Counter[str] = Counter()
            for begin, end in pairwise((0, requests // 10, requests // 2, requests)):
                async with trio.open_nursery() as clients:
                    for one in range(PARALLEL):
                        share = range(begin + one, end, PARALLEL)
                        clients.start_soon(client, where, share, seen)
                await trio.sleep(2)
                print(f"after {end}: {state(server.pid)}; {dict(seen)}", flush=True)
            server.terminate()
            print("status", await server.wait())
            nursery.cancel_scope.cancel()


async def drain(stream) -> None:
    async for _ in stream:
        pass


if __name__ == "__main__":
    trio.run(main, sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 100_000)
