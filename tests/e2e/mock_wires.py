"""The four wires as the mock upstream speaks them: what a request says, how an answer looks.

Written from the API documents, not from the product: an answer that only our own decoder
understands would prove nothing.
"""

from __future__ import annotations

import base64
import itertools
import json
from dataclasses import dataclass, field

_count = itertools.count(1)
SIGNATURE = base64.b64encode(b"proof of thought " * 4).decode()


@dataclass
class Seen:
    """A request, as far as the mock model looks at it."""

    model: str = ""
    stream: bool = False
    said: str = ""
    """Text of the last user message."""
    tools: list[tuple[str, dict]] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    """Media type or URL of each image."""
    schema: dict | None = None
    """Of the structured output asked for."""
    proofs: list[str] = field(default_factory=list)
    """Signatures or encrypted reasoning that came back."""


@dataclass
class Reply:
    """What the mock model says."""

    text: str = ""
    thought: str = ""
    tool: str = ""
    arguments: dict = field(default_factory=dict)
    status: int = 200


def number():
    """A fresh number for identifiers."""
    return next(_count)


def sse(event, name=None):
    """One server-sent event."""
    head = f"event: {name}\n" if name else ""
    data = event if isinstance(event, str) else json.dumps(event)
    return f"{head}data: {data}\n\n".encode()


def pieces(text):
    """A text in a few parts."""
    return [text[i : i + 7] for i in range(0, len(text), 7)]


def as_text(value):
    """The text of content in any of its spellings."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(filter(None, (as_text(part) for part in value)))
    if isinstance(value, dict):
        return as_text(value.get("text") or value.get("content") or value.get("output") or "")
    return ""


class Chat:
    """OpenAI Chat Completions."""

    @staticmethod
    def read(body, _path):
        seen = Seen(body["model"], bool(body.get("stream")))
        for message in body["messages"]:
            content = message.get("content")
            if message["role"] == "user":
                seen.said = as_text(content)
                for part in content if isinstance(content, list) else []:
                    if part["type"] == "image_url":
                        seen.images.append(part["image_url"]["url"].split(",")[0])
            elif message["role"] == "tool":
                seen.results.append(as_text(content))
            elif message.get("reasoning_content"):
                seen.proofs.append(message["reasoning_content"])
        for tool in body.get("tools") or []:
            seen.tools.append((tool["function"]["name"], tool["function"].get("parameters") or {}))
        shape = body.get("response_format") or {}
        seen.schema = shape.get("json_schema", {}).get("schema")
        return seen

    @staticmethod
    def call(reply):
        arguments = json.dumps(reply.arguments)
        function = {"name": reply.tool, "arguments": arguments}
        return {"id": f"call_{number()}", "type": "function", "function": function}

    @classmethod
    def whole(cls, seen, reply):
        message = {"role": "assistant", "content": reply.text or None}
        if reply.thought:
            message["reasoning_content"] = reply.thought
        if reply.tool:
            message["tool_calls"] = [cls.call(reply)]
        finish = "tool_calls" if reply.tool else "stop"
        return {
            "id": f"chatcmpl-{number()}",
            "object": "chat.completion",
            "created": 1_750_000_000,
            "model": seen.model,
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
        }

    @classmethod
    def stream(cls, seen, reply):
        head = {"id": f"chatcmpl-{number()}", "object": "chat.completion.chunk"}
        head |= {"created": 1_750_000_000, "model": seen.model}

        def chunk(delta, finish=None):
            return sse({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

        yield chunk({"role": "assistant", "content": ""})
        for piece in pieces(reply.thought):
            yield chunk({"reasoning_content": piece})
        for piece in pieces(reply.text):
            yield chunk({"content": piece})
        if reply.tool:
            call = cls.call(reply)
            text = call["function"]["arguments"]
            call["function"]["arguments"] = ""
            yield chunk({"tool_calls": [{"index": 0, **call}]})
            for piece in pieces(text):
                yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
        yield chunk({}, "tool_calls" if reply.tool else "stop")
        usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
        yield sse({**head, "choices": [], "usage": usage})
        yield sse("[DONE]")

    @staticmethod
    def error(status, message):
        return {"error": {"message": message, "type": "mock_error", "param": None, "code": None}}


class Responses:
    """OpenAI Responses."""

    @staticmethod
    def read(body, _path):
        seen = Seen(body["model"], bool(body.get("stream")))
        items = body["input"]
        if isinstance(items, str):
            items = [{"role": "user", "content": items}]
        for item in items:
            kind = item.get("type", "message")
            if kind == "message" and item["role"] == "user":
                content = item["content"]
                seen.said = as_text(content)
                for part in content if isinstance(content, list) else []:
                    if part["type"] == "input_image":
                        seen.images.append(part["image_url"].split(",")[0])
            elif kind in {"function_call_output", "custom_tool_call_output"}:
                seen.results.append(as_text(item["output"]))
            elif kind == "reasoning" and item.get("encrypted_content"):
                seen.proofs.append(item["encrypted_content"])
        for tool in body.get("tools") or []:
            if tool["type"] == "function":
                seen.tools.append((tool["name"], tool.get("parameters") or {}))
        shape = body.get("text", {}).get("format", {})
        seen.schema = shape.get("schema")
        return seen

    @staticmethod
    def items(reply):
        if reply.thought:
            yield {
                "id": f"rs_{number()}",
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": reply.thought}],
                "encrypted_content": SIGNATURE,
            }
        if reply.text:
            part = {"type": "output_text", "text": reply.text, "annotations": []}
            yield {
                "id": f"msg_{number()}",
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [part],
            }
        if reply.tool:
            yield {
                "id": f"fc_{number()}",
                "type": "function_call",
                "status": "completed",
                "call_id": f"call_{number()}",
                "name": reply.tool,
                "arguments": json.dumps(reply.arguments),
            }

    @classmethod
    def whole(cls, seen, reply, items=None):
        return {
            "id": f"resp_{number()}",
            "object": "response",
            "created_at": 1_750_000_000,
            "status": "completed",
            "model": seen.model,
            "output": list(cls.items(reply)) if items is None else items,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "usage": {
                "input_tokens": 11,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": 7,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": 18,
            },
        }

    @classmethod
    def stream(cls, seen, reply):
        sequence = itertools.count()

        def event(kind, **fields):
            return sse({"type": kind, "sequence_number": next(sequence), **fields}, kind)

        answer = cls.whole(seen, reply)
        opened = {**answer, "status": "in_progress", "output": [], "usage": None}
        yield event("response.created", response=opened)
        yield event("response.in_progress", response=opened)
        for index, item in enumerate(answer["output"]):
            at = {"output_index": index, "item_id": item["id"]}
            empty = {"content": []} if "content" in item else {}
            empty |= {"summary": []} if "summary" in item else {}
            empty |= {"arguments": ""} if "arguments" in item else {}
            begun = {**item, **empty}
            if "status" in item:
                begun["status"] = "in_progress"
            yield event("response.output_item.added", output_index=index, item=begun)
            yield from cls.inside(event, at, item)
            yield event("response.output_item.done", output_index=index, item=item)
        yield event("response.completed", response=answer)

    @staticmethod
    def inside(event, at, item):
        """The events between an item's `added` and `done`."""
        if item["type"] == "reasoning":
            part = item["summary"][0]
            at = {**at, "summary_index": 0}
            empty = {**part, "text": ""}
            yield event("response.reasoning_summary_part.added", **at, part=empty)
            for piece in pieces(part["text"]):
                yield event("response.reasoning_summary_text.delta", **at, delta=piece)
            yield event("response.reasoning_summary_text.done", **at, text=part["text"])
            yield event("response.reasoning_summary_part.done", **at, part=part)
        elif item["type"] == "message":
            part = item["content"][0]
            at = {**at, "content_index": 0}
            yield event("response.content_part.added", **at, part={**part, "text": ""})
            for piece in pieces(part["text"]):
                yield event("response.output_text.delta", **at, delta=piece, logprobs=[])
            yield event("response.output_text.done", **at, text=part["text"], logprobs=[])
            yield event("response.content_part.done", **at, part=part)
        else:
            for piece in pieces(item["arguments"]):
                yield event("response.function_call_arguments.delta", **at, delta=piece)
            yield event("response.function_call_arguments.done", **at, arguments=item["arguments"])

    error = Chat.error


class Anthropic:
    """Anthropic Messages."""

    @staticmethod
    def read(body, _path):
        seen = Seen(body["model"], bool(body.get("stream")))
        for message in body["messages"]:
            content = message["content"]
            blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
            texts = [block["text"] for block in blocks if block["type"] == "text"]
            if message["role"] == "user" and texts:
                seen.said = "\n".join(texts)
            for block in blocks:
                if block["type"] == "tool_result":
                    seen.results.append(as_text(block.get("content")))
                elif block["type"] == "image":
                    source = block["source"]
                    seen.images.append(source.get("media_type") or source["url"])
                elif block["type"] == "thinking":
                    seen.proofs.append(block["signature"])
        for tool in body.get("tools") or []:
            if "input_schema" in tool:
                seen.tools.append((tool["name"], tool["input_schema"]))
        shape = body.get("output_config", {}).get("format") or body.get("output_format") or {}
        seen.schema = shape.get("schema")
        return seen

    @staticmethod
    def blocks(reply):
        if reply.thought:
            yield {"type": "thinking", "thinking": reply.thought, "signature": SIGNATURE}
        if reply.text:
            yield {"type": "text", "text": reply.text}
        if reply.tool:
            name = f"toolu_{number():024d}"
            yield {"type": "tool_use", "id": name, "name": reply.tool, "input": reply.arguments}

    @classmethod
    def whole(cls, seen, reply):
        return {
            "id": f"msg_{number():024d}",
            "type": "message",
            "role": "assistant",
            "model": seen.model,
            "content": list(cls.blocks(reply)),
            "stop_reason": "tool_use" if reply.tool else "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 11, "output_tokens": 7},
        }

    @classmethod
    def stream(cls, seen, reply):
        def event(kind, **fields):
            return sse({"type": kind, **fields}, kind)

        answer = cls.whole(seen, reply)
        empty = {**answer, "content": [], "stop_reason": None}
        yield event("message_start", message=empty)
        yield event("ping")
        for index, block in enumerate(answer["content"]):
            fields = {
                "thinking": {"thinking": "", "signature": ""},
                "text": {"text": ""},
                "tool_use": {"input": {}},
            }[block["type"]]
            yield event("content_block_start", index=index, content_block={**block, **fields})
            for delta in cls.deltas(block):
                yield event("content_block_delta", index=index, delta=delta)
            yield event("content_block_stop", index=index)
        stop = {"stop_reason": answer["stop_reason"], "stop_sequence": None}
        yield event("message_delta", delta=stop, usage={"output_tokens": 7})
        yield event("message_stop")

    @staticmethod
    def deltas(block):
        if block["type"] == "text":
            for piece in pieces(block["text"]):
                yield {"type": "text_delta", "text": piece}
        elif block["type"] == "tool_use":
            for piece in pieces(json.dumps(block["input"])):
                yield {"type": "input_json_delta", "partial_json": piece}
        else:
            for piece in pieces(block["thinking"]):
                yield {"type": "thinking_delta", "thinking": piece}
            yield {"type": "signature_delta", "signature": block["signature"]}

    @staticmethod
    def error(status, message):
        kinds = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
        kind = kinds.get(status, "invalid_request_error" if status < 500 else "api_error")
        return {"type": "error", "error": {"type": kind, "message": message}}


class Gemini:
    """Gemini generateContent."""

    @staticmethod
    def read(body, path):
        model, _, action = path.rpartition("/")[2].partition(":")
        seen = Seen(model, action.startswith("stream"))
        for content in body["contents"]:
            texts = [part["text"] for part in content["parts"] if part.get("text")]
            if content.get("role", "user") == "user" and texts:
                seen.said = "\n".join(texts)
            for part in content["parts"]:
                if "functionResponse" in part:
                    seen.results.append(json.dumps(part["functionResponse"]["response"]))
                elif "inlineData" in part:
                    seen.images.append(part["inlineData"]["mimeType"])
                elif "fileData" in part:
                    seen.images.append(part["fileData"]["fileUri"])
                if "thoughtSignature" in part:
                    seen.proofs.append(part["thoughtSignature"])
        for tool in body.get("tools") or []:
            for function in tool.get("functionDeclarations") or []:
                schema = function.get("parametersJsonSchema") or function.get("parameters") or {}
                seen.tools.append((function["name"], schema))
        config = body.get("generationConfig") or {}
        seen.schema = config.get("responseJsonSchema") or config.get("responseSchema")
        return seen

    @staticmethod
    def parts(reply):
        if reply.thought:
            yield {"text": reply.thought, "thought": True}
        if reply.text:
            yield {"text": reply.text}
        if reply.tool:
            call = {"name": reply.tool, "args": reply.arguments}
            yield {"functionCall": call, "thoughtSignature": SIGNATURE}

    @staticmethod
    def frame(seen, parts, finish):
        candidate = {"content": {"role": "model", "parts": parts}, "index": 0}
        if finish:
            candidate["finishReason"] = "STOP"
        return {
            "candidates": [candidate],
            "usageMetadata": {
                "promptTokenCount": 11,
                "candidatesTokenCount": 7,
                "totalTokenCount": 18,
            },
            "modelVersion": seen.model,
            "responseId": f"r{number()}",
        }

    @classmethod
    def whole(cls, seen, reply):
        return cls.frame(seen, list(cls.parts(reply)), finish=True)

    @classmethod
    def stream(cls, seen, reply):
        parts = []
        for part in cls.parts(reply):
            if "text" in part:
                parts += [{**part, "text": piece} for piece in pieces(part["text"])]
            else:
                parts.append(part)
        for i, part in enumerate(parts):
            yield sse(cls.frame(seen, [part], finish=i == len(parts) - 1))

    @staticmethod
    def error(status, message):
        names = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND"}
        names |= {429: "RESOURCE_EXHAUSTED", 500: "INTERNAL"}
        return {"error": {"code": status, "message": message, "status": names.get(status, "X")}}


def wire_of(path):
    """The wire of a request path, or None."""
    for ending, wire in (
        ("/chat/completions", Chat),
        ("/responses", Responses),
        ("/messages", Anthropic),
        (":generateContent", Gemini),
        (":streamGenerateContent", Gemini),
    ):
        if path.endswith(ending):
            return wire
    return None
