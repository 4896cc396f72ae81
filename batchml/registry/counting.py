"""Counting jobs by state: of benchmarks, of tags, of whatever they are grouped by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, literal, or_, select, union_all

from batchml.arguments import texts
from batchml.errors import ConfigError, UnknownKeyError, nearest
from batchml.registry.dialects import among
from batchml.registry.expiry import expired_jobs
from batchml.registry.finding import STATES, find, labels
from batchml.registry.frames import as_frame
from batchml.registry.parameters import settings_of
from batchml.registry.tables import benchmark, benchmark_experiment, experiment, job, job_tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from batchml.registry.store import Store

__all__ = ["status", "summary", "tags", "tally"]


def _counts() -> Select[Any]:
    """Count the jobs of members by benchmark and state.

    Where a benchmark asks for all iterations that an experiment has, an index of states has the counts; only where it
    asks for fewer are iterations looked at.
    """
    member, cell = benchmark_experiment.c, experiment.c
    of_cell = (
        select(job.c.state, job.c.experiment_id, func.count().label("n"))
        .group_by(job.c.state, job.c.experiment_id)
        .subquery()
    )
    whole = (
        select(member.benchmark_id, of_cell.c.state, of_cell.c.n)
        .join_from(of_cell, experiment, cell.id == of_cell.c.experiment_id)
        .join(benchmark_experiment, member.experiment_id == cell.id)
        .where(member.n_iterations >= cell.n_jobs)
    )
    part = (
        select(member.benchmark_id, job.c.state, literal(1).label("n"))
        .join_from(benchmark_experiment, experiment, cell.id == member.experiment_id)
        .join(job, job.c.experiment_id == cell.id)
        .where(member.n_iterations < cell.n_jobs, job.c.iteration < member.n_iterations)
    )
    both = union_all(whole, part).subquery()
    return (
        select(benchmark.c.name, both.c.state, func.sum(both.c.n).label("n"))
        .join_from(benchmark, both, both.c.benchmark_id == benchmark.c.id, isouter=True)
        .group_by(benchmark.c.name, both.c.state)
    )


def status(store: Store, benchmark: str | None = None, *, cumulative: bool = False) -> pd.DataFrame:
    """Return a row per benchmark: its name, its jobs by state, and their total.

    Parameters
    ----------
    benchmark
        A name or a pattern.
    cumulative
        Count how far jobs have come instead: all are ``defined``; of these ``submitted``; of these ``started``; of
        these ``done`` or ``error``. Also ``queued`` and ``running`` now, ``cancelled``, and of the running ones those
        that are ``expired``.

    Raises
    ------
    UnknownKeyError
        There is no benchmark of that name.
    """
    with store.read() as connection:
        chosen = None if benchmark is None else labels(connection, "benchmark", benchmark)
        if cumulative:
            return _progress(connection, chosen)
        rows = connection.execute(_counts()).all()
    counts: dict[str, dict[str, int]] = {}
    for name, state, n in rows:
        of = counts.setdefault(name, dict.fromkeys(STATES, 0))
        if state is not None:
            of[state] += int(n)
    shown = {name: of for name, of in sorted(counts.items()) if chosen is None or name in chosen}
    table = [(name, *(of[state] for state in STATES), sum(of.values())) for name, of in shown.items()]
    return as_frame(["benchmark", *STATES, "total"], table)


PROGRESS = ("defined", "submitted", "started", "queued", "running", "expired", "done", "error", "cancelled")
"""The columns of a cumulative status."""


def _progress(connection: Connection, chosen: Sequence[str] | None) -> pd.DataFrame:
    state, member = job.c.state, benchmark_experiment.c
    tried = or_(state.in_(("running", "done", "error")), and_(state != "defined", job.c.attempts > 0))
    queued_once = and_(state != "defined", job.c.resource_id.is_not(None))
    tests: dict[str, ColumnElement[bool]] = {
        "defined": job.c.id.is_not(None),
        "submitted": queued_once,
        "started": tried,
        "expired": among(job.c.id, "expired"),
        **{name: state == name for name in ("queued", "running", "done", "error", "cancelled")},
    }
    counted = (
        select(
            benchmark.c.name.label("benchmark"),
            *(func.coalesce(func.sum(case((tests[name], 1), else_=0)), 0).label(name) for name in PROGRESS),
        )
        .join_from(benchmark, benchmark_experiment, member.benchmark_id == benchmark.c.id, isouter=True)
        .join(
            job, and_(job.c.experiment_id == member.experiment_id, job.c.iteration < member.n_iterations), isouter=True
        )
        .group_by(benchmark.c.name)
        .order_by(benchmark.c.name)
    )
    if chosen is not None:
        counted = counted.where(benchmark.c.name.in_(chosen))
    rows = connection.execute(counted, {"expired": expired_jobs(connection)})
    return as_frame(["benchmark", *PROGRESS], [(row[0], *map(int, row[1:])) for row in rows])


_CELL_KEYS = ("benchmark", "task", "learner", "resampling", "params")
_JOB_KEYS = ("iteration", "outcome", "prediction", "host", "tag")


def summary(store: Store, by: str | Iterable[str] = ("task", "learner"), **filters: Any) -> pd.DataFrame:
    """Return a row per group of jobs: what they are grouped by, their numbers by state, and their total.

    Parameters
    ----------
    by
        benchmark, task, learner, resampling, params, iteration, outcome, prediction, host, tag, or the name of a
        parameter of learners. A job with several tags is in the group of each.
    **filters
        Which jobs, as `find` takes them.

    Raises
    ------
    UnknownKeyError
        There is no such key.
    """
    keys = list(dict.fromkeys(texts(by, "by=")))
    if not keys:
        raise ConfigError("by= is empty: name at least one key to group by")
    with store.read() as connection:
        settings = _settings(connection, [key for key in keys if key not in {*_CELL_KEYS, *_JOB_KEYS}])
        several = connection.execute(select(func.count()).select_from(benchmark)).scalar_one() > 1
    of_jobs = bool(filters) or (several and "benchmark" not in keys) or any(key in _JOB_KEYS for key in keys)
    frame = _job_rows(store, keys, filters) if of_jobs else _cell_rows(store)
    for name, values in settings.items():
        frame[name] = frame["experiment_id"].map(values)
    return _grouped(frame, keys)


def tags(store: Store) -> pd.DataFrame:
    """Return a row per tag: its jobs by state, and their total."""
    frame = summary(store, "tag")
    return frame[frame["tag"].notna()].reset_index(drop=True)


def _settings(connection: Connection, names: Sequence[str]) -> dict[str, dict[int, str]]:
    """Return the values of parameters by experiment, as text: their types differ."""
    if not names:
        return {}
    held = settings_of(connection)
    known = sorted({name for values in held.values() for name in values})
    for name in names:
        if name not in known:
            keys = [*_CELL_KEYS, *_JOB_KEYS, *known]
            raise UnknownKeyError(f"jobs are not grouped by {name!r}{nearest(name, keys)}; by {', '.join(keys)}")
    return {name: {key: str(values[name]) for key, values in held.items() if name in values} for name in names}


def _job_rows(store: Store, keys: Sequence[str], filters: dict[str, Any]) -> pd.DataFrame:
    frame = find(store, **filters).assign(n=1)
    if "benchmark" not in keys:
        frame = frame.drop_duplicates("job_id")
    if "tag" in keys:
        with store.read() as connection:
            rows = connection.execute(select(job_tag.c.job_id, job_tag.c.tag)).all()
        frame = frame.merge(as_frame(["job_id", "tag"], list(rows)), on="job_id", how="left")
    return frame


def _cell_rows(store: Store) -> pd.DataFrame:
    """Return a row per member and state with its number of jobs, without reading the jobs one by one."""
    member, cell = benchmark_experiment.c, experiment.c
    about = (benchmark.c.name.label("benchmark"), cell.id, *(member[name] for name in _CELL_KEYS[1:]))
    of_cell = (
        select(job.c.state, job.c.experiment_id, func.count().label("n"))
        .group_by(job.c.state, job.c.experiment_id)
        .subquery()
    )
    base = benchmark.join(benchmark_experiment, member.benchmark_id == benchmark.c.id).join(
        experiment, cell.id == member.experiment_id
    )
    whole = (
        select(*about, of_cell.c.state, of_cell.c.n)
        .select_from(base.join(of_cell, of_cell.c.experiment_id == cell.id))
        .where(member.n_iterations >= cell.n_jobs)
    )
    part = (
        select(*about, job.c.state, func.count().label("n"))
        .select_from(base.join(job, job.c.experiment_id == cell.id))
        .where(member.n_iterations < cell.n_jobs, job.c.iteration < member.n_iterations)
        .group_by(*about, job.c.state)
    )
    with store.read() as connection:
        rows = [*connection.execute(whole), *connection.execute(part)]
    return as_frame(["benchmark", "experiment_id", *_CELL_KEYS[1:], "state", "n"], rows)


def _grouped(frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return the numbers by state of each group, in the order of their keys; what has no key is a group, too."""
    counts = frame.pivot_table(
        index=list(keys), columns="state", values="n", aggfunc="sum", fill_value=0, dropna=False, observed=True
    )
    counts = counts.reindex(columns=list(STATES), fill_value=0).fillna(0).astype("int64")
    counts.columns.name = None
    counts["total"] = counts.sum(axis=1)
    counts = counts[counts["total"] > 0]
    return counts.reset_index()


def tally(store: Store) -> dict[str, int]:
    """Count the jobs of all current benchmarks by state, each job once."""
    member = benchmark_experiment.c
    longest = (
        select(member.experiment_id, func.max(member.n_iterations).label("n")).group_by(member.experiment_id).subquery()
    )
    of_cell = (
        select(job.c.state, job.c.experiment_id, func.count().label("n"))
        .group_by(job.c.state, job.c.experiment_id)
        .subquery()
    )
    whole = (
        select(of_cell.c.state, of_cell.c.n)
        .join_from(of_cell, experiment, experiment.c.id == of_cell.c.experiment_id)
        .join(longest, longest.c.experiment_id == experiment.c.id)
        .where(longest.c.n >= experiment.c.n_jobs)
    )
    part = (
        select(job.c.state, literal(1).label("n"))
        .join_from(longest, experiment, experiment.c.id == longest.c.experiment_id)
        .join(job, job.c.experiment_id == experiment.c.id)
        .where(longest.c.n < experiment.c.n_jobs, job.c.iteration < longest.c.n)
    )
    both = union_all(whole, part).subquery()
    with store.read() as connection:
        rows = connection.execute(select(both.c.state, func.sum(both.c.n)).group_by(both.c.state)).all()
    return dict.fromkeys(STATES, 0) | {state: int(n) for state, n in rows}
