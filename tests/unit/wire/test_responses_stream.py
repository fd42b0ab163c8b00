"""Responses streams: protocol order out, any chunking in, and the laws that tie both."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from proxy.convo import events as ev
from proxy.convo.fold import fold, unfold
from proxy.convo.model import (
    Answer,
    Choice,
    ErrorInfo,
    Finish,
    Media,
    Refusal,
    Request,
    Text,
    Thinking,
    Tool,
    ToolUse,
    Usage,
)
from proxy.jsonio import decode, encode
from proxy.wire import get
from proxy.wire.base import AnswerContext
from proxy.wire.sse import SseParser

WIRE = get("responses")
REQUEST = Request("m", [], origin="responses", tools=[Tool("patch", kind="custom")])
CONTEXT = AnswerContext(request=REQUEST, model="shown", stream=True, now=5, id="abc")


def sent(events):
    """The client's events of a stream, decoded."""
    frames = SseParser().feed(WIRE.stream_encoder(CONTEXT).encode(events))
    out = [decode(data) for _, data in frames]
    assert [name.decode() for name, _ in frames] == [event["type"] for event in out]
    assert [event["sequence_number"] for event in out] == list(range(len(out)))
    return out


def received(data, *cuts):
    decoder = WIRE.stream_decoder()
    out, start = [], 0
    for cut in [*sorted(cuts), len(data)]:
        out += decoder.feed(data[start:cut])
        start = cut
    return out + decoder.eof()


def whole(*parts, finish="stop", usage=None):
    return Answer([Choice(list(parts), Finish(finish))], "resp_1", "up", 7, usage)


def check_protocol(events):
    """Items open in order, close once, and are what `completed.output` lists."""
    done, opened = {}, []
    for event in events:
        if event["type"] == "response.output_item.added":
            assert event["output_index"] == len(opened)
            opened.append(event["item"]["id"])
        elif event["type"] == "response.output_item.done":
            assert opened[event["output_index"]] == event["item"]["id"]
            assert event["output_index"] not in done
            done[event["output_index"]] = event["item"]
        elif "item_id" in event:
            assert opened[event["output_index"]] == event["item_id"]
            assert event["output_index"] not in done
    assert events[-1]["response"]["output"] == [done[n] for n in range(len(opened))]


def test_the_events_of_an_answer_in_order():
    usage = Usage(10, 5, cached=4, reasoning=2)
    answer = whole(
        Thinking("hm", "enc", "responses"),
        Text("hello"),
        ToolUse("c1", "f", '{"a":1}'),
        usage=usage,
    )
    events = sent(unfold(answer))
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created", "in_progress",
        "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta",
        "reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.done",
        "content_part.done", "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.done",
        "output_item.done", "completed",
    ]  # fmt: skip
    check_protocol(events)
    response = events[-1]["response"]
    assert response["id"] == "resp_1"
    assert response["output"][0]["encrypted_content"] == "enc"
    assert response["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 15,
    }


def test_overlapping_calls():
    events = sent(
        [
            ev.Start(),
            ev.PartStart(0, ToolUse("a", "f", "")),
            ev.PartStart(1, ToolUse("b", "g", "")),
            ev.ArgumentsDelta(1, '{"y":'),
            ev.ArgumentsDelta(0, "{}"),
            ev.ArgumentsDelta(1, "2}"),
            ev.PartEnd(1),
            ev.PartEnd(0),
            ev.Finished(Finish("tool")),
            ev.End(),
        ]
    )
    check_protocol(events)
    output = events[-1]["response"]["output"]
    assert [(item["call_id"], item["arguments"]) for item in output] == [
        ("a", "{}"),
        ("b", '{"y":2}'),
    ]


def test_neighbouring_texts_are_one_text():
    events = sent(unfold(whole(Text("a"), Text("b"), Refusal("no"))))
    check_protocol(events)
    output = events[-1]["response"]["output"]
    assert [item["content"][0].get("text") for item in output] == ["ab", None]


def test_a_custom_tool_of_the_client_gets_its_input_back():
    events = sent(unfold(whole(ToolUse("c", "patch", '{"input":"*** Begin"}'))))
    check_protocol(events)
    (item,) = events[-1]["response"]["output"]
    assert (item["type"], item["input"]) == ("custom_tool_call", "*** Begin")
    deltas = [e["delta"] for e in events if e["type"] == "response.custom_tool_call_input.delta"]
    assert deltas == ["*** Begin"]


def test_a_call_signature_stands_before_its_call():
    events = sent(unfold(whole(ToolUse("c", "f", "{}", signature="s", origin="gemini"))))
    check_protocol(events)
    output = events[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["reasoning", "function_call"]
    body = encode({"model": "m", "input": output})
    (call,) = WIRE.decode_request(body).messages[0].parts
    assert (call.signature, call.origin) == ("s", "gemini")


def test_finishes():
    for reason, kind, detail in [
        ("length", "incomplete", "max_output_tokens"),
        ("filter", "incomplete", "content_filter"),
        ("refusal", "incomplete", "content_filter"),
        ("pause", "completed", None),
    ]:
        last = sent(unfold(whole(Text("x"), finish=reason)))[-1]
        assert last["type"] == f"response.{kind}"
        assert last["response"]["status"] == kind
        details = last["response"]["incomplete_details"]
        assert details == ({"reason": detail} if detail else None)


def test_a_failure_closes_what_is_open():
    failed = [
        ev.Start(),
        ev.PartStart(0, Text("")),
        ev.TextDelta(0, "half"),
        ev.Failed(ErrorInfo("too busy", status=429)),
        ev.End(),
    ]
    events = sent(failed)
    check_protocol(events)
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["error"] == {"code": "rate_limit_exceeded", "message": "too busy"}


def test_a_failure_after_relayed_bytes_is_one_event_with_a_later_number():
    data = WIRE.stream_encoder(CONTEXT).encode([ev.Failed(ErrorInfo("cut")), ev.End()])
    ((_, event),) = SseParser().feed(data)
    assert decode(event)["sequence_number"] > 100_000


def test_the_response_repeats_the_request():
    body = encode(
        {"model": "m", "input": "x", "instructions": "be", "temperature": 0.5, "store": True}
    )
    context = msgspec.structs.replace(CONTEXT, request=WIRE.decode_request(body))
    out = decode(WIRE.encode_answer(whole(Text("x")), context))
    assert (out["instructions"], out["temperature"], out["store"]) == ("be", 0.5, True)
    assert (out["tool_choice"], out["truncation"]) == ("auto", "disabled")


def frame(kind, **members):
    return b"data: " + encode({"type": kind, **members}) + b"\n\n"


def test_a_client_of_the_same_wire_gets_the_upstreams_own_final_object():
    item = {"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": "hi"}]}
    own = {"id": "resp_9", "model": "up", "output": [item], "reasoning": {"effort": "high"}, "x": 1}
    stream = frame("response.created", response={"id": "resp_9"}) + frame(
        "response.completed", response=own
    )
    assert decode(WIRE.encode_answer(WIRE.decode_answer(stream), CONTEXT)) == own


def test_items_that_the_final_object_leaves_out_are_put_in():
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "e"}
    item = {"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": "hi"}]}
    stream = b"event: response.output_item.done\n" + frame(
        "response.output_item.done", output_index=1, item=item
    )
    stream += frame("response.output_item.done", output_index=0, item=thought)
    stream += frame("response.completed", response={"id": "resp_9", "output": []})
    out = decode(WIRE.encode_answer(WIRE.decode_answer(stream), CONTEXT))
    assert out == {"id": "resp_9", "output": [thought, item]}


def test_an_answer_without_a_final_object_is_made_from_its_parts():
    answer = WIRE.decode_answer(frame("response.completed", sequence_number=1))
    assert answer.own is None
    assert decode(WIRE.encode_answer(answer, CONTEXT))["status"] == "completed"


def test_unknown_events_and_members_do_not_end_a_stream():
    data = (
        frame("response.created", response={"id": "resp_9", "model": "m", "new": 1})
        + frame("response.brand_new", anything=[1])
        + b": comment\n\n"
        + frame(
            "response.output_text.delta",
            output_index=0,
            content_index=0,
            delta="a",
            obfuscation="x",
        )
        + frame("response.completed", response={"status": "completed"})
    )
    answer = fold(received(data))
    assert answer.choices[0].parts == [Text("a")]
    assert answer.error is None


def test_texts_that_only_done_events_tell():
    item = {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": ""}
    data = (
        frame("response.output_item.added", output_index=0, item=item)
        + frame("response.function_call_arguments.done", output_index=0, arguments='{"a":1}')
        + frame("response.output_item.done", output_index=0, item={**item, "arguments": '{"a":1}'})
        + frame("response.output_text.done", output_index=1, content_index=0, text="whole")
        + frame("response.completed", response={"status": "completed"})
    )
    answer = fold(received(data))
    assert [getattr(p, "arguments", None) or p.text for p in answer.choices[0].parts] == [
        '{"a":1}',
        "whole",
    ]
    assert answer.choices[0].finish.reason == "tool"


def test_a_stream_of_nothing_but_its_end():
    output = [{"type": "message", "id": "m", "content": [{"type": "output_text", "text": "all"}]}]
    data = frame("response.completed", response={"status": "completed", "output": output})
    assert fold(received(data)).choices[0].parts == [Text("all")]


def test_a_cut_stream_fails():
    events = received(frame("response.output_text.delta", delta="a"))
    assert isinstance(events[-2], ev.Failed)
    assert isinstance(events[-1], ev.End)


def test_errors_in_the_stream():
    nested = frame("response.failed", response={"error": {"code": "server_error", "message": "oh"}})
    flat = frame("error", code="rate_limit_exceeded", message="slow")
    assert fold(received(nested)).error.message == "oh"
    error = fold(received(flat)).error
    assert (error.message, error.status) == ("slow", 429)


@given(st.binary(max_size=300), st.booleans())
def test_garbage_never_raises_and_always_ends(data, framed):
    events = received(b"data: " + data.replace(b"\n", b" ") + b"\n\n" if framed else data)
    assert isinstance(events[-1], ev.End)
    assert sum(isinstance(event, ev.End) for event in events) == 1


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
PARTS = st.one_of(
    st.builds(Text, TEXTS),
    st.builds(lambda text, sign: Thinking(text, sign, "responses"), TEXTS, st.just("") | TEXTS),
    st.builds(ToolUse, st.uuids().map(str), st.just("f"), st.just('{"a": "b"}')),
    st.builds(lambda text: ToolUse("c", "patch", text, custom=True), TEXTS),
    st.builds(lambda: Media("image", "image/png", "aGk=")),
)


def plain(answer):
    """An answer's content without ids, neighbouring texts joined."""
    out = []
    for part in answer.choices[0].parts:
        match part:
            case Text():
                if out and out[-1][0] == "text":
                    out[-1] = ("text", out[-1][1] + part.text)
                else:
                    out.append(("text", part.text))
            case Thinking():
                out.append(("thinking", part.text, part.signature))
            case ToolUse():
                out.append(("call", part.id, part.name, part.arguments, part.custom))
            case Media():
                out.append(("image", part.mime, part.data))
    return out


@given(st.lists(PARTS, max_size=6), st.data())
def test_what_is_encoded_is_decoded_again_however_it_is_cut(parts, data):
    answer = whole(*parts)
    stream = WIRE.stream_encoder(CONTEXT).encode(unfold(answer))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    events = received(stream, *cuts)
    assert events == received(stream)
    assert plain(fold(events)) == plain(whole(*parts))
    assert plain(WIRE.decode_answer(WIRE.encode_answer(whole(*parts), CONTEXT))) == plain(
        whole(*parts)
    )
    check_protocol(sent(unfold(whole(*parts))))


def items_of(events):
    return [e["item"]["id"] for e in sent(events) if e["type"] == "response.output_item.added"]


def call(number, ident):
    return [ev.PartStart(number, ToolUse(ident, "f", "")), ev.PartEnd(number)]


def test_item_ids_come_from_the_ids_of_the_answer():
    """The same answer has the same ids however often it is read: a history stays the same bytes."""
    text = [ev.PartStart(0, Text("")), ev.TextDelta(0, "x"), ev.PartEnd(0)]
    thought = [ev.PartStart(2, Thinking("")), ev.ThinkingDelta(2, "y"), ev.PartEnd(2)]
    custom = [ev.PartStart(3, ToolUse("call_2", "patch", "", custom=True)), ev.PartEnd(3)]
    given = [ev.Start("chatcmpl-up1"), *text, *call(1, "call_1"), *thought, *custom, ev.End()]
    wanted = ["msg_chatcmpl-up1_0", "fc_call_1", "rs_chatcmpl-up1_2", "ctc_call_2"]
    assert items_of(given) == wanted


def test_item_ids_are_distinct_and_of_characters_that_the_api_takes():
    odd = ["functions.f:0", "x" * 80, "call_1", "call_1", 'a"b']
    calls = [event for number, ident in enumerate(odd) for event in call(number, ident)]
    found = items_of([ev.Start("chatcmpl/1:2"), *calls, ev.End()])
    assert len(set(found)) == len(odd)
    assert found[2] == "fc_call_1"
    assert all(ident.replace("_", "").isalnum() and len(ident) <= 64 for ident in found)
