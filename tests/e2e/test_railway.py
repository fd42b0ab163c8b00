"""`build/railway_start.sh`: from nothing but variables to answers, and one line for each bad variable."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.e2e.coding_tools import Job
from tests.e2e.coding_tools import run as run_tool
from tests.e2e.servers import free_port, wait_for

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "build" / "railway_start.sh"
SECRETS = {
    "login": "gho_fake_railway_login",
    "token": "tid=fake-railway-token",
    "client": 'it\'s a "client" key: #1',
    "second": "second-client-key",
    "route": "sk-fake-railway-route",
}


def shells():
    return [s for s in ("sh", "dash", "bash", "busybox sh") if shutil.which(s.split()[0])]


def bundle(base_url: str, **more) -> str:
    """As `tar cz | base64` of CLIProxyAPI's script makes it: wrapped lines, `./` before the names."""
    account = {
        "type": "copilot",
        "github_token": SECRETS["login"],
        "account_type": "individual",
        "copilot_token": SECRETS["token"],
        "copilot_token_expiry": "2099-01-01T00:00:00Z",
        "base_url": base_url,
        **more,
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        folder = tarfile.TarInfo("./")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        data = json.dumps(account).encode()
        info = tarfile.TarInfo("./copilot_individual_dev.json")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return base64.encodebytes(out.getvalue()).decode()


def route(base_url: str) -> str:
    return json.dumps(
        [
            {
                "model": "other-1",
                "base-url": base_url,
                "api-key": SECRETS["route"],
                "protocol": "openai",
            }
        ]
    )


@pytest.fixture
def start(tmp_path):
    """Runs the script with these variables only; `wait`: until it ended."""
    program = tmp_path / "program.py"
    program.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom proxy.__main__ import main\nsys.exit(main())\n"
    )
    running = []

    def run(shell="sh", *, wait=False, **variables):
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHON": sys.executable,
            "POINTSMAN": str(program),
            "AUTH_DIR_NAME": str(tmp_path / "auths"),
            **variables,
        }
        environ = {name: value for name, value in environ.items() if value is not None}
        if wait:
            return subprocess.run(
                [*shell.split(), str(SCRIPT)],
                env=environ,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        log = (tmp_path / "log").open("wb")
        process = subprocess.Popen(
            [*shell.split(), str(SCRIPT)], env=environ, cwd=tmp_path, stdout=log, stderr=log
        )
        log.close()
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.wait()


class Upstream(BaseHTTPRequestHandler):
    """Copilot and a chat service: streams three words, and keeps what it was asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        model = {
            "id": "gpt-4.1",
            "name": "GPT-4.1",
            "model_picker_enabled": True,
            "capabilities": {"limits": {"max_output_tokens": 16384}},
        }
        self.whole({"data": [model]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append((self.path, self.headers["authorization"], body))
        if not body.get("stream"):
            message = {"role": "assistant", "content": "one two three"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self.whole({"id": "c", "object": "chat.completion", "model": "m", "choices": [choice]})
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        deltas = [
            {"role": "assistant", "content": ""},
            *({"content": w} for w in ("one ", "two ", "three")),
        ]
        for delta in deltas:
            self.event({"index": 0, "delta": delta, "finish_reason": None})
        self.event({"index": 0, "delta": {}, "finish_reason": "stop"})
        self.wfile.write(b"data: [DONE]\n\n")

    def event(self, choice):
        chunk = {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}
        self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")

    def whole(self, value):
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture
def upstream():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    server.asked = []
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def ask(url, path, body, **headers):
    request = urllib.request.Request(
        url + path, json.dumps(body).encode(), {"content-type": "application/json", **headers}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read().decode()


@pytest.mark.parametrize("shell", shells())
def test_from_variables_to_answers(tmp_path, start, upstream, shell):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = start(
        shell,
        AUTH_BUNDLE=bundle(upstream.url),
        PASSTHRU_MODELS_JSON=route(upstream.url),
        API_KEY_1=SECRETS["client"],
        API_KEY_2=SECRETS["second"],
        PORT=str(port),
    )
    wait_for(f"{url}/healthz", process)
    wait_for(f"{url}/readyz", process)
    told = [
        # As Claude Code asks, and as the OpenAI SDK asks.
        ask(
            url,
            "/v1/messages",
            {
                "model": model,
                "max_tokens": 99,
                "stream": True,
                "messages": [{"role": "user", "content": "count"}],
            },
            **{
                "x-api-key": SECRETS["second"],
                "anthropic-version": "2023-06-01",
                "user-agent": "claude-cli/2.0.1 (external, cli)",
            },
        )
        for model in ("copilot-gpt-4.1", "other-1")
    ]
    told += [
        ask(
            url,
            "/v1/chat/completions",
            {"model": model, "stream": True, "messages": [{"role": "user", "content": "count"}]},
            authorization=f"Bearer {SECRETS['client']}",
        )
        for model in ("gpt-4.1", "other-1")
    ]
    assert all("message_stop" in text for text in told[:2])
    assert all(text.rstrip().endswith("data: [DONE]") for text in told[2:])
    assert all(word in text for text in told for word in ("one ", "two ", "three"))
    tokens = [token for _, token, _ in upstream.asked]
    copilot, other = f"Bearer {SECRETS['token']}", f"Bearer {SECRETS['route']}"
    assert tokens == [copilot, other, copilot, other]
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    written = (tmp_path / "log").read_text() + "".join(told)
    assert [name for name, secret in SECRETS.items() if secret in written] == []


@pytest.fixture
def deployed(start, upstream):
    """The address of what the script started, with an account and a route."""
    port = free_port()
    process = start(
        AUTH_BUNDLE=bundle(upstream.url),
        PASSTHRU_MODELS_JSON=route(upstream.url),
        API_KEY_1=SECRETS["client"],
        API_KEY_2=SECRETS["second"],
        PORT=str(port),
    )
    wait_for(f"http://127.0.0.1:{port}/readyz", process)
    return f"http://127.0.0.1:{port}"


MODELS = [("copilot-gpt-4.1", "gpt-4.1", "token"), ("other-1", "other-1", "route")]
"""What is asked for, what the service is asked for, and with which secret."""


@pytest.mark.parametrize(("model", "there", "secret"), MODELS)
def test_the_openai_sdk(deployed, upstream, model, there, secret):
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=f"{deployed}/v1", api_key=SECRETS["client"]) as client:
        stream = client.chat.completions.create(
            model=model, stream=True, messages=[{"role": "user", "content": "count"}]
        )
        words = [c.choices[0].delta.content or "" for c in stream if c.choices]
    assert "".join(words) == "one two three"
    (asked,) = upstream.asked
    assert asked[1] == f"Bearer {SECRETS[secret]}"
    assert (asked[2]["model"], asked[2]["stream"]) == (there, True)


@pytest.mark.clients
@pytest.mark.parametrize(("model", "there", "secret"), MODELS)
def test_claude_code(tmp_path, deployed, upstream, model, there, secret):
    if shutil.which("npm") is None:
        pytest.fail("the coding tools need Node.js and npm")
    home = tmp_path / "home"
    home.mkdir()
    done = run_tool("claude", Job(home=home, url=deployed, model=model, key=SECRETS["second"]))
    assert done.returncode == 0, done.stdout[-4000:]
    assert "one two three" in done.stdout
    assert {token for _, token, _ in upstream.asked} == {f"Bearer {SECRETS[secret]}"}
    streamed = [body for _, _, body in upstream.asked if body["stream"]]
    assert streamed
    assert {body["model"] for body in streamed} == {there}
    assert any(body.get("tools") for body in streamed)  # it is Claude Code that asked


def test_routes_alone_need_no_bundle(start, upstream):
    port = free_port()
    process = start(PASSTHRU_MODELS_JSON=route(upstream.url), API_KEY_1="k", PORT=str(port))
    url = f"http://127.0.0.1:{port}"
    wait_for(f"{url}/healthz", process)
    body = {"model": "other-1", "messages": [{"role": "user", "content": "count"}]}
    assert "one two three" in ask(url, "/v1/chat/completions", body, authorization="Bearer k")


def test_a_newer_token_on_a_volume_stays(tmp_path, start, upstream):
    auths = tmp_path / "auths"
    auths.mkdir()
    newer = {"type": "copilot", "github_token": "x", "copilot_token_expiry": "2099-06-01T00:00:00Z"}
    (auths / "copilot_individual_dev.json").write_text(json.dumps(newer))
    port = free_port()
    process = start(AUTH_BUNDLE=bundle(upstream.url), API_KEY_1="k", PORT=str(port))
    wait_for(f"http://127.0.0.1:{port}/healthz", process)
    kept = json.loads((auths / "copilot_individual_dev.json").read_text())
    assert kept["github_token"] == "x"


def test_an_archive_by_its_address(tmp_path, start, upstream):
    class Files(BaseHTTPRequestHandler):
        def do_GET(self):
            data = base64.b64decode(bundle(upstream.url))
            self.send_response(302 if self.path == "/a.zip" else 200)
            self.send_header("location", "/real.zip")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = free_port()
    process = start(
        AUTH_ZIP_URL=f"http://127.0.0.1:{server.server_port}/a.zip", API_KEY_1="k", PORT=str(port)
    )
    wait_for(f"http://127.0.0.1:{port}/healthz", process)
    server.shutdown()
    server.server_close()
    assert (tmp_path / "auths" / "copilot_individual_dev.json").is_file()


GOOD = {"API_KEY_1": "k", "PASSTHRU_MODELS_JSON": route("http://127.0.0.1:1")}
NOTHING = {"API_KEY_1": "k"}
BAD = [
    ({"PASSTHRU_MODELS_JSON": GOOD["PASSTHRU_MODELS_JSON"]}, "API_KEY_1: is not set"),
    ({**GOOD, "API_KEY_1": ""}, "API_KEY_1: is not set"),
    ({**GOOD, "API_KEY_1": "a\nb"}, "API_KEY_1: holds a line break"),
    ({**GOOD, "API_KEY_2": "a\rb"}, "API_KEY_2: holds a line break"),
    *(
        ({**GOOD, "API_KEY_1": key}, "API_KEY_1: holds a line break or another character")
        for key in ("a\x07b", "a\x80b", "a\uffffb", "a\udcffb")
    ),
    (NOTHING, "AUTH_BUNDLE: is not set, nor are AUTH_ZIP_URL and PASSTHRU_MODELS_JSON"),
    ({**NOTHING, "AUTH_BUNDLE": "%%%"}, "AUTH_BUNDLE: is no base64 text"),
    ({**NOTHING, "AUTH_BUNDLE": "aGVsbG8="}, "AUTH_BUNDLE: is no tar.gz or zip archive"),
    (
        {**NOTHING, "AUTH_BUNDLE": base64.b64encode(b"\x1f\x8bx").decode()},
        "AUTH_BUNDLE: is a broken",
    ),
    (
        {**NOTHING, "AUTH_BUNDLE": base64.b64encode(b"PMB1" + bytes(60)).decode()},
        "AUTH_BUNDLE: is encrypted; set AUTH_BUNDLE_PASSPHRASE",
    ),
    ({**NOTHING, "AUTH_ZIP_URL": "http://127.0.0.1:1/a.zip"}, "AUTH_ZIP_URL: cannot be downloaded"),
    ({**NOTHING, "AUTH_ZIP_URL": "nonsense"}, "AUTH_ZIP_URL: is no http or https URL"),
    ({**GOOD, "PASSTHRU_MODELS_JSON": "[{"}, "PASSTHRU_MODELS_JSON: is no JSON"),
    ({**GOOD, "PASSTHRU_MODELS_JSON": "{}"}, "PASSTHRU_MODELS_JSON: is no JSON array"),
    ({**GOOD, "PASSTHRU_MODELS_JSON": "[]"}, "PASSTHRU_MODELS_JSON: is no JSON array"),
    ({**GOOD, "PASSTHRU_MODELS_JSON": "[{}]"}, "PASSTHRU_MODELS_JSON: holds a route without"),
    ({**GOOD, "PORT": "x"}, "PORT: is no number"),
    ({**GOOD, "PORT": "65536"}, "PORT: is no number"),
    ({**GOOD, "PORT": "0777"}, "PORT: is no number"),  # 511 to YAML
    ({**GOOD, "PORT": "999999999999"}, "PORT: is no number"),
    ({**GOOD, "STREAMING_KEEPALIVE_SECONDS": "soon"}, "STREAMING_KEEPALIVE_SECONDS: is no number"),
    ({**GOOD, "AUTH_DIR_NAME": "../x"}, "AUTH_DIR_NAME: is no plain folder name"),
    ({**GOOD, "AUTH_DIR_NAME": "a'b"}, "AUTH_DIR_NAME: is no plain folder name"),
    ({**GOOD, "AUTH_DIR_NAME": "/dev/null/auths"}, "AUTH_DIR_NAME: /dev/null/auths cannot be made"),
    (
        {**GOOD, "AUTH_DIR_NAME": "/proc/self"},
        "AUTH_DIR_NAME: /proc/self cannot be made or written",
    ),
    ({**GOOD, "PYTHON": "no-such-python"}, "PYTHON: there is no no-such-python"),
    ({**GOOD, "POINTSMAN": "/no/such/file"}, "POINTSMAN: there is no /no/such/file"),
]


@pytest.mark.parametrize("shell", shells())
@pytest.mark.parametrize(("variables", "said"), BAD, ids=[said for _, said in BAD])
def test_a_bad_variable_is_one_line_and_the_end(start, shell, variables, said):
    began = time.monotonic()
    done = start(shell, wait=True, **variables)
    assert done.returncode == 78
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"railway_start: {said}")
    assert time.monotonic() - began < 20


def test_the_health_check_of_the_image(start):
    """Asks the server itself, not a proxy of the environment; fails while nothing answers."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    (line,) = (line.strip() for line in lines if line.strip().startswith("CMD "))
    port = str(free_port())
    environ = {"http_proxy": "http://127.0.0.1:1", "PORT": port}

    def check():
        command = [sys.executable, *json.loads(line.removeprefix("CMD "))[1:]]
        return subprocess.run(command, env=environ, capture_output=True, timeout=20, check=False)

    assert check().returncode != 0
    process = start(**{**GOOD, "PORT": port})
    wait_for(f"http://127.0.0.1:{port}/healthz", process)
    done = check()
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_configuration_of_another_user_is_replaced(tmp_path, start):
    config = tmp_path / "auths" / ".config" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("port: 1\n")
    config.chmod(0o400)
    before = config.stat().st_ino
    kept = config.open()  # so that its inode is not given out again
    port = free_port()
    process = start(**{**GOOD, "PORT": str(port)})
    wait_for(f"http://127.0.0.1:{port}/healthz", process)
    assert config.stat().st_ino != before
    assert config.stat().st_mode & 0o777 == 0o600
    kept.close()


def test_the_script_is_plain_sh():
    text = SCRIPT.read_text()
    assert text.startswith("#!/bin/sh\n")
    assert os.access(SCRIPT, os.X_OK)
    for word in ("[[ ", "function ", "local ", "pipefail", "$'", "<<<", "source "):
        assert word not in text
