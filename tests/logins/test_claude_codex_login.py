"""The Claude and Codex logins against mock services that check every parameter and play every failure."""

from __future__ import annotations

import hashlib
import json
import os
import re
import select
import signal
import subprocess
import sys
from base64 import urlsafe_b64encode
from copy import copy
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlsplit

import msgspec
import pytest
import trio

from proxy import __main__
from proxy.auth import browser, login
from proxy.auth.files import seconds_of
from proxy.auth.login import LoginFailed, Wish
from proxy.auth.logins.claude import ClaudeLogin
from proxy.auth.logins.codex import CodexLogin
from proxy.cli import login as command
from proxy.cli.verbs import BY_NAME
from proxy.config.model import AccountOptions, ServiceOptions
from proxy.net.api import UpstreamBroken
from tests.unit.auth.mock_github import Reply
from tests.unit.auth.test_claude_codex import PLUS, id_token

ROOT = Path(__file__).resolve().parents[2]
CLAUDE = {
    "token_type": "Bearer",
    "access_token": "sk-ant-oat01-x",
    "refresh_token": "sk-ant-ort01-x",
    "expires_in": 28800,
    "account": {"uuid": "u", "email_address": "dev@example.com"},
}
CODEX = {
    "access_token": "tok",
    "refresh_token": "rt-x",
    "id_token": id_token(PLUS),
    "expires_in": 864000,
}
LOGINS = {"claude": (ClaudeLogin, CLAUDE), "codex": (CodexLogin, CODEX)}
URLS = {
    "claude": "https://console.anthropic.com/v1/oauth/token",
    "codex": "https://auth.openai.com/oauth/token",
}


class Service:
    """`api.Transport`: answers by address, the last one for ever, and keeps what was asked."""

    def __init__(self, **answers):
        self.answers = {key: list(value) for key, value in answers.items()}
        self.asked = []

    async def send(self, call):
        await trio.lowlevel.checkpoint()
        assert call.method == b"POST"
        headers = {name.decode().lower(): value.decode() for name, value in call.headers}
        assert headers["accept"] == "application/json"
        form = headers["content-type"] == "application/x-www-form-urlencoded"
        body = dict(parse_qsl(call.body.decode())) if form else msgspec.json.decode(call.body)
        self.asked.append((call.url, body, call.proxy, trio.current_time()))
        queue = self.answers[call.url.rpartition("/")[2]]
        answer = queue[0] if len(queue) == 1 else queue.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return copy(answer) if isinstance(answer, Reply) else Reply(200, answer)


def test_the_page_of_claude():
    ticket = browser.new_ticket()
    address, _, query = ClaudeLogin(Wish()).url(ticket).partition("?")
    assert address == "https://claude.ai/oauth/authorize"
    digest = hashlib.sha256(ticket.verifier.encode()).digest()
    assert parse_qs(query) == {
        "code": ["true"],
        "client_id": ["9d1c250a-e61b-44d9-88ed-5944d1962f5e"],
        "response_type": ["code"],
        "redirect_uri": ["http://localhost:54545/callback"],
        "scope": ["org:create_api_key user:profile user:inference"],
        "code_challenge": [urlsafe_b64encode(digest).rstrip(b"=").decode()],
        "code_challenge_method": ["S256"],
        "state": [ticket.state],
    }


def test_the_page_of_codex():
    ticket = browser.new_ticket()
    url = CodexLogin(Wish()).url(ticket)
    assert url.startswith("https://auth.openai.com/oauth/authorize?")
    assert parse_qs(urlsplit(url).query) == {
        "client_id": ["app_EMoamEEZ73f0CkXaXp7hrann"],
        "response_type": ["code"],
        "redirect_uri": ["http://localhost:1455/auth/callback"],
        "scope": ["openid email profile offline_access"],
        "state": [ticket.state],
        "code_challenge": [ticket.challenge],
        "code_challenge_method": ["S256"],
        "prompt": ["login"],
        "id_token_add_organizations": ["true"],
        "codex_cli_simplified_flow": ["true"],
    }


async def test_a_code_becomes_a_claude_account(autojump_clock):
    service, ticket = Service(token=[CLAUDE]), browser.new_ticket()
    wish = Wish(options=AccountOptions(proxy="http://p:1"))
    made = await ClaudeLogin(wish).finish(service, "the-code", ticket)
    assert service.asked[0][:3] == (
        URLS["claude"],
        {
            "grant_type": "authorization_code",
            "code": "the-code",
            "state": ticket.state,
            "client_id": "9d1c250a-e61b-44d9-88ed-5944d1962f5e",
            "redirect_uri": "http://localhost:54545/callback",
            "code_verifier": ticket.verifier,
        },
        "http://p:1",
    )
    assert made.name == "claude-dev@example.com.json"
    content = dict(made.content)
    lasts = seconds_of(content.pop("expired")) - seconds_of(content.pop("last_refresh"))
    assert lasts == pytest.approx(28800, abs=2)
    assert content == {
        "type": "claude",
        "email": "dev@example.com",
        "access_token": "sk-ant-oat01-x",
        "refresh_token": "sk-ant-ort01-x",
    }


async def test_a_code_becomes_a_codex_account(autojump_clock):
    service, ticket = Service(token=[CODEX]), browser.new_ticket()
    options = AccountOptions(
        proxy="http://p:1", services={"codex": ServiceOptions(proxy="http://own:1")}
    )
    made = await CodexLogin(Wish(options=options)).finish(service, "the-code", ticket)
    assert service.asked[0][:3] == (
        URLS["codex"],
        {
            "grant_type": "authorization_code",
            "code": "the-code",
            "client_id": "app_EMoamEEZ73f0CkXaXp7hrann",
            "redirect_uri": "http://localhost:1455/auth/callback",
            "code_verifier": ticket.verifier,
        },
        "http://own:1",
    )
    assert made.name == "codex-dev@example.com.json"
    assert made.content["account_id"] == "acct-1"
    assert made.content["id_token"] == CODEX["id_token"]
    assert (made.content["type"], made.content["email"]) == ("codex", "dev@example.com")


REFUSALS = [
    (Reply(400, {"error": "invalid_grant", "error_description": "bad the-code"}), r"invalid_grant: bad \*\*\*"),
    (Reply(403, b"<html>"), "status 403"),
    (Reply(429, {}), "status 429"),
    (Reply(500, b""), "status 500"),
    (Reply(200, b"garbage"), "no login"),
    (Reply(200, {"access_token": "a"}), "no login"),
    (Reply(200, {"refresh_token": "a"}), "no login"),
    (UpstreamBroken("connect", "no route"), "no route"),
    ({"access_token": "a", "refresh_token": "b", "expires_in": 1}, "whose account"),
]  # fmt: skip


@pytest.mark.parametrize("provider", LOGINS)
@pytest.mark.parametrize(("answer", "said"), REFUSALS)
async def test_a_code_that_becomes_no_account(autojump_clock, provider, answer, said):
    made = LOGINS[provider][0](Wish())
    with pytest.raises(LoginFailed, match=said) as caught:
        await made.finish(Service(token=[answer]), "the-code", browser.new_ticket())
    assert "the-code" not in str(caught.value)


@pytest.mark.parametrize(
    ("mail", "name"),
    [("a+b@x.org", "claude-a+b@x.org.json"), ("../x\n@y", "claude-.._x_@y.json")],
)
async def test_a_files_name_stays_in_its_folder(autojump_clock, mail, name):
    answer = {**CLAUDE, "account": {"email_address": mail}}
    made = await ClaudeLogin(Wish()).finish(Service(token=[answer]), "c", browser.new_ticket())
    assert made.name == name


class Person:
    """`login.Terminal` that shows and does nothing else."""

    typing = False

    def __init__(self):
        self.shown = []
        self.codes = []

    def show(self, text):
        self.shown.append(text)

    def code(self, address, code, complete=""):
        self.codes.append((address, code))

    def open(self, url):
        pass

    async def line(self):
        return await trio.sleep_forever()


STARTED = {"device_auth_id": "dev-1", "user_code": "ABCD-1234", "interval": "5"}
ALLOWED = {"authorization_code": "the-code", "code_challenge": "c", "code_verifier": "the-verifier"}


async def by_code(*polls, start=STARTED, end=CODEX):
    """A device login; the token endpoints of both steps have one last name."""
    service, person = Service(usercode=[start], token=[*polls, end]), Person()
    made = login.get("codex", Wish(device=True))
    return await made.run(service, person), service, person


async def test_a_login_with_a_code(autojump_clock):
    waiting = [Reply(403, {}), Reply(404, {}), Reply(503, b""), UpstreamBroken("connect", "gone")]
    made, service, person = await by_code(*waiting, ALLOWED)
    assert person.codes == [("https://auth.openai.com/codex/device", "ABCD-1234")]
    assert person.shown[1:] == ["OpenAI cannot be reached (gone); trying on"]
    base = "https://auth.openai.com/api/accounts/deviceauth"
    start, *polls, end = service.asked
    assert start[:2] == (f"{base}/usercode", {"client_id": "app_EMoamEEZ73f0CkXaXp7hrann"})
    told = {"device_auth_id": "dev-1", "user_code": "ABCD-1234"}
    assert [poll[:2] for poll in polls] == [(f"{base}/token", told)] * 5
    assert [poll[3] for poll in polls] == pytest.approx([5, 10, 15, 20, 25])
    assert end[:2] == (
        URLS["codex"],
        {
            "grant_type": "authorization_code",
            "client_id": "app_EMoamEEZ73f0CkXaXp7hrann",
            "code": "the-code",
            "code_verifier": "the-verifier",
            "redirect_uri": "https://auth.openai.com/deviceauth/callback",
        },
    )
    assert made.name == "codex-dev@example.com.json"


@pytest.mark.parametrize(
    ("start", "polls", "said"),
    [
        (Reply(404, {}), [], "does not offer"),
        (Reply(500, {}), [], "status 500"),
        (Reply(200, b"x"), [], "cannot be read"),
        ({**STARTED, "user_code": "\x1b[31m"}, [], "cannot be shown"),
        (UpstreamBroken("connect", "gone"), [], "cannot be reached"),
        (STARTED, [Reply(400, {})], "refused the login: status 400"),
        (STARTED, [{"authorization_code": "x"}], "holds no login"),
        (STARTED, [Reply(403, {})] * 200, "the code is over"),
        ({**STARTED, "interval": 9e9}, [Reply(403, {})] * 200, "the code is over"),
    ],
)
async def test_a_login_with_a_code_that_fails(autojump_clock, start, polls, said):
    with pytest.raises(LoginFailed, match=said):
        await by_code(*polls, start=start)
    assert trio.current_time() <= 15 * 60 + 60


def test_help_names_every_provider_that_one_can_log_in_to():
    assert BY_NAME["login"].words == login.providers()
    for provider in login.providers():
        if provider != "vertex":  # a key of one's own cloud: no terms are bent
            assert login.get(provider, Wish()).note


@pytest.mark.parametrize(
    ("words", "provider", "device"),
    [
        (["login", "claude", "--no-browser"], "claude", False),
        (["-claude-login", "-no-browser"], "claude", False),
        (["--codex-login"], "codex", False),
        (["login", "codex", "--device"], "codex", True),
        (["-codex-device-login"], "codex", True),
    ],
)
def test_the_commands(tmp_path, monkeypatch, capsys, words, provider, device):
    """All but the service: who is asked for, and what becomes of the account."""
    wishes = []

    class Instant:
        note = "Mind the terms."

        async def run(self, transport, terminal):
            await trio.lowlevel.checkpoint()
            terminal.show("hello")
            return login.NewAccount("x.json", {"type": provider, "access_token": "secret-1"})

    def get(name, wish):
        wishes.append((name, wish.device))
        return Instant()

    monkeypatch.setattr(command.login, "get", get)
    config = tmp_path / "config.yaml"
    config.write_text(f"host: 127.0.0.1\nauth-dir: {tmp_path}/auth\n")
    assert __main__.main([*words, "-config", str(config)]) == 0
    said = capsys.readouterr().out
    path = tmp_path / "auth" / "x.json"
    assert said == f"Mind the terms.\nhello\nAuthentication saved to {path}\n"
    assert json.loads(path.read_text())["access_token"] == "secret-1"
    assert path.stat().st_mode & 0o777 == 0o600
    assert wishes == [(provider, device)]


def read_until(terminal, mark, said):
    """What a program showed on its terminal, up to a text."""
    while mark not in said:
        ready, _, _ = select.select([terminal], [], [], 20)
        assert ready, said
        said += os.read(terminal, 65536)
    return said


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo terminal")
def test_an_address_is_pasted_on_a_terminal(tmp_path):
    """A real terminal; the service cannot be reached, so that the login ends when it is asked."""
    config = tmp_path / "config.yaml"
    config.write_text(
        f"host: 127.0.0.1\nauth-dir: {tmp_path}/auth\nproxy-url: http://127.0.0.1:9\n"
    )
    command = [sys.executable, "-m", "proxy", "login", "claude", "--no-browser"]
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [*command, "--config", str(config)], cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        said = read_until(ours, b"press Enter", b"")
        assert b"docs/claude.md" in said
        state = re.search(rb"[?&]state=([0-9a-f]{32})", said)[1]
        os.write(ours, b"http://localhost:54545/callback?code=x&state=wrong\n")
        said = read_until(ours, b"belongs to another login", said)
        os.write(ours, b"http://localhost:54545/callback?code=x&state=" + state + b"\n")
        said = read_until(ours, b"the login could not be ended", said)
        assert process.wait(20) == 1
    os.close(ours)
    assert b"Traceback" not in said
    assert not (tmp_path / "auth").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
def test_ctrl_c_ends_a_login_without_a_word_too_many(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(f"host: 127.0.0.1\nauth-dir: {tmp_path}/auth\n")
    command = [sys.executable, "-m", "proxy", "login", "antigravity", "--config", str(config)]
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [*command, "--no-browser"],
        cwd=ROOT,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        # Whoever runs the tests in the background ignores the signal, and children inherit that.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        os.close(theirs)
        said = read_until(ours, b"press Enter", b"")
        process.send_signal(signal.SIGINT)
        said = read_until(ours, b"the login was given up", said)
        assert process.wait(20) == 130
    os.close(ours)
    assert b"Traceback" not in said
