"""Signatures of one provider carried through another protocol's field.

A sealed signature is a 12-character tag and the value. The tag is made of base64 characters and its
length is a multiple of four, so that a sealed base64 value is base64 still: clients that decode the
field (google-genai turns `thoughtSignature` into bytes) are not disturbed.
"""

from __future__ import annotations

_TAGS = {
    "anthropic": "pointsman/a/",
    "gemini": "pointsman/g/",
    "responses": "pointsman/r/",
    "chat": "pointsman/c/",
}
_SEALED = b'"pointsman/'
_ORIGINS = {tag: origin for origin, tag in _TAGS.items()}
_TAG_LENGTH = 12


def seal(signature: str, origin: str, wire: str) -> str:
    """The signature as a client of `wire` gets it: bare if it is that wire's own, tagged otherwise."""
    if not signature or origin in ("", wire):
        return signature
    return _TAGS[origin] + signature


def unseal(value: str, wire: str) -> tuple[str, str]:
    """(signature, origin) of what a client of `wire` sent back."""
    origin = _ORIGINS.get(value[:_TAG_LENGTH])
    if origin is None:
        return value, (wire if value else "")
    return value[_TAG_LENGTH:], origin


def holds_sealed(body: bytes) -> bool:
    """Whether a client's JSON brings signatures of other providers back (they begin a string).

    Such a body must not pass undecoded to an upstream of its own wire, which would refuse them. A text
    that happens to begin so costs its request a translation and nothing else.
    """
    return _SEALED in body
