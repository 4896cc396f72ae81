"""What an iteration is expected to take, by what its like have taken."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from itertools import combinations
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from batchml.errors import BatchmlError
from batchml.registry.dialects import among
from batchml.registry.specs import spec_bodies
from batchml.registry.tables import attempt, experiment, job, result

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection, Select

    from batchml.registry.store import Store

__all__ = ["at_rows", "expected_seconds", "growth"]

_POWERS = (0.0, 3.0)  # between which seconds grow with rows
_APART = 0.3  # sizes nearer to one another than by a third tell no slope
_POINTS = 3  # measured tasks from which a learner's power is taken

_SAMPLE = 25  # iterations of a cell whose times are read: a median needs no more


def expected_seconds(store: Store, connection: Connection, experiments: Iterable[int]) -> dict[int, float]:
    """Return the seconds that one iteration of each experiment is expected to take; without those nobody can tell.

    The median of its own finished iterations; without one, that of the same learner on the same task (under another
    resampling); without one, what the learner took on other tasks, scaled by rows (just the median where rows are
    unknown); without one, what all learners took on the task, or in the registry.

    Scaling goes by a power of the rows, which is the learner's own once three tasks have told it. A random forest on
    learner, rows and columns was better only where most pairs had been measured, and far worse where few had (see
    ``tests/benchmark/test_estimate_quality.py``), so there is none.
    """
    wanted = sorted(set(experiments))
    rows = connection.execute(_cells(), {"ids": wanted}).all()
    if not rows:
        return {}
    measured = _measured(connection)
    if not measured:
        return {}
    guess = _Guess(measured)
    if not all(guess.knows(row) for row in rows):
        guess.scale(_task_rows(store, connection, {row.task_id for row in [*rows, *measured]}), measured)
    return {row.id: guess.seconds(row) for row in rows}


class _Guess:
    """Medians of what has been measured, from the most to the least alike."""

    def __init__(self, measured: list[Any]) -> None:
        self._cells: dict[int, float] = {row.id: row.seconds for row in measured}
        self._pairs = _medians(((row.model_id, row.task_id), row.seconds) for row in measured)
        self._models = _medians((row.model_id, row.seconds) for row in measured)
        self._tasks = _medians((row.task_id, row.seconds) for row in measured)
        self._overall = statistics.median(self._cells.values())
        self._rows: Mapping[int, int] = {}
        self._paces: Mapping[int, tuple[float, float]] = {}

    def knows(self, row: Any) -> bool:
        """Tell whether the learner was measured on this task."""
        return row.id in self._cells or (row.model_id, row.task_id) in self._pairs

    def scale(self, rows: Mapping[int, int], measured: list[Any]) -> None:
        """Take the rows of tasks into account."""
        self._rows = rows
        points: defaultdict[int, list[tuple[float, float]]] = defaultdict(list)
        for row in measured:
            if rows.get(row.task_id):
                points[row.model_id].append((float(rows[row.task_id]), row.seconds))
        self._paces = {model: growth(listed) for model, listed in points.items()}

    def seconds(self, row: Any) -> float:
        """Return the best guess for an experiment."""
        if row.id in self._cells:
            return self._cells[row.id]
        pair = self._pairs.get((row.model_id, row.task_id))
        if pair is not None:
            return pair
        rows = self._rows.get(row.task_id)
        if rows and row.model_id in self._paces:
            return at_rows(self._paces[row.model_id], rows)
        by_task = self._tasks.get(row.task_id, self._overall)
        return self._models.get(row.model_id, by_task)


def growth(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return factor and power by which seconds grow with rows: ``seconds = factor * rows ** power``.

    The power is the median slope between measured tasks on logarithmic axes (Theil and Sen's, which outliers do not
    move), 1 if fewer than three different sizes have been measured.

    Examples
    --------
    >>> growth([(100, 1.0)])
    (0.01, 1.0)
    >>> factor, power = growth([(10, 1.0), (100, 100.0), (1000, 10000.0)])
    >>> round(power, 6)
    2.0
    """
    logs = [(math.log(rows), math.log(max(seconds, 1e-9))) for rows, seconds in points]
    slopes = [(y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(logs, 2) if abs(x2 - x1) > _APART]
    enough = len({rows for rows, _ in points}) >= _POINTS and slopes
    power = min(max(statistics.median(slopes), _POWERS[0]), _POWERS[1]) if enough else 1.0
    return statistics.median(seconds / rows**power for rows, seconds in points), power


def at_rows(pace: tuple[float, float], rows: float) -> float:
    """Return the seconds at a number of rows."""
    factor, power = pace
    return float(factor * rows**power)


def _medians(pairs: Iterable[tuple[Any, float]]) -> dict[Any, float]:
    values: defaultdict[Any, list[float]] = defaultdict(list)
    for key, value in pairs:
        values[key].append(value)
    return {key: statistics.median(listed) for key, listed in values.items()}


def _cells() -> Select[Any]:
    return select(experiment.c.id, experiment.c.task_id, experiment.c.model_id).where(among(experiment.c.id))


def _measured(connection: Connection) -> list[Any]:
    """Return a row for each experiment with a finished iteration: its task, its model, the median of its seconds."""
    times = (
        select(
            job.c.experiment_id,
            attempt.c.wall_s,
            func.row_number().over(partition_by=job.c.experiment_id, order_by=attempt.c.wall_s).label("place"),
            func.count().over(partition_by=job.c.experiment_id).label("n"),
        )
        .join_from(job, result, result.c.job_id == job.c.id)
        .join(attempt, attempt.c.id == result.c.attempt_id)
        .where(job.c.iteration < _SAMPLE, attempt.c.wall_s.is_not(None))
        .subquery()
    )
    middle = (
        select(times.c.experiment_id, func.avg(times.c.wall_s).label("seconds"))
        .where(2 * times.c.place >= times.c.n, 2 * times.c.place <= times.c.n + 2)
        .group_by(times.c.experiment_id)
        .subquery()
    )
    found = select(experiment.c.id, experiment.c.task_id, experiment.c.model_id, middle.c.seconds).join_from(
        middle, experiment, experiment.c.id == middle.c.experiment_id
    )
    return list(connection.execute(found))


def _task_rows(store: Store, connection: Connection, tasks: Iterable[int]) -> Mapping[int, int]:
    """Return the rows of tasks whose data are at hand."""
    from batchml.data.tables import open_table

    rows: dict[int, int] = {}
    for key, body in spec_bodies(connection, tasks).items():
        data = body.get("data", {})
        if "n_rows" in data:
            rows[key] = data["n_rows"]
        if data.get("kind") == "artifact":
            try:
                rows[key] = open_table(store.artifacts, data["digest"], verify=False).n_rows
            except (BatchmlError, OSError):
                continue  # another host's folder: the median without rows will do
    return rows
