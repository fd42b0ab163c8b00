"""Requests in flight per credential, and who waits for a place, first come first served.

A place that is given back goes straight to the first who waits for it: it stays taken, in the name of
the ticket, so nobody who comes later can slip in between.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from proxy.config.model import Candidate, Credential


class Ticket:
    """One waiting request.

    Attributes:
        deadline: monotonic seconds; who waits longer gives up and calls `leave`.
        candidate: the place that was given to it, once `wake` was called; None if it was called
            because there is nothing left to wait for. It is used like a candidate of `order`:
            `take`, then `give_back`.
    """

    __slots__ = ("candidate", "deadline", "wake", "wanted")

    def __init__(
        self, deadline: float, wake: Callable[[], None], wanted: dict[str, Candidate]
    ) -> None:
        self.deadline = deadline
        self.wake = wake
        self.wanted = wanted
        self.candidate: Candidate | None = None


class Places:
    """`counts`: requests in flight by credential id, places held for tickets included."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._queues: dict[str, dict[Ticket, None]] = {}
        self._held: dict[int, Ticket] = {}

    def full(self, credential: Credential) -> bool:
        """Whether every place is taken, or will be by those who wait."""
        return credential.in_flight > 0 and (
            self._taken(credential) or credential.id in self._queues
        )

    def _taken(self, credential: Credential) -> bool:
        return 0 < credential.in_flight <= self.counts.get(credential.id, 0)

    def can_wait(self, credential: Credential) -> bool:
        """Whether every place is taken and its queue has room."""
        queue = self._queues.get(credential.id, ())
        return self.full(credential) and len(queue) < credential.queue

    def held(self, candidate: Candidate) -> bool:
        """Whether this is a place that waits to be taken by the ticket it was given to."""
        return bool(self._held) and id(candidate) in self._held

    def take(self, candidate: Candidate) -> None:
        """Takes a place; one that is held for a ticket is already counted."""
        if self._held and self._held.pop(id(candidate), None) is not None:
            return
        key = candidate.credential.id
        self.counts[key] = self.counts.get(key, 0) + 1

    def give_back(self, candidate: Candidate) -> None:
        """Frees a place and hands it to the first who waits for it."""
        key = candidate.credential.id
        count = self.counts[key] - 1
        if count:
            self.counts[key] = count
        else:
            del self.counts[key]
        if self._queues and key in self._queues:
            newest = next(reversed(self._queues[key]))
            self._serve(newest.wanted[key].credential)

    def _serve(self, credential: Credential) -> None:
        """Gives free places to those who wait, in order. `credential`: as the newest who asked knows
        it, since a reload may have changed its limit."""
        key = credential.id
        while key in self._queues and not self._taken(credential):
            ticket = next(iter(self._queues[key]))
            self._forget(ticket)
            self._give(ticket, ticket.wanted[key])

    def _give(self, ticket: Ticket, candidate: Candidate) -> None:
        key = candidate.credential.id
        self.counts[key] = self.counts.get(key, 0) + 1
        ticket.candidate = replace(candidate)
        self._held[id(ticket.candidate)] = ticket
        ticket.wake()

    def enqueue(
        self, candidates: list[Candidate], now: float, wake: Callable[[], None]
    ) -> Ticket | None:
        """A ticket for the first place that any of these credentials has, maybe at once; None if none
        is free and no queue has room."""
        wanted: dict[str, Candidate] = {}
        longest = 0.0
        for candidate in candidates:
            credential = candidate.credential
            self._serve(credential)
            if not self._taken(credential):
                ticket = Ticket(now, wake, {})
                self._give(ticket, candidate)
                return ticket
            if len(self._queues.get(credential.id, ())) < credential.queue:
                wanted.setdefault(credential.id, candidate)
                longest = max(longest, credential.queue_wait)
        if not wanted:
            return None
        ticket = Ticket(now + longest, wake, wanted)
        for key in wanted:
            self._queues.setdefault(key, {})[ticket] = None
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """The waiting is over, however it ended; a place that was given and not taken goes on."""
        self._forget(ticket)
        candidate = ticket.candidate
        if candidate is not None and self._held.pop(id(candidate), None) is not None:
            self.give_back(candidate)

    def _forget(self, ticket: Ticket) -> None:
        for key in ticket.wanted:
            queue = self._queues.get(key)
            if queue is not None:
                queue.pop(ticket, None)
                if not queue:
                    del self._queues[key]

    def dismiss(self, key: str, rests: Callable[[Candidate], bool]) -> None:
        """A credential went to rest: who waited for it and nothing else is told so."""
        for ticket in list(self._queues.get(key, ())):
            if not rests(ticket.wanted[key]):
                continue
            if len(ticket.wanted) == 1:
                self._forget(ticket)
                ticket.wake()
            else:
                del self._queues[key][ticket]
                if not self._queues[key]:
                    del self._queues[key]
                del ticket.wanted[key]

    def waiting(self, key: str) -> int:
        """How many wait for a place here."""
        return len(self._queues.get(key, ()))

    def room_at(self, key: str) -> float | None:
        """When the first who waits here gives up at the latest; None if nobody waits."""
        return min((ticket.deadline for ticket in self._queues.get(key, ())), default=None)
