"""What reducing reads: current members of benchmarks, their jobs, scores, conditions and predictions, as columns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Double, Select, and_, case, column, func, literal, select, table

from batchml.errors import UnknownKeyError, nearest
from batchml.registry import tables as t
from batchml.registry.columns import read_columns
from batchml.registry.dialects import among
from batchml.registry.specs import spec_bodies

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy import ColumnElement, Subquery

    from batchml.registry.store import Store

__all__ = [
    "Member",
    "read_benchmarks",
    "read_condition_counts",
    "read_conditions",
    "read_jobs",
    "read_measures",
    "read_members",
    "read_model",
    "read_predictions",
    "read_scores",
    "read_specs",
    "read_view",
    "without_result",
]

Rows = list[tuple[Any, ...]]

_BATCH = 256  # jobs named in one statement
_FEW = 4096  # of more jobs than these all conditions are read at once


def read_benchmarks(store: Store, name: str | None) -> list[int]:
    """Return the rows of the benchmark of that name, or of all, oldest first.

    Raises
    ------
    UnknownKeyError
        If no benchmark is called so.
    """
    with store.read() as connection:
        found = connection.execute(select(t.benchmark.c.id, t.benchmark.c.name).order_by(t.benchmark.c.id)).all()
    if name is None:
        return [row.id for row in found]
    ids = [row.id for row in found if row.name == name]
    if not ids:
        names = [row.name for row in found]
        verb = "is" if len(names) == 1 else "are"
        known = f"; there {verb} {', '.join(names)}" if names else "; there is none yet"
        raise UnknownKeyError(f"no benchmark is called '{name}'{nearest(name, names)}{known}")
    return ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An experiment as a benchmark has it now.

    Attributes
    ----------
    id, digest, seed
        The experiment's row, its name by content, its root seed.
    task_id, model_id, policy_id, resampling_id
        Rows of specs; the resampling is the benchmark's own.
    task, learner, resampling, params
        Labels; `params` is JSON text.
    """

    id: int
    digest: str
    seed: int
    task_id: int
    model_id: int
    policy_id: int
    resampling_id: int
    task: str
    learner: str
    resampling: str
    params: str


_MEMBER = tuple(Member.__dataclass_fields__)


def read_members(store: Store, benchmarks: Sequence[int]) -> list[Member]:
    """Return the experiments of the benchmarks in design order; one that is in several has the labels of the first."""
    m, e = t.benchmark_experiment.c, t.experiment.c
    statement = (
        select(
            e.id, e.digest, e.seed, e.task_id, e.model_id, e.policy_id, m.resampling_id,
            m.task, m.learner, m.resampling, m.params,
        )
        .join(t.experiment, e.id == m.experiment_id)
        .where(m.benchmark_id.in_(benchmarks))
        .order_by(m.benchmark_id, m.position)
    )  # fmt: skip
    members: dict[int, Member] = {}
    with store.read() as connection:
        for row in connection.execute(statement):
            members.setdefault(row[0], Member(**dict(zip(_MEMBER, row, strict=True))))
    return list(members.values())


_JOBS = {
    "job_id": int, "experiment": int, "iteration": int, "state": object, "attempt": int,
    "n": float, "n_missing": float, "n_imputed": float, "fit_s": float, "predict_s": float,
}  # fmt: skip


def read_jobs(store: Store, benchmarks: Sequence[int]) -> dict[str, NDArray[Any]]:
    """Return the jobs of the members in any order, as columns.

    They are job_id, experiment, iteration, state, attempt, n, n_missing, n_imputed, fit_s, predict_s. The attempt is
    the one that a job is known by, 0 if it has none; the last five are NaN where there is no result.
    """
    job, result, attempt, m = t.job, t.result, t.attempt, t.benchmark_experiment.c
    member = (
        select(m.experiment_id, func.max(m.n_iterations).label("size"))
        .where(m.benchmark_id.in_(benchmarks))
        .group_by(m.experiment_id)
        .subquery()
    )
    statement = (
        select(
            job.c.id, job.c.experiment_id, job.c.iteration, job.c.state, func.coalesce(_known_by(), 0),
            result.c.n, result.c.n_missing, result.c.n_imputed, attempt.c.fit_s, attempt.c.predict_s,
        )
        .select_from(
            member.join(job, and_(job.c.experiment_id == member.c.experiment_id, job.c.iteration < member.c.size))
            .outerjoin(result, result.c.job_id == job.c.id)
            .outerjoin(attempt, attempt.c.id == result.c.attempt_id)
        )
    )  # fmt: skip
    return dict(zip(_JOBS, read_columns(store, statement, list(_JOBS.values())), strict=True))


def read_measures(store: Store, benchmarks: Sequence[int]) -> Rows:
    """Return the measures of the benchmarks in their order: row of the spec, name, spec."""
    m, s = t.benchmark_measure.c, t.spec.c
    statement = (
        select(m.measure_id, m.name, s.body)
        .join(t.spec, s.id == m.measure_id)
        .where(m.benchmark_id.in_(benchmarks))
        .order_by(m.benchmark_id, m.position)
    )
    unique = {row[0]: row for row in _all(store, statement)}
    return list(unique.values())


def read_scores(store: Store, measure: int, first: int, last: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the stored scores of a measure, of the jobs `first` to `last` of whatever benchmarks: jobs, values."""
    score = t.score.c
    endless = {"pos_inf": math.inf, "neg_inf": -math.inf}
    value = case(*((score.kind == kind, literal(bound, Double)) for kind, bound in endless.items()), else_=score.value)
    ours = and_(score.measure_id == measure, score.job_id.between(first, last))
    jobs, values = read_columns(store, select(score.job_id, value).where(ours), [int, float])
    return jobs, values


def read_condition_counts(store: Store, first: int, last: int) -> list[NDArray[np.int64]]:
    """Return the attempts `first` to `last` for which something was recorded, their numbers of warnings and errors."""
    condition = t.condition.c
    counted = [func.count(case((condition.level == level, 1))) for level in ("warning", "error")]
    statement = (
        select(condition.attempt_id, *counted)
        .where(condition.attempt_id.between(first, last))
        .group_by(condition.attempt_id)
        .order_by(condition.attempt_id)
    )
    return read_columns(store, statement, [int, int, int])


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
    endings = [(job, "job", "error", message) for job, message in _all(store, _unrecorded_endings(last))]
    return _all(store, statement) + endings


def read_predictions(
    store: Store, jobs: Sequence[int], predict_sets: Sequence[str], *, batch: int = 256
) -> Iterator[tuple[int, str, bytes]]:
    """Yield job, predict set and bytes, in batches of jobs in the order asked for; no transaction stays open."""
    p = t.prediction.c
    for start in range(0, len(jobs), batch):
        some = list(jobs[start : start + batch])
        statement = select(p.job_id, p.predict_set, p.data).where(p.job_id.in_(some), p.predict_set.in_(predict_sets))
        for row in _all(store, statement):
            yield row[0], row[1], row[2]


def without_result(store: Store, jobs: Sequence[int]) -> list[int]:
    """Return those of some jobs that have no result, or are not there any more."""
    kept = select(t.result.c.job_id).where(among(t.result.c.job_id))
    with store.read() as connection:
        there = set(connection.execute(kept, {"ids": list(jobs)}).scalars())
    return [job for job in jobs if job not in there]


def read_view(store: Store, name: str, columns: Sequence[str], *, span: int = 20_000) -> Iterator[Rows]:
    """Yield the rows of a view that has a column ``job_id``, by job, in pages that each hold `span` job ids at most.

    Between pages no transaction is open, so that a long export holds nobody up.
    """
    view = table(name, *(column(one) for one in columns))
    rest = [view.c[one] for one in ("iteration", "measure") if one in columns]
    with store.read() as connection:
        last = connection.execute(select(func.coalesce(func.max(t.job.c.id), 0))).scalar_one()
    for start in range(0, last, span):
        page = view.select().where(view.c.job_id > start, view.c.job_id <= start + span)
        rows = _all(store, page.order_by(view.c.job_id, *rest))
        if rows:
            yield rows


def read_small_view(store: Store, name: str, columns: Sequence[str]) -> Rows:
    """Return the rows of a view that does not grow with the jobs, by its first column."""
    return _all(store, table(name, *(column(one) for one in columns)).select().order_by(column(columns[0])))


def read_specs(store: Store, rows: Sequence[int]) -> dict[int, Any]:
    """Return the bodies of specs by row."""
    with store.read() as connection:
        return spec_bodies(connection, rows)


def _all(store: Store, statement: Select[Any]) -> Rows:
    with store.read() as connection:
        return [tuple(row) for row in connection.execute(statement)]


def _with_result() -> Any:
    return t.job.outerjoin(t.result, t.result.c.job_id == t.job.c.id)


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


def _known_by() -> ColumnElement[int]:
    """Say the attempt that a job is known by: the one that brought its result, else the last that ended."""
    latest = (
        select(func.max(t.attempt.c.id))
        .where(t.attempt.c.job_id == t.job.c.id, t.attempt.c.ended_at.is_not(None))
        .correlate(t.job)
        .scalar_subquery()
    )
    return func.coalesce(t.result.c.attempt_id, latest)


def _last_attempts(benchmarks: Sequence[int], jobs: Sequence[int] | None = None) -> Subquery:
    """Return for each job, of all or of some, the attempt it is known by."""
    return (
        select(
            t.job.c.id.label("job_id"),
            t.job.c.state.label("state"),
            _known_by().label("attempt_id"),
        )
        .select_from(_with_result())
        .where(_is_member(benchmarks), *(() if jobs is None else (t.job.c.id.in_(jobs),)))
        .subquery("last")
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


def read_model(store: Store, job_id: int) -> Any:
    """Return name and mark of the stored model of a job, its timings and what seeded it; None if it has no result."""
    found = (
        select(
            *(t.result.c[name] for name in ("model", "model_mark")),
            *(t.attempt.c[name] for name in ("fit_s", "predict_s")),
            t.experiment.c.cell_digest,
            t.experiment.c.seed,
        )
        .select_from(
            t.result.join(t.attempt, t.attempt.c.id == t.result.c.attempt_id)
            .join(t.job, t.job.c.id == t.result.c.job_id)
            .join(t.experiment, t.experiment.c.id == t.job.c.experiment_id)
        )
        .where(t.result.c.job_id == job_id)
    )
    with store.read() as connection:
        return connection.execute(found).one_or_none()
