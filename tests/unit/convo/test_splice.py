"""Joining two answers: overlaps, numbering, usage. Recorded streams: `tests/unit/exchange/test_resume.py`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from proxy.convo import events as ev
from proxy.convo.model import ErrorInfo, Finish, Request, Text, Thinking, ToolUse, Usage
from proxy.convo.splice import OVERLAP, Overlap, Splice, summed

BROKE = ev.Failed(ErrorInfo("reset"))


@pytest.mark.parametrize(
    ("sent", "pieces", "new"),
    [
        ("The quick brown", [" fox"], " fox"),
        ("The quick brown", ["quick ", "brown fox"], " fox"),
        ("The quick brown", ["The quick brown fox"], " fox"),
        ("Hi", ["Hi", " there"], " there"),
        ("one two", ["two three"], "two three"),  # three letters may be chance
        ("a b c d e f", ["d e f", "!"], "!"),
        ("", ["anything"], "anything"),
        ("abc" * 9, ["x"], "x"),
    ],
)
def test_what_is_new(sent: str, pieces: list[str], new: str) -> None:
    overlap = Overlap(sent)
    got = ""
    for piece in pieces:
        got += piece if overlap.decided else overlap.feed(piece)
    assert got + ("" if overlap.decided else overlap.rest()) == new


@given(st.text(alphabet="ab \n", max_size=60), st.lists(st.text(alphabet="ab \n"), max_size=8))
def test_chunking_does_not_matter_and_nothing_new_is_lost(sent: str, pieces: list[str]) -> None:
    whole = "".join(pieces)
    overlap, got = Overlap(sent), ""
    for piece in pieces:
        got += piece if overlap.decided else overlap.feed(piece)
    got += "" if overlap.decided else overlap.rest()
    assert whole.endswith(got)
    cut = whole[: len(whole) - len(got)]
    assert sent.endswith(cut)


def test_the_search_is_bounded() -> None:
    overlap = Overlap("x" * 10 * OVERLAP)
    assert overlap.feed("x" * (OVERLAP + 5)) == "x" * 5


def opening(*parts) -> list[ev.Event]:
    return [ev.Start("1", "m"), *parts]


def test_parts_are_numbered_on() -> None:
    splice = Splice()
    splice.take(opening(ev.PartStart(0, Text("")), ev.TextDelta(0, "Hello")))
    splice.take([ev.PartEnd(0), BROKE, ev.End()])
    assert splice.resumable
    splice.begin()
    call = ToolUse("c", "ls", "")
    out = splice.take(
        [
            ev.Start("2", "n"),
            ev.PartStart(0, Thinking("")),
            ev.ThinkingDelta(0, "hm"),
            ev.PartEnd(0),
            ev.PartStart(1, Text("")),
            ev.TextDelta(1, " you"),
            ev.PartEnd(1),
            ev.PartStart(2, call),
            ev.ArgumentsDelta(2, "{}"),
            ev.PartEnd(2),
            ev.Finished(Finish("stop")),
            ev.End(),
        ]
    )
    assert out == [
        ev.TextDelta(0, " you"),
        ev.PartEnd(0),
        ev.PartStart(1, call),
        ev.ArgumentsDelta(1, "{}"),
        ev.PartEnd(1),
        ev.Finished(Finish("tool")),
        ev.End(),
    ]


def test_an_open_text_is_ended_before_a_call_begins() -> None:
    splice = Splice()
    splice.take(opening(ev.PartStart(0, Text("")), ev.TextDelta(0, "Hello"), BROKE))
    splice.begin()
    out = splice.take([ev.Start(), ev.PartStart(0, ToolUse("c", "ls", ""))])
    assert out == [ev.PartEnd(0), ev.PartStart(1, ToolUse("c", "ls", ""))]


def test_a_second_break_before_the_overlap_is_clear_loses_nothing() -> None:
    splice = Splice()
    splice.take(opening(ev.PartStart(0, Text("")), ev.TextDelta(0, "Hello world"), BROKE))
    splice.begin()
    assert splice.take([ev.PartStart(0, Text("")), ev.TextDelta(0, "Hello ")]) == []
    assert splice.take([BROKE]) == []
    splice.begin()
    out = splice.take([ev.PartStart(0, Text("")), ev.TextDelta(0, "world!")])
    assert out == [ev.TextDelta(0, "!")]


@pytest.mark.parametrize(
    "events",
    [
        [ev.PartStart(0, ToolUse("c", "ls", "")), ev.ArgumentsDelta(0, '{"a":')],
        [ev.PartStart(0, ToolUse("c", "ls", "", custom=True)), ev.ArgumentsDelta(0, "text")],
        [ev.PartStart(0, Text(""), 1), ev.TextDelta(0, "second choice", 1)],
    ],
)
def test_what_cannot_be_taken_back_is_not_resumed(events: list[ev.Event]) -> None:
    splice = Splice()
    splice.take(opening(*events))
    splice.take([BROKE, ev.End()])
    assert not splice.resumable
    closing = splice.close(ErrorInfo("reset"))
    assert isinstance(closing[-1], ev.End)
    assert isinstance(closing[-2], ev.Failed)


def test_the_next_is_shown_text_and_calls_but_no_thoughts() -> None:
    splice = Splice()
    splice.take(
        opening(
            ev.PartStart(0, Thinking("")),
            ev.ThinkingDelta(0, "secret"),
            ev.PartEnd(0),
            ev.PartStart(1, Text("")),
            ev.TextDelta(1, "So"),
            ev.PartEnd(1),
            ev.PartStart(2, ToolUse("c", "ls", "")),
            ev.ArgumentsDelta(2, "{}"),
            ev.SignatureDelta(2, "proof", "gemini"),
        )
    )
    splice.take([BROKE])
    request = Request("m", [])
    said, after = splice.so_far(request).messages
    assert request.messages == []
    assert said.role == "assistant"
    assert said.parts == [Text("So"), ToolUse("c", "ls", "{}", signature="proof", origin="gemini")]
    assert [type(part).__name__ for part in after.parts] == ["ToolResult", "Text"]


def test_usage_is_summed_without_the_origins_own_counts() -> None:
    one = Usage(input=5, output=2, extras=Raw(b"{}"))
    assert summed(one, Usage(input=1, reasoning=3)) == Usage(input=6, output=2, reasoning=3)
    assert summed(None, one) is one
