"""`pointsman transcode`: translate requests, answers and streams between wires, without a server.

    pointsman transcode --from W --to W [--kind request|stream|response] [--model M] [--stream] FILE
    pointsman transcode --batch IN.jsonl --out OUT.jsonl

W: openai (chat), openai-response (responses), claude (anthropic), gemini, gemini-cli, antigravity, codex, or our
own names. What a translation cannot carry is printed to standard error, or stands in `lost`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Raw, Struct

from proxy import wire as wires
from proxy.cli.main import FAILED, OK, Parser, two_dashes, unknown
from proxy.convo.model import Lost
from proxy.errors import ProxyError
from proxy.jsonio import Body, encode, top_level
from proxy.routing.builtin import capability_of
from proxy.wire import translate
from proxy.wire.base import AnswerContext, Target

_NAMES: Final = {
    "openai": "chat",
    "openai-response": "responses",
    "claude": "anthropic",
    "gemini-cli": "gemini_cli",
    "codex": "responses",
    "antigravity": "gemini_cli",
}
_EPOCH: Final = 1_750_000_000
"""A fixed clock: the same input gives the same output."""


class Case(Struct):
    """One line of a batch."""

    id: str
    kind: str
    client: str
    upstream: str
    model: str = ""
    stream: bool = False
    client_request: Raw = Raw(b"{}")
    upstream_request: Raw = Raw(b"null")
    upstream_events: str = ""
    upstream_body: Raw = Raw(b"null")
    count: int = 0


class Result(Struct, omit_defaults=True):
    """One line of a batch's output."""

    id: str
    ok: bool
    upstream_request: object = None
    client_events: list[str] | None = None
    client_body: object = None
    lost: list[Lost] = []
    error: str = ""


_case = msgspec.json.Decoder(Case)
_text = msgspec.json.Decoder(str)


def wire_name(name: str) -> str:
    """Our name of a wire. Raises SystemExit(2) for an unknown one."""
    found = _NAMES.get(name, name)
    if found not in wires.NAMES:
        raise SystemExit(unknown("wire", name, (*_NAMES, *wires.NAMES)))
    return found


def one(case: Case) -> Result:
    """The translation of one case."""
    try:
        return _translate(case)
    except ProxyError as error:
        return Result(case.id, ok=False, error=error.message)


def _translate(case: Case) -> Result:
    client, upstream = wire_name(case.client), wire_name(case.upstream)
    body = bytes(case.client_request)
    if case.kind == "request":
        target = Target(
            model=case.model, capability=capability_of(case.model), provider=case.upstream
        )
        made, lost = translate.request(body, client, upstream, target, stream=case.stream)
        if case.upstream == "codex":
            _shape_codex(made, lost)
        return Result(case.id, ok=True, upstream_request=made, lost=lost)
    if case.kind == "count":
        counted = wires.get(client).encode_count(case.count)
        return Result(case.id, ok=True, client_body=Raw(counted))
    context = _context(case, client)
    if case.kind == "stream":
        data = case.upstream_events.encode()
        out = translate.stream(data, client, upstream, context)
        dropped = _lost_of_answer(data, client, upstream)
        return Result(case.id, ok=True, client_events=[out.decode()], lost=dropped)
    raw = bytes(case.upstream_body)
    if raw[:1] == b'"':
        raw = _text.decode(raw).encode()
    if case.upstream == "codex":
        raw = _codex_answer(raw)
    whole = translate.answer(raw, client, upstream, context)
    dropped = _lost_of_answer(raw, client, upstream)
    return Result(case.id, ok=True, client_body=Raw(whole), lost=dropped)


def _lost_of_answer(data: bytes, client: str, upstream: str) -> list[Lost]:
    """What an answer says that its client cannot be told; Gemini's alone has such members."""
    if not upstream.startswith("gemini") or client.startswith("gemini"):
        return []
    from proxy.wire.gemini.lost import lost_of  # only this wire needs it

    return lost_of(data)


def _codex_answer(raw: bytes) -> bytes:
    """The response object out of the event that ends a Codex stream."""
    try:
        found = top_level(raw).get("response")
    except msgspec.DecodeError:
        return raw
    return bytes(found) if isinstance(found, Raw) else raw


def _shape_codex(body: Body, lost: list[Lost]) -> None:
    from proxy.wire.responses import codex  # only this dialect needs it

    codex.shape(body, lost)


def _context(case: Case, client: str) -> AnswerContext:
    body = bytes(case.client_request)
    asked = translate.decode_request(body, client, case.model, case.stream)
    return AnswerContext(
        request=asked,
        model=case.model,
        stream=case.kind == "stream",
        now=_EPOCH,
        id=f"{abs(hash(case.id)) % (1 << 96):024x}",
    )


def batch(source: Path, out: Path) -> int:
    """Every line of `source`; the exit status is 0 even if some cannot be translated."""
    with source.open("rb") as lines, out.open("wb") as results:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                case = _case.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                sys.stderr.write(f"pointsman: {source}:{number}: is no case: {error}\n")
                return FAILED
            results.write(encode(one(case)) + b"\n")
    return OK


def run(arguments: list[str]) -> int:
    """0 = translated, 1 = refused or unreadable, 2 = bad usage."""
    options = Parser(prog="pointsman transcode", add_help=False, allow_abbrev=False)
    options.add_argument("--batch", type=Path)
    options.add_argument("--out", type=Path)
    options.add_argument("--from", dest="source")
    options.add_argument("--to", dest="target")
    options.add_argument("--kind", choices=("request", "stream", "response"))
    options.add_argument("--model", default="")
    options.add_argument("--stream", action="store_true")
    options.add_argument("file", nargs="?", type=Path)
    given = options.parse_args(two_dashes(arguments))
    if given.batch and not given.out:
        options.error("--batch needs --out")
    if not (given.batch or (given.source and given.target)):
        options.error("--from and --to are needed (or --batch)")
    try:
        if given.batch:
            return batch(given.batch, given.out)
        data = given.file.read_bytes() if given.file else sys.stdin.buffer.read()
    except OSError as error:
        sys.stderr.write(f"pointsman: {error.filename}: {error.strerror}\n")
        return FAILED
    kind = given.kind or ("stream" if given.stream else "request")
    case = Case("file", kind, given.source, given.target, given.model, stream=given.stream)
    return _single(data, case)


def _single(data: bytes, case: Case) -> int:
    if case.kind == "request":
        case.client_request = Raw(data)
    else:
        # An answer comes from the upstream: `--from` is then the upstream's wire.
        case.client, case.upstream = case.upstream, case.client
        case.upstream_events, case.upstream_body = data.decode("utf-8", "replace"), Raw(data)
        case.client_request = Raw(
            b'{"model":"m","messages":[],"contents":[],"input":[],"max_tokens":1}'
        )
    result = one(case)
    for entry in result.lost:
        print(f"lost: {entry.path}: {entry.why}", file=sys.stderr)
    if not result.ok:
        print(f"transcode: {result.error}", file=sys.stderr)
        return FAILED
    if result.client_events is not None:
        sys.stdout.write("".join(result.client_events))
    else:
        body = result.upstream_request if case.kind == "request" else result.client_body
        sys.stdout.buffer.write(encode(body) + b"\n")
    return OK
