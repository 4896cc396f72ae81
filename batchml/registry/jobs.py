"""Finding jobs and counting them by state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select, func, literal, select, union_all

from batchml.core.attempt import Ending
from batchml.errors import ConfigError, UnknownKeyError, nearest
from batchml.registry.dialects import among, among_words
from batchml.registry.frames import as_frame, read_frame
from batchml.registry.moves import cancel, remove, reset, retry, tag, untag
from batchml.registry.submissions import submit
from batchml.registry.tables import benchmark, benchmark_experiment, experiment, job, job_tag
from batchml.registry.views import jobs as jobs_view

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import Connection

    from batchml.registry.store import Store

__all__ = ["STATES", "cancel", "find", "remove", "reset", "retry", "status", "submit", "tag", "tally", "untag"]

STATES = ("defined", "queued", "running", "done", "error", "cancelled")
"""The states of a job, in the order of its life."""

Words = str | Iterable[str] | None
Numbers = int | Iterable[int] | None


def find(
    store: Store,
    *,
    state: Words = None,
    outcome: Words = None,
    task: Words = None,
    learner: Words = None,
    resampling: Words = None,
    iteration: Numbers = None,
    tag: Words = None,
    benchmark: Words = None,
    jobs: Sequence[int] | None = None,
) -> pd.DataFrame:
    """Return the jobs of current benchmarks as the view `jobs` shows them, those that meet all conditions.

    Each condition is one value or several of which one must hold.

    Raises
    ------
    UnknownKeyError
        A state, outcome, task, learner, resampling, tag or benchmark that there is none of.
    """
    wanted = {
        "state": _words("state", state, STATES),
        "outcome": _words("outcome", outcome, tuple(Ending)),
        "task": _words("task", task),
        "learner": _words("learner", learner),
        "resampling": _words("resampling", resampling),
        "benchmark": _words("benchmark", benchmark),
    }
    statement = select(jobs_view).order_by(jobs_view.c.job_id, jobs_view.c.benchmark)
    values: dict[str, Any] = {}
    for name, words in wanted.items():
        if words is not None:
            statement = statement.where(among_words(jobs_view.c[name], name))
            values[name] = words
    for name, column, numbers in (("iteration", jobs_view.c.iteration, iteration), ("ids", jobs_view.c.job_id, jobs)):
        if numbers is not None:
            statement = statement.where(among(column, name))
            values[name] = [numbers] if isinstance(numbers, int) else [int(number) for number in numbers]
    tags = _words("tag", tag)
    if tags is not None:
        statement = statement.where(
            jobs_view.c.job_id.in_(select(job_tag.c.job_id).where(among_words(job_tag.c.tag, "tag")))
        )
        values["tag"] = tags
    with store.read() as connection:
        _refuse_unknown(connection, {**wanted, "tag": tags})
        return read_frame(connection, statement, values)


def _words(name: str, given: Words, known: Sequence[str] | None = None) -> list[str] | None:
    if given is None:
        return None
    if isinstance(given, str) or not isinstance(given, Iterable):
        given = [given]
    words = [str(word) for word in given]
    for word in words:
        if known is not None and word not in known:
            raise UnknownKeyError(f"there is no {name} {word!r}{nearest(word, known)}; it is one of {', '.join(known)}")
    if not words:
        raise ConfigError(f"{name}= is empty: name at least one, or leave it out")
    return words


def _refuse_unknown(connection: Connection, wanted: dict[str, list[str] | None]) -> None:
    member = benchmark_experiment.c
    columns: dict[str, ColumnElement[str]] = {
        "task": member.task,
        "learner": member.learner,
        "resampling": member.resampling,
        "benchmark": benchmark.c.name,
        "tag": job_tag.c.tag,
    }
    for name, column in columns.items():
        words = wanted.get(name)
        if not words:
            continue
        known = sorted(connection.execute(select(column).distinct()).scalars())
        for word in words:
            if word not in known:
                some = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")
                raise UnknownKeyError(
                    f"there is no {name} {word!r}{nearest(word, known)} here; there is {some or 'none'}"
                )


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


def status(store: Store, benchmark: str | None = None) -> pd.DataFrame:
    """Return a row per benchmark: its name, its jobs by state, and their total.

    Raises
    ------
    UnknownKeyError
        There is no benchmark of that name.
    """
    with store.read() as connection:
        if benchmark is not None:
            _refuse_unknown(connection, {"benchmark": [benchmark]})
        rows = connection.execute(_counts()).all()
    counts: dict[str, dict[str, int]] = {}
    for name, state, n in rows:
        of = counts.setdefault(name, dict.fromkeys(STATES, 0))
        if state is not None:
            of[state] += int(n)
    chosen = {name: of for name, of in sorted(counts.items()) if benchmark in {None, name}}
    table = [(name, *(of[state] for state in STATES), sum(of.values())) for name, of in chosen.items()]
    return as_frame(["benchmark", *STATES, "total"], table)


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
