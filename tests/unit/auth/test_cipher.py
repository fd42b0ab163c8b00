"""The cipher by the vectors of RFC 8439 and against an independent implementation."""

from __future__ import annotations

import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from proxy.auth import cipher

KEY = bytes(range(32))
SUNSCREEN = (
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
    b"sunscreen would be it."
)


def test_block_function_section_2_3_2():
    block = cipher.chacha20_block(KEY, 1, bytes.fromhex("000000090000004a00000000"))
    assert block.hex() == (
        "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
        "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e"
    )


def test_encryption_section_2_4_2():
    text = cipher.chacha20(KEY, 1, bytes.fromhex("000000000000004a00000000"), SUNSCREEN)
    assert text.hex().startswith("6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0b")
    assert text.hex().endswith("b40b8eedf2785e42874d")


def test_authenticator_section_2_5_2():
    key = bytes.fromhex("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b")
    tag = cipher.poly1305(key, b"Cryptographic Forum Research Group")
    assert tag.hex() == "a8061dc1305136c6c22b8baf0c0127a9"


def test_aead_section_2_8_2():
    key = bytes(range(0x80, 0xA0))
    nonce = bytes.fromhex("070000004041424344454647")
    extra = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
    sealed = cipher.encrypt(key, nonce, SUNSCREEN, extra)
    assert sealed[-16:].hex() == "1ae10b594f09e26a7e902ecbd0600691"
    assert sealed[:16].hex() == "d31a8d34648e60db7b86afbc53ef7ec2"
    assert cipher.decrypt(key, nonce, sealed, extra) == SUNSCREEN


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 63, 64, 65, 1000])
def test_against_an_independent_implementation(size):
    key, nonce, plain, extra = os.urandom(32), os.urandom(12), os.urandom(size), os.urandom(size)
    theirs = ChaCha20Poly1305(key).encrypt(nonce, plain, extra)
    assert cipher.encrypt(key, nonce, plain, extra) == theirs
    assert cipher.decrypt(key, nonce, theirs, extra) == plain


def test_sealing_and_every_changed_byte():
    sealed = cipher.seal(b"secret", "a passphrase")
    assert cipher.unseal(sealed, "a passphrase") == b"secret"
    assert cipher.seal(b"secret", "a passphrase") != sealed
    with pytest.raises(cipher.WrongPassphrase):
        cipher.unseal(sealed, "another")
    for index in (0, 5, 25, 34, len(sealed) - 1):
        changed = bytearray(sealed)
        changed[index] ^= 1
        with pytest.raises(cipher.WrongPassphrase):
            cipher.unseal(bytes(changed), "a passphrase")
    for size in (0, 4, 20, 40):
        with pytest.raises(cipher.WrongPassphrase):
            cipher.unseal(sealed[:size], "a passphrase")


def test_a_cost_that_would_take_all_memory_is_refused():
    sealed = bytearray(cipher.seal(b"x", "p"))
    sealed[4] = 40
    with pytest.raises(cipher.WrongPassphrase):
        cipher.unseal(bytes(sealed), "p")
