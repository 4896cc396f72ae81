"""The statements that close attempts and store what they bring; see `queries` for their form."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Double,
    Executable,
    Select,
    bindparam,
    insert,
    literal_column,
    null,
    or_,
    select,
    update,
)

from batchml.registry.dialects import among, epoch_now, utc_now
from batchml.registry.tables import attempt, condition, job, log, prediction, result, score


@cache
def jobs_of() -> Select[int]:
    """The jobs of the attempts `ids`. Who closes an attempt locks its job first, by this or by `some_jobs`."""
    theirs = select(attempt.c.job_id).where(among(attempt.c.id))
    return select(job.c.id).where(job.c.id.in_(theirs)).order_by(job.c.id)


@cache
def some_jobs() -> Select[int]:
    """The jobs `ids`."""
    return select(job.c.id).where(among(job.c.id)).order_by(job.c.id)


@cache
def delivered() -> Select[Any]:
    """What is known of the attempts `ids` and their jobs."""
    return (
        select(
            attempt.c.id,
            attempt.c.job_id,
            attempt.c.worker_id,
            attempt.c.outcome,
            attempt.c.generation,
            attempt.c.alone,
            attempt.c.recalled,
            job.c.state,
            job.c.generation.label("job_generation"),
            job.c.hiccups,
            job.c.lost_alone,
            job.c.suspect,
            result.c.attempt_id.label("result_of"),
        )
        .join_from(attempt, job, attempt.c.job_id == job.c.id)
        .outerjoin(result, result.c.job_id == job.c.id)
        .where(among(attempt.c.id))
        .order_by(attempt.c.id)
    )


CLOSED_BY_OTHERS = ("lost", "infrastructure", "preempted", "released")
"""Endings that somebody else may have given an attempt that its worker finishes after all. A scheduler that gives up a
node, or starts an element again, need not have reached what runs there; and of an attempt that went by a shared disk
nobody may have seen that it was begun.
"""

CLOSE_NAMES = (
    "outcome",
    "signal",
    "error_type",
    "message",
    "traceback",
    "fingerprint",
    "fit_s",
    "predict_s",
    "wall_s",
    "cpu_s",
    "peak_mb",
    "threads",
    "dirty",
    "attempt",
)


@cache
def close_attempt() -> Executable:
    """Close one open attempt with what its worker measured; parameters `CLOSE_NAMES`."""
    values: dict[str, ColumnElement[Any]] = {name: bindparam(name) for name in CLOSE_NAMES[:-1]}
    # A late result closes an attempt again that had been closed over its worker's head.
    others: list[ColumnElement[str]] = [literal_column(f"'{word}'") for word in CLOSED_BY_OTHERS]
    open_or_lost = or_(attempt.c.ended_at.is_(None), attempt.c.outcome.in_(others))
    return (
        update(attempt)
        .ordered_values(
            *((attempt.c[name], value) for name, value in values.items()),
            (attempt.c.recalled, literal_column("0")),
            (attempt.c.ended_at, utc_now()),
        )
        .where(attempt.c.id == bindparam("attempt"), open_or_lost)
    )


@cache
def close_plainly() -> Executable:
    """Close the open attempts `ids` with one `outcome` for all."""
    return (
        update(attempt)
        .where(among(attempt.c.id), attempt.c.ended_at.is_(None))
        .values(
            outcome=bindparam("outcome"),
            ended_at=utc_now(),
            recalled=bindparam("recall"),
            message=bindparam("note"),
            fingerprint=bindparam("mark"),
        )
    )


@cache
def forget_recall() -> Executable:
    """Note that the worker has answered for the attempts `ids`."""
    return update(attempt).where(among(attempt.c.id)).values(recalled=0)


@cache
def finish_jobs() -> Executable:
    """Set the jobs `ids` done."""
    return (
        update(job).where(among(job.c.id)).values(state="done", suspect=0, hiccups=0, lost_alone=0, not_before=null())
    )


MOVE_NAMES = ("state", "attempts", "charged", "hiccups", "lost_alone", "suspect", "delay", "job")


@cache
def move_job() -> Executable:
    """Move one running job; parameters `MOVE_NAMES`, of which the first three after the state are added."""
    delay: ColumnElement[float] = bindparam("delay", type_=Double())
    return (
        update(job)
        .ordered_values(
            (job.c.state, bindparam("state")),
            (job.c.attempts, job.c.attempts + bindparam("attempts")),
            (job.c.charged, job.c.charged + bindparam("charged")),
            (job.c.hiccups, bindparam("hiccups")),
            (job.c.lost_alone, bindparam("lost_alone")),
            (job.c.suspect, bindparam("suspect")),
            (job.c.not_before, epoch_now() + delay),
        )
        .where(job.c.id == bindparam("job"), job.c.state == literal_column("'running'"))
    )


@cache
def successors() -> Select[int, int, int | None]:
    """Open attempts of the jobs `ids`."""
    return select(attempt.c.id, attempt.c.job_id, attempt.c.worker_id).where(
        among(attempt.c.job_id), attempt.c.ended_at.is_(None)
    )


RESULT_NAMES = ("job_id", "attempt_id", "completeness", "n", "n_missing", "n_imputed", "model", "model_mark")
SCORE_NAMES = ("job_id", "measure_id", "kind", "value")
PREDICTION_NAMES = ("job_id", "predict_set", "data")
CONDITION_NAMES = ("attempt_id", "number", "stage", "level", "kind", "message", "traceback", "fingerprint")
LOG_NAMES = ("attempt_id", "body")


@cache
def add_result() -> Executable:
    """Store a result; parameters `RESULT_NAMES`."""
    return insert(result).values({name: bindparam(name) for name in RESULT_NAMES})


@cache
def add_score() -> Executable:
    """Store a score; parameters `SCORE_NAMES`."""
    return insert(score).values({name: bindparam(name) for name in SCORE_NAMES})


@cache
def add_prediction() -> Executable:
    """Store a prediction; parameters `PREDICTION_NAMES`."""
    return insert(prediction).values({name: bindparam(name) for name in PREDICTION_NAMES})


@cache
def add_condition() -> Executable:
    """Store a condition; parameters `CONDITION_NAMES`."""
    return insert(condition).values({name: bindparam(name) for name in CONDITION_NAMES})


@cache
def add_log() -> Executable:
    """Store what an attempt printed; parameters `LOG_NAMES`."""
    return insert(log).values({name: bindparam(name) for name in LOG_NAMES})
