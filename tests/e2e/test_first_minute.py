"""A first start: no configuration, no account; the archive answers on all four protocols."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from tests.e2e.servers import PYZ, free_port, wait_for

PATHS = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "say it back"}]},
    "/v1/responses": {"input": "say it back"},
    "/v1/messages": {"max_tokens": 99, "messages": [{"role": "user", "content": "say it back"}]},
    "/v1beta/models/MODEL:generateContent": {
        "contents": [{"role": "user", "parts": [{"text": "say it back"}]}]
    },
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """(address, key) as the first start prints them."""
    assert PYZ.is_file(), "python3 build/run.py --build-only makes it"
    home = tmp_path_factory.mktemp("home")
    port = free_port()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "PORT": str(port)}
    output = (home / "output").open("w+")
    process = subprocess.Popen(
        [sys.executable, str(PYZ)], cwd=home, env=environment, stdout=output, stderr=output
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(url + "/v1/models", process)
        said = (home / "output").read_text()
        key = next(line[5:] for line in said.splitlines() if line.startswith("key: "))
        assert url in said
        yield url, key
    finally:
        process.terminate()
        assert process.wait(20) == 0
        output.close()


def call(server, path, body):
    url, key = server
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(url + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read().decode()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("model", ["demo", "demo-echo", "demo-thinking", "demo-tool"])
def test_demo_models_answer(server, path, model):
    text = call(server, path.replace("MODEL", model), {"model": model, **PATHS[path]})
    assert json.loads(text)
    if model == "demo-echo":
        assert "say it back" in text


@pytest.mark.parametrize("path", PATHS)
def test_a_paced_stream_ends_as_its_protocol_has_it(server, path):
    streamed = path.replace("MODEL", "demo-stream").replace("generate", "streamGenerate")
    streamed += "?alt=sse" if "beta" in path else ""
    text = call(server, streamed, {"model": "demo-stream", "stream": True, **PATHS[path]})
    ends = ("data: [DONE]", "response.completed", "message_stop", "finishReason")
    assert any(end in text[-1500:] for end in ends)
    assert text.count("data:") > 15


@pytest.mark.parametrize("path", PATHS)
def test_the_error_model_is_a_429(server, path):
    with pytest.raises(urllib.error.HTTPError) as refused:
        call(server, path.replace("MODEL", "demo-error"), {"model": "demo-error", **PATHS[path]})
    with refused.value as error:
        assert error.code == 429
        assert json.loads(error.read())["error"]
