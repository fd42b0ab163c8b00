"""A relay on the product's two network lanes and nothing else: what routing and translation start from.

Run: python tests/bench/relay_app.py LISTEN_PORT UPSTREAM_PORT (loopback).
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import msgspec
import trio

from proxy.config.model import Settings
from proxy.net.api import Call
from proxy.net.transport import Transport
from proxy.surface.server import serve

URLS = {"b-chat": f"http://127.0.0.1:{sys.argv[2]}/v1/chat/completions"}


class Head(msgspec.Struct):
    model: str = ""
    stream: bool = False


_head = msgspec.json.Decoder(Head)
_HEADERS = [(b"content-type", b"application/json"), (b"authorization", b"Bearer x")]


class App:
    def __init__(self, transport):
        self.transport = transport

    def is_ready(self):
        return True

    def is_fast(self, method, path):
        return path.startswith(b"/v1/")

    async def handle(self, request, responder):
        head = _head.decode(request.body)
        call = Call(method=b"POST", url=URLS[head.model], headers=_HEADERS, body=request.body)
        reply = await self.transport.send(call)
        try:
            kept = [pair for pair in reply.headers if pair[0] == b"content-type"]
            if head.stream:
                responder.start(reply.status, kept)
                while data := await reply.receive():
                    await responder.send(data)
                await responder.end()
            else:
                await responder.whole(reply.status, kept, await reply.read(1 << 26))
        finally:
            await reply.aclose()


async def main():
    transport = Transport()
    async with trio.open_nursery() as nursery:
        await nursery.start(transport.run)
        settings = Settings(port=int(sys.argv[1]))
        await serve(settings, App(transport))


if __name__ == "__main__":
    trio.run(main)
