"""Authenticated encryption with a passphrase: scrypt (RFC 7914) and ChaCha20-Poly1305 (RFC 8439).

In Python itself, since the standard library has no such cipher and a compiled one does not fit the one
file. It runs for bundles of account files only: a few kilobytes, on a person's own command. Python
makes no promise about timing, which does not matter where no attacker measures it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from typing import Final

MAGIC: Final = b"PMB1"
_SALT, _NONCE, _TAG = 16, 12, 16
_COST: Final = 15
"""log2 of scrypt's N: 32 MiB and about a tenth of a second."""
_MOST_COST: Final = 20
_PRIME: Final = (1 << 130) - 5
_CLAMP: Final = 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
_MASK: Final = 0xFFFFFFFF
_WORDS: Final = struct.unpack("<4I", b"expand 32-byte k")
_ROUND: Final = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)  # fmt: skip


class WrongPassphrase(ValueError):  # noqa: N818  # reads as what happened
    """The passphrase does not fit, or the text was changed: they cannot be told apart."""


def seal(plain: bytes, passphrase: str) -> bytes:
    """Encrypts: magic, cost, salt, nonce, text, tag."""
    salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
    head = MAGIC + bytes([_COST]) + salt + nonce
    return head + encrypt(_key(passphrase, salt, _COST), nonce, plain, head)


def unseal(sealed: bytes, passphrase: str) -> bytes:
    """What was sealed. Raises WrongPassphrase."""
    size = len(MAGIC) + 1 + _SALT + _NONCE
    head, text = sealed[:size], sealed[size:]
    if len(head) < size or not head.startswith(MAGIC) or not 1 <= head[4] <= _MOST_COST:
        raise WrongPassphrase("is no encrypted bundle")
    salt, nonce = head[5 : 5 + _SALT], head[5 + _SALT :]
    return decrypt(_key(passphrase, salt, head[4]), nonce, text, head)


def _key(passphrase: str, salt: bytes, cost: int) -> bytes:
    n = 1 << cost
    return hashlib.scrypt(
        passphrase.encode(), salt=salt, n=n, r=8, p=1, maxmem=n * 8 * 128 * 2 + (1 << 20), dklen=32
    )


def encrypt(key: bytes, nonce: bytes, plain: bytes, extra: bytes = b"") -> bytes:
    """ChaCha20-Poly1305: the text and its tag. `extra`: authenticated only."""
    text = chacha20(key, 1, nonce, plain)
    return text + _tag(key, nonce, text, extra)


def decrypt(key: bytes, nonce: bytes, sealed: bytes, extra: bytes = b"") -> bytes:
    """The text. Raises WrongPassphrase if it, the tag or `extra` was changed."""
    text, tag = sealed[:-_TAG], sealed[-_TAG:]
    if len(tag) < _TAG or not hmac.compare_digest(tag, _tag(key, nonce, text, extra)):
        raise WrongPassphrase("the passphrase does not fit, or the bundle was changed")
    return chacha20(key, 1, nonce, text)


def _tag(key: bytes, nonce: bytes, text: bytes, extra: bytes) -> bytes:
    lengths = struct.pack("<QQ", len(extra), len(text))
    padded = extra + bytes(-len(extra) % 16) + text + bytes(-len(text) % 16) + lengths
    return poly1305(chacha20_block(key, 0, nonce)[:32], padded)


def poly1305(key: bytes, message: bytes) -> bytes:
    """The one-time authenticator; `key` of 32 bytes."""
    r = int.from_bytes(key[:16], "little") & _CLAMP
    s = int.from_bytes(key[16:], "little")
    total = 0
    for start in range(0, len(message), 16):
        block = message[start : start + 16] + b"\x01"
        total = (total + int.from_bytes(block, "little")) * r % _PRIME
    return ((total + s) & ((1 << 128) - 1)).to_bytes(16, "little")


def chacha20(key: bytes, counter: int, nonce: bytes, text: bytes) -> bytes:
    """The stream cipher: the same both ways."""
    blocks = range((len(text) + 63) // 64)
    stream = b"".join(chacha20_block(key, counter + number, nonce) for number in blocks)
    mixed = int.from_bytes(text, "little") ^ int.from_bytes(stream[: len(text)], "little")
    return mixed.to_bytes(len(text), "little")


def chacha20_block(key: bytes, counter: int, nonce: bytes) -> bytes:
    """One block of 64 key stream bytes."""
    start = (*_WORDS, *struct.unpack("<8I", key), counter & _MASK, *struct.unpack("<3I", nonce))
    x = list(start)
    for _ in range(10):
        for a, b, c, d in _ROUND:
            x[a] = (x[a] + x[b]) & _MASK
            v = x[d] ^ x[a]
            x[d] = (v << 16 | v >> 16) & _MASK
            x[c] = (x[c] + x[d]) & _MASK
            v = x[b] ^ x[c]
            x[b] = (v << 12 | v >> 20) & _MASK
            x[a] = (x[a] + x[b]) & _MASK
            v = x[d] ^ x[a]
            x[d] = (v << 8 | v >> 24) & _MASK
            x[c] = (x[c] + x[d]) & _MASK
            v = x[b] ^ x[c]
            x[b] = (v << 7 | v >> 25) & _MASK
    return struct.pack("<16I", *((a + b) & _MASK for a, b in zip(x, start, strict=True)))
