"""What a request's answer and its log lines say of the way it took: route, target, account.

Made once per routed model and credential and kept in a bounded map, since it goes with every answer.
The account is named by the first eight hex digits of a digest, so that headers tell accounts apart
without naming them.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proxy.config.model import Candidate, Plan

_MOST_LABELS: Final = 4096
_MOST_ATTEMPTS: Final = 16
_LONGEST: Final = 300
"""Characters of a value: clients may make up names, and proxies refuse heads that are too long."""

Headers = list[tuple[bytes, bytes]]


class Label:
    """Of one route through one credential."""

    __slots__ = ("_fields", "_headers", "account", "text")

    def __init__(self, route: str, target: str, credential: str) -> None:
        self.account = hashlib.sha256(credential.encode()).hexdigest()[:8]
        self.text = f"route={plain(route)} target={plain(target)} account={self.account}"
        self._fields: Headers = [
            (b"x-pointsman-route", _field(route)),
            (b"x-pointsman-target", _field(target)),
            (b"x-pointsman-account", self.account.encode()),
        ]
        self._headers: dict[tuple[int, int], Headers] = {}

    def headers(self, kind: Headers, attempts: int, lost: str = "") -> Headers:
        """Of an answer whose head begins with `kind`, a constant, given at this attempt. Not to be changed.

        `lost`: fields that the upstream was not told, fit for a header.
        """
        found = self._headers.get((id(kind), attempts))
        if found is None:
            found = [*kind, *self._fields, (b"x-pointsman-attempts", b"%d" % attempts)]
            if len(self._headers) < _MOST_ATTEMPTS:
                self._headers[id(kind), attempts] = found
        return [*found, (b"x-pointsman-lost", lost.encode())] if lost else found


class Labels:
    """The labels in use."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Label] = {}

    def of(self, plan: Plan, candidate: Candidate) -> Label:
        """The label of this candidate in this plan."""
        credential = candidate.credential
        key = (plan.model, credential.id)
        label = self._known.get(key)
        if label is None:
            if len(self._known) >= _MOST_LABELS:
                self._known.clear()
            label = self._known[key] = Label(plan.model, credential.upstream, credential.id)
        return label


def plain(value: object) -> str:
    """A value as it stands in a log line: quoted if it holds a space or what cannot be printed."""
    text = str(value)[:_LONGEST]
    if not text.isprintable() or " " in text or not text:
        text = repr(text)
    return text


def _field(text: str) -> bytes:
    """A header value: what is no visible ASCII is escaped."""
    text = text[:_LONGEST]
    if text.isascii() and text.isprintable():
        return text.encode()
    return ascii(text)[1:-1].encode()
