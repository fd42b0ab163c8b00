"""`pointsman accounts`: what it shows and what it changes."""

from __future__ import annotations

import json
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from msgspec.structs import replace

from proxy import __main__
from proxy.store import state
from proxy.store.status import Status, StatusFile, birth_of


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        login = self.headers.get("authorization", "")
        if self.path == "/models":
            self.reply(200, {"data": []})
        elif login == "token gho_good":
            self.reply(200, {"token": "tid=1", "expires_at": 4070908800})
        else:
            self.reply(401, {"message": "Bad credentials"})

    def reply(self, status, value):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A configuration with three accounts, and a GitHub for them."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "config.yaml").write_text(f"host: 127.0.0.1\nauth-dir: {tmp_path}/auth\n")
    (tmp_path / "routes.d").mkdir()
    (tmp_path / "routes.d" / "a.toml").write_text(
        f'[upstreams.copilot]\nprovider = "copilot"\ngithub-api-url = "{url}"\nbase-url = "{url}"\n'
    )
    (tmp_path / "auth").mkdir()
    for name, login in (("good", "gho_good"), ("bad", "gho_bad")):
        (tmp_path / "auth" / f"{name}.json").write_text(
            json.dumps(
                {"type": "copilot", "github_token": login, "email": f"{name}@x.test", "mine": 1}
            )
        )
    (tmp_path / "auth" / "other.json").write_text('{"type": "nope"}')
    yield tmp_path
    server.shutdown()
    server.server_close()


def accounts(capsys, *words):
    status = __main__.main(["accounts", *words])
    told = capsys.readouterr()
    return status, told.out, told.err


def test_list(place, capsys):
    status, out, _ = accounts(capsys)
    assert status == 0
    heads = ["FILE", "KIND", "ACCOUNT", "PLAN", "STATE", "TOKEN UNTIL", "RESTS UNTIL", "LAST ERROR"]
    assert [head for head in re.split(r"\s{2,}", out.splitlines()[0]) if head] == heads
    status, out, _ = accounts(capsys, "list", "--json")
    assert json.loads(out)[1] == {
        "file": "good.json",
        "kind": "copilot",
        "label": "good@x.test",
        "plan": "individual",
        "state": "idle",
        "expires": None,
        "cooldowns": [],
        "last_error": None,
    }
    assert "gho_" not in out


def remember(place, text):
    path = state.place(os.environ, str(place / "config.yaml"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def rest(credential, until, **more):
    fields = {"scope": "account", "word": "quota", "firm": True}
    return {"credential": credential, "until": until, **fields, **more}


def test_what_a_server_remembers_is_shown(place, capsys):
    soon, late = 4070908800.0, 4070912400.0
    rests = [
        rest("good.json", late, scope="model:gpt-5", word="transient", firm=False),
        rest("good.json", soon),
        rest("bad.json", 1.0, word="unauthorized"),
        rest("gone.json", soon),
    ]
    remember(place, json.dumps({"version": 1, "cooldowns": rests}))
    _, out, err = accounts(capsys)
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert "2099-01-01T00:00:00Z quota (account), 1 more" in lines["good.json"]
    assert "unauthorized" not in lines["bad.json"]  # that is over
    assert "gone.json" not in lines
    assert err == ""
    _, out, _ = accounts(capsys, "list", "good", "--json")
    assert json.loads(out)[0]["cooldowns"] == [
        {
            "until": "2099-01-01T00:00:00Z",
            "why": "quota",
            "scope": "account",
            "used_if_no_other_is_free": False,
        },
        {
            "until": "2099-01-01T01:00:00Z",
            "why": "transient",
            "scope": "model:gpt-5",
            "used_if_no_other_is_free": True,
        },
    ]


def test_what_a_running_server_could_not_do_is_shown(place, capsys):
    """A failure that may pass stands in no account file."""
    why = "copilot_upstream_error: GitHub answered 502"
    file = StatusFile(os.environ, str(place / "config.yaml"))
    status = Status(
        pid=os.getpid(), birth=birth_of(os.getpid()), url="http://here", started=1.0, generation=1,
        since=1.0, config=str(place / "config.yaml"), troubles={"good.json": why, "gone.json": "x"},
    )  # fmt: skip
    file.write(status)
    _, out, _ = accounts(capsys, "list", "--json")
    told = {row["file"]: (row["state"], row["last_error"]) for row in json.loads(out)}
    assert told["good.json"] == ("failing", why)
    assert told["bad.json"] == ("idle", None)
    assert "gone.json" not in told
    assert json.loads(accounts(capsys, "test", "good", "--json")[1])[0]["last_error"] is None
    accounts(capsys, "pause", "good")
    _, out, _ = accounts(capsys, "list", "good", "--json")
    assert (json.loads(out)[0]["state"], json.loads(out)[0]["last_error"]) == ("paused", None)
    file.write(replace(status, birth="another"))
    accounts(capsys, "resume", "good")
    _, out, _ = accounts(capsys, "list", "good", "--json")
    assert json.loads(out)[0]["last_error"] is None, "that server runs no more"


@pytest.mark.parametrize("text", ["{", "[]", '{"version": 9}'])
def test_a_memory_that_cannot_be_read_is_named_and_the_rest_shown(place, capsys, text):
    path = remember(place, text)
    status, out, err = accounts(capsys)
    assert status == 0
    assert "good.json" in out
    assert err.count("\n") == 1
    assert str(path) in err


def test_test_tells_which_account_does_not_work(place, capsys):
    status, out, _ = accounts(capsys, "test", "--json")
    assert status == 1
    told = {row["file"]: row for row in json.loads(out)}
    assert set(told) == {"bad.json", "good.json"}
    assert told["good.json"]["state"] == "ready"
    assert told["good.json"]["expires"] == "2099-01-01T00:00:00Z"
    assert told["bad.json"]["state"] == "refused"
    assert "copilot_auth_rejected" in told["bad.json"]["last_error"]
    assert accounts(capsys, "test", "good@x.test")[0] == 0
    # What was found out is kept: a listing after it knows it too.
    _, out, _ = accounts(capsys, "list", "bad", "--json")
    assert json.loads(out)[0]["state"] == "refused"


def test_pause_resume_remove(place, capsys):
    assert accounts(capsys, "pause", "good")[:2] == (0, "good.json: paused\n")
    kept = json.loads((place / "auth" / "good.json").read_text())
    assert (kept["disabled"], kept["mine"]) == (True, 1)
    _, out, _ = accounts(capsys, "list", "good", "--json")
    assert json.loads(out)[0]["state"] == "paused"
    _, out, _ = accounts(capsys, "resume", "good", "--json")
    assert json.loads(out)[0]["state"] == "idle"
    assert "disabled" not in json.loads((place / "auth" / "good.json").read_text())
    assert accounts(capsys, "remove", "good")[0] == 0
    assert not (place / "auth" / "good.json").exists()


def test_mistakes(place, capsys):
    assert accounts(capsys, "pause", "nobody")[2] == "pointsman: there is no account 'nobody'\n"
    with pytest.raises(SystemExit):
        accounts(capsys, "remove")
    (place / "auth" / "twin.json").write_text('{"type": "copilot", "email": "good@x.test"}')
    assert "several accounts" in accounts(capsys, "pause", "good@x.test")[2]
