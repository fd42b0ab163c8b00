"""Bounds of HTTP/1.1 messages, both directions, and the errors that passing them raises."""

from __future__ import annotations

from typing import Final

REQUEST_LINE: Final = 16 * 1024
"""Bytes of a request or status line, without its CRLF."""
HEAD: Final = 64 * 1024
"""Bytes of a whole head, blank line included."""
FIELDS: Final = 100
"""Header fields of one head."""
CHUNK_LINE: Final = 1024
"""Bytes of a chunk-size line with its extensions."""
CHUNK_DIGITS: Final = 16
"""Hex digits of a chunk size: more cannot be a size that anybody means."""
CHUNK_SLACK: Final = 64 * 1024
"""Framing bytes allowed beyond `8 x body`: one-byte chunks pass, floods of extensions do not."""
INTERIM: Final = 16
"""1xx answers before the final one."""
CODINGS: Final = 3
"""Content-codings stacked on one body."""


class BadRequest(Exception):  # noqa: N818 - reads as what happened
    """The client broke HTTP or passed a limit: answer `status`, then close.

    Attributes:
        status: 400, 413, 414, 415, 417, 431, 501 or 505.
        message: one sentence for a person.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class BadResponse(Exception):  # noqa: N818 - reads as what happened
    """The upstream broke HTTP or passed a limit. `kind`: protocol, closed or too_large."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
