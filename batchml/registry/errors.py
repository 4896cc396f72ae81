"""What went wrong: each recorded error, and errors that are alike together."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from sqlalchemy import and_, case, column, func, select, table

from batchml.registry.finding import labels
from batchml.registry.frames import as_frame, read_frame
from batchml.registry.tables import job

if TYPE_CHECKING:
    import pandas as pd

    from batchml.registry.store import Store

__all__ = ["errors", "overview"]

_ERRORS = table(
    "errors",
    *(
        column(name)
        for name in (
            [
                "job_id",
                "attempt_id",
                "benchmark",
                "task",
                "learner",
                "resampling",
                "iteration",
                "outcome",
                "stage",
                "level",
                "message",
                "fingerprint",
            ]
        )
    ),
)


def errors(store: Store, benchmark: str | None = None) -> pd.DataFrame:
    """Return the errors of current benchmarks as the view `errors` shows them, oldest first.

    Raises
    ------
    UnknownKeyError
        There is no benchmark of that name.
    """
    statement = select(_ERRORS).order_by(_ERRORS.c.attempt_id, _ERRORS.c.benchmark)
    with store.read() as connection:
        if benchmark is not None:
            statement = statement.where(_ERRORS.c.benchmark.in_(labels(connection, "benchmark", benchmark)))
        return read_frame(connection, statement)


def overview(store: Store, benchmark: str | None = None) -> pd.DataFrame:
    """Return a row per kind of error, the most frequent first.

    Errors are of one kind if they differ only in numbers, addresses and quoted names.

    Columns: ``fingerprint``; ``jobs`` that had it; how many of these are ``failed`` now (the others were tried again,
    or a fallback stepped in); ``tasks`` and ``learners``; ``outcome``, ``stage`` and ``message`` of the first; and
    ``job``, one to look at, a failed one if there is any.

    Raises
    ------
    UnknownKeyError
        There is no benchmark of that name.
    """
    e = _ERRORS.c
    with store.read() as connection:
        chosen = None if benchmark is None else labels(connection, "benchmark", benchmark)
        some = () if chosen is None else (e.benchmark.in_(chosen),)
        failed = case((job.c.state == "error", e.job_id))
        kinds = (
            select(
                e.fingerprint,
                func.count(e.job_id.distinct()).label("jobs"),
                func.count(failed.distinct()).label("failed"),
                func.min(e.attempt_id).label("first"),
                func.coalesce(func.min(failed), func.min(e.job_id)).label("job"),
            )
            .join_from(_ERRORS, job, job.c.id == e.job_id)
            .where(*some)
            .group_by(e.fingerprint)
            .subquery()
        )
        first = (
            select(kinds, e.outcome, e.stage, e.message)
            .join_from(kinds, _ERRORS, and_(e.attempt_id == kinds.c.first, e.fingerprint == kinds.c.fingerprint))
            .order_by(kinds.c.jobs.desc(), kinds.c.first)
        )
        rows = {row.fingerprint: row for row in reversed(connection.execute(first).all())}
        where = connection.execute(select(e.fingerprint, e.task, e.learner).where(*some).distinct()).all()
    names: dict[str, defaultdict[str, set[str]]] = {"task": defaultdict(set), "learner": defaultdict(set)}
    for row in where:
        names["task"][row.fingerprint].add(row.task)
        names["learner"][row.fingerprint].add(row.learner)
    table_rows = [
        (
            row.fingerprint, row.jobs, row.failed, *(", ".join(sorted(of[row.fingerprint])) for of in names.values()),
            row.outcome, row.stage, row.message, row.job,
        )
        for row in reversed(rows.values())
    ]  # fmt: skip
    return as_frame(
        ["fingerprint", "jobs", "failed", "tasks", "learners", "outcome", "stage", "message", "job"], table_rows
    )
