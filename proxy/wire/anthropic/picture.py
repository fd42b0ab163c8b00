"""Media in an answer: a Messages answer has no block for it, so it is shown as text."""

from __future__ import annotations

from proxy.convo.model import Media


def picture_text(part: Media) -> str:
    """A Markdown link or image, with the data inline where there is no address."""
    address = part.url
    if not address and part.data:
        address = f"data:{part.mime or 'application/octet-stream'};base64,{part.data}"
    if not address:
        return part.text
    name = part.name or part.kind
    return f"![{name}]({address})" if part.kind == "image" else f"[{name}]({address})"
