"""What happened: logs, attempts, and why a job is in its state."""

from __future__ import annotations

import re
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, bindparam, func, select

from batchml.errors import ConfigError, UnknownKeyError
from batchml.registry.dialects import among, epoch_now
from batchml.registry.frames import read_frame
from batchml.registry.moves import known_jobs
from batchml.registry.tables import (
    attempt,
    benchmark_experiment,
    condition,
    job,
    log,
    resource,
    result,
    submission,
    worker,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from sqlalchemy import Connection

    from batchml.registry.store import Store

__all__ = ["attempts", "grep_logs", "log_of", "why"]


def attempts(store: Store, job_id: int) -> pd.DataFrame:
    """Return the attempts at a job, first to last: where, when, how each ended.

    Raises
    ------
    UnknownKeyError
        There is no such job.
    """
    names = (
        "started_at ended_at outcome signal error_type message alone fit_s predict_s wall_s cpu_s peak_mb threads dirty"
    )
    statement = (
        select(
            attempt.c.id.label("attempt_id"),
            attempt.c.worker_id,
            worker.c.host,
            *(attempt.c[name] for name in names.split()),
        )
        .join_from(attempt, worker)
        .where(attempt.c.job_id == bindparam("which"))
        .order_by(attempt.c.id)
    )
    with store.read() as connection:
        _job(connection, job_id, store)
        return read_frame(connection, statement, {"which": job_id})


def log_of(store: Store, job_id: int) -> str:
    """Return what the attempts at a job printed and reported, first to last, each under a headline.

    Raises
    ------
    UnknownKeyError
        There is no such job.
    """
    made = (
        select(attempt, worker.c.host, worker.c.pid, log.c.body)
        .join_from(attempt, worker)
        .outerjoin(log, log.c.attempt_id == attempt.c.id)
        .where(attempt.c.job_id == bindparam("which"))
        .order_by(attempt.c.id)
    )
    happened = (
        select(condition).where(among(condition.c.attempt_id)).order_by(condition.c.attempt_id, condition.c.number)
    )
    with store.read() as connection:
        _job(connection, job_id, store)
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


def why(store: Store, job_id: int) -> str:
    """Say in one sentence why a job is in its state, and what to do if something is amiss.

    Raises
    ------
    UnknownKeyError
        There is no such job.
    """
    with store.read() as connection:
        row = _job(connection, job_id, store)
        member = select(benchmark_experiment.c.experiment_id).where(
            benchmark_experiment.c.experiment_id == row.experiment_id,
            benchmark_experiment.c.n_iterations > row.iteration,
        )
        outside = "" if connection.execute(member.limit(1)).first() else " (its cell is in no current benchmark)"
        return f"job {job_id} is {row.state}{outside}: {_reason(connection, row)}"


def _reason(connection: Connection, row: Any) -> str:
    if row.state == "defined":
        again = " (its result was dropped by a reset or a changed policy)" if row.generation else ""
        return f"it has not been submitted yet{again}"
    if row.state == "cancelled":
        return "a user cancelled it; retry queues it again"
    last = connection.execute(_last_attempt(), {"which": row.id}).one_or_none()
    if row.state == "queued":
        return _waiting(connection, row, last)
    if last is None:
        return "no attempt is recorded"
    if row.state == "running":
        return f"worker {last.worker_id} on {last.host} holds it since {last.started_at}"
    if row.state == "done":
        kind = connection.execute(select(result.c.completeness).where(result.c.job_id == row.id)).scalar()
        lack = "" if kind != "none" else " without a prediction: the learner failed and has no fallback, see its log"
        return f"attempt {last.id} on {last.host} brought a result at {last.ended_at}{lack}"
    what = f"attempt {last.id} on {last.host} ended as {last.outcome}"
    remedy = {
        "config_error": "mend the cause, then retry",
        "learner_error": "the method failed on this split: a fallback learner would impute it",
        "infrastructure": "it was retried by itself in vain: mend the cause, then retry",
        "lost": "it has killed its worker twice while running alone",
        "crashed": "its log may say where; encapsulate='process' and a fallback learner would impute it",
    }.get(last.outcome, "raise its limits, or retry")
    return f"{what}{': ' + last.message if last.message else ''}; {remedy}"


def _waiting(connection: Connection, row: Any, last: Any) -> str:
    needs = connection.execute(select(resource.c.body).where(resource.c.id == row.resource_id)).scalar()
    words = ", ".join(f"{name}={value}" for name, value in sorted((needs or {}).items())) or "no special resources"
    live = (
        select(func.count())
        .select_from(worker.join(submission))
        .where(submission.c.resource_id == row.resource_id, worker.c.stopped_at.is_(None), worker.c.wanted == "go_on")
    )
    workers = connection.execute(live).scalar_one()
    if not workers:
        return f"no live worker takes jobs with {words}; resume starts one"
    if row.not_before is not None:
        rest = connection.execute(select(row.not_before - epoch_now())).scalar_one()
        if rest > 0:
            return f"it is held back for {rest:.0f} s after {last.outcome if last else 'a failure'}{_said(last)}"
    if row.suspect:
        return "its last worker died while it held it, so it waits for a worker that runs nothing else"
    return f"it waits for its turn; {workers} live worker{'' if workers == 1 else 's'} for {words}"


def _said(last: Any) -> str:
    return f" ({last.message})" if last is not None and last.message else ""


def _last_attempt() -> Select[Any]:
    return (
        select(attempt, worker.c.host)
        .join_from(attempt, worker)
        .where(attempt.c.job_id == bindparam("which"), attempt.c.outcome.is_distinct_from("released"))
        .order_by(attempt.c.id.desc())
        .limit(1)
    )


def _job(connection: Connection, job_id: int, store: Store) -> Any:
    row = connection.execute(select(job).where(job.c.id == bindparam("which")), {"which": job_id}).one_or_none()
    if row is None:
        raise UnknownKeyError(f"there is no job {job_id} in {store.place}; `batchml jobs` lists them")
    return row
