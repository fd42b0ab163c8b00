"""Kiro's answers: each event of the sheet's table, thoughts in tags, calls in pieces, and how streams end."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.convo import events as ev
from proxy.convo.fold import fold
from proxy.convo.model import Text, Thinking, ToolUse, Usage
from proxy.wire import get
from proxy.wire.base import AnswerContext
from proxy.wire.eventstream import frame
from proxy.wire.kiro.stream import Decoder
from proxy.wire.lanes import lane

USAGE = {
    "tokenUsage": {
        "outputTokens": 9,
        "totalTokens": 30,
        "uncachedInputTokens": 17,
        "cacheReadInputTokens": 4,
    }
}


def event(kind, **payload):
    return frame({":message-type": "event", ":event-type": kind}, msgspec.json.encode(payload))


def text(content):
    return event("assistantResponseEvent", content=content)


def tool(**fields):
    return event("toolUseEvent", toolUseId="t1", name="f", **fields)


def events(*frames):
    decoder = Decoder()
    found = [one for data in frames for one in decoder.feed(data)]
    return found + decoder.eof()


def answer(*frames):
    return fold(events(*frames))


def parts(*frames):
    return answer(*frames).choices[0].parts


METERING = event("meteringEvent", unit="credit", usage=0.02)


def raw(kind, payload):
    return frame({":message-type": "event", ":event-type": kind}, payload)


@pytest.mark.parametrize(
    "odd",
    [
        raw("assistantResponseEvent", b'{"content":"\xff"}'),
        raw("assistantResponseEvent", b'{"content":"\\ud800"}'),
        event("contextUsageEvent", contextUsagePercentage="inf"),
        event("contextUsageEvent", contextUsagePercentage="nan"),
        event("messageMetadataEvent", tokenUsage={"outputTokens": "nan"}),
        event("messageMetadataEvent", tokenUsage={"uncachedInputTokens": "-inf"}),
        event("messageMetadataEvent", tokenUsage={"cacheReadInputTokens": "inf"}),
        raw("toolUseEvent", b'{"toolUses":' * 3000),
    ],
)
def test_an_event_that_cannot_be_read_costs_nothing_else(odd):
    assert answer(text("a"), odd, text("b")).choices[0].parts == [Text("ab")]


def test_an_error_that_nests_too_deeply_is_one():
    body = b'{"a":' * 5000
    assert get("kiro").decode_error(500, body).message.startswith('{"a":')


def test_arguments_that_nest_too_deeply_are_none():
    (call,) = parts(tool(input='{"a":' * 3000 + "1" + "}" * 3000, stop=True))
    assert call == ToolUse("t1", "f", "{}")


def test_a_text():
    found = answer(text("The"), text(" Loire"), event("messageMetadataEvent", **USAGE), METERING)
    assert found.choices[0].parts == [Text("The Loire")]
    assert found.usage == Usage(input=21, output=9, cached=4)
    assert found.choices[0].finish.reason == "stop"


def test_a_payload_under_its_own_name():
    wrapped = event("messageMetadataEvent", messageMetadataEvent=USAGE)
    assert answer(text("a"), wrapped).usage.output == 9


def test_events_keep_the_protocol():
    found = events(text("a"), tool(input="{}"), tool(stop=True), METERING)
    assert [type(one).__name__ for one in found] == [
        "Start",
        "PartStart",
        "TextDelta",
        "PartEnd",
        "PartStart",
        "ArgumentsDelta",
        "PartEnd",
        "Finished",
        "End",
    ]
    assert found[-2].finish.reason == "tool"


@pytest.mark.parametrize(
    ("frames", "arguments"),
    [
        ([tool(), tool(input='{"a": '), tool(input="1}"), tool(stop=True)], '{"a": 1}'),
        ([tool(input={"a": 1}), tool(stop=True)], '{"a":1}'),
        ([tool(input='{"a": "x\ny"}', stop=True)], '{"a": "x\\ny"}'),
        ([tool(input='{"a": "x', stop=True)], '{"a": "x"}'),
        ([tool(input="nonsense", stop=True)], "{}"),
        ([tool(input='{"a": 1}')], '{"a": 1}'),
        ([tool(stop=True)], "{}"),
    ],
)
def test_a_call_comes_whole(frames, arguments):
    assert parts(*frames, METERING) == [ToolUse("t1", "f", arguments)]


def test_another_call_ends_the_one_before_and_a_repeated_one_is_dropped():
    second = event("toolUseEvent", toolUseId="t2", name="g", input="{}", stop=True)
    found = parts(tool(input="{}"), second, tool(input="{}", stop=True), text("x"))
    assert found == [ToolUse("t1", "f", "{}"), ToolUse("t2", "g", "{}"), Text("x")]


def test_calls_inside_of_a_text_event():
    uses = [{"toolUseId": "t1", "name": "f", "input": {"a": 1}}]
    frame_ = event("assistantResponseEvent", content="x", toolUses=uses, stopReason="tool_use")
    assert parts(frame_) == [Text("x"), ToolUse("t1", "f", '{"a":1}')]


def test_thoughts_as_events():
    found = parts(
        event("reasoningContentEvent", text="Let"),
        event("reasoningContentEvent", text=" me"),
        event("reasoningContentEvent", signature="c2ln"),
        text("Yes"),
    )
    assert found == [Thinking("Let me"), Text("Yes")]


TAGGED = "Well <thinking>a < b</thinking>\n\nso <think it>"


@given(st.lists(st.integers(0, len(TAGGED))))
def test_thoughts_in_tags_whatever_the_pieces(cuts):
    at, frames = 0, []
    for cut in [*sorted(cuts), len(TAGGED)]:
        frames.append(text(TAGGED[at:cut]))
        at = cut
    assert parts(*frames) == [Text("Well "), Thinking("a < b"), Text("so <think it>")]


def test_a_thought_that_was_never_closed_and_a_tag_that_never_came():
    assert parts(text("<thinking>a"), text(" </thin")) == [Thinking("a </thin")]


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("end_turn", "stop"),
        ("tool_use", "tool"),
        ("max_tokens", "length"),
        ("content_filtered", "filter"),
        ("odd", "stop"),
    ],
)
def test_why_it_ended(word, reason):
    found = answer(text("x"), event("messageStopEvent", stopReason=word))
    assert found.choices[0].finish.reason == reason


def test_a_percentage_is_for_those_without_counts():
    share = event("contextUsageEvent", contextUsagePercentage=1.5)
    assert answer(text("x"), share).usage.input == 3000
    assert answer(text("x"), event("messageMetadataEvent", **USAGE), share).usage.input == 21


def test_what_is_not_known_is_passed_over():
    found = parts(event("followupPromptEvent", content="ask me"), event("new", x=1), text("x"))
    assert found == [Text("x")]
    broken = frame({":event-type": "assistantResponseEvent"}, b"[1")
    assert parts(broken, text("x")) == [Text("x")]


@pytest.mark.parametrize(
    ("headers", "payload", "status", "kind"),
    [
        (
            {":message-type": "exception", ":exception-type": "ThrottlingException"},
            {"message": "slow"},
            429,
            "ThrottlingException",
        ),
        ({":message-type": "error", ":error-code": "x"}, {"message": "slow"}, 0, "x"),
        (
            {":event-type": "internalServerException"},
            {"__type": "com.amazon#ValidationException", "message": "slow"},
            400,
            "ValidationException",
        ),
        ({":event-type": "error"}, {"message": "slow", "_type": "odd"}, 0, "odd"),
    ],
)
def test_an_error_inside_ends_the_stream(headers, payload, status, kind):
    found = events(text("x"), frame(headers, msgspec.json.encode(payload)), text("y"))
    failed = found[-2]
    assert isinstance(failed, ev.Failed)
    assert (failed.error.message, failed.error.status, failed.error.type) == ("slow", status, kind)
    assert isinstance(found[-3], ev.PartEnd)
    assert isinstance(found[-1], ev.End)


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        ([], "closed the stream"),
        ([text("x")[:-1]], "closed the stream"),
        ([text("x"), b"\x00" * 32], "no event stream"),
        ([b'{"__type":"x#ThrottlingException","message":"slow"}'], "slow"),
    ],
)
def test_a_stream_that_is_cut_or_none(frames, said):
    failed = events(*frames)[-2]
    assert isinstance(failed, ev.Failed)
    assert said in failed.error.message


@pytest.mark.parametrize(("last", "whole"), [(b"", False), (METERING, True)])
def test_a_connection_that_breaks_between_two_frames(last, whole):
    """There is no terminal event: what Kiro says behind its output stands for it."""
    context = AnswerContext(request=None, model="m", stream=True, now=0, id="0" * 24)
    relay = lane(get("kiro"), get("chat"), context)
    relay.feed(text("x") + last)
    told = relay.fail(ev.ErrorInfo("broke", status=502))
    assert (b"[DONE]" in told and b"broke" not in told) is whole


def test_whole_answers_are_streams_too():
    found = get("kiro").decode_answer(text("a") + text("b"))
    assert found.choices[0].parts == [Text("ab")]
    failed = get("kiro").decode_answer(b"<html>").error
    assert failed is not None


@pytest.mark.parametrize(
    ("body", "said", "kind"),
    [
        (b'{"message":"Improperly formed request.","reason":null}', "Improperly", ""),
        (b'{"__type":"a#AccessDeniedException","Message":"no"}', "no", "AccessDeniedException"),
        (b"<html>", "<html>", ""),
        (b"", "failed", ""),
    ],
)
def test_error_answers(body, said, kind):
    found = get("kiro").decode_error(403, body)
    assert said in found.message
    assert (found.status, found.type) == (403, kind)
