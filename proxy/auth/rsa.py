"""RS256 with the key of a service account. Source: RFC 8017 (RSASSA-PKCS1-v1_5, section 8.2; RSA keys,
appendix A.1.2), RFC 5208 (PKCS#8), RFC 7515.

Nothing else here needs RSA, and one signature an hour needs no library. Keys come as Google gives them
(PKCS#8), or as CLIProxyAPI rewrites them (PKCS#1).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Final

import msgspec
from msgspec import Struct

_BLOCK: Final = re.compile(r"-----BEGIN ((?:RSA )?PRIVATE KEY)-----([^-]*)-----END \1-----")
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;]{0,20}[A-Za-z]")
_NOISE: Final = re.compile(r"[^A-Za-z0-9+/=]")
_SEQUENCE, _INTEGER, _OCTETS = 0x30, 0x02, 0x04
_RSA: Final = bytes.fromhex("06092a864886f70d010101")
"""The object identifier `rsaEncryption`."""
_SHA256: Final = bytes.fromhex("3031300d060960864801650304020105000420")
"""DigestInfo of SHA-256 without the digest (RFC 8017, section 9.2, note 1)."""
_LEAST: Final = 1024
_MOST: Final = 8192
"""Bits of the modulus: while a signature is made, the program stands still (a quarter of a second there)."""
_PUBLIC: Final = 64
"""Bits of the public exponent, as OpenSSL has it."""
_LONGEST: Final = 32 * 1024


class BadKey(ValueError):  # noqa: N818  # reads as what it is
    """The text holds no RSA private key: the reason, without its content."""


class Key(Struct, frozen=True):
    """A private key by its numbers."""

    modulus: int
    public: int
    prime1: int
    prime2: int
    exponent1: int
    exponent2: int
    coefficient: int

    def __repr__(self) -> str:
        return "Key(***)"


def read(text: str) -> Key:
    """The key in a PEM text, however its lines were broken on the way. Raises BadKey."""
    if len(text) > _LONGEST:
        raise BadKey("it is too long for a private key")
    text = _ESCAPES.sub("", text.replace("\\n", "\n"))
    found = _BLOCK.search(text)
    if found is None:
        raise BadKey("it is no PEM text of a private key")
    try:
        data = base64.b64decode(_NOISE.sub("", found[2]), validate=True)
        return _key(data, wrapped=found[1] == "PRIVATE KEY")
    except (binascii.Error, IndexError, ValueError):
        raise BadKey("it cannot be read as an RSA key") from None


def _key(data: bytes, *, wrapped: bool) -> Key:
    tag, body, _ = _element(data)
    if tag != _SEQUENCE:
        raise ValueError
    if wrapped:
        _, _, rest = _element(body)
        _, algorithm, rest = _element(rest)
        tag, inner, _ = _element(rest)
        if tag != _OCTETS or not algorithm.startswith(_RSA):
            raise ValueError
        _, body, _ = _element(inner)
    numbers: list[int] = []
    while body and len(numbers) < 9:  # version, n, e, d, p, q, dP, dQ, qInv
        tag, value, body = _element(body)
        if tag != _INTEGER:
            raise ValueError
        numbers.append(int.from_bytes(value, "big"))
    _, n, e, _, p, q, exponent1, exponent2, coefficient = numbers
    if p * q != n or not _LEAST <= n.bit_length() <= _MOST:
        raise ValueError
    if e.bit_length() > _PUBLIC or exponent1 >= p or exponent2 >= q:
        raise ValueError
    return Key(n, e, p, q, exponent1, exponent2, coefficient)


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """(tag, content, what follows) of the first DER element."""
    tag, length, start = data[0], data[1], 2
    if length & 0x80:
        size = length & 0x7F
        start += size
        length = int.from_bytes(data[2:start], "big")
    if start + length > len(data):
        raise ValueError
    return tag, data[start : start + length], data[start + length :]


def sign(key: Key, message: bytes) -> bytes:
    """The signature with SHA-256. Raises BadKey where the key's numbers do not fit together.

    How long it takes depends on the key: nobody but the token endpoint can tell when, and it gets one an
    hour.
    """
    size = (key.modulus.bit_length() + 7) // 8
    digest = _SHA256 + hashlib.sha256(message).digest()
    block = b"\x00\x01" + b"\xff" * (size - len(digest) - 3) + b"\x00" + digest
    number = int.from_bytes(block, "big")
    one = pow(number, key.exponent1, key.prime1)
    two = pow(number, key.exponent2, key.prime2)
    signature = two + (key.coefficient * (one - two) % key.prime1) * key.prime2
    if pow(signature, key.public, key.modulus) != number:
        # A wrong signature made with the two primes would give them away (RFC 8017, section 5.1.2).
        raise BadKey("its numbers do not fit together")
    return signature.to_bytes(size, "big")


def token(key: Key, key_id: str, claims: dict[str, object]) -> str:
    """A signed JWT."""
    header = {"alg": "RS256", "typ": "JWT"} | ({"kid": key_id} if key_id else {})
    parts = [_encoded(msgspec.json.encode(part)) for part in (header, claims)]
    return ".".join([*parts, _encoded(sign(key, ".".join(parts).encode()))])


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
