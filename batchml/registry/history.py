"""What happened: attempts and logs."""

from __future__ import annotations

import re
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select, bindparam, column, func, select, table

from batchml.errors import ConfigError, UnknownKeyError
from batchml.registry.dialects import among
from batchml.registry.frames import read_frame
from batchml.registry.moves import known_jobs
from batchml.registry.places import ENVIRONMENT, HOST
from batchml.registry.tables import (
    attempt,
    condition,
    job,
    log,
    place,
    worker,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd
    from sqlalchemy import Connection

    from batchml.registry.store import Store

__all__ = ["all_attempts", "attempts", "grep_logs", "job_row", "log_of"]


def attempts(store: Store, job_id: int) -> pd.DataFrame:
    """Return the attempts at a job, first to last: where, when, how each ended.

    Raises
    ------
    UnknownKeyError
        There is no such job.
    """
    statement = _attempts().where(attempt.c.job_id == bindparam("which")).order_by(attempt.c.id)
    with store.read() as connection:
        job_row(connection, job_id, store)
        return read_frame(connection, statement, {"which": job_id})


def all_attempts(store: Store, names: Sequence[str], *, span: int = 20_000) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the attempts at jobs of current benchmarks, by job, in pages that each hold `span` job ids at most.

    Parameters
    ----------
    names
        Columns of `attempts`, or ``job_id``.
    """
    some = _attempts(attempt.c.job_id).subquery()
    members: Select[Any] = select(column("job_id")).select_from(table("jobs", column("job_id")))
    pages = (
        select(*(some.c[name] for name in names))
        .where(some.c.job_id > bindparam("after"), some.c.job_id <= bindparam("last"), some.c.job_id.in_(members))
        .order_by(some.c.job_id, some.c.attempt_id)
    )
    with store.read() as connection:
        last = connection.execute(select(func.coalesce(func.max(job.c.id), 0))).scalar_one()
    for after in range(0, last, span):
        with store.read() as connection:
            rows = connection.execute(pages, {"after": after, "last": after + span}).all()
        if rows:
            yield [tuple(row) for row in rows]


def _attempts(*more: ColumnElement[Any]) -> Select[Any]:
    names = (
        "started_at ended_at outcome signal error_type message alone fit_s predict_s wall_s cpu_s peak_mb threads dirty"
    )
    return (
        select(
            *more,
            attempt.c.id.label("attempt_id"),
            attempt.c.worker_id,
            HOST.label("host"),
            ENVIRONMENT.label("environment_id"),
            *(attempt.c[name] for name in names.split()),
        )
        .join_from(attempt, worker)
        .outerjoin(place, place.c.id == attempt.c.place_id)
    )


def log_of(store: Store, job_id: int) -> str:
    """Return what the attempts at a job printed and reported, first to last, each under a headline.

    Raises
    ------
    UnknownKeyError
        There is no such job.
    """
    made = (
        select(attempt, HOST, worker.c.pid, log.c.body)
        .join_from(attempt, worker)
        .outerjoin(place, place.c.id == attempt.c.place_id)
        .outerjoin(log, log.c.attempt_id == attempt.c.id)
        .where(attempt.c.job_id == bindparam("which"))
        .order_by(attempt.c.id)
    )
    happened = (
        select(condition).where(among(condition.c.attempt_id)).order_by(condition.c.attempt_id, condition.c.number)
    )
    with store.read() as connection:
        job_row(connection, job_id, store)
        rows = connection.execute(made, {"which": job_id}).all()
        events = connection.execute(happened, {"ids": [row.id for row in rows]}).all()
    parts = []
    for row in rows:
        parts.append(_headline(row))
        parts += [_event(event) for event in events if event.attempt_id == row.id]
        if row.traceback and not any(event.traceback == row.traceback for event in events):
            parts.append(row.traceback.rstrip())
        if row.body:
            parts.append(row.body.rstrip())
    return "\n".join(parts)


def _headline(row: Any) -> str:
    end = "still running" if row.outcome is None else f"{row.outcome} at {row.ended_at}"
    signal = "" if row.signal is None else f" by signal {row.signal}"
    message = f": {row.message}" if row.message else ""
    return f"--- attempt {row.id} on {row.host} since {row.started_at}: {end}{signal}{message}"


def _event(event: Any) -> str:
    kind = f"{event.kind}: " if event.kind else ""
    text = f"[{event.stage} {event.level}] {kind}{event.message}"
    return f"{text}\n{event.traceback.rstrip()}" if event.traceback else text


def grep_logs(
    store: Store, pattern: str, *, ignore_case: bool = False, fixed: bool = False, jobs: Sequence[int] | None = None
) -> pd.DataFrame:
    """Return the different lines of logs, conditions and endings that match: job_id, attempt_id, line.

    Parameters
    ----------
    pattern
        A regular expression, or (`fixed`) a text.
    jobs
        Look only at these; None: at all.

    Raises
    ------
    ConfigError
        `pattern` is no regular expression.
    UnknownKeyError
        There is no such job.
    """
    if not isinstance(pattern, str):
        raise ConfigError(f"a pattern is a text, not {pattern!r:.60}")
    try:
        found = re.compile(re.escape(pattern) if fixed else pattern, re.IGNORECASE if ignore_case else 0)
    except re.error as error:
        raise ConfigError(f"{pattern!r} is no regular expression: {error}") from None
    import pandas as pd

    wanted = None if jobs is None else set(known_jobs(store, jobs))
    rows = [
        (job_id, attempt_id, line)
        for job_id, attempt_id, text in _texts(store)
        if wanted is None or job_id in wanted
        for line in text.splitlines()
        if found.search(line)
    ]
    return pd.DataFrame(sorted(dict.fromkeys(rows), key=itemgetter(0, 1)), columns=["job_id", "attempt_id", "line"])


def _texts(store: Store) -> Any:
    """Yield job, attempt and text of all that was printed and reported, a page at a time: long reads keep the log of
    writes long.
    """
    ending = (
        select(attempt.c.id.label("attempt_id"), attempt.c.message).where(attempt.c.message.is_not(None)).subquery()
    )
    for source, body in ((log, log.c.body), (condition, condition.c.message), (ending, ending.c.message)):
        order = (source.c.attempt_id, source.c.number) if source is condition else (source.c.attempt_id,)
        last = -1
        while True:
            page = (
                select(attempt.c.job_id, attempt.c.id, body)
                .join_from(source, attempt, attempt.c.id == source.c.attempt_id)
                .where(source.c.attempt_id > last, source.c.attempt_id <= _page_end(source, last))
                .order_by(*order)
            )
            with store.read() as connection:
                rows = connection.execute(page).all()
            if not rows:
                break
            yield from rows
            last = rows[-1].id


def _page_end(source: Any, last: int) -> Any:
    some = select(source.c.attempt_id).where(source.c.attempt_id > last).order_by(source.c.attempt_id).limit(1000)
    return select(func.max(some.subquery().c.attempt_id)).scalar_subquery()


def job_row(connection: Connection, job_id: int, store: Store) -> Any:
    """Return the row of a job.

    Raises
    ------
    UnknownKeyError
        There is no such job.
    """
    row = connection.execute(select(job).where(job.c.id == bindparam("which")), {"which": job_id}).one_or_none()
    if row is None:
        raise UnknownKeyError(f"there is no job {job_id} in {store.place}; `batchml jobs` lists them")
    return row
