"""What reducing reads: current members of benchmarks, their jobs, scores, conditions and predictions, as columns."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import BigInteger, Double, Select, and_, bindparam, case, cast, column, func, literal, select, table

from batchml.errors import UnknownKeyError, nearest
from batchml.registry import tables as t
from batchml.registry.columns import read_columns
from batchml.registry.dialects import among
from batchml.registry.finding import STATES
from batchml.registry.recorded import known_by
from batchml.registry.specs import spec_bodies

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from batchml.registry.store import Store

__all__ = [
    "Member",
    "read_benchmarks",
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


class Member(NamedTuple):
    """An experiment as a benchmark has it now; a tuple, as there may be a hundred thousand.

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
    with store.read() as connection, connection.execute(statement) as result:
        cursor: Any = result.cursor  # its rows are plain tuples
        for row in cursor:
            members.setdefault(row[0], Member._make(row))
    return list(members.values())


_STATE = 8  # more than there are states
_COUNT = 2**31  # more than a column of counts holds
_JOBS: dict[str, type[int | float]] = {
    "job_id": int, "experiment": int, "iteration_state": int, "attempt": int, "n": int, "n_missing_imputed": int,
    "fit_s": float, "predict_s": float,
}  # fmt: skip


def read_jobs(store: Store, benchmarks: Sequence[int]) -> dict[str, NDArray[Any]]:
    """Return the jobs of the members in any order, as columns.

    They are job_id, experiment, iteration, state (its place in `STATES`), attempt, n, n_missing, n_imputed, fit_s,
    predict_s. The attempt is the one that a job is known by, 0 if it has none; without a result the numbers are 0 and
    the seconds NaN.
    """
    columns = read_columns(store, _jobs(), tuple(_JOBS.values()), benchmarks=list(benchmarks))
    jobs = dict(zip(_JOBS, columns, strict=True))
    jobs["iteration"], jobs["state"] = divmod(jobs.pop("iteration_state"), _STATE)
    jobs["n_missing"], jobs["n_imputed"] = divmod(jobs.pop("n_missing_imputed"), _COUNT)
    return jobs


@cache
def _jobs() -> Select[Any]:
    """Select what `_JOBS` names. Two small numbers come as one: a column of a million costs a sixth of a second."""
    job, result, attempt, m = t.job, t.result, t.attempt, t.benchmark_experiment.c
    member = (
        select(m.experiment_id, func.max(m.n_iterations).label("size"))
        .where(among(m.benchmark_id, "benchmarks"))
        .group_by(m.experiment_id)
        .subquery()
    )
    state = case({word: number for number, word in enumerate(STATES)}, value=job.c.state)
    n, missing, imputed = (func.coalesce(result.c[name], 0) for name in ("n", "n_missing", "n_imputed"))
    return (
        select(
            job.c.id, job.c.experiment_id, job.c.iteration * _STATE + state, func.coalesce(known_by(), 0),
            n, cast(missing, BigInteger) * _COUNT + imputed, attempt.c.fit_s, attempt.c.predict_s,
        )
        .select_from(
            member.join(job, and_(job.c.experiment_id == member.c.experiment_id, job.c.iteration < member.c.size))
            .outerjoin(result, result.c.job_id == job.c.id)
            .outerjoin(attempt, attempt.c.id == result.c.attempt_id)
        )
    )  # fmt: skip


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
    jobs, values = read_columns(store, _scores(), (int, float), measure=measure, first=first, last=last)
    return jobs, values


@cache
def _scores() -> Select[Any]:
    score = t.score.c
    endless = {"pos_inf": math.inf, "neg_inf": -math.inf}
    value = case(*((score.kind == kind, literal(bound, Double)) for kind, bound in endless.items()), else_=score.value)
    these = score.job_id.between(bindparam("first"), bindparam("last"))
    return select(score.job_id, value).where(score.measure_id == bindparam("measure"), these)


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
