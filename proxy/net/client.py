"""httpx's API over our transport, for code that logs in and refreshes. The data path does not use it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import httpx

from proxy.net.api import Call, Reply, Transport, UpstreamBroken
from proxy.net.tls import client_context

_TIMEOUT: Final = 30.0
_ERRORS: Final[dict[str, type[httpx.TransportError]]] = {
    "connect": httpx.ConnectError,
    "tls": httpx.ConnectError,
    "proxy": httpx.ProxyError,
    "timeout": httpx.ReadTimeout,
    "closed": httpx.RemoteProtocolError,
    "protocol": httpx.RemoteProtocolError,
    "too_large": httpx.RemoteProtocolError,
}


class _Body(httpx.AsyncByteStream):
    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while data := await self._reply.receive():
                yield data
        except UpstreamBroken as broken:
            raise _ERRORS[broken.kind](broken.reason) from None

    async def aclose(self) -> None:
        await self._reply.aclose()


class ClientTransport(httpx.AsyncBaseTransport):
    """Adapts `api.Transport`. `proxy`: URL or ""."""

    def __init__(self, transport: Transport, *, proxy: str = "") -> None:
        self._transport = transport
        self._proxy = proxy

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request; raises httpx's own transport errors."""
        timeout = request.extensions.get("timeout") or {}
        call = Call(
            method=request.method.encode(),
            url=str(request.url),
            headers=list(request.headers.raw),
            body=await request.aread(),
            proxy=self._proxy,
            connect_timeout=timeout.get("connect") or 0.0,
            first_timeout=timeout.get("read") or 0.0,
            idle_timeout=timeout.get("read") or 0.0,
        )
        try:
            reply = await self._transport.send(call)
        except UpstreamBroken as broken:
            raise _ERRORS[broken.kind](broken.reason) from None
        return httpx.Response(reply.status, headers=reply.headers, stream=_Body(reply))


def client(transport: Transport, *, proxy: str = "") -> httpx.AsyncClient:
    """A client that looks at no environment variable. The caller closes it; the transport stays."""
    return httpx.AsyncClient(
        transport=ClientTransport(transport, proxy=proxy),
        verify=client_context(),
        trust_env=False,
        timeout=_TIMEOUT,
    )
