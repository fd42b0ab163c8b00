"""Browser logins: real sockets on loopback for the callback, a scripted person for the rest."""

from __future__ import annotations

import hashlib
import socket
from base64 import urlsafe_b64encode
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

import pytest
import trio

from proxy.auth import browser
from proxy.auth.browser import Arrival, BrowserLogin, arrival_of, read_pasted
from proxy.auth.login import LoginFailed, NewAccount


class Example(BrowserLogin):
    service = "Example"
    path = "/callback"

    def __init__(self, port):
        self.port = port

    def url(self, ticket):
        return f"https://example.com/authorize?state={ticket.state}&c={ticket.challenge}"

    async def finish(self, transport, code, ticket):
        return NewAccount(name="x.json", content={"code": code, "verifier": ticket.verifier})


class Person:
    """`login.Terminal`: `typed` lines may hold `{state}`; the rest of the input never comes."""

    def __init__(self, *typed, typing=False):
        self.typing = typing or bool(typed)
        self.typed = list(typed)
        self.shown = []
        self.opened = trio.Event()
        self.url = ""

    def show(self, text):
        self.shown.append(text)

    def code(self, address, code, complete=""):
        raise AssertionError

    def open(self, url):
        self.url = url
        self.opened.set()

    @property
    def state(self):
        return parse_qs(urlsplit(self.url).query)["state"][0]

    async def line(self):
        await self.opened.wait()
        await trio.lowlevel.checkpoint()
        if self.typed:
            return self.typed.pop(0).replace("{state}", self.state)
        return await trio.sleep_forever()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def ask(port, target, *, host="127.0.0.1", method="GET"):
    """What one request is answered."""
    stream = await trio.open_tcp_stream(host, port)
    async with stream:
        await stream.send_all(f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = b""
        async for data in stream:
            answer += data
    return answer


async def log_in(person, during, port=None):
    """The account that a login gave while `during(port, person)` played the browser."""
    login = Example(port or free_port())
    found = []
    async with trio.open_nursery() as nursery:

        async def run():
            found.append(await login.run(None, person))

        nursery.start_soon(run)
        await person.opened.wait()
        with trio.fail_after(10):
            await during(login.port, person)
    return found[0]


async def test_the_browser_comes_back():
    person = Person()

    async def come_back(port, person):
        answer = await ask(port, f"/callback?code=abc&state={person.state}")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"no-store" in answer
        assert b"abc" not in answer

    account = await log_in(person, come_back)
    assert account.content["code"] == "abc"
    digest = hashlib.sha256(account.content["verifier"].encode()).digest()
    challenge = urlsplit(person.url).query.partition("&c=")[2]
    assert challenge == urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert len(account.content["verifier"]) == 128
    assert account.content["verifier"] not in person.url


class Gone:
    """A browser that closes the connection once it has asked."""

    def __init__(self, head):
        self.head = head

    async def receive_some(self, limit):
        return self.head

    async def send_all(self, data):
        raise trio.BrokenResourceError

    async def aclose(self):
        pass


async def test_a_browser_that_does_not_wait_for_the_page_brought_the_code():
    came = []
    desk = browser.Desk("/callback", browser.Ticket("s", "v"), came.append)
    gone = Gone(b"GET /callback?code=a&state=s HTTP/1.1\r\n\r\n")
    await desk.serve(gone, trio.CapacityLimiter(1))
    assert [arrival.code for arrival in came] == ["a"]


async def test_whatever_else_comes_is_ignored():
    async def others_first(port, person):
        state = person.state
        for target in ("/favicon.ico", "/", f"/callbacks?code=a&state={state}", "/callback/x"):
            assert b" 404 " in await ask(port, target)
        for query in (
            "",
            "code=evil",
            "code=evil&state=other",
            f"state={state}",
            "error=access_denied",
            "error=access_denied&state=other",
            "&".join(f"a{i}=1" for i in range(200)) + f"&code=a&state={state}",
        ):
            assert b" 400 " in await ask(port, f"/callback?{query}")
        assert b" 404 " in await ask(port, f"/callback?code=a&state={state}", method="POST")
        with suppress(trio.BrokenResourceError):  # cut off in the middle of it
            assert b" 404 " in await ask(port, "/callback?" + "x" * 40_000)
        assert b" 200 " in await ask(port, f"/callback?code=good&state={state}")

    account = await log_in(Person(), others_first)
    assert account.content["code"] == "good"


async def test_a_connection_that_says_nothing_holds_nobody_up():
    async def idle_first(port, person):
        idle = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(5)]
        await ask(port, f"/callback?code=good&state={person.state}")
        for stream in idle:
            await stream.aclose()

    assert (await log_in(Person(), idle_first)).content["code"] == "good"


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
async def test_localhost_may_be_either_family():
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("no ::1 here")

    async def come_back(port, person):
        await ask(port, f"/callback?code=six&state={person.state}", host="::1")

    assert (await log_in(Person(), come_back)).content["code"] == "six"


@pytest.mark.parametrize(
    "typed",
    [
        "http://localhost:54545/callback?code=abc&state={state}\n",
        "  '?code=abc&state={state}'\n",
        "code=abc&state={state}\n",
        "abc#{state}\n",
        "http://localhost:1/callback?code=abc#{state}\n",
        "http://localhost:1/callback?state={state}&code=abc%23{state}\n",
    ],
)
async def test_what_a_person_pastes(typed):
    person = Person("\n", "abc\n", "abc#wrong\n", "hello\n", typed)

    async def nothing(port, person):
        pass

    assert (await log_in(person, nothing)).content["code"] == "abc"
    refusals = [text for text in person.shown if text.startswith("That is not it")]
    assert len(refusals) == 3
    assert "another login" in refusals[1]


async def test_a_port_in_use_leaves_the_pasting():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        async def nothing(port, person):
            pass

        person = Person("abc#{state}\n")
        assert (await log_in(person, nothing, port)).content["code"] == "abc"
        assert any(f"Port {port} of this machine is in use" in text for text in person.shown)
        with pytest.raises(LoginFailed, match=f"port {port} of this machine is in use"):
            await Example(port).run(None, Person())


async def test_a_port_that_somebody_has_on_one_family_is_in_use():
    with socket.socket(socket.AF_INET6) as other:
        try:
            other.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6")
        other.listen()
        with pytest.raises(LoginFailed, match="in use"):
            await Example(other.getsockname()[1]).run(None, Person())


async def test_a_refusal_is_told_without_control_characters():
    person = Person("?error=access_denied&error_description=n%1b[31mo&state={state}\n")
    with pytest.raises(LoginFailed) as caught:
        await Example(free_port()).run(None, person)
    assert str(caught.value) == "Example refused the login: access_denied: n[31mo"


async def test_five_minutes(autojump_clock):
    with pytest.raises(LoginFailed, match="within 5 minutes"):
        await browser.code_of(Example(free_port()), browser.new_ticket(), Person(typing=True))
    assert trio.current_time() == pytest.approx(300)


async def test_the_way_from_another_machine_is_told():
    person = Person("abc#{state}\n")
    login = Example(free_port())
    await login.run(None, person)
    tunnel = f"ssh -L {login.port}:127.0.0.1:{login.port} "
    assert any(tunnel in text for text in person.shown)


def test_odd_texts_are_no_arrival():
    assert read_pasted("") == Arrival()
    assert arrival_of("&".join(f"a{i}=1" for i in range(99))) == Arrival()
    assert arrival_of("error=x&state=s") == Arrival("", "s", "x")


def test_every_login_is_unlike_any_other():
    first, second = browser.new_ticket(), browser.new_ticket()
    assert first.state != second.state
    assert first.verifier != second.verifier
    assert len(first.state) == 32
