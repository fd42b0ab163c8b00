"""Account files in one text: base64 of a tar.gz, as CLIProxyAPI's AUTH_BUNDLE; encrypted if wished.

An archive from elsewhere is read in memory, within limits, and refused as a whole when anything in it
is no plain file or folder below its root. Only account files are written, under their own names.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec import Struct

from proxy.auth import cipher, files
from proxy.auth.files import AccountFile, BadAccountFile
from proxy.store.files import write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXT: Final = 32 * 1024 * 1024
"""Longest bundle that is read, in bytes."""
_CONTENT: Final = 64 * 1024 * 1024
_MOST: Final = 5_000
_LONGEST_NAME: Final = 255
_ZIP_KINDS: Final = (0, 0o100000, 0o040000)
_BROKEN: Final = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, OSError, EOFError),
    *(ValueError, RuntimeError, OverflowError, LookupError),
)
"""What the readers raise at archives that are none."""

Members: TypeAlias = list[tuple[str, float, bytes]]
"""Name, change time (unix seconds), content."""


class BadBundle(ValueError):  # noqa: N818  # reads as what happened
    """Why a bundle is refused; one line."""


class NeedsPassphrase(BadBundle):
    """The bundle is encrypted."""


class Restored(Struct, frozen=True):
    """What happened to one file: `written`, `kept` (the one there is newer), `same`, `left out`."""

    name: str
    what: str
    why: str = ""


def create(folder: Path, passphrase: str = "") -> tuple[str, list[str]]:
    """The bundle of a folder's account files, one line of text, and their names.

    Raises BadBundle (no account file), OSError.
    """
    packed = io.BytesIO()
    names: list[str] = []
    with tarfile.open(fileobj=packed, mode="w:gz", format=tarfile.USTAR_FORMAT) as archive:
        for name in files.scan(folder):
            try:
                files.read(folder, name)
                data = (folder / name).read_bytes()
            except (BadAccountFile, FileNotFoundError):
                continue
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o600
            member.mtime = int((folder / name).stat().st_mtime)
            archive.addfile(member, io.BytesIO(data))
            names.append(name)
    if not names:
        raise BadBundle(f"{folder} holds no account file")
    content = packed.getvalue()
    if passphrase:
        content = cipher.seal(content, passphrase)
    return base64.b64encode(content).decode(), names


def decode(text: bytes, passphrase: str = "") -> Members:
    """The files of a bundle as its variable or file holds it. Raises BadBundle."""
    if len(text) > TEXT:
        raise BadBundle("is larger than 32 MiB")
    try:
        packed = base64.b64decode(b"".join(text.split()), validate=True)
    except binascii.Error:
        raise BadBundle("is no base64 text") from None
    if packed.startswith(cipher.MAGIC):
        if not passphrase:
            raise NeedsPassphrase("is encrypted; set AUTH_BUNDLE_PASSPHRASE")
        try:
            packed = cipher.unseal(packed, passphrase)
        except cipher.WrongPassphrase as wrong:
            raise BadBundle(str(wrong)) from None
    return unpack(packed)


def unpack(packed: bytes) -> Members:
    """The files of a tar.gz or zip archive. Raises BadBundle."""
    if packed.startswith(b"PK\x03\x04"):
        found = _zip(packed)
    elif packed.startswith(b"\x1f\x8b"):
        found = _tar(packed)
    else:
        raise BadBundle("is no tar.gz or zip archive")
    members: Members = []
    total = 0
    try:
        for name, changed, data in found:
            total += len(data)
            if total > _CONTENT:
                break
            members.append((name, changed, data))
    except BadBundle:
        raise
    except _BROKEN:
        raise BadBundle("is a broken archive") from None
    if total > _CONTENT:
        raise BadBundle("holds more than 64 MiB")
    names = [name for name, _, _ in members]
    if len({name.lower() for name in names}) != len(names):
        raise BadBundle("holds two files of one name")
    return members


def restore(folder: Path, members: Members) -> list[Restored]:
    """Writes the account files; one that is there and has a newer token stays. Raises OSError."""
    done: list[Restored] = []
    for name, changed, data in members:
        if "/" in name or not name.endswith(".json") or name.startswith("."):
            done.append(Restored(name, "left out", "no account file"))
            continue
        try:
            file = files.parse(name, data)
        except BadAccountFile as bad:
            done.append(Restored(name, "left out", str(bad)))
            continue
        done.append(_put(folder, file, changed, data))
    return done


def _put(folder: Path, file: AccountFile, changed: float, data: bytes) -> Restored:
    try:
        there = files.read(folder, file.name)
    except FileNotFoundError:
        pass
    except BadAccountFile:
        pass  # a broken file is worth less than a whole one
    else:
        if there.top == file.top:
            return Restored(file.name, "same")
        if (age(there), there.stamp[0] / 1e9) > (age(file), changed):
            return Restored(file.name, "kept", "the one there is newer")
    write(folder / file.name, data)
    return Restored(file.name, "written")


_TIMES: Final = ("copilot_token_expiry", "last_refresh", "expired", "expires_at", "expiry")


def age(file: AccountFile) -> float:
    """The latest time that a file tells of its token, unix seconds; 0 without any."""
    times = [file.text(key) for key in _TIMES]
    inside = file.table("token").get("expiry")
    times += [inside] if isinstance(inside, str) else []
    return max(map(files.seconds_of, times))


def _checked(name: str) -> str:
    """A member's path below the root, without `./`; "" for the root itself. Raises BadBundle."""
    if len(name) > _LONGEST_NAME or not name.isprintable() or "\\" in name or ":" in name:
        raise BadBundle("holds a file whose name is not allowed")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts:
        raise BadBundle("holds a file outside of its folder")
    return "/".join(parts)


def _tar(packed: bytes) -> Iterator[tuple[str, float, bytes]]:
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as stream:
        content = stream.read(_CONTENT + 1)
    if len(content) > _CONTENT:
        raise BadBundle("holds more than 64 MiB")
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
        for count, member in enumerate(archive, 1):
            if count > _MOST:
                raise BadBundle(f"holds more than {_MOST} files")
            name = _checked(member.name)
            if member.isdir():
                continue
            if not member.isreg() or member.issparse() or not name:
                raise BadBundle("holds a link, a device or another special file")
            if member.size > files.SIZE:
                raise BadBundle("holds a file larger than 1 MiB")
            stored = archive.extractfile(member)
            data = stored.read() if stored is not None else b""
            if len(data) != member.size:
                raise BadBundle("is cut off")
            yield name, float(member.mtime), data


def _zip(packed: bytes) -> Iterator[tuple[str, float, bytes]]:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        infos = archive.infolist()
        if len(infos) > _MOST:
            raise BadBundle(f"holds more than {_MOST} files")
        for info in infos:
            name = _checked(info.filename)
            if (info.external_attr >> 16) & 0o170000 not in _ZIP_KINDS:
                raise BadBundle("holds a link, a device or another special file")
            if info.is_dir():
                continue
            # The size that the directory tells may lie: no more is unpacked than is allowed.
            with archive.open(info) as stored:
                data = stored.read(files.SIZE + 1)
            if len(data) > files.SIZE:
                raise BadBundle("holds a file larger than 1 MiB")
            yield name, 0.0, data
