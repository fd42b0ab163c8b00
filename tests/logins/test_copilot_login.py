"""The Copilot login against a mock GitHub that checks every parameter and plays every failure."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
import trio

from proxy.auth import device
from proxy.auth.login import LoginFailed
from proxy.auth.logins import copilot
from proxy.cli import login as command
from proxy.config.model import CopilotOptions
from proxy.net.api import UpstreamBroken
from proxy.secret import Secret
from tests.unit.auth.mock_github import Reply

ROOT = Path(__file__).resolve().parents[2]
CODE = {
    "device_code": "dev-1",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://github.com/login/device",
    "expires_in": 900,
    "interval": 5,
}
TOKEN = {"access_token": "gho_fake_login", "token_type": "bearer", "scope": "read:user"}
PENDING = {"error": "authorization_pending"}
COPILOT = {"token": "tid=1", "expires_at": 4070908800, "refresh_in": 1500}
WHO = {"login": "octo-dev", "email": None, "name": "Octo"}


class Identity:
    """GitHub: answers in turn, and what was asked with the second it came."""

    def __init__(self, *polls, code=CODE, copilot=COPILOT, user=WHO):
        self.answers = {
            "/login/device/code": [code],
            "/login/oauth/access_token": list(polls),
            "/copilot_internal/v2/token": [copilot],
            "/user": [user],
        }
        self.asked = []

    async def send(self, call):
        await trio.lowlevel.checkpoint()
        scheme, _, rest = call.url.partition("://")
        assert scheme == "https"
        host, _, path = rest.partition("/")
        assert host == ("github.com" if path.startswith("login") else "api.github.com")
        headers = {name.decode().lower(): value.decode() for name, value in call.headers}
        assert headers["accept"] == headers["content-type"] == "application/json"
        if path.startswith("login"):
            assert call.method == b"POST"
            assert "authorization" not in headers
        else:
            assert call.method == b"GET"
            assert headers["authorization"] == "token gho_fake_login"
            assert headers["editor-version"] == "vscode/1.95.0"
        body = msgspec.json.decode(call.body) if call.body else None
        self.asked.append((trio.current_time(), path, body))
        answer = self.answers[f"/{path}"].pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Reply) else Reply(200, answer)


async def login(github, notes=None, **options):
    chosen = CopilotOptions(**options)
    flow = copilot.flow(chosen)
    code = await device.start(github, flow, "")
    note = (notes if notes is not None else []).append
    grant = await device.wait(github, flow, code, "", note)
    return await copilot.finish(github, Secret(grant.access_token), chosen, "")


async def test_every_parameter(autojump_clock):
    github = Identity(PENDING, PENDING, TOKEN)
    found = await login(github)
    assert found.github_token == Secret("gho_fake_login")
    assert (found.username, found.email) == ("octo-dev", "")
    start, *rest = github.asked
    assert start[2] == {"client_id": "Iv1.b507a08c87ecfe98", "scope": "read:user"}
    polls = [body for _, path, body in rest if path == "login/oauth/access_token"]
    assert polls == 3 * [
        {
            "client_id": "Iv1.b507a08c87ecfe98",
            "device_code": "dev-1",
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        }
    ]
    times = [second for second, path, _ in github.asked if path == "login/oauth/access_token"]
    assert times == pytest.approx([6, 12, 18])


async def test_slow_down_waits_five_seconds_more_each_time(autojump_clock):
    slow = {"error": "slow_down"}
    github = Identity(slow, slow, {"error": "slow_down", "interval": 30}, TOKEN)
    await login(github)
    times = [second for second, path, _ in github.asked if path == "login/oauth/access_token"]
    assert times == pytest.approx([6, 17, 33, 64])


async def test_answers_in_form_encoding_are_read(autojump_clock):
    pending = Reply(200, b"error=authorization_pending&error_description=x")
    token = Reply(200, b"access_token=gho_fake_login&scope=read%3Auser&token_type=bearer")
    assert (await login(Identity(pending, token))).github_token == Secret("gho_fake_login")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("access_denied", "refused"),
        ("expired_token", "over"),
        ("device_code_expired", "over"),
        ("incorrect_device_code", "does not know the code"),
        ("incorrect_client_credentials", "client id"),
        ("unsupported_grant_type", "does not offer"),
        ("device_flow_disabled", "does not offer"),
    ],
)
async def test_answers_that_end_the_login(autojump_clock, word, said):
    with pytest.raises(LoginFailed, match=said):
        await login(Identity(PENDING, {"error": word}))


async def test_a_code_that_nobody_typed_is_over(autojump_clock):
    github = Identity(*[PENDING] * 200)
    with pytest.raises(LoginFailed, match="over"):
        await login(github)
    assert trio.current_time() == pytest.approx(900, abs=6)


async def test_a_network_that_is_gone_for_a_while_is_said_once_per_time(autojump_clock):
    lost = UpstreamBroken("connect", "no route")
    notes = []
    await login(Identity(lost, lost, PENDING, lost, Reply(502, b"<html>"), TOKEN), notes)
    assert notes == ["GitHub cannot be reached (no route); trying on"] * 2


async def test_an_odd_error_is_said_and_waited_out(autojump_clock):
    notes = []
    await login(Identity({"error": "weather"}, TOKEN), notes)
    assert notes == ["GitHub says 'weather'; trying on"]


@pytest.mark.parametrize(
    "code",
    [
        Reply(404, {}),
        Reply(200, b"<html>"),
        {**CODE, "user_code": "\x1b[31mX"},
        {**CODE, "verification_uri": "https://github.com/\n"},
        {**CODE, "device_code": ""},
        UpstreamBroken("connect", "no route"),
    ],
)
async def test_without_a_code_there_is_no_login(autojump_clock, code):
    with pytest.raises(LoginFailed, match="GitHub"):
        await login(Identity(code=code))


@pytest.mark.parametrize(
    ("copilot", "said"),
    [
        (Reply(401, {}), "has no Copilot"),
        (Reply(403, {"message": "no seat"}), "no seat"),
        (Reply(500, {}), "could not be checked"),
        (Reply(200, b"x"), "could not be checked"),
    ],
)
async def test_an_account_without_copilot_is_not_kept(autojump_clock, copilot, said):
    with pytest.raises(LoginFailed, match=said):
        await login(Identity(TOKEN, copilot=copilot))


@pytest.mark.parametrize("user", [Reply(500, {}), Reply(200, b"x"), UpstreamBroken("closed", "x")])
async def test_a_name_that_does_not_come_is_empty(autojump_clock, user):
    assert (await login(Identity(TOKEN, user=user))).username == ""


@pytest.mark.parametrize(
    ("name", "file"),
    [("octo-dev", "copilot_individual_octo-dev.json"), ("", "copilot_individual_.json"),
     ("../../x", "copilot_individual_.._.._x.json")],
)  # fmt: skip
def test_the_files_name(name, file):
    assert copilot.file_name("individual", name) == file


def test_the_picture_needs_its_library_and_nothing_else_does(monkeypatch):
    monkeypatch.setitem(sys.modules, "segno", None)
    assert command.qr("https://github.com/login/device") == ""


class Handler(BaseHTTPRequestHandler):
    def answer(self):
        length = int(self.headers.get("content-length", 0))
        self.rfile.read(length)
        value = self.server.answers[self.path]
        value = value.pop(0) if isinstance(value, list) else value
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = answer  # noqa: N815

    def log_message(self, *args):
        pass


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["login", "copilot", "--no-browser"], "business"),
        (["-copilot-login", "-no-browser"], "business"),
        (["-github-copilot-login"], "individual"),
        (["login", "copilot", "--account-type", "enterprise"], "enterprise"),
    ],
)
def test_the_command_saves_the_account(tmp_path, words, kind):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answers = {
        "/login/device/code": {**CODE, "interval": 0},
        "/login/oauth/access_token": [PENDING, TOKEN],
        "/copilot_internal/v2/token": COPILOT,
        "/user": {**WHO, "email": "octo@example.com"},
    }
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    config = tmp_path / "config.yaml"
    config.write_text(
        f"host: 127.0.0.1\nauth-dir: {tmp_path}/auth\ncopilot-api-key: [{{account-type: business}}]\n"
    )
    routes = tmp_path / "routes.d"
    routes.mkdir()
    (routes / "a.toml").write_text(
        f'[upstreams.copilot]\nprovider = "copilot"\ngithub-url = "{url}"\ngithub-api-url = "{url}"\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "proxy", *words, "-config", str(config)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    server.shutdown()
    server.server_close()
    assert (done.returncode, done.stderr) == (0, "")
    path = tmp_path / "auth" / f"copilot_{kind}_octo-dev.json"
    assert json.loads(path.read_text()) == {
        "github_token": "gho_fake_login",
        "account_type": kind,
        "email": "octo@example.com",
        "username": "octo-dev",
        "type": "copilot",
    }
    assert path.stat().st_mode & 0o777 == 0o600
    assert f"Authentication saved to {path}" in done.stdout
    assert "code: WDJB-MJHT" in done.stdout
    assert "gho_fake_login" not in done.stdout


def test_other_providers_are_told_apart(capsys):
    assert command.run(["grok"]) == 2
    assert "not available yet" in capsys.readouterr().err
    assert command.run(["cloude"]) == 2
    assert "not known" in capsys.readouterr().err
