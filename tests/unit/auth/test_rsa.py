"""Private keys that are none, or that would keep the program busy."""

from __future__ import annotations

import random
from base64 import b64encode

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa as real
from msgspec.structs import replace

from proxy.auth import rsa

GOOD = real.generate_private_key(public_exponent=65537, key_size=1024).private_bytes(
    serialization.Encoding.DER,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
)


def pem(data):
    return f"-----BEGIN PRIVATE KEY-----\n{b64encode(data).decode()}\n-----END PRIVATE KEY-----\n"


def test_a_key_does_not_show_itself():
    assert repr(rsa.read(pem(GOOD))) == "Key(***)"


@pytest.mark.parametrize(
    "text",
    [
        "",
        pem(b""),
        "-----BEGIN PRIVATE KEY-----" * 40_000,
        "\x1b[" + "0;" * 16_000,
        pem(b"\x30\x84\xff\xff\xff\xff"),
        pem(b"\x30" * 20_000),
    ],
)
def test_a_text_that_holds_no_key_is_told_at_once(text):
    with pytest.raises(rsa.BadKey):
        rsa.read(text)


def test_every_cut_and_changed_byte_is_a_bad_key_or_a_good_one():
    chance = random.Random(7)
    for _ in range(1000):
        data = bytearray(GOOD)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        del data[chance.choice((len(data), chance.randrange(len(data)))) :]
        try:
            rsa.sign(rsa.read(pem(bytes(data))), b"x")
        except rsa.BadKey:
            continue


def integers(*numbers):
    found = b""
    for number in numbers:
        value = number.to_bytes(number.bit_length() // 8 + 1, "big")
        found += b"\x02" + element(value)
    return b"\x30" + element(found)


def element(data):
    return b"\x82" + len(data).to_bytes(2, "big") + data


def plain(key):
    """PKCS#1."""
    data = integers(
        *(0, key.modulus, key.public, 1, key.prime1, key.prime2),
        *(key.exponent1, key.exponent2, key.coefficient),
    )
    return pem(data).replace("PRIVATE", "RSA PRIVATE")


@pytest.mark.parametrize("change", ["modulus", "public", "exponent1", "exponent2"])
def test_numbers_that_take_long_to_reckon_with_are_refused(change):
    good = rsa.read(pem(GOOD))
    key = {
        "modulus": replace(good, modulus=good.modulus << 9000, prime2=good.prime2 << 9000),
        "public": replace(good, public=good.public << 64),
        "exponent1": replace(good, exponent1=good.prime1 + 1),
        "exponent2": replace(good, exponent2=good.prime2 + 1),
    }[change]
    assert rsa.read(plain(good)) == good
    with pytest.raises(rsa.BadKey):
        rsa.read(plain(key))
