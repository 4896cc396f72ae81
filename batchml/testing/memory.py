"""A registry and a channel in memory, with faults on demand."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchml.core.attempt import Assignment, Ending, Exchange, Experiment, JobResult, Order, Outcome
from batchml.errors import PoisonedError
from batchml.worker.channel import ChannelError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MemoryChannel", "MemoryRegistry", "make_experiment", "make_outcome"]

_REQUEUED = {Ending.LOST, Ending.INFRASTRUCTURE, Ending.PREEMPTED, Ending.RELEASED}
_STATE = {Ending.DONE: "done", Ending.CANCELLED: "cancelled"} | dict.fromkeys(_REQUEUED, "queued")
_LARGEST = 2**63  # what databases take for an integer


def make_experiment(number: int = 1) -> Experiment:
    """Return an experiment that names nothing real."""
    return Experiment(
        id=number,
        digest=f"{number:064x}",
        task={"key": "none"},
        learner={"key": "none"},
        policy={},
        resampling={"key": "cv", "params": {"folds": 10}},
        measures=((1, {"key": "classif.acc"}),),
        seed=1,
    )


def make_outcome(assignment: Assignment, ending: Ending = Ending.DONE, *, wall_s: float = 0.001) -> Outcome:
    """Return how an assignment might have ended, with a small result if it ended well."""
    done = JobResult(completeness="full", predictions={"test": b"bytes"}, scores=((1, 0.5),), n=10)
    return Outcome(
        attempt_id=assignment.attempt_id,
        job_id=assignment.job_id,
        ending=ending,
        wall_s=wall_s,
        message=None if ending is Ending.DONE else str(ending),
        result=done if ending is Ending.DONE else None,
    )


@dataclass(slots=True, kw_only=True)
class _Attempt:
    job_id: int
    worker: int
    alone: bool
    ending: Ending | None = None


@dataclass(slots=True, kw_only=True)
class _Job:
    iteration: int
    experiment: Experiment
    state: str = "queued"
    suspect: bool = False
    losses_alone: int = 0
    endings: list[Ending] = field(default_factory=list)


class MemoryRegistry:
    """Jobs and attempts in memory, with the rules of the real registry that a worker can notice.

    Parameters
    ----------
    jobs
        How many jobs are queued at the start; ids count from 1.
    experiments
        The jobs are dealt to so many experiments, one after the other.
    live_slots
        Slots of all workers together: near the end of the queue a claim gives at most half of each one's share.
    """

    def __init__(self, jobs: int = 0, *, experiments: int = 1, live_slots: int = 2) -> None:
        self._live_slots = live_slots
        self.jobs: dict[int, _Job] = {}
        self.attempts: dict[int, _Attempt] = {}
        self.outcomes: dict[int, Outcome] = {}
        self.order: dict[int, Order] = {}
        self.cancel_orders: dict[int, list[int]] = {}
        self._open: dict[int, int] = {}
        self._queue: deque[int] = deque()
        self._suspects: deque[int] = deque()
        cells = [make_experiment(number) for number in range(1, experiments + 1)]
        for number in range(jobs):
            self.jobs[number + 1] = _Job(iteration=number, experiment=cells[number * experiments // jobs])
            self._queue.append(number + 1)

    @property
    def waiting(self) -> int:
        """Jobs that can be claimed."""
        return len(self._queue) + len(self._suspects)

    def states(self) -> dict[int, str]:
        """Return the state of every job."""
        return {number: job.state for number, job in self.jobs.items()}

    def claim(self, worker: int, want: int) -> list[Assignment]:
        """Open attempts. A suspect is given alone, to a worker that has nothing open."""
        if want and self._suspects and not self._held(worker) and (want == 1 or not self._queue):
            return [self._open_attempt(self._suspects.popleft(), worker, alone=True)]
        count = min(want, math.ceil(len(self._queue) / (2 * self._live_slots)))
        return [self._open_attempt(self._queue.popleft(), worker, alone=False) for _ in range(count)]

    def close(self, outcome: Outcome) -> bool:
        """Close an attempt; False if it was closed in another way before."""
        attempt = self.attempts.get(outcome.attempt_id)
        if attempt is None:
            return False
        if attempt.ending is not None:
            return attempt.ending is outcome.ending
        self.outcomes[outcome.attempt_id] = outcome
        self._end(attempt, outcome.ending)
        return True

    def release(self, attempt_id: int) -> None:
        """Queue an unstarted job again."""
        attempt = self.attempts.get(attempt_id)
        if attempt is not None and attempt.ending is None:
            self._end(attempt, Ending.RELEASED)

    def cancel(self, job_id: int) -> None:
        """Cancel a job; its worker learns of it by its orders."""
        self.jobs[job_id].state = "cancelled"
        for key, attempt in self.attempts.items():
            if attempt.job_id == job_id and attempt.ending is None:
                attempt.ending = Ending.CANCELLED
                self.cancel_orders.setdefault(attempt.worker, []).append(key)
        self._open.pop(job_id, None)
        if job_id in self._queue:
            self._queue.remove(job_id)

    def lose(self, worker: int) -> None:
        """The worker is dead: what it held is queued again, suspect."""
        for key in self._held(worker):
            self._end(self.attempts[key], Ending.LOST)

    def open_attempts(self, worker: int) -> list[Assignment]:
        """Return what the worker holds."""
        return [self._assignment(key) for key in self._held(worker)]

    def _held(self, worker: int) -> list[int]:
        return [key for key in self._open.values() if self.attempts[key].worker == worker]

    def _open_attempt(self, job_id: int, worker: int, *, alone: bool) -> Assignment:
        key = len(self.attempts) + 1
        self.attempts[key] = _Attempt(job_id=job_id, worker=worker, alone=alone)
        self.jobs[job_id].state = "running"
        self._open[job_id] = key
        return self._assignment(key)

    def _assignment(self, key: int) -> Assignment:
        attempt = self.attempts[key]
        job = self.jobs[attempt.job_id]
        return Assignment(
            attempt_id=key,
            job_id=attempt.job_id,
            iteration=job.iteration,
            experiment=job.experiment,
            alone=attempt.alone,
        )

    def _end(self, attempt: _Attempt, ending: Ending) -> None:
        attempt.ending = ending
        self._open.pop(attempt.job_id, None)
        job = self.jobs[attempt.job_id]
        job.endings.append(ending)
        job.state = _STATE.get(ending, "error")
        if ending is Ending.LOST:
            job.suspect = True
            job.losses_alone += attempt.alone
            if job.losses_alone:
                job.state = "error"
        if job.state == "queued":
            (self._suspects if job.suspect else self._queue).append(attempt.job_id)


class MemoryChannel:
    """A channel to a `MemoryRegistry`, with faults on demand.

    Attributes
    ----------
    fail_before, fail_after
        So many of the next calls fail before or after their transaction was committed; the worker cannot tell.
    calls
        The requests so far: outcomes, released, want.
    """

    def __init__(self, registry: MemoryRegistry, worker: int = 1) -> None:
        self.registry = registry
        self.worker = worker
        self.fail_before = 0
        self.fail_after = 0
        self.calls: list[tuple[int, int, int]] = []
        self.closed: str | None = None

    def exchange(self, outcomes: Sequence[Outcome], released: Sequence[int], want: int) -> Exchange:
        """See `Channel.exchange`."""
        self.calls.append((len(outcomes), len(released), want))
        if self.fail_before:
            self.fail_before -= 1
            raise ChannelError("the registry did not answer")
        for outcome in outcomes:
            _refuse_poison(outcome)
        answer = self._commit(outcomes, released, want)
        if self.fail_after:
            self.fail_after -= 1
            raise ChannelError("the answer was lost")
        return answer

    def open_attempts(self) -> Sequence[Assignment]:
        """See `Channel.open_attempts`."""
        if self.fail_before:
            self.fail_before -= 1
            raise ChannelError("the registry did not answer")
        return self.registry.open_attempts(self.worker)

    def close(self, reason: str) -> None:
        """See `Channel.close`."""
        self.closed = reason

    def _commit(self, outcomes: Sequence[Outcome], released: Sequence[int], want: int) -> Exchange:
        registry = self.registry
        lost = tuple(outcome.attempt_id for outcome in outcomes if not registry.close(outcome))
        for attempt in released:
            registry.release(attempt)
        assignments = tuple(registry.claim(self.worker, want))
        return Exchange(
            assignments=assignments,
            lost=lost,
            order=registry.order.get(self.worker, Order.GO_ON),
            cancel=tuple(registry.cancel_orders.pop(self.worker, ())),
            waiting=registry.waiting,
        )


def _refuse_poison(outcome: Outcome) -> None:
    if (outcome.threads or 0) >= _LARGEST:
        raise PoisonedError(f"attempt {outcome.attempt_id}: integer out of range")
