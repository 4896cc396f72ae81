"""The work of a worker: what it holds, what runs in its pool, and how much more it wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchml.worker.hand import Hand
from batchml.worker.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchml.core.attempt import Assignment, Outcome
    from batchml.worker.ledger import Ledger
    from batchml.worker.pool import Pool
    from batchml.worker.rhythm import Rhythm
    from batchml.worker.settings import Settings

__all__ = ["Work"]


class Work:
    """Assignments on their way through a worker: from the hand to the pool and, as outcomes, back.

    Attributes
    ----------
    hand
        What is not in the pool.
    running
        Attempts in the pool, with their experiments.
    alone
        The suspect that runs, if one does.
    progress_at
        When something ended last, or began after nothing had run.
    finished
        Outcomes that the pool gave back.
    """

    def __init__(self, pool: Pool, settings: Settings, ledger: Ledger, now: float) -> None:
        self._pool = pool
        self._stall_s = settings.stall_s
        self._ledger = ledger
        self._pace = Pace(settings.ahead_s)
        self.hand = Hand(keeps_apart=pool.solos > 0)
        self.running: dict[int, int] = {}
        self.alone: int | None = None
        self.progress_at = now
        self.finished = 0

    @property
    def busy(self) -> bool:
        """Whether anything is in hand."""
        hand = self.hand
        return bool(self.running or hand.backlog or hand.suspect or hand.outbox or hand.on_its_way)

    @property
    def stalls_at(self) -> float | None:
        """When what was not started goes back, should nothing end until then; None if nothing waits behind others."""
        return self.progress_at + self._stall_s if self.hand.backlog and not self._pool.room else None

    def take(self, assignments: Sequence[Assignment], now: float) -> None:
        """Add newly claimed work."""
        if not self.hand.backlog and not self.running:
            self.progress_at = now
        self._pace.expect(assignments)
        self.hand.take(assignments)

    def collect(self, outcomes: Sequence[Outcome], now: float) -> None:
        """Put what has ended among what is to be delivered."""
        if not outcomes:
            return
        self.progress_at = now
        self.finished += len(outcomes)
        for outcome in outcomes:
            experiment = self.running.pop(outcome.attempt_id, None)
            if experiment is not None:
                self._pace.measure(experiment, outcome)
            if outcome.attempt_id == self.alone:
                self.alone = None
        self.hand.put(outcomes, now)

    def delivered(self, outcomes: Sequence[Outcome]) -> None:
        """The registry has these."""
        self._ledger.settle(outcome.attempt_id for outcome in outcomes)

    def feed(self, rhythm: Rhythm, now: float) -> None:
        """Start what can start. A suspect has the worker for itself, and nothing else may be open when it dies."""
        hand = self.hand
        if self.alone is not None:
            hand.release_backlog()
            return
        if hand.suspect is not None:
            hand.release_backlog()
            self._pool.recall()
            if not self.running and hand.settled:
                self.alone = hand.suspect.attempt_id
                self._start(hand.suspect)
                hand.suspect = None
                self.progress_at = now
            return
        if not hand.backlog or rhythm.distrusts(now):
            return
        while hand.backlog and self._pool.room:
            self._start(hand.backlog.popleft())

    def _start(self, assignment: Assignment) -> None:
        self._ledger.start(assignment.attempt_id)
        self.running[assignment.attempt_id] = assignment.experiment.id
        self._pool.submit(assignment)

    def give_back_stalled(self, now: float) -> None:
        """Give back what others could run now, and remember how slow this work is."""
        stalls_at = self.stalls_at
        if stalls_at is None or now < stalls_at:
            return
        for assignment in self.hand.backlog:
            self._pace.stall(assignment.experiment.id, now - self.progress_at)
        self.hand.release_backlog()

    def want(self, *, short: bool, due: bool) -> int:
        """How many jobs to claim now: none, unless half of the work ahead is used up or a slot is free.

        A claim is half as much again as the work ahead, and an exchange that is `due` anyway takes along what is
        missing: so short jobs cost one exchange in the time in which outcomes may wait, not one to claim and one to
        deliver. `short`: the queue nears its end.
        """
        hand = self.hand
        if self.alone is not None or hand.suspect is not None:
            return 0
        slots = self._pool.slots
        target = self._pace.target(slots)
        ahead = len(hand.backlog)
        if target is None:
            return max(self._pool.free - ahead, 0)
        held = len(self.running) + ahead
        # Near the end of the queue the registry shares out the rest: asking again and again would undo that.
        enough = min(target // 2, 2 * slots - 1) if short else target if due else target // 2
        if ahead and held > enough:
            return 0
        free = self._pool.free - ahead
        if free <= 0 and held > enough:
            return 0
        return max(target + (target - slots) // 2 - held, free, 0)
