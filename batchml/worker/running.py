"""An attempt in a pool: what it is, until when it may run, and why it is being ended."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchml.core.attempt import Assignment, Ending
    from batchml.execution.sandbox.sink import Sink

__all__ = ["Running"]


@dataclass(slots=True)
class Running:
    """An attempt in a slot; times are monotonic seconds.

    Attributes
    ----------
    key, experiment
        Its experiment, written down once for all attempts.
    data
        The digest of its task's table, empty if it has none.
    expected_s
        How long it will take, infinite if nobody knows.
    sink
        What it prints.
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
    data: str = ""
    expected_s: float = math.inf
    sink: Sink | None = None
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

    def log(self) -> str:
        """Return what it has printed."""
        if self.sink is None:
            return ""
        attempt = self.assignment.attempt_id
        while not self.sink.has(attempt) and self.sink.drain():
            pass
        return self.sink.take(attempt)

    @property
    def wall_s(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.started
