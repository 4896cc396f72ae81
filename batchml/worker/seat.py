"""One slot of a pool and the attempt in it: its limits, its end, and what follows from news about it."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from batchml.core.attempt import Ending, Outcome
from batchml.execution.sandbox.job import TASKS
from batchml.worker.ear import Ear
from batchml.worker.endings import ended_outcome, exit_outcome, frame_outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from batchml.execution.sandbox.handle import Handle
    from batchml.execution.sandbox.protocol import Frame
    from batchml.execution.sandbox.watch import Watch
    from batchml.worker.running import Running

__all__ = ["Seat"]

_HARD = 0.3
"""Seconds that Python code has to notice its limit by itself before its process is ended."""

_END_PATIENCE = 3.0
"""Seconds that a keeper has to end its slot (stack dump, TERM, 0.5 s, KILL) before it is killed itself."""

_MOST = 1000
"""Frames read at a time."""


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
        Takes outcomes, and of which experiment they are.
    give_back
        Takes attempts that were sent to the slot and did not begin.
    """

    def __init__(
        self,
        handle: Handle,
        watch: Watch,
        timeout_s: float | None,
        deliver: Callable[[Outcome, int], None],
        give_back: Callable[[Running], None],
    ) -> None:
        self.handle = handle
        self.running: Running | None = None
        self.queued: deque[Running] = deque()  # have been sent, so that the slot goes on without waiting for us
        self.ahead_s = 0.0  # how long they will take
        self._data: deque[str] = deque(maxlen=TASKS)  # tables that its process has open, the latest last
        self._watch = watch
        self._timeout_s = timeout_s
        self._deliver = deliver
        self._give_back = give_back
        self.on_keeper_death: Callable[[Seat], None] = Seat.rebirth
        self.on_birth: Callable[[str | None], None] = lambda _: None
        self._ear = Ear(handle, watch, self.hear, self._hear_keeper)
        self._ear.listen()

    # -- life ----------------------------------------------------------------------------------------------------

    def renew(self) -> None:
        """Replace the slot process."""
        self._ear.deafen_slot()
        self.handle.renew()
        self._data.clear()
        self._ear.listen_slot()

    def limit(self, memory: int | None, timeout_s: float | None) -> None:
        """Hold jobs to so many bytes, and seconds; a slot that was started without that limit is replaced."""
        self._timeout_s = timeout_s
        if self.handle.limit(memory):
            self.renew()

    def rebirth(self) -> None:
        """Replace a keeper that is dead or was never born; an attempt that never started is sent again."""
        self._ear.deafen()
        self.handle.rebirth()
        self._data.clear()
        self._ear.listen()
        self._abandon_queued()
        if self.running is not None:
            self._send(self.running)

    def start(self, running: Running) -> None:
        """Run an attempt, in a fresh process if the last one is gone; behind those that it has, if it has any."""
        if self.running is None:
            if not self.handle.alive:
                self.renew()
            self._begin(running)
        else:
            self.queued.append(running)
            self.ahead_s += running.expected_s
        self._send(running)
        if not self._ear.naps:
            self._ear.doze(self.ahead_s)

    def holds(self, data: str) -> bool:
        """Whether the slot has a table open, or will by the time it has come to what it was sent."""
        return data in self._data

    def _send(self, running: Running) -> None:
        assignment = running.assignment
        if running.data in self._data:
            self._data.remove(running.data)
        self._data.append(running.data)
        running.sink = self.handle.start(assignment.attempt_id, assignment.iteration, running.key, running.experiment)

    def _begin(self, running: Running) -> None:
        self.running = running
        running.started = time.monotonic()
        if self.handle.up:
            self._job_limit()

    def _next(self) -> None:
        """The slot goes on with what it was sent."""
        if self.queued:
            running = self.queued.popleft()
            self.ahead_s = self.ahead_s - running.expected_s if self.queued else 0.0
            self._begin(running)

    def recall(self) -> bool:
        """Take back what waits behind the running attempt; False if there is nothing, or it is out of reach."""
        if not self.queued or self.handle.unread() in {None, self.running and self.running.assignment.attempt_id}:
            return False
        taken = self.handle.recall()
        sent = list(self.queued)
        self.queued.clear()
        for running in sent:
            if running.assignment.attempt_id not in taken:
                self.queued.append(running)
        for running in reversed(sent):
            if running.assignment.attempt_id in taken:
                self._give_back(running)
        self.ahead_s = math.fsum(running.expected_s for running in self.queued)
        return bool(taken)

    def _job_limit(self) -> None:
        if self.running is not None and self._timeout_s is not None:
            self.running.last_call = time.monotonic() + self._timeout_s

    # -- ends ----------------------------------------------------------------------------------------------------

    def end(self, ending: Ending, reason: str = "", *, dump: bool = False) -> None:
        """Have the attempt ended; its outcome comes when its processes are gone."""
        running = self.running
        if running is None or running.ending is not None:
            return
        self.recall()
        if self.queued and self.handle.unread() is None:
            self.hear()  # the next one has begun, so this one has been reported
            return
        running.ending, running.reason = ending, reason
        running.kill_at = time.monotonic() + _END_PATIENCE
        self.handle.end(dump=dump)

    def enforce(self, now: float) -> None:
        """Do what is due."""
        self._ear.wake(now)
        if not self._ear.naps:
            self.handle.wake()
        running = self.running
        if running is None or now < running.next():
            return
        if running.ending is not None:  # the keeper does not answer: stopped or killed by user code
            running.kill_at = now + _END_PATIENCE
            self.handle.kill()
        elif now >= running.deadline:
            self.end(Ending.TIMEOUT, f"reached elapsed time limit of {running.limit:g} s", dump=True)
        else:
            self.end(Ending.TIMEOUT, f"reached the job's time limit of {self._timeout_s:g} s", dump=True)

    def next(self) -> float:
        """Return when `enforce` has something to do."""
        return min(math.inf if self.running is None else self.running.next(), self._ear.next())

    def finish(self, ending: Ending, reason: str = "", spent: Mapping[str, float] | None = None) -> None:
        """Deliver the outcome of an attempt that was, or is being, ended on purpose."""
        if self.running is not None:
            running = self.running
            self._over(ended_outcome(running.assignment, ending, reason, running.log(), running.wall_s, spent))

    def _over(self, outcome: Outcome) -> None:
        assert self.running is not None
        experiment, self.running = self.running.assignment.experiment.id, None
        self._deliver(outcome, experiment)

    # -- news ----------------------------------------------------------------------------------------------------

    def hear(self) -> None:
        """Take in what the slot has sent."""
        for frame in self.handle.frames(_MOST):
            kind, running = frame.header.get("t"), self.running
            if kind == "up":
                self.on_birth(None)
                self._job_limit()
            elif running is None or frame.header.get("a") != running.assignment.attempt_id:
                continue
            elif kind == "done":
                self._report(running, frame)
            elif kind == "back":
                self._give_back(running)
                self.running = None
                self._next()
            elif kind == "limit":
                seconds = frame.header.get("s")
                running.limit = seconds
                running.deadline = math.inf if seconds is None else time.monotonic() + seconds + _HARD
        self._ear.doze(self.ahead_s)

    def _report(self, running: Running, frame: Frame) -> None:
        log = running.log()
        try:
            outcome = frame_outcome(running.assignment, frame, log)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            reason = f"the process sent a report that makes no sense: {error!r:.200}"
            outcome = ended_outcome(running.assignment, Ending.CRASHED, reason, log, running.wall_s)
        # One that is being ended has finished first: that counts, but its process is on its way out.
        fresh = outcome.dirty or outcome.ending is Ending.CRASHED or running.ending is not None
        self._over(outcome)
        if fresh:
            self._abandon_queued()
            self.renew()
        else:
            self._next()

    def _abandon_queued(self) -> None:
        """Give back what a process that is gone, or leaves before it reads on, has not begun."""
        while self.queued:
            self._give_back(self.queued.pop())
        self.ahead_s = 0.0

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
                    self._slot_died(frame.header)
        except (EOFError, OSError):
            self._watch.drop(handle.control.fileno())
            if not handle.born and not handle.orphaned():
                self.on_birth("")
                self.rebirth()

    def _slot_died(self, words: Mapping[str, Any] | None = None) -> None:
        nonce = self.handle.nonce
        self.hear()  # it may have reported before it died
        if self.handle.nonce != nonce:  # a report after which it was replaced
            return
        self.handle.alive = False
        running = self.running
        if not self.handle.up and (running is None or running.ending is None):
            self.on_birth(self._last_words())
            running = self.running
        self._abandon_queued()
        if running is None:
            return
        if running.ending is not None:
            self.finish(running.ending, running.reason, words and words["spent"])
        elif self.handle.unread() == running.assignment.attempt_id:  # it died before it read that
            self.running = None
            self._give_back(running)
        else:
            self._over(exit_outcome(running.assignment, running.log(), running.wall_s, words))
        if self.handle.born:
            self.renew()

    def _last_words(self) -> str:
        """Return the last line that a slot printed which never became ready: the error that it ended with."""
        sink = self.handle.sink
        sink.drain()
        lines = sink.take().splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def _keeper_died(self) -> None:
        keeper = self.handle.keeper
        assert keeper is not None
        with contextlib.suppress(ChildProcessError):
            os.waitpid(keeper, 0)
        self.handle.born = False
        self._slot_died()
        self.on_keeper_death(self)
