"""`pointsman login vertex`: the key file of a service account becomes an account file."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from proxy import __main__
from proxy.auth import files, kinds
from proxy.auth.login import LoginFailed, Wish, get


def pem(key):
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, plain).decode()


@pytest.fixture(scope="module")
def key():
    return {
        "type": "service_account",
        "project_id": "p:1",
        "private_key_id": "k1",
        "private_key": pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        "client_email": "svc@p.iam.gserviceaccount.com",
    }


def saved(folder, content):
    path = folder / "key.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


async def login(path, location=""):
    return await get("vertex", Wish(key_file=path, location=location)).run(None, None)


@pytest.mark.parametrize("flags", [["login", "vertex", "--key"], ["-vertex-import"]])
def test_a_key_file_becomes_an_account(tmp_path, key, flags, capsys):
    path = saved(tmp_path, key)
    config = tmp_path / "config.yaml"
    config.write_text(f"auth-dir: {tmp_path / 'auths'}\n")
    assert __main__.main([*flags, path, "--config", str(config)]) == 0
    made = tmp_path / "auths" / "vertex-p_1.json"
    assert str(made) in capsys.readouterr().out
    assert made.stat().st_mode & 0o777 == 0o600
    content = json.loads(made.read_text())
    assert content == {
        "type": "vertex",
        "project_id": "p:1",
        "email": "svc@p.iam.gserviceaccount.com",
        "location": "us-central1",
        "service_account": key,
    }
    file = files.read(made.parent, made.name)
    assert kinds.get(file.kind).login(file) == key["private_key"].strip()


async def test_a_location_is_kept(tmp_path, key):
    account = await login(saved(tmp_path, key), "europe-west4")
    assert account.content["location"] == "europe-west4"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("no JSON", "is no JSON"),
        ("[1]", "no key of a service account"),
        ({"type": "authorized_user"}, "no key of a service account"),
        ({"project_id": " "}, "'project_id'"),
        ({"client_email": 5}, "'client_email'"),
        ({"private_key": "x"}, "no PEM text"),
        ({"private_key": pem(ec.generate_private_key(ec.SECP256R1()))}, "RSA"),
    ],
)
async def test_what_is_no_key_is_refused(tmp_path, key, change, words):
    content = change if isinstance(change, str) else key | change
    with pytest.raises(LoginFailed) as caught:
        await login(saved(tmp_path, content))
    assert words in str(caught.value)
    assert "PRIVATE" not in str(caught.value)


async def test_what_cannot_be_right_is_refused_at_once(tmp_path):
    with pytest.raises(LoginFailed, match="--key"):
        get("vertex", Wish())
    with pytest.raises(LoginFailed, match="location"):
        get("vertex", Wish(key_file="x", location="evil.example/"))
    with pytest.raises(LoginFailed, match="cannot be read"):
        await login(str(tmp_path / "gone.json"))
