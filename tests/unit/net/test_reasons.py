"""What is told of an upstream that cannot be reached: why, but not where it is."""

from __future__ import annotations

import socket

import pytest
import trio

from proxy.net.api import Call, UpstreamBroken
from proxy.net.transport import Transport


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_refused_connection_names_no_address(host):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    call = Call(method=b"POST", url=f"http://{host}:{port}/v1", headers=[], body=b"{}")
    with pytest.raises(UpstreamBroken) as broken, trio.fail_after(5):
        await Transport().send(call)
    assert broken.value.reason == "cannot connect: Connection refused"


async def test_a_name_that_is_none(monkeypatch):
    async def unknown(*_arguments, **_more):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(trio.socket, "getaddrinfo", unknown)
    call = Call(method=b"POST", url="http://nowhere.test/v1", headers=[], body=b"{}")
    with pytest.raises(UpstreamBroken) as broken:
        await Transport().send(call)
    assert broken.value.reason == "cannot connect: Name or service not known"
