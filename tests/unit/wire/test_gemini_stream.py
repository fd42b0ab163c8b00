"""Gemini answers: chunks to events, events to chunks, whole answers, errors, the Code Assist envelope."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy import jsonio
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
from proxy.wire.base import AnswerContext
from proxy.wire.gemini import json_array, parts
from proxy.wire.gemini.json_array import ArrayOverflowError, ArrayParser
from proxy.wire.lanes import lane

WIRE, CLI = get("gemini"), get("gemini_cli")
PNG = "iVBORw0KGgo="


def context(framing="sse"):
    return AnswerContext(
        request=None, model="shown", stream=True, now=1, id="ab12", framing=framing
    )


def chunk(*said, finish=None, usage=None, **more):
    candidate = {"content": {"parts": list(said), "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    out = {"candidates": [candidate], "modelVersion": "m-1", "responseId": "R_1-x", **more}
    if usage:
        out["usageMetadata"] = usage
    return out


def sse(*chunks, gap="\r\n\r\n"):
    return "".join(f"data: {json.dumps(c)}{gap}" for c in chunks).encode()


def events(data, wire=WIRE):
    decoder = wire.stream_decoder()
    return decoder.feed(data) + decoder.eof()


def plain(found):
    """Events with `Raw` spelled out, so that they compare by content."""
    return [json.loads(jsonio.encode(event)) | {"@": type(event).__name__} for event in found]


USAGE = {
    "promptTokenCount": 10,
    "candidatesTokenCount": 5,
    "thoughtsTokenCount": 3,
    "cachedContentTokenCount": 4,
    "toolUsePromptTokenCount": 2,
    "totalTokenCount": 20,
}
TEXT = sse(
    chunk({"text": "hm", "thought": True}, usage={"promptTokenCount": 10}),
    chunk({"text": "m", "thought": True, "thoughtSignature": "U0lH"}),
    chunk({"text": "He"}),
    chunk({"text": "llo"}),
    chunk({"functionCall": {"name": "a", "args": {"x": 1.0}}, "thoughtSignature": "Q0FMTA=="}),
    chunk({"functionCall": {"name": "b", "id": "own"}}, {"text": ""}),
    chunk({"text": ""}, finish="STOP", usage=USAGE),
)


def test_transcript():
    assert plain(events(TEXT)) == plain(
        [
            ev.Start("R_1-x", "m-1"),
            ev.PartStart(0, Thinking("")),
            ev.ThinkingDelta(0, "hm"),
            ev.UsageSeen(Usage(input=10, extras=jsonio.raw_of({"promptTokenCount": 10}))),
            ev.ThinkingDelta(0, "m"),
            ev.SignatureDelta(0, "U0lH", "gemini"),
            ev.PartEnd(0),
            ev.PartStart(1, Text("")),
            ev.TextDelta(1, "He"),
            ev.TextDelta(1, "llo"),
            ev.PartEnd(1),
            ev.PartStart(2, ToolUse(f"{parts.SYNTHETIC}R_1-x_1", "a", "")),
            ev.ArgumentsDelta(2, '{"x": 1.0}'),
            ev.SignatureDelta(2, "Q0FMTA==", "gemini"),
            ev.PartEnd(2),
            ev.PartStart(3, ToolUse("own", "b", "")),
            ev.ArgumentsDelta(3, "{}"),
            ev.PartEnd(3),
            ev.UsageSeen(
                Usage(input=12, output=8, cached=4, reasoning=3, extras=jsonio.raw_of(USAGE))
            ),
            ev.Finished(Finish("tool", "STOP", "gemini")),
            ev.End(),
        ]
    )


ALL = {
    "sse": (TEXT, WIRE),
    "lf": (TEXT.replace(b"\r\n", b"\n"), WIRE),
    "array": (
        b"[" + b",\r\n".join(line[6:] for line in TEXT.split(b"\r\n\r\n") if line) + b"]",
        WIRE,
    ),
    "cli": (
        b"".join(
            b'data: {"response":' + line[6:] + b',"traceId":"t"}\n\n'
            for line in TEXT.split(b"\r\n\r\n")
            if line
        ),
        CLI,
    ),
}


@pytest.mark.parametrize("form", ALL)
def test_framings_say_the_same(form):
    data, wire = ALL[form]
    assert plain(events(data, wire)) == plain(events(TEXT))


@pytest.mark.parametrize("form", ALL)
@given(data=st.data())
@settings(max_examples=40)
def test_any_chunking_gives_the_same(form, data):
    whole, wire = ALL[form]
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=12)))
    decoder = wire.stream_decoder()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        found += decoder.feed(whole[start:end])
    assert plain(found + decoder.eof()) == plain(events(TEXT))


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SPII", "filter"),
        ("MALFORMED_FUNCTION_CALL", "error"),
    ],
)
def test_finish_words(word, reason):
    assert events(sse(chunk({"text": "a"}, finish=word)))[-2] == ev.Finished(
        Finish(reason, word, "gemini")
    )


def test_finish_on_every_chunk_and_usage_after_it():
    data = sse(
        chunk({"text": "a"}, finish="STOP"),
        chunk({"text": "b"}, finish="STOP"),
        {"usageMetadata": {"promptTokenCount": 1}},
    )
    found = events(data)
    assert [type(e).__name__ for e in found[-4:]] == ["UsageSeen", "PartEnd", "Finished", "End"]
    assert fold(found).choices[0].parts == [Text("ab")]


def test_prompt_blocked():
    found = events(sse({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}))
    assert found[-2:] == [ev.Finished(Finish("filter", "PROHIBITED_CONTENT", "gemini")), ev.End()]


def test_two_candidates():
    data = sse(
        {
            "candidates": [
                {"index": 0, "content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"},
                {"index": 1, "content": {"parts": [{"text": "b"}]}, "finishReason": "MAX_TOKENS"},
            ]
        }
    )
    answer = fold(events(data))
    assert [c.parts for c in answer.choices] == [[Text("a")], [Text("b")]]
    assert [c.finish.reason for c in answer.choices] == ["stop", "length"]


def test_huge_candidate_index_is_no_memory():
    data = sse({"candidates": [{"index": 10**9, "content": {"parts": [{"text": "a"}]}}]})
    assert len(fold(events(data)).choices) == 1


def test_other_parts():
    code = {"executableCode": {"language": "PYTHON", "code": "print(1)"}}
    data = sse(
        chunk({"inline_data": {"mime_type": "image/png", "data": PNG}}, code, {"odd": 1}),
        chunk({"text": "t"}, finish="STOP", usage=None),
    )
    image, opaque, odd, text = fold(events(data)).choices[0].parts
    assert image == Media("image", "image/png", data=PNG)
    assert (opaque.type, opaque.text) == ("executableCode", "\n```python\nprint(1)\n```\n")
    assert jsonio.decode(opaque.raw) == code
    assert (odd.type, jsonio.decode(odd.raw)) == ("odd", {"odd": 1})
    assert text == Text("t")


def test_grounding_belongs_to_the_text():
    last = chunk({"text": ""}, finish="STOP")
    last["candidates"][0]["groundingMetadata"] = {"webSearchQueries": ["q"]}
    text = fold(events(sse(chunk({"text": "t"}), last))).choices[0].parts[0]
    assert text.text == "t"
    assert text.citations[0] == "gemini"
    assert jsonio.decode(text.citations[1]) == [{"groundingMetadata": {"webSearchQueries": ["q"]}}]


@pytest.mark.parametrize("ended", [True, False])
def test_cut(ended):
    data = sse(chunk({"text": "a"}))
    found = events(data if ended else data[:-9])
    assert isinstance(found[-2], ev.Failed)
    assert (found[-2].error.type, found[-1]) == ("cut", ev.End())


def test_array_cut_inside_an_object_after_a_finish():
    data = json.dumps([chunk({"text": "a"}, finish="STOP"), chunk({"text": "b"})]).encode()
    assert isinstance(events(data[:-8])[-2], ev.Failed)


def test_nothing_at_all():
    assert [type(e).__name__ for e in events(b"")] == ["Start", "Failed", "End"]


ERROR = {"error": {"code": 429, "message": "Too many", "status": "RESOURCE_EXHAUSTED"}}


@pytest.mark.parametrize("wire", [WIRE, CLI])
def test_error_inside_a_stream(wire):
    first = chunk({"text": "a"})
    found = events(sse(first if wire is WIRE else {"response": first}, ERROR, first), wire)
    error = found[-2].error
    assert (error.message, error.status, error.type) == ("Too many", 429, "RESOURCE_EXHAUSTED")
    assert found[-1] == ev.End()
    assert found[-3] == ev.PartEnd(0)


@given(
    st.lists(st.binary(max_size=40) | st.sampled_from([b"data: ", b"\n\n", b"{", b"[", b'"', b"}"]))
)
def test_garbage_ends_in_one_end(pieces):
    decoder = WIRE.stream_decoder()
    found = [event for piece in pieces for event in decoder.feed(piece)] + decoder.eof()
    assert [e for e in found if isinstance(e, ev.End)] == [found[-1]]
    assert isinstance(found[0], ev.Start)
    assert decoder.feed(b"data: {}\n\n") == []


def test_array_parser_is_bounded(monkeypatch):
    parser = ArrayParser(limit=100)
    with pytest.raises(ArrayOverflowError) as caught:
        parser.feed(b'[{"a":1},{"b":"' + b"x" * 200)
    assert caught.value.objects == [b'{"a":1}']
    monkeypatch.setattr(json_array, "LIMIT", 10)
    assert ArrayParser(limit=10).feed(b" , " * 1000) == []


# ---------------------------------------------------------------- towards the client


def said(found, framing="sse", wire=WIRE):
    encoder = wire.stream_encoder(context(framing))
    text = "".join(encoder.encode([event]).decode() for event in found)
    if framing == "json":
        return json.loads(text)
    assert text.endswith("\n\n")
    return [json.loads(line.removeprefix("data: ")) for line in text.split("\n\n")[:-1]]


def test_own_stream_comes_out_as_it_went_in():
    shown = said(events(TEXT))
    bits = [part for c in shown for part in c["candidates"][0]["content"]["parts"]]
    assert bits == [
        {"text": "hm", "thought": True},
        {"text": "m", "thought": True},
        {"text": "", "thought": True, "thoughtSignature": "U0lH"},
        {"text": "He"},
        {"text": "llo"},
        {"functionCall": {"name": "a", "args": {"x": 1.0}}, "thoughtSignature": "Q0FMTA=="},
        {"functionCall": {"id": "own", "name": "b", "args": {}}},
        {"text": ""},
    ]
    assert [c["candidates"][0].get("finishReason") for c in shown] == [None] * 7 + ["STOP"]
    assert [c.get("usageMetadata") for c in shown] == [None] * 7 + [USAGE]
    assert {(c["modelVersion"], c["responseId"]) for c in shown} == {("m-1", "R_1-x")}


@pytest.mark.parametrize("framing", ["sse", "json"])
@pytest.mark.parametrize("wire", [WIRE, CLI])
def test_decoding_what_was_encoded(framing, wire):
    timed = b'"createTime": "2025-06-15T12:00:00Z", "modelVersion"'
    found = events(TEXT.replace(b'"modelVersion"', timed))
    encoder = wire.stream_encoder(context(framing))
    out = encoder.encode(found)
    assert json.loads(jsonio.encode(fold(events(out, wire)))) == json.loads(
        jsonio.encode(fold(found))
    )


def test_empty_json_stream_is_an_array():
    assert said([ev.Start(), ev.End()], "json") == []


def test_overlapping_calls_keep_their_order():
    shown = said(
        [
            ev.Start(),
            ev.PartStart(0, ToolUse("1", "a", "")),
            ev.PartStart(1, ToolUse("2", "b", "")),
            ev.ArgumentsDelta(1, '{"b":'),
            ev.ArgumentsDelta(0, "{}"),
            ev.ArgumentsDelta(1, "2}"),
            ev.PartEnd(1),
            ev.PartEnd(0),
            ev.Finished(Finish("tool")),
            ev.End(),
        ]
    )
    calls = [c["candidates"][0]["content"]["parts"][0].get("functionCall") for c in shown]
    assert calls == [
        {"id": "1", "name": "a", "args": {}},
        {"id": "2", "name": "b", "args": {"b": 2}},
        None,
    ]


def test_error_chunk_is_last_and_bare():
    failed = [
        ev.Start(),
        ev.TextDelta(0, "a"),
        ev.Failed(ErrorInfo("Overloaded", "overloaded_error")),
        ev.End(),
    ]
    for wire in (WIRE, CLI):
        assert said(failed, wire=wire)[-1] == {
            "error": {"code": 529, "message": "Overloaded", "status": "UNAVAILABLE"}
        }


def test_foreign_finishes_and_usage():
    shown = said(
        [
            ev.Start(),
            ev.UsageSeen(Usage(input=10, cached=4)),
            ev.UsageSeen(Usage(output=8, reasoning=3)),
            ev.Finished(Finish("length", "max_tokens", "anthropic")),
            ev.Finished(Finish("refusal"), 1),
            ev.End(),
        ]
    )
    (last,) = shown
    assert [c["finishReason"] for c in last["candidates"]] == ["MAX_TOKENS", "SAFETY"]
    assert last["usageMetadata"] == {
        "promptTokenCount": 10,
        "candidatesTokenCount": 5,
        "thoughtsTokenCount": 3,
        "cachedContentTokenCount": 4,
        "totalTokenCount": 18,
    }


def test_whole_answer():
    answer = Answer(
        [
            Choice(
                [
                    Thinking("hm", "theirs", "anthropic"),
                    Text(
                        "t",
                        citations=(
                            "chat",
                            jsonio.raw_of([{"url_citation": {"url": "u", "start_index": 1}}]),
                        ),
                    ),
                    Refusal("no"),
                    Opaque("anthropic", jsonio.raw_of({}), "x", "shown"),
                    Media("image", "image/png", data=PNG),
                    ToolUse("1", "p", "raw", custom=True),
                ],
                Finish("tool"),
            )
        ]
    )
    (candidate,) = json.loads(WIRE.encode_answer(answer, context()))["candidates"]
    thought, *rest = candidate["content"]["parts"]
    assert thought["text"] == "hm"
    assert rest == [
        {"text": "t"},
        {"text": "no"},
        {"text": "shown"},
        {"inlineData": {"mimeType": "image/png", "data": PNG}},
        {"functionCall": {"id": "1", "name": "p", "args": {"input": "raw"}}},
    ]
    assert candidate["citationMetadata"] == {"citationSources": [{"uri": "u", "startIndex": 1}]}
    assert candidate["finishReason"] == "STOP"


texts = st.text(min_size=1, max_size=20)
signed = st.sampled_from([("", ""), ("U0lH", "gemini")])
whole_parts = st.one_of(
    st.builds(lambda t, s: Thinking(t, *s), texts, signed),
    st.builds(
        lambda i, a: ToolUse(f"id{i}", "get", json.dumps(a)),
        st.integers(0, 99),
        st.dictionaries(texts, st.integers() | texts, max_size=3),
    ),
    st.just(Media("image", "image/png", data=PNG)),
)


@given(st.lists(whole_parts, max_size=5), texts)
def test_stream_and_whole_answer_say_the_same(said_parts, text):
    kept = [
        p
        for n, p in enumerate(said_parts)
        if not (isinstance(p, Thinking) and n and isinstance(said_parts[n - 1], Thinking))
    ]
    answer = Answer(
        [Choice([*kept, Text(text)], Finish("stop", "STOP", "gemini"))],
        usage=Usage(input=1, output=2),
    )
    whole = json.loads(WIRE.encode_answer(answer, context()))
    streamed = WIRE.stream_encoder(context()).encode(unfold(answer))
    from_stream, from_whole = fold(events(streamed)), WIRE.decode_answer(json.dumps(whole).encode())
    for found in (from_stream, from_whole):
        assert [type(p) for p in found.choices[0].parts] == [
            type(p) for p in answer.choices[0].parts
        ]
    assert plain([ev.UsageSeen(from_stream.usage)]) == plain([ev.UsageSeen(from_whole.usage)])
    for one, other in zip(from_stream.choices[0].parts, from_whole.choices[0].parts, strict=True):
        if isinstance(one, ToolUse):
            assert json.loads(one.arguments) == json.loads(other.arguments)
        else:
            assert one == other


# ---------------------------------------------------------------- whole answers, errors, counts


def test_decode_answer_forms():
    whole = chunk({"text": "a"}, finish="STOP")
    for body, wire in (
        (json.dumps(whole, indent=1).encode(), WIRE),
        (sse(whole), WIRE),
        (json.dumps([whole]).encode(), WIRE),
        (json.dumps({"response": whole}).encode(), CLI),
    ):
        assert wire.decode_answer(body).choices[0].parts == [Text("a")]


def test_answer_without_a_finish_reason_is_whole():
    answer = WIRE.decode_answer(json.dumps(chunk({"text": "a"})).encode())
    assert answer.error is None


@pytest.mark.parametrize("body", [b"", b"<html>", b"[", b'{"candidates":7}', b"null"])
def test_no_answer(body):
    with pytest.raises(ProxyError) as caught:
        WIRE.decode_answer(body)
    assert caught.value.status == 502


def test_error_answer():
    assert WIRE.decode_answer(json.dumps(ERROR).encode()).error.status == 429


def test_encode_error():
    body = WIRE.encode_error(ProxyError("slow down", status=429, retry_after=1.5))
    assert json.loads(body) == {
        "error": {
            "code": 429,
            "message": "slow down",
            "status": "RESOURCE_EXHAUSTED",
            "details": [
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s"}
            ],
        }
    }


def test_upstreams_own_error_is_passed_on():
    own = json.dumps(ERROR).encode()
    assert WIRE.encode_error(ProxyError("x", body=own, wire="gemini")) == own
    assert WIRE.encode_error(ProxyError("x", body=own, wire="chat")) != own
    assert WIRE.encode_error(ProxyError("x", body=b"<html>", wire="gemini")).startswith(b'{"error"')


@pytest.mark.parametrize(
    ("status", "word"),
    [(400, "INVALID_ARGUMENT"), (401, "UNAUTHENTICATED"), (403, "PERMISSION_DENIED"), (404, "NOT_FOUND"),
     (422, "INVALID_ARGUMENT"), (429, "RESOURCE_EXHAUSTED"), (500, "INTERNAL"), (503, "UNAVAILABLE"),
     (504, "DEADLINE_EXCEEDED"), (599, "INTERNAL")],
)  # fmt: skip
def test_status_words(status, word):
    assert json.loads(WIRE.encode_error(ProxyError("x", status=status)))["error"]["status"] == word


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (json.dumps(ERROR).encode(), "Too many"),
        (json.dumps([ERROR]).encode(), "Too many"),
        (b'{"error":"plain"}', "plain"),
        (b"<html>gateway</html>", "The upstream answered with status 429."),
        (b"", "The upstream answered with status 429."),
        (b"just text", "just text"),
    ],
)
def test_decode_error(body, message):
    info = WIRE.decode_error(429, body)
    assert (info.message, info.status, info.origin) == (message, 429, "gemini")


@given(st.binary(max_size=80))
def test_any_error_body(body):
    assert WIRE.decode_error(500, body).status == 500


def test_count():
    assert json.loads(CLI.encode_count(7)) == {
        "totalTokens": 7,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 7}],
    }


# ---------------------------------------------------------------- Code Assist


def test_cli_request():
    body = {
        "model": "models/gemini-2.5-pro",
        "project": "p",
        "request": {"contents": [{"parts": [{"text": "q"}]}], "session_id": "s"},
    }
    request = CLI.decode_request(json.dumps(body).encode(), stream=True)
    assert (request.model, request.stream, request.cache_key) == ("gemini-2.5-pro", True, "s")
    assert request.extras == {}
    with pytest.raises(ProxyError):
        CLI.decode_request(b"[]")


def test_cli_upstream_body():
    from proxy.convo.model import Message, Reasoning, Request
    from proxy.wire.base import Target

    request = Request(model="m", messages=[Message("user", [Text("q")])], origin="chat")
    body = CLI.encode_request(request, Target(model="gemini-2.5-pro"), [])
    CLI.patch_reasoning(body, Reasoning(budget=7), Target(model="gemini-2.5-pro"), [])
    sent = json.loads(jsonio.encode(body))
    assert (sent["model"], sent["project"]) == ("gemini-2.5-pro", "")
    assert sent["request"]["contents"] == [{"role": "user", "parts": [{"text": "q"}]}]
    assert sent["request"]["generationConfig"]["thinkingConfig"]["thinkingBudget"] == 7


def test_cli_answer():
    answer = Answer([Choice([Text("a")], Finish("stop"))])
    shown = json.loads(CLI.encode_answer(answer, context()))
    assert shown["response"]["candidates"][0]["content"]["parts"] == [{"text": "a"}]
    assert CLI.decode_answer(json.dumps(shown).encode()).choices[0].parts == [Text("a")]


def test_a_client_that_wants_an_array_gets_one_from_an_sse_upstream():
    one = lane(WIRE, WIRE, context("json"))
    shown = json.loads(one.feed(TEXT) + one.eof())
    assert shown[-1]["candidates"][0]["finishReason"] == "STOP"
    assert lane(WIRE, WIRE, context()).feed(TEXT) == TEXT


def test_a_code_assist_stream_passes_through_as_it_came():
    wrapped = [
        sse({"response": chunk({"text": "a"})}),
        sse(
            {"response": chunk({"text": "b"}, finish="STOP", usageMetadata={"totalTokenCount": 9})}
        ),
    ]
    one = lane(CLI, CLI, context())
    assert b"".join(map(one.feed, wrapped)) + one.eof() == b"".join(wrapped)
    assert one.finished
    assert one.usage is not None
    cut = lane(CLI, CLI, context())
    told = cut.feed(wrapped[0]) + cut.eof()
    assert told.startswith(wrapped[0])
    assert cut.failed is not None
    assert b'"error"' in told


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("2025-06-15T12:00:00Z", 1_749_988_800),
        ("2025-06-15T12:00:00.123456789Z", 1_749_988_800),
        ("2025-06-15T14:00:00+02:00", 1_749_988_800),
        ("2025-06-15T12:00:00", 1_749_988_800),
        ("yesterday", 0),
        ("", 0),
    ],
)
def test_the_upstreams_own_time_is_told(said, seconds):
    answer = chunk({"text": "x"}, finish="STOP", createTime=said)
    assert next(e for e in events(sse(answer)) if isinstance(e, ev.Start)).created == seconds
    assert WIRE.decode_answer(json.dumps(answer).encode()).created == seconds


def test_a_client_is_told_when_the_answer_was_made():
    answer = Answer([Choice([Text("x")], Finish("stop"))], created=1_749_988_800)
    body = json.loads(WIRE.encode_answer(answer, context()))
    assert body["createTime"] == "2025-06-15T12:00:00Z"
    stream = WIRE.stream_encoder(context()).encode([*unfold(answer)])
    times = {json.loads(c[6:])["createTime"] for c in stream.decode().split("\n\n") if c}
    assert times == {"2025-06-15T12:00:00Z"}
    bare = WIRE.encode_answer(Answer([Choice([Text("x")])]), context())
    assert json.loads(bare)["createTime"] == "1970-01-01T00:00:01Z"


@pytest.mark.parametrize("created", [-5, 1 << 62])
def test_a_time_out_of_range_breaks_nothing(created):
    body = json.loads(WIRE.encode_answer(Answer([], created=created), context()))
    assert body["createTime"] in {
        "1970-01-01T00:00:01Z",
        "1970-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
    }
