"""What attempts recorded, of the attempts that count: warnings and errors, as rows and as numbers."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, and_, bindparam, case, func, select

from batchml.registry import tables as t
from batchml.registry.columns import read_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy import ColumnElement, Subquery

    from batchml.registry.store import Store

__all__ = ["known_by", "read_condition_counts", "read_conditions"]

Rows = list[tuple[Any, ...]]

_BATCH = 256  # jobs named in one statement
_FEW = 4096  # of more jobs than these all conditions are read at once


def known_by() -> ColumnElement[int]:
    """Say the attempt that a job is known by: the one that brought its result, else the last that ended."""
    latest = (
        select(func.max(t.attempt.c.id))
        .where(t.attempt.c.job_id == t.job.c.id, t.attempt.c.ended_at.is_not(None))
        .correlate(t.job)
        .scalar_subquery()
    )
    return func.coalesce(t.result.c.attempt_id, latest)


def read_condition_counts(store: Store, first: int, last: int) -> list[NDArray[np.int64]]:
    """Return the attempts `first` to `last` for which something was recorded, their numbers of warnings and errors."""
    return read_columns(store, _counts(), (int, int, int), first=first, last=last)


@cache
def _counts() -> Select[Any]:
    condition = t.condition.c
    warnings, errors = (func.count(case((condition.level == level, 1))) for level in ("warning", "error"))
    return (
        select(condition.attempt_id, warnings, errors)
        .where(condition.attempt_id.between(bindparam("first"), bindparam("last")))
        .group_by(condition.attempt_id)
        .order_by(condition.attempt_id)
    )


def read_conditions(store: Store, benchmarks: Sequence[int], jobs: Sequence[int] | None = None) -> Rows:
    """Return the conditions of the attempts that count, of all jobs or of some: job, stage, level, message.

    Of each job that is the attempt that brought its result, else the last. An attempt that ended without a result and
    recorded no error has one for its ending, of stage ``job``.
    """
    if jobs is not None and len(jobs) <= _FEW:
        batches = [list(jobs[start : start + _BATCH]) for start in range(0, len(jobs), _BATCH)]
        return [row for some in batches for row in _conditions(store, _last_attempts(benchmarks, some))]
    return _conditions(store, _last_attempts(benchmarks))


def _conditions(store: Store, last: Subquery) -> Rows:
    condition = t.condition
    statement = (
        select(last.c.job_id, condition.c.stage, condition.c.level, condition.c.message)
        .select_from(last.join(condition, condition.c.attempt_id == last.c.attempt_id))
        .order_by(last.c.job_id, condition.c.number)
    )
    with store.read() as connection:
        rows = [tuple(row) for row in connection.execute(statement)]
        endings = connection.execute(_unrecorded_endings(last)).all()
    return rows + [(job, "job", "error", message) for job, message in endings]


def _last_attempts(benchmarks: Sequence[int], jobs: Sequence[int] | None = None) -> Subquery:
    """Return for each job, of all or of some, the attempt it is known by."""
    return (
        select(
            t.job.c.id.label("job_id"),
            t.job.c.state.label("state"),
            known_by().label("attempt_id"),
        )
        .select_from(t.job.outerjoin(t.result, t.result.c.job_id == t.job.c.id))
        .where(_is_member(benchmarks), *(() if jobs is None else (t.job.c.id.in_(jobs),)))
        .subquery("last")
    )


def _is_member(benchmarks: Sequence[int]) -> ColumnElement[bool]:
    """Say that a job is an iteration that one of the benchmarks asks for now."""
    m = t.benchmark_experiment.c
    return (
        select(m.experiment_id)
        .where(
            m.benchmark_id.in_(benchmarks),
            m.experiment_id == t.job.c.experiment_id,
            t.job.c.iteration < m.n_iterations,
        )
        .exists()
    )


def _unrecorded_endings(last: Subquery) -> Select[Any]:
    """Select job and message of attempts that ended badly without an error among their conditions."""
    a, c = t.attempt.c, t.condition.c
    recorded = select(c.attempt_id).where(c.attempt_id == a.id, c.level == "error").exists()
    return (
        select(last.c.job_id, func.coalesce(a.message, a.outcome))
        .select_from(last.join(t.attempt, and_(a.id == last.c.attempt_id)))
        .where(last.c.state == "error", ~recorded)
        .order_by(last.c.job_id)
    )
