"""What adding a design would do: what is new, what is reused, what runs again and why, what leaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batchml.core.show import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Plan:
    """What `add` would do with a design. Counts are jobs (iterations) unless they say cells.

    Attributes
    ----------
    benchmark
        The name under which the registry keeps it.
    exists
        Whether there is a benchmark of that name.
    cells, jobs
        What the design asks for.
    new
        Jobs that are not there yet.
    reused
        Finished jobs that count as they are.
    waiting, failed
        Jobs that are there and defined, queued or running; that ended in error or were cancelled.
    again
        Reason to number of jobs that have ended but run again, because the learner's policy changed.
    because
        Sentences about what makes jobs new: of a label that the benchmark has, the component that changed.
    changed
        Sentences about what changed without running anything again.
    entering, leaving
        Cells that become members of the benchmark, and that stop being members.
    measures_added, measures_dropped
        Ids of measures.
    retry_changed
        Failures from now on are tried again by another policy.
    """

    benchmark: str
    exists: bool
    cells: int
    jobs: int
    new: int
    reused: int
    waiting: int
    failed: int
    again: Mapping[str, int] = field(default_factory=dict)
    because: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    entering: int = 0
    leaving: int = 0
    measures_added: tuple[str, ...] = ()
    measures_dropped: tuple[str, ...] = ()
    retry_changed: bool = False

    @property
    def nothing_new(self) -> bool:
        """Whether adding the design would change nothing."""
        moves = (self.new, self.again, self.entering, self.leaving, self.measures_added, self.measures_dropped)
        return self.exists and not any(moves) and not self.retry_changed

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        names = ("benchmark", "exists", "cells", "jobs", "new", "reused", "waiting", "failed", "entering", "leaving")
        lists = ("because", "changed", "measures_added", "measures_dropped")
        return {
            **{name: getattr(self, name) for name in names},
            "again": dict(self.again),
            **{name: list(getattr(self, name)) for name in lists},
            "retry_changed": self.retry_changed,
        }

    def __str__(self) -> str:
        """Return a few lines for people."""
        lines = [f"benchmark '{self.benchmark}': {counted(self.cells, 'cell')}, {counted(self.jobs, 'job')}"]
        if self.nothing_new:
            lines.append("  nothing is new")
        counts = {"new": self.new, "reused": self.reused, "waiting": self.waiting, "failed": self.failed}
        for word, number in counts.items():
            lines += [f"  {number} {word}"] if number else []
            lines += [f"    {sentence}" for sentence in self.because] if word == "new" else []
        lines += [f"  {number} again: they {reason}" for reason, number in self.again.items()]
        if self.leaving:
            words = counted(self.leaving, "cell")
            lines.append(
                f"  {words} not in this design any more: out of the benchmark, but stored and reused when back"
            )
        if self.measures_added and self.reused:
            lines.append(f"  {self.reused} finished without {', '.join(self.measures_added)}: score them by rescore")
        if self.measures_dropped:
            lines.append(f"  not asked for any more: {', '.join(self.measures_dropped)}")
        if self.retry_changed:
            lines.append("  another retry policy, for failures from now on: `retry` queues those that are there")
        return "\n".join([*lines, *(f"  {sentence}" for sentence in self.changed)])

    __repr__ = __str__
