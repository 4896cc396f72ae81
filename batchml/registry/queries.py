"""The statements of an exchange, as named pure functions: one text for both databases.

Each is built once (`cache`), so that SQLAlchemy finds its compiled form again; parameters are named.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Double,
    Executable,
    Select,
    bindparam,
    case,
    func,
    insert,
    literal,
    literal_column,
    null,
    or_,
    select,
    update,
)

from batchml.registry.dialects import among, epoch_now, utc_now
from batchml.registry.tables import (
    attempt,
    condition,
    experiment,
    job,
    log,
    prediction,
    registry,
    result,
    score,
    submission,
    worker,
)

QUEUED: ColumnElement[str] = literal_column("'queued'")  # a bound value would keep SQLite from using the partial index
LONGEST_BACK_OFF_S = 3600.0


@cache
def revision() -> Select[int]:
    """The number that every change of designs raises."""
    return select(registry.c.revision)


@cache
def raise_revision() -> Executable:
    """Tell all workers that the specs they hold may be old."""
    return update(registry).values(revision=registry.c.revision + 1)


# Beat
# ------------------------------------------------------------------------------------------------------------------


@cache
def beat() -> Executable:
    """Renew the lease of `worker`; one that was taken for dead is alive again."""
    return (
        update(worker)
        .where(worker.c.id == bindparam("worker"), worker.c.state != "stopped")
        .values(
            heartbeat_at=utc_now(),
            beat_s=bindparam("beat"),
            stopped_at=null(),
            state=case((worker.c.wanted == "go_on", "running"), else_="draining"),
        )
        .returning(worker.c.wanted)
    )


@cache
def post() -> Select[int, int]:
    """The resource class and the slots of `worker`."""
    return (
        select(submission.c.resource_id, worker.c.slots)
        .join_from(worker, submission)
        .where(worker.c.id == bindparam("worker"))
    )


@cache
def recalled() -> Select[int]:
    """Attempts of `worker` that somebody else has closed, for it to end."""
    return select(attempt.c.id).where(
        attempt.c.worker_id == bindparam("worker"), attempt.c.recalled == literal_column("1")
    )


@cache
def open_attempts() -> Select[int, int]:
    """Open attempts of `worker`, with whether they run alone."""
    return select(attempt.c.id, attempt.c.alone).where(
        attempt.c.worker_id == bindparam("worker"), attempt.c.ended_at.is_(None)
    )


# Close
# -----------------------------------------------------------------------------------------------------------------


@cache
def delivered() -> Select[Any]:
    """What is known of the attempts `ids` and their jobs, rows locked in the order of ids."""
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
        .with_for_update(of=attempt)
    )


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
    # A late result closes an attempt again that had been closed as lost.
    open_or_lost = or_(attempt.c.ended_at.is_(None), attempt.c.outcome == literal_column("'lost'"))
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
def successors() -> Select[int, int]:
    """Open attempts of the jobs `ids`."""
    return select(attempt.c.id, attempt.c.job_id).where(among(attempt.c.job_id), attempt.c.ended_at.is_(None))


RESULT_NAMES = ("job_id", "attempt_id", "completeness", "n", "n_missing", "n_imputed", "model")
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


# Claim
# -----------------------------------------------------------------------------------------------------------------


@cache
def live_slots() -> Select[int]:
    """Slots of the workers of resource class `resource` that have beaten since `since`."""
    return (
        select(func.coalesce(func.sum(worker.c.slots), 0))
        .join_from(worker, submission)
        .where(
            worker.c.stopped_at.is_(None),
            worker.c.wanted == "go_on",
            submission.c.resource_id == bindparam("resource"),
            worker.c.beat_s >= bindparam("since"),
        )
    )


@cache
def count_waiting() -> Select[int]:
    """Queued jobs of class `resource`, counted up to `bound`."""
    few = (
        select(literal(1))
        .where(job.c.resource_id == bindparam("resource"), job.c.state == QUEUED)
        .limit(bindparam("bound"))
    )
    return select(func.count()).select_from(few.subquery())


@cache
def next_due() -> Select[float | None]:
    """Seconds until the first job of class `resource` that is held back may be claimed, NULL if none is."""
    return select(func.min(job.c.not_before) - epoch_now()).where(
        job.c.resource_id == bindparam("resource"), job.c.state == QUEUED, job.c.not_before > epoch_now()
    )


@cache
def claimable(suspect: int) -> Select[int, int]:
    """Up to `want` jobs of class `resource` that may run now, most urgent first; suspects or the others."""
    # A clock set back must not hold a job for years.
    due = or_(
        job.c.not_before.is_(None),
        job.c.not_before <= epoch_now(),
        job.c.not_before > epoch_now() + LONGEST_BACK_OFF_S,
    )
    return (
        select(job.c.id, job.c.experiment_id)
        .where(
            job.c.resource_id == bindparam("resource"),
            job.c.suspect == literal_column(str(suspect)),
            job.c.state == QUEUED,
            due,
        )
        .order_by(job.c.priority.desc(), job.c.id)
        .limit(bindparam("want"))
        .with_for_update(skip_locked=True)
    )


@cache
def start_jobs() -> Executable:
    """Set the jobs `ids` running."""
    # They were read in this transaction, so nothing more is asked: with "state = 'queued'" SQLite scans the queue
    # instead.
    return update(job).where(among(job.c.id)).values(state="running", attempts=job.c.attempts + 1)


@cache
def open_attempts_for() -> Executable:
    """Open an attempt of `worker` for each of the jobs `ids`."""
    source = (
        select(
            job.c.id,
            bindparam("worker", type_=attempt.c.worker_id.type),
            experiment.c.policy_id,
            experiment.c.source_id,
            job.c.generation,
            bindparam("alone", type_=attempt.c.alone.type),
        )
        .join_from(job, experiment)
        .where(among(job.c.id))
        .order_by(job.c.priority.desc(), job.c.id)
    )
    names = ["job_id", "worker_id", "policy_id", "source_id", "generation", "alone"]
    return insert(attempt).from_select(names, source).returning(attempt.c.id, attempt.c.job_id)


@cache
def assigned() -> Select[int, int, int, int, int]:
    """What an assignment names, for the open attempts of `worker`."""
    return (
        select(attempt.c.id, job.c.id, job.c.iteration, job.c.experiment_id, attempt.c.alone)
        .join_from(attempt, job, attempt.c.job_id == job.c.id)
        .where(attempt.c.worker_id == bindparam("worker"), attempt.c.ended_at.is_(None))
        .order_by(attempt.c.id)
    )


@cache
def wall_times() -> Select[int, float]:
    """Wall times of finished jobs of the experiments `ids`, from their first iterations: those are claimed first, and
    few.
    """
    return (
        select(job.c.experiment_id, attempt.c.wall_s)
        .join_from(job, result, result.c.job_id == job.c.id)
        .join(attempt, attempt.c.id == result.c.attempt_id)
        .where(among(job.c.experiment_id), job.c.iteration < 50, job.c.state == "done", attempt.c.wall_s.is_not(None))
    )
