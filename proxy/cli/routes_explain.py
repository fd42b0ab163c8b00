"""`pointsman routes explain`: asks the server's own functions, without network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from proxy.accounts.pool import Cooldown, Pool
from proxy.cli.main import FAILED, OK, USAGE, parser, read, two_dashes
from proxy.cli.verbs import WIRES
from proxy.explain import explain
from proxy.jsonio import Body, encode, top_level
from proxy.upstream.prepare import Ask

if TYPE_CHECKING:
    from proxy.net.api import Headers

_NOW: Final = 1000.0
"""The pool's clock begins anywhere; a state file counts from it."""
_SAMPLES: Final[dict[str, Body]] = {
    "chat": {"messages": [{"role": "user", "content": "hello"}]},
    "responses": {"input": "hello"},
    "anthropic": {"max_tokens": 1024, "messages": [{"role": "user", "content": "hello"}]},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]},
}


class Resting(Struct, frozen=True, forbid_unknown_fields=True):
    """One cooldown of a state file."""

    credential: str
    model: str
    seconds: float
    word: str = "quota"
    firm: bool = True


_state = msgspec.json.Decoder(list[Resting])


def run(arguments: list[str]) -> int:
    """Exit status 1 when the request would be refused."""
    options = parser("routes explain")
    options.add_argument("model", nargs="?", default="")
    options.add_argument("--request")
    options.add_argument("--surface", choices=WIRES, default="chat")
    options.add_argument("--header", action="append", default=[])
    options.add_argument("--state")
    options.add_argument("--json", action="store_true")
    found = options.parse_args(two_dashes(arguments))
    loaded = read(found)
    try:
        body = _body(found.request, found.surface, found.model)
        ask = Ask(wire=found.surface, body=body, headers=_headers(found.header))
        if found.surface == "gemini":
            ask.model, ask.stream = found.model, False
        pool = _pool(found.state)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"pointsman: {_reason(error)}\n")
        return USAGE
    explanation = explain(ask, loaded.table, loaded.settings, pool, _NOW)
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


def _headers(given: list[str]) -> Headers:
    found: Headers = []
    for text in given:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise ValueError(f"--header {text}: should be NAME:VALUE")
        found.append((name.strip().lower().encode(), value.strip().encode()))
    return found


def _pool(file: str | None) -> Pool:
    pool = Pool()
    if file is None:
        return pool
    try:
        resting = _state.decode(Path(file).read_bytes())
    except msgspec.DecodeError as error:
        raise ValueError(f"{file}: is no list of cooldowns: {error}") from None
    for rest in resting:
        pool.rest(
            rest.credential, rest.model, Cooldown(_NOW + rest.seconds, rest.word, firm=rest.firm)
        )
    return pool


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}"
    return str(error)
