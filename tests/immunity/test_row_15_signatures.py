"""Row 15: signed thinking reaches its own provider byte for byte, and no other provider at all.

"Invalid signature in thinking block" ends a session for good: the client keeps the block in its history.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.convo.signature import seal
from tests.upstream_bodies import WIRES, sent, sent_bytes

OTHERS = ("anthropic", "gemini", "responses", "chat")
CALL = {"id": "call_1", "type": "function", "function": {"name": "ls", "arguments": "{}"}}


def history(wire: str, signature: str) -> dict:
    """A tool loop whose assistant turn thought before it called, as a client of the wire sends it."""
    if wire == "anthropic":
        block = {"type": "thinking", "thinking": "I list.", "signature": signature}
        use = {"type": "tool_use", "id": "call_1", "name": "ls", "input": {}}
        result = {"type": "tool_result", "tool_use_id": "call_1", "content": "a.txt"}
        turns = [("user", "list"), ("assistant", [block, use]), ("user", [result])]
        messages = [{"role": role, "content": content} for role, content in turns]
        return {"model": "m", "max_tokens": 9, "messages": messages}
    if wire == "chat":
        detail = {"type": "reasoning.text", "signature": signature, "index": 0}
        said = {
            "role": "assistant",
            "content": None,
            "reasoning_content": "I list.",
            "reasoning_details": [detail],
            "tool_calls": [CALL],
        }
        result = {"role": "tool", "tool_call_id": "call_1", "content": "a.txt"}
        return {"model": "m", "messages": [{"role": "user", "content": "list"}, said, result]}
    if wire == "responses":
        thought = {"type": "reasoning", "summary": [], "encrypted_content": signature}
        call = {"type": "function_call", "call_id": "call_1", "name": "ls", "arguments": "{}"}
        result = {"type": "function_call_output", "call_id": "call_1", "output": "a.txt"}
        ask = {"type": "message", "role": "user", "content": "list"}
        return {"model": "m", "store": False, "input": [ask, thought, call, result]}
    call = {"functionCall": {"name": "ls", "args": {}}, "thoughtSignature": signature}
    result = {"functionResponse": {"name": "ls", "response": {"output": "a.txt"}}}
    ask = {"role": "user", "parts": [{"text": "list"}]}
    turns = [ask, {"role": "model", "parts": [call]}, {"role": "user", "parts": [result]}]
    return {"contents": turns}


def facts(body: object) -> str:
    """All that a body says, its escapes undone."""
    return json.dumps(body, ensure_ascii=False)


@pytest.mark.parametrize("origin", OTHERS)
@pytest.mark.parametrize("wire", WIRES)
def test_a_foreign_signature_does_not_pass_to_an_upstream_of_the_clients_own_wire(wire, origin):
    if origin == wire:
        pytest.skip("its own")
    sealed = seal("Zm9yZWlnbg==", origin, wire)
    said = facts(sent(wire, wire, history(wire, sealed)))
    assert "pointsman/" not in said
    assert "Zm9yZWlnbg==" not in said
    assert "a.txt" in said
    assert "ls" in said


@pytest.mark.parametrize("upstream", WIRES)
@pytest.mark.parametrize("wire", WIRES)
def test_a_sealed_signature_goes_to_its_provider_only_and_bare(wire, upstream):
    for origin in OTHERS:
        if origin in (wire, "chat"):
            continue
        sealed = seal("c2lnbmVk", origin, wire)
        said = facts(sent(wire, upstream, history(wire, sealed)))
        assert "pointsman/" not in said
        if origin != upstream:
            assert "c2lnbmVk" not in said
        elif wire != "gemini":  # there it stands at a call, where only Gemini signs
            assert "c2lnbmVk" in said, origin


@pytest.mark.parametrize("upstream", ["chat", "responses", "gemini"])
def test_anthropics_own_signature_stays_at_home(upstream):
    said = facts(sent("anthropic", upstream, history("anthropic", "b3du")))
    assert "b3du" not in said


@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=40),
    st.booleans(),
    st.booleans(),
)
def test_own_signed_blocks_pass_byte_for_byte(text, ascii_only, turned):
    """Escapes, surrogate pairs and the order of keys are part of what was signed."""
    fields = [("type", "thinking"), ("thinking", text), ("signature", "c2ln+/bmVk==")]
    raw = json.dumps(dict(fields[::-1] if turned else fields), ensure_ascii=ascii_only).encode()
    body = (
        b'{"max_tokens":9,"model":"m","messages":[{"role":"user","content":"list"},'
        b'{"role":"assistant","content":[%b]},{"role":"user","content":"go on"}]}' % raw
    )
    assert raw in sent_bytes("anthropic", "anthropic", body)


def test_fifty_turns_of_tools_over_switching_upstreams_never_send_a_foreign_signature():
    messages: list[dict] = [{"role": "user", "content": "begin"}]
    for turn in range(50):
        origin = ("gemini", "anthropic", "responses")[turn % 3]
        block = {
            "type": "thinking",
            "thinking": f"thought {turn}",
            "signature": seal(f"{origin}-signed", origin, "anthropic"),
        }
        use = {"type": "tool_use", "id": f"toolu_{turn}", "name": "ls", "input": {"n": turn}}
        result = {"type": "tool_result", "tool_use_id": f"toolu_{turn}", "content": str(turn)}
        messages += [
            {"role": "assistant", "content": [block, use]},
            {"role": "user", "content": [result]},
        ]
        body = {"model": "m", "max_tokens": 9, "messages": messages}
        for upstream in ("anthropic", "gemini", "responses"):
            said = facts(sent("anthropic", upstream, body))
            assert "pointsman/" not in said
            for other in {"gemini", "anthropic", "responses"} - {upstream}:
                assert f"{other}-signed" not in said
            assert f"thought {turn}" in said or upstream != origin
