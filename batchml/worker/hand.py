"""What a worker holds: assignments not yet started, attempts to give back, outcomes to deliver."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from batchml.worker.courier import Request

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from batchml.core.attempt import Assignment, Outcome

__all__ = ["Hand"]

_HEAVY = 1 << 22
"""Bytes: outcomes that take more do not wait for others."""
_MOST = 1 << 24
"""Bytes: no more than these, or than one outcome, go to the registry at once, which copies them several times."""


class Hand:
    """The worker's books. Every open attempt of the worker is in exactly one place: here, in the pool, or on its way.

    Attributes
    ----------
    backlog
        Assignments to start, in the order in which they came.
    suspect
        An assignment whose last worker died: it waits until nothing else runs. None in a pool that keeps suspects apart
        by itself: there they are like others.
    outbox
        Outcomes that the registry has not confirmed and that no request carries.
    oldest
        When the oldest outcome of the outbox came.
    """

    def __init__(self, *, keeps_apart: bool = False) -> None:
        self._keeps_apart = keeps_apart
        self.backlog: deque[Assignment] = deque()
        self.suspect: Assignment | None = None
        self.outbox: list[Outcome] = []
        self._size = 0  # of the outbox, in bytes
        self.oldest = 0.0
        self.to_release: list[int] = []
        self.on_its_way: Request | None = None

    @property
    def settled(self) -> bool:
        """Whether the registry knows of everything that was given back."""
        return not self.to_release and not (self.on_its_way and self.on_its_way.released)

    @property
    def undelivered(self) -> list[Outcome]:
        """All outcomes that the registry has not confirmed, oldest first."""
        carried = self.on_its_way.outcomes if self.on_its_way else ()
        return [*carried, *self.outbox]

    def take(self, assignments: Iterable[Assignment]) -> None:
        """Add claimed work. Of several suspects one is kept: a death must be charged to the one that ran."""
        for assignment in assignments:
            if not assignment.alone or self._keeps_apart:
                self.backlog.append(assignment)
            elif self.suspect is None:
                self.suspect = assignment
            else:
                self.to_release.append(assignment.attempt_id)

    def release(self) -> None:
        """Give back everything that was not started."""
        self.to_release.extend(assignment.attempt_id for assignment in self.backlog)
        self.backlog.clear()
        if self.suspect is not None:
            self.to_release.append(self.suspect.attempt_id)
            self.suspect = None

    def release_backlog(self) -> None:
        """Give back what was not started, but keep the suspect."""
        self.to_release.extend(assignment.attempt_id for assignment in self.backlog)
        self.backlog.clear()

    def forget(self, attempts: Collection[int]) -> None:
        """Drop attempts that the registry has closed before they were started."""
        if any(assignment.attempt_id in attempts for assignment in self.backlog):
            self.backlog = deque(a for a in self.backlog if a.attempt_id not in attempts)
        if self.suspect is not None and self.suspect.attempt_id in attempts:
            self.suspect = None

    def put(self, outcomes: Sequence[Outcome], now: float) -> None:
        """Add what has ended."""
        if outcomes and not self.outbox:
            self.oldest = now
        self.outbox.extend(outcomes)
        self._size += sum(map(_size, outcomes))

    @property
    def heavy(self) -> bool:
        """Whether outcomes wait here that take much memory."""
        return self._size > _HEAVY

    def pack(self, *, want: int, reconcile: bool, now: float) -> Request:
        """Return a request that carries what there is to tell: everything, of large outcomes one or a few at a time."""
        number = len(self.outbox) if self._size <= _MOST else max(1, _together(self.outbox, _MOST))
        self.on_its_way = Request(
            outcomes=tuple(self.outbox[:number]),
            released=tuple(self.to_release),
            want=want,
            reconcile=reconcile,
            oldest=self.oldest if self.outbox else now,
        )
        self.outbox = self.outbox[number:]
        self._size = sum(map(_size, self.outbox))
        self.to_release = []
        return self.on_its_way

    def unpack(self) -> None:
        """Take back what an exchange without an answer carried: delivering twice is harmless, losing is not."""
        request = self.on_its_way
        if request is None:
            return
        if request.outcomes:
            self.oldest = request.oldest
        self.outbox = [*request.outcomes, *self.outbox]
        self._size += sum(map(_size, request.outcomes))
        self.to_release = [*request.released, *self.to_release]
        self.on_its_way = None

    def reconcile(self, seen: Sequence[Assignment], running: Collection[int]) -> list[int]:
        """Compare with the registry's view, which was taken while `on_its_way` was carried.

        Attempts that are open but not here were claimed by an exchange whose answer was lost: they are taken up. Those
        not started that are no longer open were given to somebody else: they are dropped and returned.
        """
        request = self.on_its_way
        reported = {outcome.attempt_id for outcome in self.undelivered}
        known = reported.union(running, self.to_release, request.released if request else ())
        waiting = {a.attempt_id for a in self.backlog}
        if self.suspect is not None:
            waiting.add(self.suspect.attempt_id)
        self.take(a for a in seen if a.attempt_id not in known and a.attempt_id not in waiting)
        gone = waiting.difference(a.attempt_id for a in seen)
        self.forget(gone)
        return sorted(gone)


def _together(outcomes: Sequence[Outcome], most: int) -> int:
    """Return how many outcomes, from the first, take at most so many bytes together."""
    total = 0
    for number, outcome in enumerate(outcomes):
        total += _size(outcome)
        if total > most:
            return number
    return len(outcomes)


def _size(outcome: Outcome) -> int:
    return 0 if outcome.result is None else outcome.result.size
