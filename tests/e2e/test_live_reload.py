"""Open streams outlive reloads and a restart: real sockets, a real process, a scripted upstream.

    python -m tests.e2e.test_live_reload [STREAMS]

runs it by hand with more streams.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import trio

from tests.e2e.servers import ROOT, free_port

KEY = "sk-client"
STREAMS = 100
RELOADS = 10
PACE = 0.2


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(text: str, finish: str | None = None) -> bytes:
    delta = {"role": "assistant", "content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


class Upstream:
    """Streams numbers until told to finish."""

    def __init__(self) -> None:
        self.finish = trio.Event()
        self.open = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += await stream.receive_some()
        head, _, body = data.partition(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        while len(body) < size:
            body += await stream.receive_some()
        self.open += 1
        head = (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
        )
        await stream.send_all(head + b"connection: close\r\n\r\n")
        number = 0
        try:
            while not self.finish.is_set() and b"short" not in body:
                await stream.send_all(chunk(event(f"<{number}>")))
                number += 1
                await trio.sleep(PACE)
            last = chunk(event(f"<{number}>", "stop")) + chunk(b"data: [DONE]\n\n")
            await stream.send_all(last + b"0\r\n\r\n")
            await stream.aclose()
        except trio.BrokenResourceError:
            pass


async def ask(port: int, model: str, said: str = "go", result: list | None = None) -> bytes:
    """One streamed request, to the end of its answer."""
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": said}]}
    data = json.dumps(body).encode()
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n"
            f"content-type: application/json\r\nconnection: close\r\ncontent-length: {len(data)}"
        )
        await stream.send_all(head.encode() + b"\r\n\r\n" + data)
        answer = b""
        try:
            while piece := await stream.receive_some():
                answer += piece
        except trio.BrokenResourceError:
            answer += b"<broken>"
    if result is not None:
        result.append(answer)
    return answer


def whole(answer: bytes) -> bool:
    """Every number once, in order, then the protocol's end."""
    text = answer.decode()
    numbers = [int(part.partition(">")[0]) for part in text.split("<")[1:]]
    return (
        numbers == list(range(len(numbers)))
        and len(numbers) > 1
        and "data: [DONE]" in text
        and text.endswith("0\r\n\r\n")
    )


class Server:
    """The proxy from source, with its files in a folder."""

    def __init__(self, folder: Path, upstream: int) -> None:
        self.folder = folder
        self.upstream = upstream
        self.port = free_port()
        self.config = folder / "config.yaml"
        self.write("model-0")
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "XDG_STATE_HOME": str(folder / "state"),
        }
        self.command = [sys.executable, "-m", "proxy", "--config", str(self.config)]

    def write(self, model: str) -> None:
        route = {
            "model": model,
            "base-url": f"http://127.0.0.1:{self.upstream}/v1",
            "api-key": "sk-upstream",
        }
        value = {"host": "127.0.0.1", "port": self.port, "api-keys": [KEY], "passthru": [route]}
        self.config.write_text(json.dumps(value))

    @property
    def status(self) -> dict:
        found = list((self.folder / "state/pointsman/status").glob("*.json"))
        return json.loads(found[0].read_text()) if found else {}

    async def until(self, what) -> None:
        with trio.fail_after(20):
            while not what(self.status):  # noqa: ASYNC110  # a file of another process
                await trio.sleep(0.05)


async def outlive(folder: Path, streams: int, reloads: int) -> tuple[list[bytes], str]:
    """The answers of streams that were open across reloads and one restart; the server's log."""
    upstream = Upstream()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, upstream.serve, 0)
        server = Server(folder, listeners[0].socket.getsockname()[1])
        log = (folder / "log").open("w")
        old = await trio.lowlevel.open_process(
            server.command, cwd=folder, env=server.environ, stdout=log, stderr=log
        )
        await server.until(lambda status: status.get("generation") == 1)
        answers: list[bytes] = []
        async with trio.open_nursery() as clients:
            for _ in range(streams):
                clients.start_soon(ask, server.port, "model-0", "go", answers)
                await trio.lowlevel.checkpoint()
            with trio.fail_after(30):
                while upstream.open < streams:  # noqa: ASYNC110  # no more than a count
                    await trio.sleep(0.05)
            for number in range(1, reloads + 1):
                server.write(f"model-{number}")
                os.kill(old.pid, signal.SIGHUP)
                await server.until(lambda status, n=number: status.get("generation") == n + 1)
                assert b"[DONE]" in await ask(server.port, f"model-{number}", "short")
                assert b"404" in (await ask(server.port, "model-0", "short"))[:20]
            assert not answers
            os.kill(old.pid, signal.SIGUSR2)
            await server.until(lambda status: status.get("pid") not in (None, old.pid))
            assert b"[DONE]" in await ask(server.port, f"model-{reloads}", "short")
            await trio.sleep(2 * PACE)
            assert old.poll() is None, "it still serves its streams"
            assert not answers
            upstream.finish.set()
        with trio.fail_after(20):
            assert await old.wait() == 0
        assert b"[DONE]" in await ask(server.port, f"model-{reloads}", "short")
        os.kill(server.status["pid"], signal.SIGTERM)
        await server.until(lambda status: not status)
        nursery.cancel_scope.cancel()
    log.close()
    return answers, (folder / "log").read_text()


async def test_streams_outlive_reloads_and_a_restart(tmp_path):
    answers, log = await outlive(tmp_path, STREAMS, RELOADS)
    assert len(answers) == STREAMS
    assert [answer for answer in answers if not whole(answer)] == []
    assert "crash" not in log


async def test_an_idle_connection_is_answered_once_more_after_a_restart(tmp_path):
    server = Server(tmp_path, free_port())
    ask_list = f"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\r\n".encode()
    with (tmp_path / "log").open("w") as log:
        old = await trio.lowlevel.open_process(
            server.command, cwd=tmp_path, env=server.environ, stdout=log, stderr=log
        )
    await server.until(lambda status: status.get("generation") == 1)
    stream = await trio.open_tcp_stream("127.0.0.1", server.port)
    await stream.send_all(ask_list)
    assert b"200 OK" in await stream.receive_some()
    os.kill(old.pid, signal.SIGUSR2)
    await server.until(lambda status: status.get("pid") not in (None, old.pid))
    await trio.sleep(0.3)
    await stream.send_all(ask_list)
    answer = await stream.receive_some()
    assert b"200 OK" in answer
    assert b"connection: close" in answer
    await stream.aclose()
    with trio.fail_after(10):
        assert await old.wait() == 0
    os.kill(server.status["pid"], signal.SIGTERM)
    await server.until(lambda status: not status)


def test_a_closed_terminal_ends_the_server(tmp_path):
    server = Server(tmp_path, free_port())
    pid, terminal = os.forkpty()
    if not pid:
        os.execve(sys.executable, server.command, server.environ)
    trio.run(server.until, lambda status: status.get("generation") == 1)
    os.close(terminal)
    assert os.waitpid(pid, 0)[1] == 0
    assert server.status == {}


async def test_at_the_end_of_its_grace_a_stream_ends_with_an_error_event(tmp_path):
    """The grace is shortened from outside: no key of the configuration sets it."""
    upstream = Upstream()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, upstream.serve, 0)
        server = Server(tmp_path, listeners[0].socket.getsockname()[1])
        code = (
            "import sys, proxy.config.model as m; from msgspec.structs import replace;"
            "from proxy.config import load; old = load.read;"
            "load.read = lambda *a, **k: (lambda r: replace(r, settings=replace(r.settings,"
            " shutdown_grace=0.5)))(old(*a, **k));"
            "from proxy.__main__ import main; sys.exit(main())"
        )
        log = (tmp_path / "log").open("w")
        process = await trio.lowlevel.open_process(
            [sys.executable, "-c", code, "--config", str(server.config)],
            cwd=tmp_path, env=server.environ, stdout=log, stderr=log,
        )  # fmt: skip
        await server.until(lambda status: status.get("generation") == 1)
        answers: list[bytes] = []
        async with trio.open_nursery() as clients:
            clients.start_soon(ask, server.port, "model-0", "go", answers)
            while not upstream.open:  # noqa: ASYNC110  # the same
                await trio.sleep(0.05)
            await trio.sleep(PACE)
            process.send_signal(signal.SIGTERM)
        with trio.fail_after(10):
            assert await process.wait() == 0
        nursery.cancel_scope.cancel()
    log.close()
    text = answers[0].decode()
    assert "this server is being stopped" in text
    assert text.endswith("0\r\n\r\n")


async def test_a_second_term_forces(tmp_path):
    upstream = Upstream()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, upstream.serve, 0)
        server = Server(tmp_path, listeners[0].socket.getsockname()[1])
        with (tmp_path / "log").open("w") as log:
            process = await trio.lowlevel.open_process(
                server.command, cwd=tmp_path, env=server.environ, stdout=log, stderr=log
            )
        await server.until(lambda status: status.get("generation") == 1)
        answers: list[bytes] = []
        async with trio.open_nursery() as clients:
            clients.start_soon(ask, server.port, "model-0", "go", answers)
            while not upstream.open:  # noqa: ASYNC110  # as above
                await trio.sleep(0.05)
            await trio.sleep(PACE)
            process.send_signal(signal.SIGTERM)
            await trio.sleep(2 * PACE)
            assert process.poll() is None
            assert not answers
            process.send_signal(signal.SIGTERM)
        with trio.fail_after(5):
            assert await process.wait() == 0
        nursery.cancel_scope.cancel()
    assert not whole(answers[0])


async def test_a_successor_that_cannot_start_changes_nothing(tmp_path):
    upstream = Upstream()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, upstream.serve, 0)
        server = Server(tmp_path, listeners[0].socket.getsockname()[1])
        log = (tmp_path / "log").open("w")
        process = await trio.lowlevel.open_process(
            server.command, cwd=tmp_path, env=server.environ, stdout=log, stderr=log
        )
        await server.until(lambda status: status.get("generation") == 1)
        server.config.write_text("port: x\n")
        os.kill(process.pid, signal.SIGUSR2)
        await server.until(lambda status: status.get("restart"))
        assert server.status["restart"] == "the new process ended with status 78"
        assert b"[DONE]" in await ask(server.port, "model-0", "short")
        process.send_signal(signal.SIGTERM)
        with trio.fail_after(10):
            assert await process.wait() == 0
        nursery.cancel_scope.cancel()
    log.close()


if __name__ == "__main__":
    import tempfile
    import time

    count = int(sys.argv[1]) if sys.argv[1:] else 1000
    with tempfile.TemporaryDirectory() as name:
        start = time.monotonic()
        found, _ = trio.run(outlive, Path(name), count, RELOADS)
        broken = sum(not whole(answer) for answer in found)
        print(f"{len(found)} streams, {broken} broken, {time.monotonic() - start:.1f} s")
