"""The official SDKs through the archive, whatever protocol the upstream speaks."""

from __future__ import annotations

import base64

import pytest

from tests.e2e.coding_tools import KEY
from tests.e2e.servers import WIRES, proxy_and_mock

pytestmark = [pytest.mark.clients, pytest.mark.filterwarnings("default")]

PNG = base64.b64encode(
    base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    )
).decode()
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with proxy_and_mock(tmp_path_factory.mktemp("servers")) as address:
        yield address


@pytest.fixture
def openai_client(url):
    openai = pytest.importorskip("openai")
    return openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)


@pytest.fixture
def anthropic_client(url):
    anthropic = pytest.importorskip("anthropic")
    return anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0)


@pytest.fixture
def genai_client(url):
    genai = pytest.importorskip("google.genai")
    return genai.Client(api_key=KEY, http_options={"base_url": url})


def user(text):
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize("wire", WIRES)
class TestOpenAI:
    def test_stream(self, openai_client, wire):
        stream = openai_client.chat.completions.create(
            model=f"mock-{wire}",
            messages=user("hello"),
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert text.startswith("Hello from the mock model")
        assert chunks[-1].usage.completion_tokens > 0

    def test_tools(self, openai_client, wire):
        tools = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}]
        messages = user("@call@")
        first = openai_client.chat.completions.create(
            model=f"mock-{wire}", messages=messages, tools=tools
        )
        call = first.choices[0].message.tool_calls[0]
        assert (call.function.name, first.choices[0].finish_reason) == ("weather", "tool_calls")
        result = {"role": "tool", "tool_call_id": call.id, "content": "14 degrees"}
        second = openai_client.chat.completions.create(
            model=f"mock-{wire}",
            messages=[*messages, first.choices[0].message, result],
            tools=tools,
        )
        assert "14 degrees" in second.choices[0].message.content

    def test_images(self, openai_client, wire):
        parts = [
            {"type": "text", "text": "@look@"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        ]
        answer = openai_client.chat.completions.create(model=f"mock-{wire}", messages=user(parts))
        assert answer.choices[0].message.content.startswith("1 images")

    def test_structured_output(self, openai_client, wire):
        answer = openai_client.chat.completions.create(
            model=f"mock-{wire}",
            messages=user("weather"),
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "weather", "schema": WEATHER, "strict": True},
            },
        )
        assert '"city"' in answer.choices[0].message.content

    def test_responses_with_a_second_turn(self, openai_client, wire):
        first = openai_client.responses.create(
            model=f"mock-{wire}",
            input=user("@think@ hello"),
            reasoning={"effort": "high", "summary": "auto"},
            include=["reasoning.encrypted_content"],
            store=False,
        )
        assert first.status == "completed"
        assert first.output_text.startswith("Hello")
        turn = [*user("@think@ hello"), *first.output, *user("and again")]
        second = openai_client.responses.create(model=f"mock-{wire}", input=turn, store=False)
        assert second.output_text.startswith("Hello")

    def test_unknown_model_and_key(self, openai_client, wire):
        import openai

        with pytest.raises(openai.NotFoundError):
            openai_client.chat.completions.create(model=f"no-{wire}", messages=user("x"))
        stranger = openai_client.with_options(api_key="wrong")
        with pytest.raises(openai.AuthenticationError):
            stranger.chat.completions.create(model=f"mock-{wire}", messages=user("x"))


@pytest.mark.parametrize("wire", WIRES)
class TestAnthropic:
    def test_stream_with_thinking_and_a_second_turn(self, anthropic_client, wire):
        with anthropic_client.messages.stream(
            model=f"mock-{wire}",
            max_tokens=4000,
            thinking={"type": "enabled", "budget_tokens": 2000},
            messages=user("@think@ hello"),
        ) as stream:
            message = stream.get_final_message()
        assert [block.type for block in message.content] == ["thinking", "text"]
        assert message.usage.output_tokens > 0
        turn = [
            *user("@think@ hello"),
            {"role": "assistant", "content": message.content},
            *user("and again"),
        ]
        second = anthropic_client.messages.create(
            model=f"mock-{wire}",
            max_tokens=4000,
            thinking={"type": "enabled", "budget_tokens": 2000},
            messages=turn,
        )
        assert second.content[-1].text.startswith("Hello")

    def test_tools_and_images(self, anthropic_client, wire):
        tools = [{"name": "weather", "input_schema": WEATHER}]
        first = anthropic_client.messages.create(
            model=f"mock-{wire}", max_tokens=100, messages=user("@call@"), tools=tools
        )
        call = first.content[-1]
        assert (first.stop_reason, call.name) == ("tool_use", "weather")
        image = {"type": "base64", "media_type": "image/png", "data": PNG}
        look = [{"type": "text", "text": "@look@"}, {"type": "image", "source": image}]
        seen = anthropic_client.messages.create(
            model=f"mock-{wire}", max_tokens=100, messages=user(look)
        )
        assert seen.content[0].text.startswith("1 images")

    def test_counts_and_errors(self, anthropic_client, wire):
        import anthropic

        count = anthropic_client.messages.count_tokens(model=f"mock-{wire}", messages=user("hello"))
        assert count.input_tokens > 0
        with pytest.raises(anthropic.NotFoundError):
            anthropic_client.messages.create(model="no", max_tokens=9, messages=user("x"))
        with pytest.raises(anthropic.AuthenticationError):
            anthropic_client.with_options(api_key="wrong").messages.create(
                model=f"mock-{wire}", max_tokens=9, messages=user("x")
            )


@pytest.mark.parametrize("wire", WIRES)
class TestGenai:
    def test_stream_and_count(self, genai_client, wire):
        pieces = genai_client.models.generate_content_stream(model=f"mock-{wire}", contents="hello")
        assert "".join(piece.text or "" for piece in pieces).startswith("Hello")
        counted = genai_client.models.count_tokens(model=f"mock-{wire}", contents="hello")
        assert counted.total_tokens > 0

    def test_tools_and_structured_output(self, genai_client, wire):
        from google.genai import types

        declared = types.FunctionDeclaration(name="weather", parameters_json_schema=WEATHER)
        answer = genai_client.models.generate_content(
            model=f"mock-{wire}",
            contents="@call@",
            config=types.GenerateContentConfig(
                tools=[types.Tool(function_declarations=[declared])]
            ),
        )
        assert answer.function_calls[0].name == "weather"
        answer = genai_client.models.generate_content(
            model=f"mock-{wire}",
            contents="weather",
            config=types.GenerateContentConfig(
                response_mime_type="application/json", response_json_schema=WEATHER
            ),
        )
        assert '"city"' in answer.text

    def test_errors(self, genai_client, wire):
        from google.genai import errors

        with pytest.raises(errors.ClientError) as caught:
            genai_client.models.generate_content(model=f"no-{wire}", contents="x")
        assert caught.value.code == 404


@pytest.mark.parametrize("wire", WIRES)
def test_upstream_errors_are_typed(wire, tmp_path):
    """With servers of their own: a refused key rests."""
    anthropic = pytest.importorskip("anthropic")
    openai = pytest.importorskip("openai")
    with proxy_and_mock(tmp_path) as url:
        client = anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0)
        with pytest.raises(anthropic.InternalServerError):
            client.messages.create(model=f"mock-{wire}", max_tokens=9, messages=user("@error 500@"))
        chat = openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)
        with pytest.raises(openai.RateLimitError) as caught:
            chat.chat.completions.create(model=f"mock-{wire}", messages=user("@error 429@"))
        assert int(caught.value.response.headers["retry-after"]) == 7
