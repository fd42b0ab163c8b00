"""What is read of a Code Assist request, for the list of what is not. See `proxy.wire.unread`."""

from __future__ import annotations

from typing import Final

from msgspec import structs

from proxy.wire.gemini import reading

READING: Final = structs.replace(reading.READING, top=("model", "request"), envelope="request")
