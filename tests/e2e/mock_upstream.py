"""A model provider that runs nothing: it asks for the client's shell tool, then says what it saw.

    python mock_upstream.py [PORT]

Speaks chat, responses, anthropic and gemini. Words in the last user message change the answer:
`@error 429@` answers that status, `@think@` thinks first, `@call@` calls the first tool,
`@look@` tells what images it saw. `GET /__log` gives the requests so far.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from mock_wires import Reply, wire_of  # its folder is put on the path above

from proxy.upstream.sample import sample_value  # likewise

COMMAND = "printf pointsman-%d 42"
PROOF = "pointsman-42"
"""What only a shell that ran COMMAND prints. (Gemini CLI refuses command substitution.)"""
SHELLS = (
    *("bash", "shell", "run_shell_command", "exec_command", "shell_command", "execute_command"),
    *("local_shell", "terminal"),
)
RETRY_AFTER = 7


def decide(seen):
    """What the mock model answers."""
    order = re.search(r"@error (\d+)@", seen.said)
    if order:
        return Reply(status=int(order[1]), text="the mock was told to fail")
    thought = "Let me think about this for a while." if "@think@" in seen.said else ""
    if seen.results:
        return Reply(text=f"The tool said: {seen.results[-1]} - done.", thought=thought)
    if "@call@" in seen.said and seen.tools:
        name, schema = seen.tools[0]
        return Reply(tool=name, arguments=sample_value(schema), thought=thought)
    if "@look@" in seen.said:
        return Reply(text=f"{len(seen.images)} images: {', '.join(seen.images)}")
    if seen.schema:
        return Reply(text=json.dumps(sample_value(seen.schema)), thought=thought)
    shell = next((tool for tool in seen.tools if tool[0].lower() in SHELLS), None)
    if shell is not None:
        return Reply(tool=shell[0], arguments=shell_arguments(shell[1]))
    return Reply(text=f"Hello from the mock model. Proofs: {len(seen.proofs)}.", thought=thought)


def shell_arguments(schema):
    """Arguments for a shell tool, in the shape that its schema declares."""
    arguments = sample_value(schema)
    properties = schema.get("properties", {})
    name = next(name for name in ("command", "cmd", "script") if name in properties)
    is_list = str(properties[name].get("type", "")).lower() == "array"
    arguments[name] = ["bash", "-lc", COMMAND] if is_list else COMMAND
    # What a sample would get wrong: folders that do not exist, waits that are too short.
    for other in ("workdir", "directory", "dir_path", "cwd"):
        arguments.pop(other, None)
    return arguments


class Handler(BaseHTTPRequestHandler):
    """One request to the mock."""

    protocol_version = "HTTP/1.1"
    server: MockUpstream

    def log_message(self, *_):
        """Quiet."""

    def do_GET(self):
        path = urlsplit(self.path).path
        if path == "/__log":
            self.answer(200, self.server.log)
        elif path.endswith("/models"):
            names = ["m-chat", "m-responses", "m-anthropic", "m-gemini"]
            data = [{"id": name, "object": "model", "owned_by": "mock"} for name in names]
            self.answer(200, {"object": "list", "data": data, "models": []})
        else:
            self.answer(404, {"error": {"message": f"no {path}"}})

    def do_POST(self):
        path = urlsplit(self.path).path
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.log.append({"path": path, "headers": headers, "body": body})
        if path.endswith("/count_tokens"):
            return self.answer(200, {"input_tokens": 42})
        if path.endswith(":countTokens"):
            return self.answer(200, {"totalTokens": 42})
        wire = wire_of(path)
        if wire is None:
            return self.answer(404, {"error": {"message": f"no {path}"}})
        seen = wire.read(body, path)
        reply = decide(seen)
        if reply.status != 200:
            extra = {"Retry-After": str(RETRY_AFTER)} if reply.status == 429 else {}
            return self.answer(reply.status, wire.error(reply.status, reply.text), extra)
        if not seen.stream:
            return self.answer(200, wire.whole(seen, reply))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in wire.stream(seen, reply):
            self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")
        return None

    def answer(self, status, value, headers=None):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(data)


class MockUpstream(ThreadingHTTPServer):
    """The mock on a free port; a context manager that serves in a thread."""

    daemon_threads = True

    def __init__(self, port=0):
        self.log = []
        super().__init__(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


if __name__ == "__main__":
    with MockUpstream(int(sys.argv[1]) if sys.argv[1:] else 0) as mock:
        print(mock.url, flush=True)
        threading.Event().wait()
