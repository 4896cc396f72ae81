"""How long the jobs that are left will take, by what their like have taken."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, func, select

from batchml.registry.backlog import read_backlog
from batchml.registry.tables import attempt, benchmark_experiment, experiment, job, result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchml.registry.store import Store

__all__ = ["Estimate", "estimate"]


@dataclass(frozen=True, slots=True, kw_only=True)
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
        Seconds until the end with so many slots.
    """

    jobs_left: int
    work_s: float | None
    slots: int
    remaining_s: float | None

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def estimate(store: Store, slots: int | None = None, *, submitted: bool = False) -> Estimate:
    """Return how long the rest will take.

    An iteration is expected to take what those of its cell took on average; without one those of its learner, of its
    task, of all.

    Parameters
    ----------
    slots
        Iterations at once; None for those of the workers alive, or 1.
    submitted
        Leave out jobs that are only defined.
    """
    with store.read() as connection:
        left = _left(connection, ("queued", "running") if submitted else ("defined", "queued", "running"))
        measured = _measured(connection)
    at_once = slots or read_backlog(store).slots or 1
    work = _work(left, measured)
    number = sum(row.number for row in left)
    return Estimate(jobs_left=number, work_s=work, slots=at_once, remaining_s=None if work is None else work / at_once)


def _left(connection: Connection, states: tuple[str, ...]) -> list[Any]:
    member = select(benchmark_experiment.c.experiment_id).where(
        benchmark_experiment.c.experiment_id == job.c.experiment_id,
        job.c.iteration < benchmark_experiment.c.n_iterations,
    )
    query = (
        select(experiment.c.id, experiment.c.task_id, experiment.c.model_id, func.count().label("number"))
        .join_from(job, experiment)
        .where(job.c.state.in_(states), member.exists())
        .group_by(experiment.c.id, experiment.c.task_id, experiment.c.model_id)
    )
    return list(connection.execute(query))


def _measured(connection: Connection) -> list[Any]:
    query = (
        select(
            experiment.c.id,
            experiment.c.task_id,
            experiment.c.model_id,
            func.sum(attempt.c.wall_s).label("seconds"),
            func.count(attempt.c.wall_s).label("number"),
        )
        .join_from(result, attempt)
        .join(job, job.c.id == result.c.job_id)
        .join(experiment)
        .group_by(experiment.c.id, experiment.c.task_id, experiment.c.model_id)
    )
    return [row for row in connection.execute(query) if row.number]


def _work(left: list[Any], measured: list[Any]) -> float | None:
    if not left:
        return 0.0
    if not measured:
        return None
    cells, models, tasks = _means(measured, "id"), _means(measured, "model_id"), _means(measured, "task_id")
    overall = sum(row.seconds for row in measured) / sum(row.number for row in measured)
    total = 0.0
    for row in left:
        known = (cells.get(row.id), models.get(row.model_id), tasks.get(row.task_id), overall)
        total += row.number * next(seconds for seconds in known if seconds is not None)
    return total


def _means(measured: list[Any], key: str) -> Mapping[int, float]:
    seconds: dict[int, float] = defaultdict(float)
    number: dict[int, int] = defaultdict(int)
    for row in measured:
        seconds[getattr(row, key)] += row.seconds
        number[getattr(row, key)] += row.number
    return {each: seconds[each] / number[each] for each in seconds}
