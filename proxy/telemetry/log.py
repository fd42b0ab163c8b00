"""One line per event on standard error: time, level, event, key=value. Never a secret, never a body.

Lines are gathered and written together, at the latest half a second later, so that logging costs a
request no system call. The buffer is bounded; what does not fit is counted and said.
"""

from __future__ import annotations

import os
import sys
from time import strftime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proxy.config.model import Candidate
    from proxy.convo.model import ErrorInfo, Usage
    from proxy.errors import ProxyError
    from proxy.upstream.prepare import Ask, Work

_MOST_LINES: Final = 2000


class Log:
    """Gathers lines; `flush` writes them."""

    def __init__(self, *, debug: bool = False, descriptor: int = 2) -> None:
        self._lines: list[str] = []
        self._lost = 0
        self.debug = debug
        self._descriptor = descriptor

    def line(self, level: str, event: str, **fields: object) -> None:
        """Adds one line; control characters in values are escaped."""
        if len(self._lines) >= _MOST_LINES:
            self._lost += 1
            return
        text = "".join(f" {name}={_clean(value)}" for name, value in fields.items() if value != "")
        self._lines.append(f"{strftime('%H:%M:%S')} {level} {event}{text}\n")

    def text(self, level: str, text: str) -> None:
        """Adds one line of free text, such as a part of a report."""
        if len(self._lines) >= _MOST_LINES:
            self._lost += 1
            return
        shown = "".join(c if c.isprintable() else " " for c in text[:300])
        self._lines.append(f"{strftime('%H:%M:%S')} {level}   {shown}\n")

    def flush(self) -> None:
        """Writes what was gathered."""
        if not self._lines:
            return
        lines, self._lines = self._lines, []
        if self._lost:
            lines.append(f"{strftime('%H:%M:%S')} warn log lost={self._lost}\n")
            self._lost = 0
        try:
            os.write(self._descriptor, "".join(lines).encode("utf-8", "replace"))
        except OSError:
            # A closed or full standard error must not stop the server.
            return

    def served(
        self, work: Work, candidate: Candidate, usage: Usage | None, failed: ErrorInfo | None
    ) -> None:
        """A request was answered (perhaps with an error after output began)."""
        tokens = f"{usage.input or 0}+{usage.output or 0}" if usage is not None else ""
        self.line(
            "info" if failed is None else "warn",
            "served",
            client=work.ask.wire,
            model=work.model,
            upstream=candidate.credential.upstream,
            tokens=tokens,
            broken=failed.message if failed is not None else "",
        )

    def attempt(self, work: Work, candidate: Candidate, error: ProxyError) -> None:
        """One credential failed."""
        self.line(
            "warn",
            "attempt",
            model=work.model,
            upstream=candidate.credential.upstream,
            credential=candidate.credential.id,
            status=error.status,
            error=error.message,
        )

    def refused(self, ask: Ask, error: ProxyError) -> None:
        """The client got an error."""
        self.line("warn", "refused", client=ask.wire, status=error.status, error=error.message)

    def crash(self, where: str, error: BaseException) -> None:
        """A fault of ours: type and place; the traceback only with `debug: true`."""
        self.line("error", "crash", where=where, error=f"{type(error).__name__}: {error}")
        if self.debug:
            self.flush()
            sys.excepthook(type(error), error, error.__traceback__)


def _clean(value: object) -> str:
    text = str(value)[:300]
    if not text.isprintable() or " " in text or not text:
        text = repr(text)
    return text
