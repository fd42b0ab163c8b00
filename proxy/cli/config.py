"""`pointsman config log | diff | undo`: the configurations that were served, and the way back."""

from __future__ import annotations

import difflib
import os
import sys
from pathlib import Path
from time import time
from typing import TYPE_CHECKING

from proxy.cli.main import FAILED, OK, USAGE, parser, two_dashes, where
from proxy.cli.status import moment
from proxy.config.load import candidates
from proxy.config.mask import masked
from proxy.jsonio import encode
from proxy.sources import Places, contents, digest, look
from proxy.store import files
from proxy.store.generations import Generation, Generations
from proxy.store.status import StatusFile

if TYPE_CHECKING:
    import argparse

NOW = "the files as they are"


def run(arguments: list[str]) -> int:
    """Dispatches on the second word."""
    return {"log": _log, "diff": _diff, "undo": _undo}[arguments[0]](arguments[1:])


def _log(arguments: list[str]) -> int:
    options = parser("config log")
    options.add_argument("--json", action="store_true")
    found = options.parse_args(two_dashes(arguments))
    place = where(found)
    kept = Generations(os.environ, place).all()
    running = StatusFile(os.environ, place).read()
    serving = running.generation if running is not None else 0
    if found.json:
        answer = [
            {
                "number": g.number,
                "at": g.at,
                "source": g.source,
                "digest": g.digest,
                "files": sorted(g.texts),
                "serving": g.number == serving,
            }
            for g in reversed(kept)
        ]
        sys.stdout.write(encode(answer).decode() + "\n")
        return OK
    for g in reversed(kept):
        mark = "*" if g.number == serving else " "
        named = f"{len(g.texts)} file{'' if len(g.texts) == 1 else 's'}"
        print(f"{mark} {g.number:>4}  {moment(g.at)}  {g.source:<8} {g.digest[:12]}  {named}")
    if not kept:
        print(f"no server has served {place} yet")
    return OK


def _diff(arguments: list[str]) -> int:
    options = parser("config diff")
    options.add_argument("numbers", nargs="*", type=int)
    found = options.parse_args(two_dashes(arguments))
    numbers: list[int] = found.numbers
    kept = Generations(os.environ, where(found))
    if len(numbers) > 2:
        sys.stderr.write("pointsman: 'config diff' takes two numbers at most\n")
        return USAGE
    now = _on_disk(found)
    if numbers:
        sides = [_side(kept, number) for number in numbers]
        sides += [(NOW, now)] if len(sides) == 1 else []
    else:
        sides = _last_change(kept, now)
    if len(sides) < 2 or any(texts is None for _, texts in sides):
        missing = [title for title, texts in sides if texts is None]
        sys.stderr.write(
            f"pointsman: {', '.join(missing) or 'a generation'} is not in the history\n"
        )
        return FAILED
    (old_title, old), (new_title, new) = sides
    sys.stdout.write(difference(old or {}, new or {}, old_title, new_title))
    return OK


def _side(kept: Generations, number: int) -> tuple[str, dict[str, bytes] | None]:
    found = kept.read(number)
    return f"generation {number}", found.texts if found is not None else None


def _last_change(
    kept: Generations, now: dict[str, bytes]
) -> list[tuple[str, dict[str, bytes] | None]]:
    last = kept.all()[-2:]
    sides = [(f"generation {g.number}", g.texts) for g in last]
    if last and last[-1].texts != now:
        sides = [sides[-1], (NOW, now)]
    return [*sides]


def difference(old: dict[str, bytes], new: dict[str, bytes], old_title: str, new_title: str) -> str:
    """A unified diff of all files, with credentials masked."""
    parts: list[str] = []
    for path in sorted({*old, *new}):
        before, after = old.get(path), new.get(path)
        if before == after:
            continue
        lines = list(
            difflib.unified_diff(
                _lines(path, before),
                _lines(path, after),
                f"{path} ({old_title})" if before is not None else "/dev/null",
                f"{path} ({new_title})" if after is not None else "/dev/null",
                lineterm="",
            )
        )
        parts += lines or [f"--- {path}", "+++ the same but for what is masked"]
    return "".join(f"{line}\n" for line in parts)


def _lines(path: str, data: bytes | None) -> list[str]:
    if data is None:
        return []
    return masked(path, data.decode("utf-8-sig", "replace")).splitlines()


def _undo(arguments: list[str]) -> int:
    options = parser("config undo")
    options.add_argument("number", nargs="?", type=int)
    found = options.parse_args(two_dashes(arguments))
    kept = Generations(os.environ, where(found))
    now = _on_disk(found)
    target = _target(kept, found.number, now)
    if target is None:
        what = f"generation {found.number}" if found.number is not None else "an earlier one"
        sys.stderr.write(f"pointsman: {what} is not in the history\n")
        return FAILED
    try:
        kept.add(now, digest(now), "edited", time())
        _write_back(target, now)
        kept.add(target.texts, target.digest, "undo", time())
    except OSError as error:
        sys.stderr.write(f"pointsman: {error.filename}: {error.strerror}\n")
        return FAILED
    print(f"the files are those of generation {target.number}, of {moment(target.at)}")
    if StatusFile(os.environ, where(found)).read() is not None:
        print("the running server takes them up by itself; see 'pointsman status'")
    return OK


def _target(kept: Generations, number: int | None, now: dict[str, bytes]) -> Generation | None:
    """The asked one; else the newest that was served and differs from the files as they are."""
    if number is not None:
        return kept.read(number)
    served = (g for g in reversed(kept.all()) if g.source != "edited")
    return next((g for g in served if g.texts != now), None)


def _write_back(target: Generation, now: dict[str, bytes]) -> None:
    for path, data in target.texts.items():
        if now.get(path) != data:
            files.rewrite(Path(path), data)
    for path in now.keys() - target.texts.keys():
        Path(path).unlink()


def _on_disk(options: argparse.Namespace) -> dict[str, bytes]:
    """The files that a server would read now, whether they are well or not."""
    cwd = os.getcwd()  # noqa: PTH109  # text
    names, folders = candidates(options.config, options.routes, os.environ, cwd)
    existing = [folder for folder in folders if Path(folder).exists()]
    used = existing if options.routes else existing[:1]
    return contents(look(Places(files=names[:1], folders=tuple(used))))
