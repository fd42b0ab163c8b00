"""Whole translations as pure functions: what the server does with a request, an answer, a stream,
without a server. `pointsman transcode` is this module with files around it."""

from __future__ import annotations

from msgspec import DecodeError, Raw

from proxy import wire as wires
from proxy.convo.model import Capability, Lost, Request
from proxy.convo.signature import holds_sealed
from proxy.errors import ProxyError, bad_request
from proxy.jsonio import Body, encode, top_level
from proxy.wire import names
from proxy.wire.base import AnswerContext, Target
from proxy.wire.gemini import encode as gemini
from proxy.wire.lanes import lane
from proxy.wire.unread import unread


def decode_request(body: bytes, client: str, model: str, stream: bool) -> Request:
    """A client's request; Gemini's model and stream flag stand in the URL."""
    return wires.get(client).decode_request(body, model, stream)


def request(
    body: bytes, client: str, upstream: str, target: Target, *, stream: bool
) -> tuple[Body, list[Lost]]:
    """The upstream body, and all that it cannot carry. Same wire: only `model` is changed,
    but where the body brings another provider's signatures."""
    lost: list[Lost] = []
    if client == upstream and not holds_sealed(body):
        try:
            patched = top_level(body)
        except DecodeError as error:
            raise bad_request(f"the body is not a JSON object: {error}") from None
        if "model" in patched:
            patched["model"] = Raw(encode(target.model))
        if upstream == "gemini":
            gemini.complete(patched)
        return patched, lost
    decoded = decode_request(body, client, target.model, stream)
    made = wires.get(upstream).encode_request(decoded, target, lost)
    lost += unread(client, top_level(body), decoded, upstream, most=len(body))
    return made, list({entry.path: entry for entry in lost}.values())


def stream(data: bytes, client: str, upstream: str, context: AnswerContext) -> bytes:
    """A whole recorded stream, as the client of another wire would see it."""
    one = lane(wires.get(upstream), wires.get(client), context)
    return one.feed(data) + one.eof()


def answer(body: bytes, client: str, upstream: str, context: AnswerContext) -> bytes:
    """A whole answer. Raises ProxyError where it is an error or none at all."""
    codec = wires.get(upstream)
    decoded = codec.decode_answer(body)
    if decoded.error is not None:
        raise ProxyError(decoded.error.message, status=decoded.error.status or 502)
    renamed = upstream == "responses" and names.client_names(upstream, context.request)
    if client == upstream and not renamed and body.lstrip()[:1] == b"{":
        return body
    names.restore_answer(decoded, names.client_names(upstream, context.request))
    return wires.get(client).encode_answer(decoded, context)


def unknown(_: str) -> Capability:
    """Nothing is known of any model."""
    return Capability()
