import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from proxy.convo import events as ev
from proxy.convo.fold import fold, unfold
from proxy.convo.model import (
    Answer,
    Choice,
    ErrorInfo,
    Finish,
    Media,
    Opaque,
    Refusal,
    Text,
    Thinking,
    ToolUse,
    Usage,
)
from proxy.errors import ProxyError
from proxy.wire import get
from proxy.wire.anthropic.names import read_id
from proxy.wire.base import AnswerContext

WIRE = get("anthropic")
CONTEXT = AnswerContext(request=None, model="asked", stream=True, now=1, id="abc")


def sse(*events):
    return b"".join(
        b"event: %s\ndata: %s\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events
    )


def start(**usage):
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": []}
    return {"type": "message_start", "message": {**message, "usage": usage or {"input_tokens": 3}}}


def block(index, content, *deltas):
    out = [{"type": "content_block_start", "index": index, "content_block": content}]
    out += [{"type": "content_block_delta", "index": index, "delta": d} for d in deltas]
    return [*out, {"type": "content_block_stop", "index": index}]


def stop(reason="end_turn", sequence=None, **usage):
    delta = {"stop_reason": reason, "stop_sequence": sequence}
    return [
        {"type": "message_delta", "delta": delta, "usage": usage or {"output_tokens": 5}},
        {"type": "message_stop"},
    ]


STREAM = sse(
    start(input_tokens=10, cache_read_input_tokens=5, cache_creation_input_tokens=2),
    {"type": "ping"},
    *block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "hm "},
        {"type": "thinking_delta", "thinking": "né"},
        {"type": "signature_delta", "signature": "c2ln"},
    ),
    *block(1, {"type": "redacted_thinking", "data": "ZGF0YQ=="}),
    *block(
        2,
        {"type": "text", "text": "Pre"},
        {"type": "text_delta", "text": " text"},
        {"type": "citations_delta", "citation": {"type": "char_location", "cited_text": "x"}},
        {"type": "future_delta", "x": 1},
    ),
    *block(
        3,
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "input_json_delta", "partial_json": '{"query":'},
        {"type": "input_json_delta", "partial_json": '"q"}'},
    ),
    {"type": "future", "x": 1},
    *block(
        4,
        {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
        {"type": "input_json_delta", "partial_json": ""},
        {"type": "input_json_delta", "partial_json": '{"a"'},
        {"type": "input_json_delta", "partial_json": ":1}"},
    ),
    *block(5, {"type": "tool_use", "id": "t2", "name": "g", "input": {"b": 2}}),
    *stop("tool_use"),
)


def events_of(data, *, chunk=None):
    decoder = WIRE.stream_decoder()
    out = []
    for at in range(0, len(data), chunk or len(data) or 1):
        out += decoder.feed(data[at : at + (chunk or len(data))])
    return out + decoder.eof()


def shown(events, *, one_by_one=False, context=CONTEXT):
    encoder = WIRE.stream_encoder(context)
    if one_by_one:
        return b"".join(encoder.encode([event]) for event in events)
    return encoder.encode(events)


def parsed(data):
    out = []
    for message in data.decode().split("\n\n")[:-1]:
        name, body = message.split("\n")
        value = json.loads(body.removeprefix("data: "))
        assert name == "event: " + value["type"]
        out.append(value)
    return out


def test_decoding():
    answer = fold(events_of(STREAM))
    assert (answer.id, answer.model) == ("msg_1", "m")
    assert answer.usage == Usage(17, 5, 5, 2)
    choice = answer.choices[0]
    assert choice.finish == Finish("tool", "tool_use", "anthropic")
    thinking, redacted, text, search, call, whole = choice.parts
    assert thinking == Thinking("hm né", "c2ln", "anthropic")
    assert redacted == Thinking("", "ZGF0YQ==", "anthropic", redacted=True)
    assert text.text == "Pre text"
    assert json.loads(bytes(text.citations[1])) == [{"type": "char_location", "cited_text": "x"}]
    assert (search.type, json.loads(bytes(search.raw))["input"]) == (
        "server_tool_use",
        {"query": "q"},
    )
    assert call == ToolUse("t1", "f", '{"a":1}')
    assert json.loads(whole.arguments) == {"b": 2}


@given(st.lists(st.integers(1, 400), max_size=30), st.booleans())
def test_any_chunking_gives_the_same_events(cuts, crlf):
    data = STREAM.replace(b"\n", b"\r\n") if crlf else STREAM
    decoder, at, events = WIRE.stream_decoder(), 0, []
    for cut in cuts:
        events += decoder.feed(data[at : at + cut])
        at += cut
    events += decoder.feed(data[at:]) + decoder.eof()
    assert events == events_of(STREAM)


def test_the_stream_survives_itself():
    events = events_of(STREAM)
    again = shown(events)
    assert fold(events_of(again)) == fold(events)
    kinds = [e["type"] for e in parsed(again)]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]


def test_message_start_tells_usage_that_is_known():
    first = parsed(shown(events_of(STREAM)))[0]
    assert first["message"]["usage"] == {
        "input_tokens": 10,
        "cache_creation_input_tokens": 2,
        "cache_read_input_tokens": 5,
        "output_tokens": 0,
    }


@pytest.mark.parametrize(
    "data",
    [
        sse(start(), *block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "a"})),
        sse(start()),
        b"",
        b"data: {nonsense\n\n",
        b'data: {"type":"content_block_delta","index":"x","delta":{"type":"text_delta"}}\n\n',
        b"data: " + b"[" * 100_000 + b"\n\n",
        b"data: \xff\xfe\n\n",
        b"<html>gateway</html>",
    ],
)
def test_cut_and_broken_streams_fail(data):
    events = events_of(data, chunk=1000)
    assert isinstance(events[0], ev.Start)
    assert isinstance(events[-2], ev.Failed)
    assert isinstance(events[-1], ev.End)
    assert [type(e) for e in events].count(ev.End) == 1
    assert parsed(shown(events))[-1]["type"] == "error"


@given(st.binary(max_size=300))
def test_garbage_never_raises(data):
    events = events_of(data, chunk=7)
    assert isinstance(events[-1], ev.End)


def test_an_error_event_ends_the_stream():
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    data = sse(start(), *block(0, {"type": "text", "text": "a"})[:1], error, {"type": "ping"})
    events = events_of(data)
    failed = events[-2]
    assert (failed.error.type, failed.error.status) == ("overloaded_error", 529)
    assert parsed(shown(events))[-1] == error
    assert isinstance(events[-3], ev.PartEnd)


def test_a_stop_reason_without_message_stop_is_an_end():
    data = sse(start(), *block(0, {"type": "text", "text": "a"}), *stop()[:1])
    assert isinstance(events_of(data)[-2], ev.Finished)


def test_missing_block_starts_are_forgiven():
    delta = {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": "a"},
    }
    answer = fold(events_of(sse(start(), delta, *stop())))
    assert answer.choices[0].parts == [Text("a")]


INTERLEAVED = [
    ev.Start("chatcmpl-1", "up"),
    ev.PartStart(0, ToolUse("a", "f", "")),
    ev.PartStart(1, ToolUse("b", "g", "")),
    ev.ArgumentsDelta(1, '{"y"'),
    ev.ArgumentsDelta(0, '{"x"'),
    ev.PartStart(2, ToolUse("c", "h", "")),
    ev.ArgumentsDelta(1, ":2}"),
    ev.ArgumentsDelta(2, "{}"),
    ev.PartEnd(2),
    ev.ArgumentsDelta(0, ":1}"),
    ev.PartEnd(1),
    ev.PartEnd(0),
    ev.Finished(Finish("tool")),
    ev.End(),
]


@pytest.mark.parametrize("one_by_one", [False, True])
def test_overlapping_parts_come_one_after_another(one_by_one):
    out = parsed(shown(INTERLEAVED, one_by_one=one_by_one))
    assert out[0]["message"]["id"] == "chatcmpl-1"
    opened = None
    seen = []
    for event in out[1:-2]:
        if event["type"] == "content_block_start":
            assert opened is None
            opened = event["index"]
            seen.append([event["content_block"]["name"], ""])
        elif event["type"] == "content_block_delta":
            assert event["index"] == opened
            seen[-1][1] += event["delta"]["partial_json"]
        else:
            assert event["index"] == opened
            opened = None
    assert seen == [["f", '{"x":1}'], ["g", '{"y":2}'], ["h", "{}"]]
    assert out[-2]["delta"]["stop_reason"] == "tool_use"


def test_the_current_calls_arguments_are_not_held_back():
    encoder = WIRE.stream_encoder(CONTEXT)
    encoder.encode(INTERLEAVED[:4])
    assert b'{\\"x\\"' in encoder.encode([INTERLEAVED[4]])


def test_empty_parts_open_no_block():
    events = unfold(Answer([Choice([Text(""), Thinking(""), Text("a")], Finish("stop"))]))
    blocks = [e for e in parsed(shown(events)) if e["type"] == "content_block_start"]
    assert [(b["index"], b["content_block"]["type"]) for b in blocks] == [(0, "text")]


def test_foreign_parts():
    parts = [
        Thinking("t", "enc", "responses"),
        ToolUse("a", "f", "{}", signature="g1", origin="gemini"),
        ToolUse("", "patch", 'say "hi"\n', custom=True),
        Media("image", "image/png", data="aGk="),
        Opaque("gemini", Raw(b"{}"), "x", "print(1)"),
        Opaque("gemini", Raw(b"{}"), "x"),
        Refusal("no"),
    ]
    answer = Answer([Choice(parts, Finish("stop"))])
    body = json.loads(WIRE.encode_answer(answer, CONTEXT))
    content = body["content"]
    assert [c["type"] for c in content] == [
        "thinking",
        "tool_use",
        "tool_use",
        "text",
        "text",
        "text",
    ]
    assert content[0]["signature"] == "pointsman/r/enc"
    assert read_id(content[1]["id"]) == ("a", "g1")
    assert content[2]["input"] == {"input": 'say "hi"\n'}
    assert content[2]["id"].startswith("toolu_")
    assert content[3]["text"] == "![image](data:image/png;base64,aGk=)"
    assert body["stop_reason"] == "tool_use"
    streamed = fold(events_of(shown(unfold(answer))))
    whole = WIRE.decode_answer(json.dumps(body).encode())
    assert [type(p) for p in streamed.choices[0].parts] == [type(p) for p in whole.choices[0].parts]
    assert json.loads(streamed.choices[0].parts[2].arguments) == content[2]["input"]


def test_a_calls_signature_that_comes_later_in_the_batch_is_in_its_id():
    events = [
        ev.Start(),
        ev.PartStart(0, ToolUse("a", "f", "")),
        ev.ArgumentsDelta(0, "{}"),
        ev.SignatureDelta(0, "sig", "gemini"),
        ev.PartEnd(0),
        ev.Finished(Finish("tool")),
        ev.End(),
    ]
    call = fold(events_of(shown(events))).choices[0].parts[0]
    assert call == ToolUse("a", "f", "{}", signature="sig", origin="gemini")


def test_citations_of_other_wires_become_locations():
    raw = Raw(b'{"type":"url_citation","url_citation":{"url":"https://a","title":"A"}}')
    events = [
        ev.Start(),
        ev.PartStart(0, Text("")),
        ev.TextDelta(0, "t"),
        ev.CitationDelta(0, "chat", raw),
        ev.CitationDelta(0, "gemini", Raw(b"[5]")),
        ev.PartEnd(0),
        ev.Finished(Finish("stop")),
        ev.End(),
    ]
    deltas = [e["delta"] for e in parsed(shown(events)) if e["type"] == "content_block_delta"]
    assert deltas[1]["citation"]["url"] == "https://a"
    assert len(deltas) == 2


@pytest.mark.parametrize(
    ("finish", "called", "word"),
    [
        (Finish("stop"), False, "end_turn"),
        (Finish("stop", sequence="END"), False, "stop_sequence"),
        (Finish("stop"), True, "tool_use"),
        (Finish("tool"), False, "end_turn"),
        (Finish("length"), True, "max_tokens"),
        (Finish("filter"), False, "refusal"),
        (
            Finish("length", "model_context_window_exceeded", "anthropic"),
            False,
            "model_context_window_exceeded",
        ),
        (Finish("pause", "pause_turn", "anthropic"), False, "pause_turn"),
    ],
)
def test_stop_reasons(finish, called, word):
    parts = [ToolUse("a", "f", "{}")] if called else [Text("t")]
    answer = Answer([Choice(parts, finish)])
    assert json.loads(WIRE.encode_answer(answer, CONTEXT))["stop_reason"] == word
    assert parsed(shown(unfold(answer)))[-2]["delta"]["stop_reason"] == word


def test_usage_leaves_the_cache_out_of_input():
    answer = Answer([Choice([Text("t")], Finish("stop"))], usage=Usage(100, 7, 60, 10))
    usage = json.loads(WIRE.encode_answer(answer, CONTEXT))["usage"]
    assert usage == {
        "input_tokens": 30,
        "cache_creation_input_tokens": 10,
        "cache_read_input_tokens": 60,
        "output_tokens": 7,
    }
    assert parsed(shown(unfold(answer)))[-2]["usage"] == usage


def test_more_cached_than_counted_is_cut_to_what_was_counted():
    answer = Answer([Choice([Text("t")], Finish("stop"))], usage=Usage(17, 1, 32))
    usage = json.loads(WIRE.encode_answer(answer, CONTEXT))["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"]) == (0, 17)


def test_whole_answers():
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [
            {"type": "text", "text": "a"},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1.0}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 2, "service_tier": "standard"},
    }
    answer = WIRE.decode_answer(json.dumps(body).encode())
    assert json.loads(WIRE.encode_answer(answer, CONTEXT)) == body
    assert WIRE.decode_answer(STREAM) == fold(events_of(STREAM))


def test_answers_that_are_errors_or_nothing():
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    error = WIRE.decode_answer(body).error
    assert (error.message, error.status) == ("Overloaded", 529)
    for data in (b"", b"<html>", b"[]", b'{"type":"message"}', b"[" * 100_000, b"\xff"):
        with pytest.raises(ProxyError) as caught:
            WIRE.decode_answer(data)
        assert caught.value.status == 502


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_error_bodies(status, word):
    body = WIRE.encode_error(ProxyError("m", status=status))
    assert json.loads(body) == {"type": "error", "error": {"type": word, "message": "m"}}
    info = WIRE.decode_error(status, body)
    assert (info.message, info.type, info.status) == ("m", word, status)


def test_an_upstreams_own_error_stays_as_it_is():
    body = b'{"type":"error", "error":{"type":"x","message":"y"},"request_id":"r"}'
    assert WIRE.encode_error(ProxyError("m", body=body, wire="anthropic")) == body
    assert b"invalid_request_error" in WIRE.encode_error(
        ProxyError("m", status=400, body=body, wire="chat")
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "HTTP 503"),
        (b"<html>down</html>", "<html>down</html>"),
        (b'{"message":"m"}', "m"),
        (b'{"error":"plain"}', "plain"),
        (b'{"error":{"message":"m"}}', "m"),
        (b'{"error":[1]}', "[1]"),
        (b"\xff\xfe", "��"),
    ],
)
def test_any_error_body_can_be_read(body, message):
    info = WIRE.decode_error(503, body)
    assert (info.message, info.status, info.type) == (message, 503, "api_error")


@given(
    st.lists(
        st.one_of(
            st.builds(Text, st.text(min_size=1)),
            st.builds(Thinking, st.text(min_size=1), st.just("c2ln"), st.just("anthropic")),
            st.builds(
                ToolUse,
                st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True),
                st.just("f"),
                st.dictionaries(st.text(max_size=3), st.integers(0, 9)).map(
                    lambda d: json.dumps(d, ensure_ascii=False, separators=(",", ":"))
                ),
            ),
        ),
        max_size=6,
    )
)
def test_an_answer_survives_whole_and_streamed(parts):
    answer = Answer(
        [Choice(parts, Finish("stop", "end_turn", "anthropic"))],
        id="msg_1",
        model="m",
        usage=Usage(3, 4),
    )
    whole = WIRE.decode_answer(WIRE.encode_answer(answer, CONTEXT))
    assert whole == answer
    assert fold(events_of(shown(unfold(answer)))) == answer


def test_failure_words_of_other_wires():
    out = shown([ev.Failed(ErrorInfo("slow down", "rate_limit_exceeded", status=429)), ev.End()])
    assert parsed(out) == [
        {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}
    ]


def test_count_and_keepalive():
    assert WIRE.encode_count(5) == b'{"input_tokens":5}'
    assert WIRE.keepalive == b'event: ping\ndata: {"type": "ping"}\n\n'


@pytest.mark.parametrize("citations", ["x", {}, 5, [], None])
def test_citations_that_are_no_list_are_none(citations):
    block = {"type": "text", "text": "hi", "citations": citations}
    body = {"type": "message", "role": "assistant", "content": [block], "stop_reason": "end_turn"}
    answer = WIRE.decode_answer(json.dumps(body).encode())
    assert answer.choices[0].parts == [Text("hi")]
    assert any(isinstance(event, ev.TextDelta) for event in unfold(answer))
    for name in ("anthropic", "chat", "responses", "gemini"):
        assert b'"hi"' in get(name).encode_answer(answer, CONTEXT)
