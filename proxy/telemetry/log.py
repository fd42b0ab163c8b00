"""One line per event on standard error: time, level, event, key=value. Never a secret, never a body.

Lines are gathered and written together, at the latest half a second later, so that logging costs a
request no system call. The buffer is bounded; what does not fit is counted and said. A model request
leaves one `attempt` line per upstream call and one `served` or `refused` line, joined by `id`.
"""

from __future__ import annotations

import os
import sys
from time import strftime, time
from typing import TYPE_CHECKING, Final

from proxy.telemetry.label import plain

if TYPE_CHECKING:
    from proxy.convo.model import ErrorInfo, Usage
    from proxy.errors import ProxyError
    from proxy.telemetry.label import Label
    from proxy.upstream.prepare import Ask

_MOST_LINES: Final = 2000
_MOST_STRANGERS: Final = 5
"""Lines a second for requests without a known key: anybody can send them."""


class Log:
    """Gathers lines; `flush` writes them."""

    def __init__(self, *, debug: bool = False, descriptor: int = 2) -> None:
        self._lines: list[str] = []
        self._lost = 0
        self.debug = debug
        self._descriptor = descriptor
        self._strangers = 0
        self._stranger_second = 0
        self._second = 0
        self._time = ""

    def line(self, level: str, event: str, **fields: object) -> None:
        """Adds one line; control characters in values are escaped."""
        if self._is_full():
            return
        text = "".join(f" {name}={plain(value)}" for name, value in fields.items() if value != "")
        self._add(f"{level} {event}{text}")

    def _is_full(self) -> bool:
        """Asked before a line is made: under load most are only counted."""
        if len(self._lines) < _MOST_LINES:
            return False
        self._lost += 1
        return True

    def _add(self, text: str) -> None:
        second = int(time())
        if second != self._second:
            self._second, self._time = second, strftime("%H:%M:%S")
        self._lines.append(f"{self._time} {text}\n")

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

    def answered(
        self, ask: Ask, label: Label, attempt: int, seconds: float, lost: str = ""
    ) -> None:
        """An upstream call gave its first useful event after so long. `lost`: what it was not told."""
        if self._is_full():
            return
        fields = f" lost={plain(lost)}" if lost else ""
        self._add(
            f"info attempt id={ask.id} n={attempt} {label.text} status=ok{fields}"
            f" ms={int(seconds * 1000)}"
        )

    def failed(
        self, ask: Ask, label: Label, attempt: int, error: ProxyError, seconds: float
    ) -> None:
        """An upstream call failed, before or after output began."""
        if self._is_full():
            return
        self._add(
            f"warn attempt id={ask.id} n={attempt} {label.text} status={error.status}"
            f" reason={plain(error.kind)} error={plain(error.message)} ms={int(seconds * 1000)}"
        )

    def left(self, ask: Ask, label: Label, attempt: int, seconds: float) -> None:
        """An upstream call was given up: another one was faster, or the client is gone."""
        if self._is_full():
            return
        self._add(
            f"info attempt id={ask.id} n={attempt} {label.text} status=left ms={int(seconds * 1000)}"
        )

    def skipped(self, ask: Ask, target: str, lost: str) -> None:
        """A target is not asked, since it could not be told all of the request."""
        self.line("info", "skipped", id=ask.id, target=target, lost=lost)

    def served(
        self,
        ask: Ask,
        label: Label,
        usage: Usage | None,
        broken: ErrorInfo | None,
        seconds: float,
        lost: str = "",
    ) -> None:
        """A request was answered (perhaps with an error after output began)."""
        if self._is_full():
            return
        level = "info" if broken is None else "warn"
        tokens = f" tokens={usage.input or 0}+{usage.output or 0}" if usage is not None else ""
        reason = f" broken={plain(broken.message)}" if broken is not None else ""
        if lost:
            reason += f" lost={plain(lost)}"
        self._add(
            f"{level} served id={ask.id} client={ask.wire} {label.text}{tokens}{reason}"
            f" ms={int(seconds * 1000)}"
        )

    def refused(self, ask: Ask, error: ProxyError) -> None:
        """The client got an error."""
        self.line(
            "warn",
            "refused",
            id=ask.id,
            client=ask.wire,
            key=ask.key,
            status=error.status,
            error=error.message,
        )

    def turned_away(self, request_id: str, client: str, peer: str, error: ProxyError) -> None:
        """Somebody without a known key got an error. What they presented is never told."""
        second, more = int(time()), 0
        if second != self._stranger_second:
            more = max(self._strangers - _MOST_STRANGERS, 0)
            self._stranger_second, self._strangers = second, 0
        self._strangers += 1
        if self._strangers <= _MOST_STRANGERS:
            self.line(
                "warn",
                "refused",
                id=request_id,
                client=client,
                peer=peer,
                status=error.status,
                error=error.message,
                more=more or "",
            )

    def crash(self, where: str, error: BaseException) -> None:
        """A fault of ours: type and place; the traceback only with `debug: true`."""
        self.line("error", "crash", where=where, error=f"{type(error).__name__}: {error}")
        if self.debug:
            self.flush()
            sys.excepthook(type(error), error, error.__traceback__)
