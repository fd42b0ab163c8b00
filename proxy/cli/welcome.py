"""What a first start prints: where it listens, its key, a first request, how to point each tool at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.config.model import ListedModel


def text(url: str, key: str, models: Sequence[ListedModel]) -> str:
    """The whole message. `models` empty: the examples ask for `demo`."""
    model = next((m.id for m in models if m.id == "demo"), models[0].id if models else "demo")
    body = f'{{"model":"{model}","messages":[{{"role":"user","content":"hello"}}]}}'
    return f"""\
Pointsman listens on {url}
key: {key}

A first request:
  curl {url}/v1/chat/completions -H 'Authorization: Bearer {key}' \\
    -H 'Content-Type: application/json' -d '{body}'

Claude Code:
  ANTHROPIC_BASE_URL={url} ANTHROPIC_AUTH_TOKEN={key} ANTHROPIC_MODEL={model} \\
    ANTHROPIC_SMALL_FAST_MODEL={model} claude
Codex CLI:
  POINTSMAN_KEY={key} codex -m {model} -c model_provider=pointsman \\
    -c 'model_providers.pointsman={{name="pointsman",base_url="{url}/v1",env_key="POINTSMAN_KEY",wire_api="responses"}}'
Gemini CLI:
  GOOGLE_GEMINI_BASE_URL={url} GEMINI_API_KEY={key} gemini -m {model}
OpenAI SDK:
  OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY={key} python your_program.py

Next: put your own upstreams into routes.d/ or a config.yaml, and ask 'pointsman check'.
"""
