"""`encrypted_content`: the API's own, and other providers' signatures that travel through it.

A Responses client sends a reasoning item back as it got it, so the field carries foreign signatures
sealed (`convo/signature.py`). A word after the seal says where the signature belongs: Anthropic's
redacted thinking, or Gemini's signature of the call that follows the item.
"""

from __future__ import annotations

from typing import Final, Literal

from proxy.convo.signature import seal, unseal

Place = Literal["thinking", "redacted", "call"]
_MARKS: Final[dict[Place, str]] = {"redacted": "redacted.", "call": "call."}


def show(signature: str, origin: str, place: Place = "thinking") -> str:
    """The field's value for a Responses client; "" for none."""
    if not signature or origin in ("", "responses"):
        return signature
    return seal(_MARKS.get(place, "") + signature, origin, "responses")


def read(value: str) -> tuple[str, str, Place]:
    """(signature, origin, where it belongs) of what a client sent back; origin is never empty."""
    signature, origin = unseal(value, "responses")
    if origin in ("", "responses"):
        return signature, "responses", "thinking"
    for place, mark in _MARKS.items():
        if signature.startswith(mark):
            return signature[len(mark) :], origin, place
    return signature, origin, "thinking"
