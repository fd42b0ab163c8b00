"""Account files: one JSON object each, in CLIProxyAPI's auth directory, read and written as they are.

Keys that are not known here are kept, value for value. Everything here blocks: on the event loop's
side call it in a thread. Source: provider sheets; operations sheet, section 4.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
from msgspec import Struct

from proxy import home
from proxy.jsonio import Body, decode, encode, raw_of, top_level
from proxy.store.files import write

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT: Final = "~/.cli-proxy-api"
SIZE: Final = 1024 * 1024
"""Largest account file, in bytes."""
MOST: Final = 20_000
"""Most files that are looked at."""
REFUSED: Final = "pointsman_refused"
"""Our own key: why the service refuses the login for good, so that a restart does not ask again."""

_HUGE: Final = 1e18
_DIGITS: Final = 10
_HUGEST: Final = 20
"""Digits of unix times."""
_MILLISECONDS: Final = 1e11
_DRAFT: Final = re.compile(r"\..+\.json\.[0-9]+\.[0-9a-f]{8}\.tmp")
_DRAFT_AGE: Final = 60.0

Stamp: TypeAlias = tuple[int, int, int]
"""Change time, size and inode: differs after every write, also after a rename over the file."""


class BadAccountFile(ValueError):  # noqa: N818  # reads as what it is
    """A file that is no account: the reason, without its content."""


class AccountFile(Struct, frozen=True, kw_only=True):
    """One file. `name`: relative to the folder; `kind`: its `type` in lower case."""

    name: str
    kind: str
    top: Body
    stamp: Stamp

    def text(self, key: str) -> str:
        """A text, stripped; "" when the key is missing or holds something else."""
        value = self._value(key)
        return value.strip() if isinstance(value, str) else ""

    def table(self, key: str) -> dict[str, object]:
        """An object; empty when the key is missing or holds something else."""
        value = self._value(key)
        return value if isinstance(value, dict) else {}

    def number(self, key: str) -> float:
        """A number; 0 when the key is missing or holds something else."""
        value = self._value(key)
        return float(value) if isinstance(value, int | float) and abs(value) < _HUGE else 0.0

    @property
    def disabled(self) -> bool:
        """Switched off by its owner."""
        return self._value("disabled") is True

    @property
    def label(self) -> str:
        """What a person knows the account by."""
        return self.text("email") or self.text("username") or self.name

    @property
    def refused(self) -> dict[str, str]:
        """See `REFUSED`: `at`, `why`, `login` (a fingerprint of the login that was refused)."""
        value = self._value(REFUSED)
        if not isinstance(value, dict):
            return {}
        return {key: text for key, text in value.items() if isinstance(text, str)}

    def _value(self, key: str) -> object:
        return _value_of(self.top, key)


def folder_of(auth_dir: str) -> Path:
    """The auth directory of a configuration; `~` is the home folder. Raises NoHome."""
    return home.expand(auth_dir.strip() or DEFAULT, "auth-dir in config.yaml to a full path")


def scan(folder: Path) -> dict[str, Stamp]:
    """The account files by name, sorted; empty when there is no such folder. Raises other OSErrors."""
    found: dict[str, Stamp] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.endswith(".json") or entry.name.startswith("."):
                    continue
                try:
                    stat = entry.stat()
                except OSError:
                    continue
                found[entry.name] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
                if len(found) >= MOST:
                    break
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return dict(sorted(found.items()))


def sweep(folder: Path, now: float) -> None:
    """Removes drafts that a writer left when it was killed: they hold secrets too."""
    try:
        drafts = [path for path in folder.iterdir() if _DRAFT.fullmatch(path.name)]
        for path in drafts:
            if now - path.stat().st_mtime > _DRAFT_AGE:
                path.unlink()
    except OSError:
        return


def read(folder: Path, name: str) -> AccountFile:
    """Reads one file. Raises BadAccountFile; FileNotFoundError when it is gone."""
    try:
        with (folder / name).open("rb") as file:
            stat = os.fstat(file.fileno())
            data = file.read(SIZE + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise BadAccountFile(f"cannot be read: {error.strerror}") from None
    return parse(name, data, (stat.st_mtime_ns, stat.st_size, stat.st_ino))


def read_all(folder: Path, names: set[str]) -> dict[str, AccountFile | BadAccountFile]:
    """Files by name, or what is wrong with them; those that are gone are left out."""
    found: dict[str, AccountFile | BadAccountFile] = {}
    for name in sorted(names):
        try:
            found[name] = read(folder, name)
        except FileNotFoundError:
            continue
        except BadAccountFile as bad:
            found[name] = bad
    return found


def parse(name: str, data: bytes, stamp: Stamp = (0, 0, 0)) -> AccountFile:
    """An account file from its bytes. Raises BadAccountFile."""
    if len(data) > SIZE:
        raise BadAccountFile("is larger than 1 MiB")
    try:
        data.decode()
        top = top_level(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadAccountFile("is no JSON object" if data.strip() else "is empty") from None
    kind = _value_of(top, "type")
    if not isinstance(kind, str) or not kind.strip():
        raise BadAccountFile("has no 'type'")
    return AccountFile(name=name, kind=kind.strip().lower(), top=top, stamp=stamp)


def _value_of(top: Body, key: str) -> object:
    """None also for what is nested too deeply to be read."""
    try:
        value: object = decode(raw_of(top.get(key)))
    except (msgspec.DecodeError, RecursionError):
        return None
    return value


def update(folder: Path, name: str, changes: Mapping[str, object]) -> AccountFile:
    """Reads the file once more, sets these keys (None: removes; objects: key by key) and writes it back.

    Raises BadAccountFile, FileNotFoundError (a deleted account stays deleted), OSError.
    """
    file = read(folder, name)
    top = dict(file.top)
    for key, value in changes.items():
        if value is None:
            top.pop(key, None)
        elif isinstance(value, dict):
            top[key] = {**file.table(key), **value}
        else:
            top[key] = value
    write(folder / name, render(top))
    return read(folder, name)


def create(folder: Path, name: str, content: Mapping[str, object]) -> Path:
    """Writes a login's file; keys of an older file that the login does not set are kept."""
    try:
        top = dict(read(folder, name).top)
    except (BadAccountFile, FileNotFoundError):
        top = {}
    top.pop(REFUSED, None)
    path = folder / name
    write(path, render({**top, **content}))
    return path


def render(top: Mapping[str, object]) -> bytes:
    """The file's text, indented by two blanks as CLIProxyAPI does at a login."""
    return msgspec.json.format(encode(top), indent=2) + b"\n"


def rfc3339(seconds: float) -> str:
    """A time as the files spell it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_of(text: str) -> float:
    """Unix time of a time in a file; 0 for none or a text that is no time. Without a zone it is UTC."""
    if len(text) >= _DIGITS and text.isdecimal():
        return unix(float(text[:_HUGEST]))
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def unix(number: float) -> float:
    """Unix time of a number in a file, which may be milliseconds."""
    return number / 1000 if number >= _MILLISECONDS else number
