"""Bundles: what was packed comes out, CLIProxyAPI's are read, and nothing leaves the folder."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import random
import struct
import subprocess
import tarfile
import zipfile

import pytest

from proxy import __main__
from proxy.auth import bundle
from proxy.auth.bundle import BadBundle, NeedsPassphrase

OLD, NEW = "2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z"


def account(**more):
    return json.dumps({"type": "copilot", "github_token": "gho_fake", **more}).encode()


def tar_of(*members, kind="w:gz"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=kind, format=tarfile.GNU_FORMAT) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def member(name, data=b"", **more):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def filled(folder):
    (folder / "copilot_a.json").write_bytes(account(email="a@example.com"))
    (folder / "claude-b.json").write_text('{"type": "claude", "access_token": "x"}')
    (folder / "broken.json").write_text("{")
    (folder / "notes.txt").write_text("hello")
    return folder


@pytest.mark.parametrize("passphrase", ["", "correct horse"])
def test_there_and_back(tmp_path, passphrase):
    text, names = bundle.create(filled(tmp_path), passphrase)
    assert names == ["claude-b.json", "copilot_a.json"]
    into = tmp_path / "into"
    done = bundle.restore(into, bundle.decode(text.encode(), passphrase))
    assert [one.what for one in done] == ["written", "written"]
    for name in names:
        assert (into / name).read_bytes() == (tmp_path / name).read_bytes()
        assert (into / name).stat().st_mode & 0o777 == 0o600
    if passphrase:
        assert "gho_fake" not in base64.b64decode(text).decode("latin-1")
        with pytest.raises(NeedsPassphrase):
            bundle.decode(text.encode())
        with pytest.raises(BadBundle, match="does not fit"):
            bundle.decode(text.encode(), "wrong")


def test_a_bundle_of_the_shell_is_restored(tmp_path):
    source = filled(tmp_path)
    made = subprocess.run(
        f"tar -C {source} -cz . | base64", shell=True, capture_output=True, check=True
    )
    wrapped = made.stdout.replace(b"\n", b"\r\n")
    done = bundle.restore(tmp_path / "into", bundle.decode(wrapped))
    told = {one.name: one.what for one in done}
    assert told == {
        "copilot_a.json": "written",
        "claude-b.json": "written",
        "broken.json": "left out",
        "notes.txt": "left out",
    }


def test_a_zip_is_restored(tmp_path):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/", "")
        archive.writestr("copilot_a.json", account())
    done = bundle.restore(tmp_path, bundle.unpack(out.getvalue()))
    assert [(one.name, one.what) for one in done] == [("copilot_a.json", "written")]


@pytest.mark.parametrize(
    ("there", "comes", "what"),
    [
        ({"copilot_token_expiry": NEW}, {"copilot_token_expiry": OLD}, "kept"),
        ({"copilot_token_expiry": OLD}, {"copilot_token_expiry": NEW}, "written"),
        ({"last_refresh": NEW}, {"expired": OLD}, "kept"),
        ({"token": {"expiry": NEW}}, {"token": {"expiry": OLD}}, "kept"),
        ({"token": {"expiry": OLD}}, {"token": {"expiry": NEW}}, "written"),
        ({"x": 1}, {"x": 2}, "kept"),  # no time in either: the file's own change decides
        ({"x": 1}, {"x": 1}, "same"),
    ],
)
def test_a_newer_token_is_never_overwritten(tmp_path, there, comes, what):
    (tmp_path / "a.json").write_bytes(account(**there))
    (done,) = bundle.restore(tmp_path, [("a.json", 1.0, account(**comes))])
    assert done.what == what
    kept = json.loads((tmp_path / "a.json").read_bytes())
    assert kept == json.loads(account(**(comes if what == "written" else there)))


def test_a_broken_file_gives_way(tmp_path):
    (tmp_path / "a.json").write_text("{broken")
    (done,) = bundle.restore(tmp_path, [("a.json", 1.0, account())])
    assert done.what == "written"


def malicious(rng):
    """One archive that must not be unpacked, made of a kind and chance."""
    good = member("copilot_a.json", account())
    depth = "../" * rng.randint(1, 6)
    name = f"f{rng.randint(0, 9999)}.json"
    odd = rng.choice(["\n", "\x1b[31m", "\\..\\", "C:", "\x7f"])
    kinds = {
        "up": lambda: tar_of(good, member(f"{depth}{name}", account())),
        "inner up": lambda: tar_of(good, member(f"a/{depth}../{name}", account())),
        "absolute": lambda: tar_of(good, member(f"/tmp/{name}", account())),
        "link": lambda: tar_of(
            good, member(name, type=tarfile.SYMTYPE, linkname=rng.choice(["/etc/passwd", depth]))
        ),
        "hard link": lambda: tar_of(good, member(name, type=tarfile.LNKTYPE, linkname="../x")),
        "device": lambda: tar_of(
            good, member(name, type=rng.choice([tarfile.CHRTYPE, tarfile.BLKTYPE]))
        ),
        "pipe": lambda: tar_of(good, member(name, type=tarfile.FIFOTYPE)),
        "link then through": lambda: tar_of(
            member("d", type=tarfile.SYMTYPE, linkname="/tmp"), member(f"d/{name}", account())
        ),
        "twice": lambda: tar_of(good, good, member(name, account())),
        "case": lambda: tar_of(good, member("COPILOT_A.json", account())),
        "odd name": lambda: tar_of(good, member(f"{odd}{name}", account())),
        "long name": lambda: tar_of(good, member("x" * rng.randint(256, 5000), b"")),
        "many": lambda: tar_of(*(member(f"{i}.json") for i in range(5001))),
        "large file": lambda: tar_of(member(name, bytes(1024 * 1024 + rng.randint(1, 999)))),
        "bomb": lambda: gzip.compress(bytes(65 * 1024 * 1024), 1),
        "cut": lambda: tar_of(good)[: -rng.randint(9, 60)],
        "cut inside": lambda: gzip.compress(tar_of(good, kind="w")[: 512 + rng.randint(1, 60)]),
        "noise": lambda: b"\x1f\x8b" + rng.randbytes(200),
        "no archive": lambda: rng.randbytes(200),
        "noise in tar": lambda: gzip.compress(rng.randbytes(1024)),
        "long-name chain": lambda: gzip.compress(_chain(3000)),
        "zip up": lambda: _zip(f"{depth}{name}"),
        "zip absolute": lambda: _zip(f"/tmp/{name}"),
        "zip link": lambda: _zip(name, mode=0o120777),
        "zip device": lambda: _zip(name, mode=0o020666),
        "zip bomb": lambda: _zip(name, data=bytes(2 * 1024 * 1024)),
        "zip cut": lambda: _zip(name)[: -rng.randint(5, 40)],
        "zip lie": lambda: _lying_zip(name),
    }
    kind = rng.choice(sorted(kinds)) if rng.random() > 0.2 else "up"
    return kind, kinds[kind]()


def _chain(count):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 5
    block = info.tobuf(tarfile.GNU_FORMAT) + b"name\0".ljust(512, b"\0")
    return block * count


def _zip(name, data=b"{}", mode=0):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        info.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(info, data)
    return out.getvalue()


def _lying_zip(name):
    data = bytearray(_zip(name, data=bytes(2 * 1024 * 1024)))
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 10)
    return bytes(data)


def test_two_hundred_malicious_archives_are_refused(tmp_path, monkeypatch):
    rng = random.Random(20_251_125)
    into = tmp_path / "deep" / "er" / "into"
    into.mkdir(parents=True)
    before = sorted(os.walk(tmp_path))
    seen = set()
    for _ in range(200):
        kind, data = malicious(rng)
        seen.add(kind)
        with pytest.raises(BadBundle):
            bundle.restore(into, bundle.decode(base64.b64encode(data)))
        assert sorted(os.walk(tmp_path)) == before, kind
    assert len(seen) > 20


@pytest.mark.parametrize("text", [b"", b"%%%", b"aGVsbG8", b"aGVsbG8="])
def test_texts_that_are_no_bundle(text):
    with pytest.raises(BadBundle):
        bundle.decode(text)


def command(*words, capsys):
    status = __main__.main(["bundle", *map(str, words)])
    told = capsys.readouterr()
    return status, told.out, told.err


def test_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("AUTH_BUNDLE_PASSPHRASE", raising=False)
    source = tmp_path / "source"
    source.mkdir()
    filled(source)
    status, text, said = command("create", source, capsys=capsys)
    assert status == 0
    assert "2 account files" in said
    assert "not encrypted" in said
    monkeypatch.setenv("AUTH_BUNDLE", text)
    status, told, _ = command("inspect", capsys=capsys)
    assert (status, told.splitlines()[1]) == (0, "copilot_a.json  copilot  a@example.com")
    assert "gho_fake" not in told
    into = tmp_path / "into"
    status, told, _ = command("restore", "--env", "--into", into, "--json", capsys=capsys)
    assert status == 0
    assert [row["what"] for row in json.loads(told)] == ["written", "written"]
    monkeypatch.setenv("AUTH_BUNDLE_PASSPHRASE", "correct horse")
    file = tmp_path / "sealed"
    assert command("create", "-i", source, "-o", file, "--encrypt", capsys=capsys)[0] == 0
    assert command("inspect", file, capsys=capsys)[0] == 0
    monkeypatch.delenv("AUTH_BUNDLE_PASSPHRASE")
    status, _, said = command("inspect", file, capsys=capsys)
    assert status == 1
    assert said == f"pointsman: {file}: is encrypted; set AUTH_BUNDLE_PASSPHRASE\n"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "AUTH_BUNDLE: is not set"),
        ("%%%", "AUTH_BUNDLE: is no base64 text"),
        ("aGVsbG8=", "AUTH_BUNDLE: is no tar.gz or zip archive"),
        (
            base64.b64encode(tar_of(member("x.txt", b"x"))).decode(),
            "AUTH_BUNDLE: holds no account file",
        ),
    ],
)
def test_one_line_names_the_variable(tmp_path, capsys, monkeypatch, value, said):
    monkeypatch.setenv("AUTH_BUNDLE", value)
    status, _, err = command("restore", "--env", "--into", tmp_path, capsys=capsys)
    assert (status, err) == (1, f"pointsman: {said}\n")
