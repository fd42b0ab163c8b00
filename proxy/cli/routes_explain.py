"""`pointsman routes explain`: asks the server's own functions, without network."""

from __future__ import annotations

import sys
from datetime import datetime
from datetime import time as daytime
from functools import partial
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Final

import msgspec

from proxy.accounts.pool import Pool
from proxy.cli.main import FAILED, OK, USAGE, parser, read, two_dashes
from proxy.cli.offline import with_accounts
from proxy.cli.verbs import WIRES
from proxy.clock import minute_of_day
from proxy.explain import explain
from proxy.jsonio import Body, decode, encode, top_level
from proxy.upstream.prepare import Ask

if TYPE_CHECKING:
    from proxy.config.model import Settings
    from proxy.net.api import Headers

_NOW: Final = 1000.0
"""The pool's clock may begin anywhere."""
_SAMPLES: Final[dict[str, Body]] = {
    "chat": {"messages": [{"role": "user", "content": "hello"}]},
    "responses": {"input": "hello"},
    "anthropic": {"max_tokens": 1024, "messages": [{"role": "user", "content": "hello"}]},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]},
}


def run(arguments: list[str]) -> int:
    """Exit status 1 when the request would be refused."""
    options = parser("routes explain")
    options.add_argument("model", nargs="?", default="")
    options.add_argument("--request")
    options.add_argument("--surface", choices=WIRES, default="chat")
    options.add_argument("--header", action="append", default=[])
    options.add_argument("--state")
    options.add_argument("--at")
    options.add_argument("--key", default="")
    options.add_argument("--json", action="store_true")
    found = options.parse_args(two_dashes(arguments))
    loaded = with_accounts(read(found))
    try:
        body = _body(found.request, found.surface, found.model)
        ask = Ask(
            wire=found.surface,
            body=body,
            headers=_headers(found.header),
            surface=found.surface,
            key=found.key,
            models=_models(found.key, loaded.settings),
        )
        if found.surface == "gemini":
            ask.model, ask.stream = found.model, False
        wall = _time(found.at)
        pool = _pool(found.state, wall)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"pointsman: {_reason(error)}\n")
        return USAGE
    minute = partial(minute_of_day, wall)
    explanation = explain(ask, loaded.table, loaded.settings, pool, _NOW, minute)
    if found.json:
        answer = {**msgspec.to_builtins(explanation), "digest": explanation.digest}
        sys.stdout.write(encode(answer).decode() + "\n")
    else:
        sys.stdout.write(explanation.text)
    return FAILED if explanation.error else OK


def _body(file: str | None, surface: str, model: str) -> bytes:
    """The request's body; `model` takes the place of the one that it names."""
    if file is None and not model:
        raise ValueError("'routes explain' needs a MODEL or --request FILE")
    if file is None:
        return encode({"model": model, **_SAMPLES[surface]})
    data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    if not model:
        return data
    try:
        return encode({**top_level(data), "model": model})
    except msgspec.DecodeError as error:
        raise ValueError(f"{file}: is no JSON object: {error}") from None


def _models(name: str, settings: Settings) -> tuple[str, ...]:
    """What a client key may ask for."""
    if not name:
        return ()
    for key in settings.keys:
        if key.name == name:
            return key.models
    raise ValueError(f"--key {name}: no such client key")


def _headers(given: list[str]) -> Headers:
    found: Headers = []
    for text in given:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise ValueError(f"--header {text}: should be NAME:VALUE")
        found.append((name.strip().lower().encode(), value.strip().encode()))
    return found


def _pool(file: str | None, wall: float) -> Pool:
    """A fresh pool, or one as a state file describes it."""
    pool = Pool()
    if file is None:
        return pool
    try:
        pool.restore(decode(Path(file).read_bytes()), _NOW, wall)
    except (msgspec.DecodeError, ValueError) as error:
        raise ValueError(f"{file}: {error}") from None
    for rests in pool.cooldowns.by.values():
        for rest in rests.values():
            rest.probe_at = rest.until  # not as after a restart, which has everything probed
    return pool


def _time(text: str | None) -> float:
    """`14:30` (today) or `2026-01-31T14:30` as Unix time; now for none."""
    if text is None:
        return time()
    now = datetime.now().astimezone()
    try:
        if "T" in text:
            return datetime.fromisoformat(text).timestamp()
        moment = daytime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"--at {text}: should be 14:30 or 2026-01-31T14:30") from None
    return now.replace(hour=moment.hour, minute=moment.minute, second=0).timestamp()


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}"
    return str(error)
