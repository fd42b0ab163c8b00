"""What the JSON of clients may hold that a strict reader refuses."""

from __future__ import annotations

import msgspec
import pytest

from proxy.jsonio import decode, readable, text_of


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (rb"\ud83d", "\ufffd"),
        (rb"a\ud83d z\udca1", "a\ufffd z\ufffd"),
        (rb"\ud83d\ud83d\udca1", "\ufffd\U0001f4a1"),
        (rb"\\ud83d \ud83d", "\\ud83d \ufffd"),
        (rb"\\\ud83d", "\\\ufffd"),
    ],
)
def test_half_of_a_surrogate_pair_is_replaced(given, told):
    """JavaScript cuts text between them, and the client would send the same history for ever."""
    body, top = readable(b'{"model":"%b"}' % given)
    assert decode(body) == {"model": told}
    assert decode(text_of(top["model"])) == told


def test_a_body_that_can_be_read_is_not_touched():
    given = rb'{"a": "\ud83d\udca1 \\ud83d", "a2" :1.0}'
    assert readable(given)[0] is given


@pytest.mark.parametrize("given", [rb'{"a":"\ud83d}', rb"[1]", b"", rb'{"a":"\ud83"}'])
def test_what_is_no_object_stays_refused(given):
    with pytest.raises(msgspec.DecodeError):
        readable(given)
