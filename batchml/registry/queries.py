"""The statements that beat and claim, as named pure functions: one text for both databases.

Each is built once (`cache`), so that SQLAlchemy finds its compiled form again; parameters are named.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Double,
    Executable,
    Integer,
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
    true,
    update,
)

from batchml.registry.dialects import among, epoch_now, utc_now
from batchml.registry.tables import (
    attempt,
    experiment,
    job,
    registry,
    result,
    submission,
    worker,
)

QUEUED: ColumnElement[str] = literal_column("'queued'")  # a bound value would keep SQLite from using the partial index
LONGEST_BACK_OFF_S = 120.0  # more than any; a wall clock may be set meanwhile


@cache
def revision() -> Select[int]:
    """The number that every change of designs raises."""
    return select(registry.c.revision)


@cache
def raise_revision() -> Executable:
    """Tell all workers that the specs they hold may be old."""
    return update(registry).values(revision=registry.c.revision + 1)


@cache
def beat() -> Executable:
    """Renew the lease of `worker`; one that was taken for dead is alive again.

    `beat` is the moment, NULL where it is the server's clock that says it. Returns what the worker is asked to do, and
    the moment.
    """
    moment: ColumnElement[float] = bindparam("beat", type_=Double())
    return (
        update(worker)
        .where(worker.c.id == bindparam("worker"), worker.c.state != "stopped")
        .values(
            heartbeat_at=utc_now(),
            beat_s=func.coalesce(moment, epoch_now()),
            stopped_at=null(),
            state=case((worker.c.wanted == "go_on", "running"), else_="draining"),
        )
        .returning(worker.c.wanted, worker.c.beat_s)
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


@cache
def situation() -> Select[Any]:
    """What claiming has to know, in one statement.

    The revision of designs; the slots of the workers of resource class `resource` whose lease runs at `now` (`live`);
    the queued jobs of the class, counted up to `most` for each of these, or of this worker's `slots` (`waiting`); how
    many attempts `worker` holds (`held`), how many of them are to run alone (`alone`), and whether somebody else has
    closed one, for it to end (`recalled`).
    """
    live = (
        select(func.coalesce(func.sum(worker.c.slots), 0))
        .join_from(worker, submission)
        .where(
            worker.c.stopped_at.is_(None),
            worker.c.wanted == "go_on",
            submission.c.resource_id == bindparam("resource"),
            worker.c.beat_s + worker.c.lease_s >= bindparam("now"),
        )
        .scalar_subquery()
    )
    slots: ColumnElement[int] = bindparam("slots", type_=Integer())
    few = (
        select(literal(1))
        .where(job.c.resource_id == bindparam("resource"), job.c.state == QUEUED)
        # The order of the index of queued jobs: PostgreSQL would read the whole table for them, past all that is done.
        .order_by(job.c.suspect, job.c.priority.desc(), job.c.id)
        .limit(case((live > slots, live), else_=slots) * bindparam("most", type_=Integer()))
    )
    waiting = select(func.count()).select_from(few.subquery()).scalar_subquery()
    mine = select(func.count(), func.sum(attempt.c.alone)).where(
        attempt.c.worker_id == bindparam("worker"), attempt.c.ended_at.is_(None)
    )
    held = mine.subquery()
    return select(
        registry.c.revision,
        live.label("live"),
        waiting.label("waiting"),
        held.c[0].label("held"),
        held.c[1].label("alone"),
        recalled().exists().label("recalled"),
    ).select_from(registry.join(held, true()))


@cache
def next_due() -> Select[float | None]:
    """Seconds until the first job of class `resource` that is held back may be claimed, NULL if none is."""
    return select(func.min(job.c.not_before) - epoch_now()).where(
        job.c.resource_id == bindparam("resource"), job.c.state == QUEUED, job.c.not_before > epoch_now()
    )


@cache
def claimable(suspect: int, *, spare: bool = False) -> Select[int, int, int]:
    """Up to `want` jobs of class `resource` that may run now, most urgent first; suspects or the others.

    With `spare`, none of the experiments `ids`.
    """
    # A clock set back must not hold a job for years.
    due = or_(
        job.c.not_before.is_(None),
        job.c.not_before <= epoch_now(),
        job.c.not_before > epoch_now() + LONGEST_BACK_OFF_S,
    )
    return (
        select(job.c.id, job.c.experiment_id, job.c.iteration)
        .where(
            job.c.resource_id == bindparam("resource"),
            job.c.suspect == literal_column(str(suspect)),
            job.c.state == QUEUED,
            due,
            ~among(job.c.experiment_id) if spare else true(),
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
    # That a job is done is not asked, as it has a result: a server whose statistics are of a time when few were done
    # would read all of them.
    return (
        select(job.c.experiment_id, attempt.c.wall_s)
        .join_from(job, result, result.c.job_id == job.c.id)
        .join(attempt, attempt.c.id == result.c.attempt_id)
        .where(among(job.c.experiment_id), job.c.iteration < 50, attempt.c.wall_s.is_not(None))
    )
