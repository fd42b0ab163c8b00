"""`pointsman bundle create | inspect | restore`: account files in one text, to carry to a host."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

import trio

from proxy.auth import bundle, files
from proxy.auth.bundle import BadBundle, Members
from proxy.auth.files import BadAccountFile
from proxy.cli.main import FAILED, OK, Parser, two_dashes
from proxy.jsonio import encode
from proxy.net.api import UpstreamBroken
from proxy.store.files import write

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.net.fetch import Answer

VARIABLE: Final = "AUTH_BUNDLE"
PASSPHRASE: Final = "AUTH_BUNDLE_PASSPHRASE"
_REDIRECTS: Final = 5


def run(arguments: list[str]) -> int:
    """0 done, 1 refused or impossible, 2 wrong usage."""
    options = Parser(prog="pointsman bundle", add_help=False, allow_abbrev=False)
    verbs = options.add_subparsers(dest="verb", required=True, parser_class=Parser)
    create = verbs.add_parser("create", add_help=False)
    create.add_argument("folder", nargs="?")
    create.add_argument("-i", "--in", dest="source")
    create.add_argument("-o", "--out")
    create.add_argument("--encrypt", action="store_true")
    for name in ("inspect", "restore"):
        verb = verbs.add_parser(name, add_help=False)
        verb.add_argument("file", nargs="?")
        verb.add_argument("--url")
        verb.add_argument("--env", nargs="?", const=VARIABLE)
        verb.add_argument("--json", action="store_true")
        if name == "restore":
            verb.add_argument("--into", default="")
    found = options.parse_args(two_dashes(arguments))
    handler = {"create": _create, "inspect": _inspect, "restore": _restore}[found.verb]
    try:
        return handler(found)
    except BadBundle as bad:
        sys.stderr.write(f"pointsman: {bad}\n")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"pointsman: {where}{error.strerror or error}\n")
    return FAILED


def _create(options: argparse.Namespace) -> int:
    named = options.source or options.folder or os.environ.get("AUTH_SOURCE_DIR", "")
    folder = files.folder_of(named)
    if not folder.is_dir():
        raise BadBundle(f"{folder} is no folder")
    passphrase = os.environ.get(PASSPHRASE, "")
    if options.encrypt and not passphrase:
        passphrase = _ask_twice()
    text, names = bundle.create(folder, passphrase if options.encrypt else "")
    if options.out:
        write(Path(options.out), f"{text}\n".encode())
    else:
        print(text)
    how = "encrypted" if options.encrypt else "not encrypted: whoever has it has the accounts"
    count = f"{len(names)} account file{'s' if len(names) != 1 else ''}"
    sys.stderr.write(f"{count}, {len(text)} characters, {how}\n")
    return OK


def _inspect(options: argparse.Namespace) -> int:
    source, members = _members(options)
    rows: list[dict[str, object]] = []
    for name, _, data in members:
        try:
            file = files.parse(name, data)
        except BadAccountFile as bad:
            rows.append({"file": name, "kind": "", "label": "", "why": str(bad)})
            continue
        rows.append({"file": name, "kind": file.kind, "label": file.label, "why": ""})
    if options.json:
        print(encode({"source": source, "files": rows}).decode())
        return OK
    for row in rows:
        print("  ".join(str(row[key]) for key in ("file", "kind", "label", "why") if row[key]))
    return OK


def _restore(options: argparse.Namespace) -> int:
    source, members = _members(options)
    folder = files.folder_of(options.into)
    done = bundle.restore(folder, members)
    if options.json:
        print(encode([{"file": d.name, "what": d.what, "why": d.why} for d in done]).decode())
    else:
        for one in done:
            print(f"{one.name}: {one.what}{f' ({one.why})' if one.why else ''}")
    if all(one.what == "left out" for one in done):
        raise BadBundle(f"{source}: holds no account file")
    return OK


def _members(options: argparse.Namespace) -> tuple[str, Members]:
    """Where the bundle comes from, and its files. Every message names the source."""
    passphrase = os.environ.get(PASSPHRASE, "")
    if options.url:
        source = "AUTH_ZIP_URL" if options.url == os.environ.get("AUTH_ZIP_URL") else "the URL"
        return source, _named(source, lambda: bundle.unpack(trio.run(_download, options.url)))
    if options.env or not options.file:
        source = options.env or VARIABLE
        text = os.environ.get(source, "").encode()
        if not text.strip():
            raise BadBundle(f"{source}: is not set")
    elif options.file == "-":
        source, text = "standard input", sys.stdin.buffer.read(bundle.TEXT + 1)
    else:
        source = options.file
        with Path(options.file).open("rb") as file:
            text = file.read(bundle.TEXT + 1)
    try:
        return source, bundle.decode(text, passphrase)
    except bundle.NeedsPassphrase as needs:
        if not sys.stdin.isatty():
            raise BadBundle(f"{source}: {needs}") from None
        passphrase = getpass.getpass("Passphrase: ")
    except BadBundle as bad:
        raise BadBundle(f"{source}: {bad}") from None
    return source, _named(source, lambda: bundle.decode(text, passphrase))


def _named(source: str, make: Callable[[], Members]) -> Members:
    try:
        return make()
    except BadBundle as bad:
        raise BadBundle(f"{source}: {bad}") from None


async def _download(url: str) -> bytes:
    """The archive behind an address; a few redirections, none away from https. Raises BadBundle."""
    from proxy.net.fetch import fetch
    from proxy.net.transport import Transport

    transport = Transport()
    answer: Answer | None = None
    broken = ""
    async with trio.open_nursery() as nursery:
        await nursery.start(transport.run)
        for _ in range(_REDIRECTS + 1):
            if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
                broken = "is no http or https URL"
                break
            try:
                answer = await fetch(transport, b"GET", url, [(b"Accept", b"*/*")])
            except UpstreamBroken as failure:
                broken = f"cannot be downloaded: {failure.reason}"
                break
            to = dict(answer.headers).get(b"location", b"").decode("latin-1")
            if answer.status not in (301, 302, 303, 307, 308) or not to:
                break
            further = urljoin(url, to)
            if url.startswith("https:") and not further.startswith("https:"):
                broken = "leads away from https"
                break
            url = further
        nursery.cancel_scope.cancel()
    await transport.aclose()
    if broken or answer is None or answer.status != 200:
        status = answer.status if answer is not None else 0
        raise BadBundle(broken or f"cannot be downloaded: status {status}")
    return answer.body


def _ask_twice() -> str:
    if not sys.stdin.isatty():
        raise BadBundle(f"set {PASSPHRASE}, or run it in a terminal")
    first = getpass.getpass("Passphrase: ")
    if not first or first != getpass.getpass("Once more: "):
        raise BadBundle("the passphrases differ" if first else "a passphrase needs letters")
    return first
