"""Signatures on this wire: `reasoning_details` for thinking, `extra_content` for calls.

A bare value in `extra_content.google.thought_signature` is Gemini's. A `reasoning_details` entry of a
chat upstream is opaque and has to come back as it was: it travels inside `Thinking.signature` as base64
JSON (origin `chat`). Other providers' signatures reach chat clients sealed.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

import msgspec
from msgspec import Raw, Struct

from proxy.convo.model import Thinking
from proxy.convo.signature import seal, unseal
from proxy.jsonio import encode, top_level
from proxy.wire.chat import types as t

_TEXTS: Final = ("text", "summary")
OPAQUE: Final = "reasoning.opaque"
"""Type of the entry that stands for `reasoning_opaque`."""


class Google(Struct):
    """`google` of `extra_content`."""

    thought_signature: str | None = None


class Extra(Struct):
    """`extra_content` of a call."""

    google: Google | None = None


_extra = msgspec.json.Decoder(Extra)


def call_signature(extra: Raw | None) -> tuple[str, str]:
    """(signature, origin) of a call's `extra_content`; ("", "") where there is none."""
    if extra is None:
        return "", ""
    try:
        google = _extra.decode(extra).google
    except msgspec.DecodeError:
        return "", ""
    return unseal((google.thought_signature if google else "") or "", "gemini")


def call_extra(signature: str, origin: str) -> dict[str, object]:
    """`extra_content` of a call for a client; Gemini's own signatures are bare."""
    return {"google": {"thought_signature": seal(signature, origin, "gemini")}}


def details(raws: list[Raw] | None) -> list[tuple[t.Detail, Raw]]:
    """The entries that can be read."""
    out = []
    for raw in raws or ():
        try:
            out.append((t.detail.decode(raw), raw))
        except msgspec.DecodeError:
            continue
    return out


def entry_proof(entry: t.Detail, raw: Raw) -> tuple[str, str]:
    """(signature, origin) that an entry carries; ("", "") if it is mere text."""
    proof = entry.signature or entry.data
    if not proof:
        return "", ""
    signature, origin = unseal(proof, t.NAME)
    if origin != t.NAME:
        return signature, origin
    try:
        fields = top_level(bytes(raw))
    except msgspec.DecodeError:
        return "", ""
    for name in (*_TEXTS, "chars"):
        fields.pop(name, None)
    return base64.b64encode(encode(fields)).decode(), t.NAME


def opaque_proof(value: str) -> str:
    """Copilot's `reasoning_opaque` as a signature."""
    return base64.b64encode(encode({"type": OPAQUE, "data": value})).decode()


def opaque_of(text: str, value: str) -> Thinking:
    """Thinking in Copilot's spelling."""
    return Thinking(text, opaque_proof(value), t.NAME)


def client_entry(part: Thinking, index: int) -> dict[str, object]:
    """The `reasoning_details` entry that gives a client the signature of a thinking part."""
    if part.origin == t.NAME:
        return upstream_entry(part)
    sealed = seal(part.signature, part.origin, t.NAME)
    if part.redacted:
        return {"type": "reasoning.encrypted", "data": sealed, "index": index}
    entry: dict[str, object] = {"type": "reasoning.text", "signature": sealed, "index": index}
    if part.id:
        entry["id"] = part.id
    return entry


def upstream_entry(part: Thinking) -> dict[str, object]:
    """An upstream's own entry, its text put back."""
    try:
        fields = top_level(base64.b64decode(part.signature, validate=True))
    except (binascii.Error, ValueError, msgspec.DecodeError):
        return {"type": "reasoning.text", "text": part.text, "signature": part.signature}
    kind = fields.get("type")
    word = bytes(kind) if isinstance(kind, Raw) else b""
    if part.text and b"encrypted" not in word and b"opaque" not in word:
        fields["summary" if b"summary" in word else "text"] = part.text
    return fields


def thinking_of(text: str, raws: list[Raw] | None) -> list[Thinking]:
    """The thinking parts of a message: `reasoning_content` and what its details say of it.

    An entry without text proves `chars` characters of `reasoning_content`, or all of it where it is the
    only one; where several say nothing of that, their signatures fit no text and are left out.
    """
    entries = [(entry, *entry_proof(entry, raw)) for entry, raw in details(raws)]
    proofs = [item for item in entries if item[1]]
    if not proofs:
        whole = text or "".join(entry.text or entry.summary or "" for entry, _, _ in entries)
        return [Thinking(whole)] if whole else []
    bare = [
        entry
        for entry, _, _ in proofs
        if not entry.data and not (entry.text or entry.summary) and entry.chars is None
    ]
    out: list[Thinking] = []
    rest = text
    for entry, signature, origin in proofs:
        ident = entry.id or "" if origin != t.NAME else ""
        own = entry.text or entry.summary or ""
        if entry.data:
            out.append(Thinking("", signature, origin, ident, redacted=True))
            continue
        if not own and entry.chars is not None:
            own, rest = rest[: entry.chars], rest[entry.chars :]
        elif own:
            rest = rest.removeprefix(own)
        elif len(bare) == 1:
            own, rest = rest, ""
        else:
            continue
        out.append(Thinking(own, signature, origin, ident))
    if rest and not any(part.text for part in out):
        # The text itself came without a proof of its own (encrypted entries beside it).
        out.insert(0, Thinking(rest))
    return out
