"""One slot of a pool and the attempt in it: its limits, its end, and what follows from news about it."""

from __future__ import annotations

import contextlib
import math
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchml.core.attempt import Assignment, Ending, Outcome
from batchml.worker.endings import ended_outcome, exit_outcome, frame_outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchml.execution.sandbox.handle import Handle
    from batchml.execution.sandbox.protocol import Frame
    from batchml.execution.sandbox.watch import Watch

__all__ = ["Running", "Seat"]

_HARD = 0.3
"""Seconds that Python code has to notice its limit by itself before its process is ended."""

_LINK = 1.0
"""Seconds between a slot's silence (its link is closed) and the end that it is given if it is not dead by then."""

_END_PATIENCE = 4.0
"""Seconds that a keeper has to end its slot (stack dump, TERM, 0.5 s, KILL) before it is killed itself."""

_REST = 0.005
"""Seconds between two looks at a log that is being written: one wake-up for many lines."""

_BUSY_LOG = 256 * 1024


@dataclass(slots=True)
class Running:
    """An attempt in a slot; times are monotonic seconds.

    Attributes
    ----------
    deadline, limit
        When the present stage must be over, and the seconds that it was given.
    last_call
        When the whole job must be over.
    ending, reason
        Why it is being ended, None as long as it may run.
    kill_at
        When the keeper is killed if the slot has not been ended by then.
    """

    assignment: Assignment
    key: str
    experiment: bytes
    started: float = field(default_factory=time.monotonic)
    deadline: float = math.inf
    limit: float | None = None
    last_call: float = math.inf
    ending: Ending | None = None
    reason: str = ""
    kill_at: float = math.inf

    def next(self) -> float:
        """Return when something has to be done about it."""
        return self.kill_at if self.ending is not None else min(self.deadline, self.last_call)

    def postpone(self, seconds: float) -> None:
        """Give back the time in which this process was stopped."""
        self.deadline += seconds
        self.last_call += seconds
        self.kill_at += seconds


class Seat:
    """A slot with its attempt.

    Parameters
    ----------
    handle
        The slot.
    watch
        Where its descriptors are watched.
    timeout_s
        Limit of a job in wall time, None for none.
    deliver
        Takes outcomes.
    oom
        Says whether the kernel has killed for want of memory since it was last asked.
    """

    def __init__(
        self,
        handle: Handle,
        watch: Watch,
        timeout_s: float | None,
        deliver: Callable[[Outcome], None],
        oom: Callable[[], bool],
    ) -> None:
        self.handle = handle
        self.running: Running | None = None
        self._watch = watch
        self._timeout_s = timeout_s
        self._deliver = deliver
        self._oom = oom
        self._rested = math.inf
        self.on_keeper_death: Callable[[Seat], None] = Seat.rebirth
        self._listen()

    # -- life ----------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        self._watch.add(self.handle.control.fileno(), self._hear_keeper)
        self._listen_slot()

    def _listen_slot(self) -> None:
        self._rested = math.inf
        self._watch.add(self.handle.link.fileno(), self._hear_slot)
        self._watch.add(self.handle.sink.fd, self._hear_log)

    def _deafen(self) -> None:
        self._watch.drop(self.handle.link.fileno())
        self._watch.drop(self.handle.sink.fd)

    def renew(self) -> None:
        """Replace the slot process."""
        self._deafen()
        self.handle.renew()
        self._listen_slot()

    def rebirth(self) -> None:
        """Replace a keeper that is dead or was never born; an attempt that never started is sent again."""
        self._deafen()
        self._watch.drop(self.handle.control.fileno())
        if self.handle.pidfd is not None:
            self._watch.drop(self.handle.pidfd)
        self.handle.rebirth()
        self._listen()
        if self.running is not None:
            self._send(self.running)

    def start(self, assignment: Assignment, key: str, experiment: bytes) -> None:
        """Run an assignment, in a fresh process if the last one is gone."""
        if not self.handle.alive:
            self.renew()
        self.running = Running(assignment, key, experiment)
        self._send(self.running)

    def _send(self, running: Running) -> None:
        assignment = running.assignment
        self.handle.start(assignment.attempt_id, assignment.iteration, running.key, running.experiment)
        if self.handle.up:
            self._job_limit()

    def _job_limit(self) -> None:
        if self.running is not None and self._timeout_s is not None:
            self.running.last_call = time.monotonic() + self._timeout_s

    # -- ends ----------------------------------------------------------------------------------------------------

    def end(self, ending: Ending, reason: str = "", *, dump: bool = False) -> None:
        """Have the attempt ended; its outcome comes when its processes are gone."""
        running = self.running
        if running is None or running.ending is not None:
            return
        running.ending, running.reason = ending, reason
        running.kill_at = time.monotonic() + _END_PATIENCE
        self.handle.end(dump=dump)

    def enforce(self, now: float) -> None:
        """Do what is due."""
        if now >= self._rested:
            self._rested = math.inf
            self._watch.rest(self.handle.sink.fd, on=False)
        running = self.running
        if running is None or now < running.next():
            return
        if running.ending is not None:  # the keeper does not answer: stopped or killed by user code
            running.kill_at = now + _END_PATIENCE
            self.handle.kill()
        elif self.handle.link_ended:
            self.end(Ending.CRASHED, "the process closed its link to the supervisor and went on")
        elif now >= running.deadline:
            self.end(Ending.TIMEOUT, f"reached elapsed time limit of {running.limit:g} s", dump=True)
        else:
            self.end(Ending.TIMEOUT, f"reached the job's time limit of {self._timeout_s:g} s", dump=True)

    def next(self) -> float:
        """Return when `enforce` has something to do."""
        return min(self._rested, math.inf if self.running is None else self.running.next())

    def finish(self, ending: Ending, reason: str = "") -> None:
        """Deliver the outcome of an attempt that was, or is being, ended on purpose."""
        if self.running is not None:
            running = self.running
            self._over(ended_outcome(running.assignment, ending, reason, self._log(), self._wall_s(running)))

    def _over(self, outcome: Outcome) -> None:
        self.running = None
        self._deliver(outcome)

    def _log(self) -> str:
        while self.handle.sink.drain():
            pass
        return self.handle.sink.take()

    @staticmethod
    def _wall_s(running: Running) -> float:
        return time.monotonic() - running.started

    # -- news ----------------------------------------------------------------------------------------------------

    def _hear_log(self) -> None:
        sink = self.handle.sink
        if sink.drain() < _BUSY_LOG:
            self._watch.rest(sink.fd, on=True)
            self._rested = time.monotonic() + _REST
        if sink.ended:
            self._watch.drop(sink.fd)

    def _hear_slot(self) -> None:
        handle = self.handle
        for frame in handle.frames():
            kind, running = frame.header.get("t"), self.running
            if kind == "up":
                self._job_limit()
            elif running is None or frame.header.get("a") != running.assignment.attempt_id:
                continue
            elif kind == "done":
                self._report(running, frame)
            elif kind == "limit":
                seconds = frame.header.get("s")
                running.limit = seconds
                running.deadline = math.inf if seconds is None else time.monotonic() + seconds + _HARD
            if handle is not self.handle or handle.link_ended:
                break
        if handle.link_ended:
            self._watch.drop(handle.link.fileno())
            if self.running is not None and self.running.ending is None:
                self.running.last_call = time.monotonic() + _LINK

    def _report(self, running: Running, frame: Frame) -> None:
        log = self._log()
        try:
            outcome = frame_outcome(running.assignment, frame, log)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            reason = f"the process sent a report that makes no sense: {error!r:.200}"
            outcome = ended_outcome(running.assignment, Ending.CRASHED, reason, log, self._wall_s(running))
        # One that is being ended has finished first: that counts, but its process is on its way out.
        fresh = outcome.dirty or outcome.ending is Ending.CRASHED or running.ending is not None
        self._over(outcome)
        if fresh:
            self.renew()

    def _hear_keeper(self) -> None:
        handle = self.handle
        try:
            for frame in handle.news():
                kind = frame.header.get("t")
                if kind == "hello":
                    self._watch.add(handle.hello(frame.header["pid"]), self._keeper_died)
                elif frame.header.get("n") != handle.nonce:
                    continue
                elif kind == "exit":
                    self._slot_died(frame.header["status"])
                elif kind == "memory" and self.running is not None and self.running.ending is None:
                    self.running.ending = Ending.OUT_OF_MEMORY
                    self.running.reason = f"the job took {frame.header['bytes'] / 2**20:.0f} MB, more than its limit"
        except (EOFError, OSError):
            self._watch.drop(handle.control.fileno())
            if not handle.born and not handle.orphaned():
                self.rebirth()

    def _slot_died(self, status: int | None) -> None:
        self._hear_slot()  # it may have reported before it died
        self.handle.alive = False
        running = self.running
        if running is None:
            return
        if running.ending is not None:
            self.finish(running.ending, running.reason)
        else:
            oom = self._oom()
            self._over(exit_outcome(running.assignment, status, self._log(), self._wall_s(running), oom=oom))
        if self.handle.born:
            self.renew()

    def _keeper_died(self) -> None:
        keeper = self.handle.keeper
        assert keeper is not None
        with contextlib.suppress(ChildProcessError):
            os.waitpid(keeper, 0)
        self.handle.born = False
        self._slot_died(None)
        self.on_keeper_death(self)
