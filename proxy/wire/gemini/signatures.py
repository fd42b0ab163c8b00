"""`thoughtSignature` values: our own, and other providers' that travel through Gemini clients.

The field is bytes in the API's proto, so clients decode it as base64. Own signatures pass bare; foreign
ones are sealed (`convo/signature.py`), and what would not be standard base64 then is wrapped once more.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from proxy.convo.signature import seal, unseal

SKIP: Final = "skip_thought_signature_validator"
"""Documented for calls that were not made by Gemini 3 (Thought Signatures guide, "FAQ")."""
_REDACTED: Final = "redacted"
"""Eight base64 characters that mark Anthropic's redacted thinking."""
_WRAPPED: Final = "pointsman/w/"
_STANDARD: Final = re.compile(r"[A-Za-z0-9+/]*={0,2}")


def show(signature: str, origin: str, *, redacted: bool = False) -> str:
    """The field's value for a Gemini client; always base64."""
    if not signature or origin in ("", "gemini"):
        return signature
    value = seal((_REDACTED if redacted else "") + signature, origin, "gemini")
    if len(value) % 4 or not _STANDARD.fullmatch(value):
        value = _WRAPPED + base64.b64encode(value.encode()).decode()
    return value


def read(value: str) -> tuple[str, str, bool]:
    """(signature, origin, redacted) of what a Gemini client sent back; all empty for the skip value."""
    if not value or value == SKIP:
        return "", "", False
    if value.startswith(_WRAPPED):
        try:
            value = base64.b64decode(value[len(_WRAPPED) :], validate=True).decode()
        except (binascii.Error, ValueError):
            return "", "", False
    signature, origin = unseal(value, "gemini")
    if origin != "gemini" and signature.startswith(_REDACTED):
        return signature[len(_REDACTED) :], origin, True
    return signature, origin, False
