"""What is read of a legacy completions request, for the list of what is not. See `proxy.wire.unread`."""

from __future__ import annotations

from typing import Final

from proxy.wire.chat.types import StreamOptions
from proxy.wire.completions import KEPT
from proxy.wire.unread import Reading

READING: Final = Reading(
    members={"stream_options": StreamOptions}, top=(*KEPT, "prompt", "logprobs")
)
