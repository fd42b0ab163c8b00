"""No secret is written where it does not belong: a server and every command, with secrets that are easy
to find again, and a search through everything that they printed, logged, kept and answered.

Three places hold secrets on purpose, for their owner's eyes only: the configuration and the account
files of the user, and the history of configurations in the state folder.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, urlsplit

import pytest

from tests.e2e.servers import ROOT, free_port, wait_for

SECRETS = {
    "client key": "sk-Q1client-7f3a9c",
    "second client key": "sk-Q2client-b81d04",
    "named client key": "sk-Q3named-550e84",
    "bad client key": "sk-Q4bad-90ccfe",
    "bad key in a URL": "sk-Q5bad-url-1d5e77",
    "GitHub login": "gho_Q6login4be1",
    "refused login": "gho_Q7refused55d2",
    "Copilot token": "tid=Q8token;exp=4070908800;sku=f00d",
    "kept Copilot token": "tid=Q9kept;exp=4070908800;sku=beef",
    "good upstream key": "sk-Q10good-aa01",
    "key of a 401": "sk-Q11unauth-aa02",
    "key of a 429": "sk-Q12limit-aa03",
    "key of a 500": "sk-Q13broken-aa04",
    "key of a cut": "sk-Q14cut-aa05",
    "Gemini key": "AIza-Q15gemini-aa06",
    "Claude key": "sk-ant-Q16claude-aa07",
    "proxy password": "Q17proxypass",
    "header secret": "Q18header-aa08",
    "key by environment": "sk-Q19environ-aa09",
    "passphrase": "Q20 correct horse",
    "misplaced key": "sk-Q21misplaced-aa10",
    "key in broken YAML": "sk-Q22brokenyaml-aa11",
    "Google login": "1//Q24google-bb01",
    "Google token": "ya29.Q25google-bb02",
    "old Google token": "ya29.Q26google-bb03",
    "key in broken TOML": "sk-Q23brokentoml-aa12",
    "Claude token": "sk-ant-oat01-Q24token-aa13",
    "Claude login": "sk-ant-ort01-Q25login-aa14",
    "Codex token": "Q26codextoken-aa15",
    "Codex login": "Q27codexlogin-aa16",
}
FAILURES = {
    "unauth": ("key of a 401", 401),
    "limit": ("key of a 429", 429),
    "broken": ("key of a 500", 500),
    "cut": ("key of a cut", 0),
}


class World(BaseHTTPRequestHandler):
    """GitHub, Copilot, and key upstreams of which some fail, by the first part of the path."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.endswith("/copilot_internal/v2/token"):
            if SECRETS["refused login"] in self.headers["authorization"]:
                self.reply(401, {"message": "Bad credentials"})
            else:
                self.reply(200, {"token": SECRETS["Copilot token"], "expires_at": 4070908800})
        else:
            self.reply(200, {"data": [{"id": "gpt-4.1", "model_picker_enabled": True}]})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.seen.update([*str(self.headers).split(), self.path])
        path = urlsplit(self.path).path
        if path == "/token":
            self.reply(200, {"access_token": SECRETS["Google token"], "expires_in": 3599})
            return
        status = FAILURES.get(path.split("/")[1], ("", 200))[1]
        if b"refused-" in body:
            status = 401 if b"refused-401" in body else 400
        if status == 0:
            self.close_connection = True
        elif status != 200:
            # Some services repeat the key that they refuse.
            message = f"bad key: {self.headers['authorization']}"
            self.reply(status, {"error": {"message": message, "type": "bad", "code": str(status)}})
        elif "generateContent" in path:
            content = {"role": "model", "parts": [{"text": "hi"}]}
            answer = {"candidates": [{"content": content, "finishReason": "STOP"}]}
            self.reply(200, {"response": answer} if "v1internal" in path else answer)
        elif path.endswith("/messages"):
            text = [{"type": "text", "text": "hi"}]
            self.reply(200, {"type": "message", "role": "assistant", "content": text})
        else:
            message = {"role": "assistant", "content": "hi"}
            self.reply(200, {"choices": [{"index": 0, "message": message}]})

    def reply(self, status, value):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def world():
    server = ThreadingHTTPServer(("127.0.0.1", 0), World)
    server.url = f"http://127.0.0.1:{server.server_port}"
    server.seen = set()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def upstreams(url: str) -> str:
    found = [
        f'[upstreams.{name}]\nwire = "chat"\nbase-url = "{url}/{name}/v1"\nkeys = ["{SECRETS[key]}"]\n'
        f'[models."{name}-1"]\nto = ["{name}"]\n'
        for name, (key, _) in {**FAILURES, "good": ("good upstream key", 200)}.items()
    ]
    found.append(
        f'[upstreams.extra]\nwire = "chat"\nbase-url = "{url}/v1"\nkeys = ["env:EXTRA_KEY"]\n'
        f'headers = {{ X-Secret = "{SECRETS["header secret"]}" }}\n'
        '[models."extra-1"]\nto = ["extra"]\n'
        f'[upstreams.far]\nwire = "chat"\nbase-url = "{url}/v1"\n'
        'keys = [{ key = "env:EXTRA_KEY", '
        f'proxy = "http://someone:{SECRETS["proxy password"]}@127.0.0.1:1" }}]\n'
        '[models."far-1"]\nto = ["far"]\n'
        f'[upstreams.copilot]\nprovider = "copilot"\nbase-url = "{url}"\ngithub-api-url = "{url}"\n'
        f'[keys.phone]\nkey = "{SECRETS["named client key"]}"\nmodels = ["good-*"]\n'
    )
    return "".join(found)


class Place:
    """A folder with a configuration, the server on it, and everything that was written."""

    def __init__(self, folder, url):
        self.folder, self.url = folder, url
        self.port = free_port()
        self.config = folder / "config.yaml"
        self.routes = folder / "routes.d"
        self.auths = folder / "auths"
        self.state = folder / "state"
        self.written: dict[str, str] = {}
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "XDG_STATE_HOME": str(self.state),
            "EXTRA_KEY": SECRETS["key by environment"],
            "AUTH_BUNDLE_PASSPHRASE": SECRETS["passphrase"],
        }
        for made in (self.routes, self.auths):
            made.mkdir()
        self.config.write_text(
            f"host: 127.0.0.1\nport: {self.port}\nauth-dir: {self.auths}\ndebug: true\n"
            f"api-keys:\n  - {SECRETS['client key']}\n  - {SECRETS['second client key']}\n"
            f"gemini-api-key:\n  - api-key: {SECRETS['Gemini key']}\n    base-url: {url}\n"
            f"claude-api-key:\n  - api-key: {SECRETS['Claude key']}\n    base-url: {url}\n"
            f"nonsense-key: {SECRETS['misplaced key']}\n"
        )
        (self.routes / "10.toml").write_text(upstreams(url))
        kept = {
            "copilot_token": SECRETS["kept Copilot token"],
            "copilot_token_expiry": "2099-01-01T00:00:00Z",
        }
        for name, login, more in (
            ("good", SECRETS["GitHub login"], {}),
            ("kept", SECRETS["GitHub login"], kept),
            ("refused", SECRETS["refused login"], {}),
        ):
            account = {"type": "copilot", "github_token": login, "email": f"{name}@x.test", **more}
            (self.auths / f"{name}.json").write_text(json.dumps(account))
        # Their services stand behind the world as a proxy, which reaches no token endpoint.
        for kind, base in (("Claude", "http://claude.test"), ("Codex", "http://codex.test/unauth")):
            account = {
                "type": kind.lower(),
                "email": f"{kind}@x.test",
                "access_token": SECRETS[f"{kind} token"],
                "refresh_token": SECRETS[f"{kind} login"],
                "expired": "2099-01-01T00:00:00Z",
                "base_url": base,
                "proxy_url": url,
            }
            (self.auths / f"{kind.lower()}.json").write_text(json.dumps(account))
        token = {
            "access_token": SECRETS["old Google token"],
            "refresh_token": SECRETS["Google login"],
            "expiry": "2020-01-01T00:00:00Z",
            "token_uri": f"{url}/token",
        }
        google = {"type": "gemini", "base_url": url, "project_id": "a,b", "token": token}
        (self.auths / "google.json").write_text(json.dumps(google))

    def run(self, *words, status=0):
        done = subprocess.run(
            [sys.executable, "-m", "proxy", *words],
            env=self.environ,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.written["pointsman " + " ".join(words)] = done.stdout + done.stderr
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def ask(self, path, body, **headers):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            None if body is None else json.dumps(body).encode(),
            {
                "content-type": "application/json",
                **{k.replace("_", "-"): v for k, v in headers.items()},
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                status, text = answer.status, str(answer.headers) + answer.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, str(error.headers) + error.read().decode()
        label = path.partition("?")[0]
        self.written[f"answer {len(self.written)} of {label}, {status}"] = text
        return status

    def status(self):
        """What the server says of itself, word for word."""
        (file,) = (self.state / "pointsman" / "status").glob("*.json")
        return file.read_text()

    def keep_files(self):
        """Takes all that stands in the folder, but what holds secrets on purpose."""
        for path in sorted(self.folder.rglob("*")):
            if (
                not path.is_file()
                or path == self.config
                or path.parent in (self.routes, self.auths)
            ):
                continue
            if "generations" in path.parts:
                assert stat.S_IMODE(path.stat().st_mode) == 0o600
                assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
                continue
            self.written[str(path.relative_to(self.folder))] = path.read_text(errors="replace")


def found(written: dict[str, str]) -> list[str]:
    """Where which secret stands, as it is or as base64 and URLs spell it."""
    return [
        f"{name} in {where}"
        for name, secret in SECRETS.items()
        for where, text in written.items()
        if any(
            form in text
            for form in (secret, quote(secret), base64.b64encode(secret.encode()).decode()[:-4])
        )
    ]


CHAT = {"messages": [{"role": "user", "content": "hi"}]}


def serve(place, world):
    """The life of a server: answers, failures, strangers, a broken reload, a restart, a stop."""
    log = (place.folder / "server.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "proxy", "--config", str(place.config)],
        env=place.environ,
        cwd=place.folder,
        stdout=log,
        stderr=log,
    )
    log.close()
    try:
        wait_for(f"http://127.0.0.1:{place.port}/readyz", process)
        key = {"authorization": f"Bearer {SECRETS['client key']}"}
        models = ["good-1", "extra-1", "copilot-gpt-4.1", "gpt-4.1", *(f"{n}-1" for n in FAILURES)]
        statuses = {}
        for model in [*models, "far-1", "no-such-model"]:
            for stream in (False, True):
                body = {**CHAT, "model": model, "stream": stream, "max_tokens": 9}
                statuses[model] = place.ask("/v1/chat/completions", body, **key)
                place.ask("/v1/messages", body, x_api_key=SECRETS["second client key"])
        gemini = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
        path = "/v1beta/models/gemini-2.5-pro:generateContent"
        assert place.ask(f"{path}?key={SECRETS['client key']}", gemini) == 200
        for text in ("the key", "and the account", "take turns"):
            turns = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
            assert place.ask(f"{path}?key={SECRETS['client key']}", turns) == 200
        assert place.ask(f"{path}?key={SECRETS['bad key in a URL']}", gemini) == 401
        claude = {**CHAT, "model": "claude-sonnet-4-5-20250929", "max_tokens": 9}
        for _ in range(2):  # the key and the account take turns
            assert place.ask("/v1/messages", claude, x_api_key=SECRETS["client key"]) == 200
        codex = {"model": "gpt-5", "input": "hi"}
        assert place.ask("/v1/responses", codex, **key) == 401
        bad = {"authorization": f"Bearer {SECRETS['bad client key']}"}
        assert place.ask("/v1/chat/completions", {**CHAT, "model": "good-1"}, **bad) == 401
        named = {
            "authorization": f"Bearer {SECRETS['named client key']}",
            "x_pointsman_explain": "1",
        }
        assert place.ask("/v1/chat/completions", {**CHAT, "model": "good-1"}, **named) == 200
        place.ask("/v1/chat/completions", {**CHAT, "model": "extra-1"}, **named)
        for model in ("copilot-refused-400", "copilot-refused-401"):
            place.ask("/v1/chat/completions", {**CHAT, "model": model}, **key)
        for list_ in ("/v1/models", "/v1beta/models", "/nowhere", "/readyz"):
            place.ask(list_, None, **key)
        assert (statuses["good-1"], statuses["gpt-4.1"]) == (200, 200)
        assert all(statuses[f"{name}-1"] >= 400 for name in FAILURES)
        reload(place)
        commands(place)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


def reload(place):
    """Broken files beside the running server: their lines hold secrets."""
    good = place.config.read_text()
    broken = place.routes / "20.toml"
    for text in (
        f'[upstreams.x]\nwire = "chat"\nbase-url = "{place.url}"\nkeys = ["{SECRETS["key in broken TOML"]}", 5]\n',
        f'[upstreams.x]\nwire = "chat"\nbase-url = "{place.url}"\nkyes = ["{SECRETS["key in broken TOML"]}"]\n',
        f'[upstreams.x]\nkeys = ["{SECRETS["key in broken TOML"]}"\nwire = "chat"\n',
        f'[keys.tablet]\nkey = "{SECRETS["key in broken TOML"]}" "\n',
    ):
        broken.write_text(text)
        refused(place)
        broken.unlink()
    for text in (
        f'{good}api-keys: ["{SECRETS["key in broken YAML"]}"\n',
        f"{good}proxy-url: 'nonsense://u:{SECRETS['key in broken YAML']}@x'\n",
        f"{good}claude-api-key: {SECRETS['key in broken YAML']}\n",
        f"{good}codex-api-key: [{{api-key: {SECRETS['key in broken YAML']}, weight: x, base-url: 7}}]\n",
    ):
        place.config.write_text(text)
        refused(place)
    place.config.write_text(good)


def refused(place):
    """The commands say what is wrong; the server does once it looked."""
    config, before = str(place.config), place.status()
    done = subprocess.run(
        [sys.executable, "-m", "proxy", "check", "--config", config],
        env=place.environ,
        cwd=place.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    place.written[f"check {len(place.written)}, {done.returncode}"] = done.stdout + done.stderr
    for _ in range(60):
        if place.status() != before:
            break
        time.sleep(0.1)
    place.written[f"status {len(place.written)}"] = place.status()
    place.run("status", "--config", config)


def commands(place):
    """What a person asks beside the running server."""
    config = ("--config", str(place.config))
    place.run("check", *config)
    place.run("check", "--json", *config)
    for model in ("good-1", "gpt-4.1", "extra-1", "far-1", "claude-sonnet-4-5-20250929"):
        place.run("routes", "explain", model, *config)
        place.run("routes", "explain", model, "--json", *config)
    place.run("routes", "list", *config)
    place.run("routes", "list", "--json", *config)
    place.run("config", "log", *config)
    place.run("accounts", *config)
    place.run("accounts", "--json", *config)
    place.run("accounts", "test", *config, status=1)
    place.run("accounts", "pause", "kept", *config)
    place.run("accounts", "resume", "kept", *config)
    sealed = place.auths / "sealed.txt"
    place.run("bundle", "create", "--in", str(place.auths), "--out", str(sealed), "--encrypt")
    place.written["an encrypted bundle"] = sealed.read_text()
    plain = place.auths / "plain.txt"
    place.run("bundle", "create", "--in", str(place.auths), "--out", str(plain))
    for file in (sealed, plain):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        place.run("bundle", "inspect", str(file))
        place.run("bundle", "inspect", str(file), "--json")
        place.run("bundle", "restore", str(file), "--into", str(place.auths))
    place.run("status", *config)


def test_no_secret_is_written_where_it_does_not_belong(tmp_path, world):
    place = Place(tmp_path, world.url)
    serve(place, world)
    place.run("accounts", "list", "--config", str(place.config))
    place.run("status", "--config", str(place.config), status=1)
    place.keep_files()
    assert any(name.startswith("state/") for name in place.written)
    assert "server.log" in place.written
    used = " ".join(world.seen)
    sent = ["good upstream key", "Copilot token", "Gemini key", "Claude key", "header secret"]
    sent += ["Claude token", "Codex token", "Google token"]
    assert [name for name in sent if SECRETS[name].split(";")[0] not in used] == []
    assert found(place.written) == []


def test_the_search_finds_each_form():
    secret = SECRETS["passphrase"]
    for form in (secret, quote(secret), base64.b64encode(secret.encode()).decode()):
        assert found({"x": f"... {form} ..."}) == ["passphrase in x"]
