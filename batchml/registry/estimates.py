"""How long the jobs that are left will take, by what their like have taken."""

from __future__ import annotations

import heapq
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, func, literal, select, union_all

from batchml.core.show import counted, duration
from batchml.errors import ConfigError
from batchml.registry.backlog import read_backlog
from batchml.registry.runtimes import expected_seconds
from batchml.registry.tables import benchmark_experiment, experiment, job

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchml.registry.store import Store

__all__ = ["Estimate", "estimate", "schedule"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Estimate:
    """How long the jobs of current benchmarks that are left will take.

    Attributes
    ----------
    jobs_left
        Jobs that are (defined,) queued or running.
    work_s
        Seconds that they will take one after another, None if nothing has been measured yet.
    slots
        Iterations at once.
    remaining_s
        Seconds until the end with so many slots, the longest iterations first.
    longest_s
        Expected seconds of the longest iteration: no number of slots ends sooner.
    idle_slots
        Slots that have nothing left to do for at least half of the time that the last iteration takes.
    idle_s
        Seconds of all slots together between their last iteration and the end.

    Examples
    --------
    >>> Estimate(jobs_left=86, work_s=7.0, slots=2, remaining_s=4.0, longest_s=0.5)
    86 jobs left, 7 s of work: about 4 s with 2 slots
    """

    jobs_left: int
    work_s: float | None
    slots: int
    remaining_s: float | None
    longest_s: float | None = None
    idle_slots: int = 0
    idle_s: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    def __str__(self) -> str:
        """Return a sentence or two."""
        left = f"{counted(self.jobs_left, 'job')} left"
        if not self.jobs_left:
            return "no job is left"
        if self.work_s is None or self.remaining_s is None or self.longest_s is None:
            return f"{left}; no runtime has been measured yet"
        rest = f"about {duration(self.remaining_s)} with {counted(self.slots, 'slot')}"
        lines = [f"{left}, {duration(self.work_s)} of work: {rest}"]
        if self.idle_slots:
            have = "slot has" if self.idle_slots == 1 else "slots have"
            longest = f"the longest iteration takes {duration(self.longest_s)}"
            lines.append(f"in the last round {self.idle_slots} {have} nothing to do; {longest}")
        return "\n".join(lines)

    __repr__ = __str__


def estimate(store: Store, slots: int | None = None, *, submitted: bool = False) -> Estimate:
    """Return how long the rest will take; see `batchml.registry.runtimes` for what an iteration is expected to take.

    Parameters
    ----------
    slots
        Iterations at once; None for those of the workers alive, or 1.
    submitted
        Leave out jobs that are only defined.
    """
    if slots is not None and (not hasattr(slots, "__index__") or slots < 1):
        raise ConfigError(f"slots are a whole number from 1, not {slots!r:.40}")
    with store.read() as connection:
        left = _left(connection, ("queued", "running") if submitted else ("defined", "queued", "running"))
        seconds = expected_seconds(store, connection, left)
    at_once = slots or read_backlog(store).slots or 1
    number = sum(left.values())
    if not number or not seconds:
        nothing = None if number else 0.0
        return Estimate(jobs_left=number, work_s=nothing, slots=at_once, remaining_s=nothing)
    loads, last = schedule([(seconds[key], count) for key, count in left.items()], at_once)
    end = max(loads)
    return Estimate(
        jobs_left=number,
        work_s=sum(loads),
        slots=at_once,
        remaining_s=end,
        longest_s=max(seconds.values()),
        idle_slots=sum(load <= end - last / 2 for load in loads),
        idle_s=sum(end - load for load in loads),
    )


def schedule(groups: Iterable[tuple[float, int]], slots: int) -> tuple[list[float], float]:
    """Deal iterations to slots, the longest first and each to the slot that is free first.

    Parameters
    ----------
    groups
        Pairs (seconds of one iteration, number of such iterations).

    Returns
    -------
    tuple
        The seconds of each slot, and those of the iteration that ends last.

    Examples
    --------
    >>> schedule([(1.0, 5), (3.0, 1)], 2)
    ([4.0, 4.0], 1.0)
    """
    loads = [0.0] * slots  # a heap
    top = last = 0.0
    for seconds, count in sorted(groups, reverse=True):
        number = count
        while number > 0:
            if number >= slots and top - loads[0] <= seconds:
                # Each slot gets one before any gets two: whole rounds at once.
                rounds = number // slots
                loads = [load + rounds * seconds for load in loads]
                number -= rounds * slots
                top, last = max(loads), seconds
                continue
            end = loads[0] + seconds
            heapq.heapreplace(loads, end)
            number -= 1
            if end >= top:
                top, last = end, seconds
    return loads, last


def _left(connection: Connection, states: tuple[str, ...]) -> dict[int, int]:
    """Count the jobs that are left by experiment, from the index of states where a benchmark asks for all of them."""
    member, cell = benchmark_experiment.c, experiment.c
    longest = (
        select(member.experiment_id, func.max(member.n_iterations).label("n")).group_by(member.experiment_id).subquery()
    )
    counted = (
        select(job.c.experiment_id, func.count().label("n"))
        .where(job.c.state.in_(states))
        .group_by(job.c.experiment_id)
        .subquery()
    )
    whole = (
        select(cell.id, counted.c.n)
        .join_from(counted, experiment, cell.id == counted.c.experiment_id)
        .join(longest, longest.c.experiment_id == cell.id)
        .where(longest.c.n >= cell.n_jobs)
    )
    part = (
        select(cell.id, literal(1).label("n"))
        .join_from(longest, experiment, cell.id == longest.c.experiment_id)
        .join(job, job.c.experiment_id == cell.id)
        .where(longest.c.n < cell.n_jobs, job.c.iteration < longest.c.n, job.c.state.in_(states))
    )
    both = union_all(whole, part).subquery()
    rows = connection.execute(select(both.c.id, func.sum(both.c.n).label("n")).group_by(both.c.id))
    return {row.id: int(row.n) for row in rows}
