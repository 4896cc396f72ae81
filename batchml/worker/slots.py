"""Iterations in child processes of this machine: a pool of slots that survives whatever user code does in them."""

from __future__ import annotations

import math
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from batchml.core.attempt import Assignment, Ending, Outcome
from batchml.core.trust import Trust
from batchml.errors import PoolError
from batchml.execution.sandbox import proc
from batchml.execution.sandbox.family import IMPORTS, RUNNER, Family, Setup
from batchml.execution.sandbox.handle import Handle
from batchml.execution.sandbox.watch import Watch
from batchml.worker.endings import ended_outcome
from batchml.worker.experiments import Written
from batchml.worker.running import Running
from batchml.worker.seat import Seat
from batchml.worker.seating import Seating

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterable, Sequence

__all__ = ["SandboxPool"]

_STOPPED = 1.0
"""A pause of this process longer than this was a SIGSTOP or a suspended machine: limits are extended by it."""

_BEAT = 0.5
"""How often limits are looked at while there are any, so that a pause shows."""

_TEMPLATE_TRIES = 3
_STILLBIRTHS = 4
"""So many slots in a row, and one for each seat, may die before they are ready: then none ever will be."""
_NO_TEMPLATE = "the template of the slots cannot be started; see standard error"


class SandboxPool:
    """A pool of long-lived child processes (see `batchml.worker.pool.Pool`).

    Slots are started at once, without waiting for them; they are ready after the imports of their template, about the
    time of ``import sklearn.ensemble, pandas``. Nothing that user code made is unpickled here.

    Parameters
    ----------
    slots
        How many iterations run at once.
    artifacts
        The folder with the data of tasks.
    trust
        What specs may name; None for the default.
    paths
        Folders with the user's own modules.
    memory_mb
        Limit of one iteration with all its processes, None for none.
    timeout_s
        Limit of one iteration in wall time, None for none.
    runner, imports
        What runs an assignment in a slot, and what the template imports before it forks: for tests.
    family
        A template that was started before the rest was known; the pool closes it.
    devices
        What each slot sees as ``CUDA_VISIBLE_DEVICES``; none to leave that as it is.
    """

    def __init__(
        self,
        slots: int,
        artifacts: str | os.PathLike[str],
        trust: Trust | None = None,
        paths: Iterable[str | os.PathLike[str]] = (),
        *,
        memory_mb: float | None = None,
        timeout_s: float | None = None,
        runner: str = RUNNER,
        imports: Iterable[str] = IMPORTS,
        family: Family | None = None,
        devices: Sequence[str] = (),
    ) -> None:
        setup = Setup(
            role="worker",
            artifacts=str(artifacts),
            trust=(trust or Trust.default()).prefixes,
            paths=tuple(str(Path(path).resolve()) for path in paths),
            imports=tuple(imports),
            runner=runner,
        )
        self._done: list[Outcome] = []
        self._experiments = Written()
        self._template_deaths = 0
        self._stillbirths = 0
        self._broken: str | None = None
        self._orphans_due = False
        self._closed = False
        proc.adopt_orphans()
        self._watch = Watch()
        self._family = family or Family(setup)
        if family is not None:
            family.tell(setup)
        self._watch.add(self._family.pidfd, self._template_died)
        memory = self._bytes(memory_mb)
        self._lobby: deque[Running] = deque()
        self._seating = Seating(self._lobby)
        self._seats = self._seating.seats = [
            Seat(
                Handle(self._family, memory, devices[place] if devices else ""),
                self._watch,
                timeout_s,
                deliver=self._deliver,
                give_back=self._lobby.appendleft,
            )
            for place in range(slots)
        ]
        for seat in self._seats:
            seat.on_keeper_death = self._keeper_died
            seat.on_birth = self._born

    # -- the protocol --------------------------------------------------------------------------------------------

    @property
    def slots(self) -> int:
        """How many iterations run at once."""
        return len(self._seats)

    @property
    def free(self) -> int:
        """How many more assignments would start at once or, behind jobs of milliseconds, almost."""
        return self._seating.places(1) if self._open else 0

    @property
    def room(self) -> int:
        """How many more assignments can be taken: behind jobs of milliseconds, some milliseconds of work."""
        return self._seating.places() if self._open else 0

    @property
    def _open(self) -> bool:
        return not self._closed and self._broken is None

    @property
    def solos(self) -> int:
        """None: the death of this process is the death of all slots."""
        return 0

    @property
    def running(self) -> Collection[int]:
        """Attempt ids that were submitted and have not come back."""
        ids = [running.assignment.attempt_id for running in self._seating.held()]
        return [*ids, *(outcome.attempt_id for outcome in self._done)]

    def limit(self, *, memory_mb: float | None = None, timeout_s: float | None = None) -> None:
        """Set the limits of iterations, before the first of them is submitted."""
        assert not self.running
        memory = self._bytes(memory_mb)
        for seat in self._seats:
            seat.limit(memory, timeout_s)

    def _bytes(self, memory_mb: float | None) -> int | None:
        if memory_mb is None:
            return None
        self._family.limit_memory()
        return int(memory_mb * 2**20)

    def submit(self, assignment: Assignment) -> None:
        """Start an assignment. Raises RuntimeError if there is no room."""
        if self.room == 0:
            raise RuntimeError("no slot is free")
        self._lobby.append(Running(assignment, *self._experiments.of(assignment.experiment)))
        self._seating.hand_out()

    def fileno(self) -> int:
        """A descriptor that becomes readable when `wait(0)` may have news."""
        return self._watch.fileno()

    def wait(self, timeout: float) -> list[Outcome]:
        """Return what has ended, waiting at most `timeout` seconds for the first; enforce limits and reap meanwhile.

        Raises
        ------
        PoolError
            No slot comes up any more; all that was submitted has been returned before.
        """
        if self._broken is not None and not self._done:
            raise PoolError(self._broken)
        now = time.monotonic()
        end = now + timeout
        while True:
            self._watch.poll(0.0 if self._done else max(0.0, end - now))
            now = time.monotonic()
            if now >= self._watch.alarm:
                self._enforce(now)
            if self._orphans_due:
                self._sweep()
            self._seating.dispatch()
            self._set_alarm(now)
            if self._broken is not None:
                self._watch.wake_at(now)  # to be told at once, by the next call
            if self._done or now >= end:
                done = self._done.copy()
                self._done.clear()
                return done

    def cancel(self, attempt_id: int, ending: Ending) -> None:
        """End one attempt; its outcome, with that ending, comes by `wait`. Unknown ids are ignored."""
        for seat in self._seats:
            if any(running.assignment.attempt_id == attempt_id for running in seat.queued) and not seat.recall():
                seat.hear()  # it has begun, and so what ran before it has been reported
            if seat.running is not None and seat.running.assignment.attempt_id == attempt_id:
                seat.end(ending)
        for running in [running for running in self._lobby if running.assignment.attempt_id == attempt_id]:
            self._lobby.remove(running)
            self._done.append(ended_outcome(running.assignment, ending))
            self._watch.wake_at(time.monotonic())

    def recall(self) -> None:
        """Give back what has not begun; what waits behind a job of milliseconds may as well run."""
        while self._lobby:
            self._done.append(ended_outcome(self._lobby.popleft().assignment, Ending.RELEASED))
            self._watch.wake_at(time.monotonic())

    def close(self) -> list[Outcome]:
        """End everything at once and free it; return the outcomes (`preempted`) of what ran."""
        if self._closed:
            return []
        self._watch.poll(0.0)  # what has just finished counts
        self._closed = True
        keepers = [seat.handle.keeper for seat in self._seats if seat.handle.keeper is not None]
        for seat in self._seats:
            self._lobby.extend(seat.queued)
            if seat.running is not None:
                seat.finish(seat.running.ending or Ending.PREEMPTED, seat.running.reason)
            seat.handle.close()
        self._family.close(keepers)
        self._watch.close()
        waiting = [ended_outcome(running.assignment, Ending.PREEMPTED) for running in self._lobby]
        return [*self._done, *waiting]

    def _deliver(self, outcome: Outcome, experiment: int) -> None:
        self._done.append(outcome)
        self._seating.note(experiment, outcome.wall_s)

    # -- limits --------------------------------------------------------------------------------------------------

    def _enforce(self, now: float) -> None:
        late = now - self._watch.alarm
        self._watch.wake_at(math.inf)
        if late > _STOPPED:  # nobody's limit runs while this process does not: SIGSTOP, `scontrol suspend`
            for seat in self._seats:
                if seat.running is not None:
                    seat.running.postpone(min(late, now - seat.running.started))
        for seat in self._seats:
            seat.enforce(now)
        if self._seating.release_stalled(now):
            self.recall()

    def _set_alarm(self, now: float) -> None:
        """Have `wait` look at the slots when something is due, and now and then while anything runs."""
        alarm = self._watch.alarm
        for seat in self._seats:
            alarm = min(alarm, seat.next())
        if alarm == math.inf and any(seat.running is not None for seat in self._seats):
            alarm = now + _BEAT
        if alarm != self._watch.alarm:
            self._watch.wake_at(min(alarm, now + _BEAT))

    # -- the family ----------------------------------------------------------------------------------------------

    def _template_died(self) -> None:
        self._watch.drop(self._family.pidfd)
        self._template_deaths += 1
        if self._template_deaths > _TEMPLATE_TRIES and not any(seat.handle.up for seat in self._seats):
            self._give_up(_NO_TEMPLATE)
            return
        self._family.restart()
        self._watch.add(self._family.pidfd, self._template_died)
        for seat in self._seats:
            if not seat.handle.born:
                seat.rebirth()

    def _born(self, words: str | None) -> None:
        """Count slots that died before they were ready: None for one that is, else its last words."""
        self._stillbirths = 0 if words is None else self._stillbirths + 1
        if self._stillbirths >= _STILLBIRTHS + len(self._seats):
            why = f"{self._stillbirths} slots in a row died before their first job{words and f': {words}'}"
            # Slots that are asked of a template which is about to die are born dead, too.
            self._give_up(_NO_TEMPLATE if self._template_deaths else why)

    def _give_up(self, reason: str) -> None:
        """Take nothing any more, and give back all there is: it is not the jobs' fault."""
        if self._broken is not None:
            return
        self._broken = reason
        for seat in self._seats:
            self._lobby.extend(seat.queued)
            seat.queued.clear()
            seat.finish(Ending.INFRASTRUCTURE, reason)
        self._done += [ended_outcome(running.assignment, Ending.INFRASTRUCTURE, reason) for running in self._lobby]
        self._lobby.clear()
        self._watch.wake_at(time.monotonic())

    def _keeper_died(self, seat: Seat) -> None:
        self._sweep()
        seat.rebirth()

    def _sweep(self) -> None:
        """Kill what a dead keeper left to us. One that is just being born is no orphan: look again when it is known."""
        keepers = [seat.handle.keeper for seat in self._seats if seat.handle.born and seat.handle.keeper is not None]
        self._orphans_due = len(keepers) < len(self._seats)
        if self._orphans_due and any(not seat.handle.born and seat.handle.keeper is None for seat in self._seats):
            return
        self._family.end_orphans(keepers)
