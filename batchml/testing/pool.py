"""A pool and a courier for which time is a number."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from batchml.core.attempt import Assignment, Ending, Outcome
from batchml.testing.memory import make_outcome
from batchml.worker.courier import Reply, Request, carry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from batchml.worker.channel import Channel

__all__ = ["FakePool", "PromptCourier"]


class PromptCourier:
    """A courier without a thread: the reply is there at once, or `latency` later by the given clock."""

    def __init__(self, channel: Channel, *, clock: Callable[[], float] | None = None, latency: float = 0.0) -> None:
        self._channel = channel
        self._clock = clock or (lambda: 0.0)
        self._latency = latency
        self._reply: tuple[float, Reply] | None = None

    def post(self, request: Request) -> None:
        """Carry the request."""
        assert self._reply is None, "one request at a time"
        self._reply = (self._clock() + self._latency, carry(self._channel, request))

    def take(self) -> Reply | None:
        """Return the reply once its time has come."""
        if self._reply is None or self._clock() < self._reply[0]:
            return None
        reply = self._reply[1]
        self._reply = None
        return reply

    @property
    def due(self) -> float | None:
        """When the reply comes."""
        return None if self._reply is None else self._reply[0]

    def fileno(self) -> int:
        """There is nothing to poll."""
        return -1

    def close(self, reason: str, timeout: float) -> bool:  # noqa: ARG002 - part of the seam
        """Close the channel."""
        self._channel.close(reason)
        return True


class FakePool:
    """A pool in which time is a number: iterations take as long as `seconds` says.

    Parameters
    ----------
    seconds
        Duration of an assignment.
    ending
        How it ends.
    """

    def __init__(
        self,
        slots: int = 2,
        *,
        seconds: Callable[[Assignment], float] = lambda _: 0.001,
        ending: Callable[[Assignment], Ending] = lambda _: Ending.DONE,
    ) -> None:
        self.now = 0.0
        self.started: list[Assignment] = []
        self.most_at_once = 0
        self.closed = False
        self._slots = slots
        self._seconds = seconds
        self._ending = ending
        self._ends: list[tuple[float, int]] = []
        self._running: dict[int, Assignment] = {}
        self._news: list[Outcome] = []

    @property
    def slots(self) -> int:
        """How many iterations run at once."""
        return self._slots

    @property
    def free(self) -> int:
        """How many more assignments would start at once."""
        return self._slots - len(self._running)

    @property
    def room(self) -> int:
        """What it takes starts at once."""
        return self.free

    @property
    def solos(self) -> int:
        """None: a suspect has the pool for itself."""
        return 0

    @property
    def running(self) -> Collection[int]:
        """Attempts that have not come back."""
        return self._running.keys()

    def clock(self) -> float:
        """The pool's own time in seconds."""
        return self.now

    def pause(self, timeout: float, until: Iterable[float | None] = ()) -> None:
        """Let time pass until something ends, at most `timeout` seconds."""
        ends = [self.now + timeout, *(moment for moment in until if moment is not None)]
        ends += [self._ends[0][0]] if self._ends else []
        self.now = max(self.now + 1e-6, min(ends))

    def submit(self, assignment: Assignment) -> None:
        """Start an assignment."""
        if not self.free:
            raise RuntimeError("no slot is free")
        assert not any(a.alone for a in self._running.values()), "a suspect runs alone"
        assert not (assignment.alone and self._running), "a suspect runs alone"
        self.started.append(assignment)
        self._running[assignment.attempt_id] = assignment
        self.most_at_once = max(self.most_at_once, len(self._running))
        heapq.heappush(self._ends, (self.now + self._seconds(assignment), assignment.attempt_id))

    def wait(self, timeout: float) -> list[Outcome]:
        """Return what has ended."""
        if timeout:
            self.pause(timeout)
        while self._ends and self._ends[0][0] <= self.now:
            self._finish(heapq.heappop(self._ends)[1], None)
        news, self._news = self._news, []
        return news

    def fileno(self) -> int:
        """There is nothing to poll."""
        return -1

    def cancel(self, attempt_id: int, ending: Ending) -> None:
        """End one attempt."""
        self._finish(attempt_id, ending)

    def recall(self) -> None:
        """Everything begins at once."""

    def close(self) -> list[Outcome]:
        """End everything."""
        self.closed = True
        for attempt in list(self._running):
            self._finish(attempt, Ending.PREEMPTED)
        return self.wait(0)

    def _finish(self, attempt_id: int, ending: Ending | None) -> None:
        assignment = self._running.pop(attempt_id, None)
        if assignment is not None:
            ending = ending or self._ending(assignment)
            self._news.append(make_outcome(assignment, ending, wall_s=self._seconds(assignment)))
