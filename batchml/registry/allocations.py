"""What a scheduler was asked to start: the numbers of its job arrays, beside the submissions they serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, func, select, update

from batchml.registry.tables import attempt, job, submission, worker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchml.registry.store import Store

__all__ = ["allocated", "elements", "set_scheduler_id", "settings_of", "withdraw"]

_NEWEST = 100


def set_scheduler_id(store: Store, submission_id: int, scheduler_id: str) -> None:
    """Note what the scheduler calls the arrays of a submission: ``"12@cluster 13@cluster"``."""
    note = update(submission).where(submission.c.id == bindparam("which")).values(scheduler_id=scheduler_id)
    with store.write() as connection:
        connection.execute(note, {"which": submission_id})


def settings_of(store: Store, submission_id: int) -> Mapping[str, Any]:
    """Return what the executor of a submission was told."""
    with store.read() as connection:
        query = select(submission.c.settings).where(submission.c.id == bindparam("which"))
        return dict(connection.execute(query, {"which": submission_id}).scalar_one_or_none() or {})


def allocated(store: Store) -> Sequence[Any]:
    """Return the newest submissions with a scheduler's number.

    Rows have `id`, `resource_id`, `scheduler_id`, the number of its workers that have ever said hello (`greeted`), and
    of its jobs' class that wait or run (`waiting`, at most 1).
    """
    greeted = select(func.count()).where(worker.c.submission_id == submission.c.id).scalar_subquery()
    waits = select(job.c.id).where(
        job.c.state.in_(("queued", "running")), job.c.resource_id == submission.c.resource_id
    )
    query = (
        select(
            submission.c.id,
            submission.c.resource_id,
            submission.c.scheduler_id,
            greeted.label("greeted"),
            waits.exists().label("waiting"),
        )
        .where(submission.c.scheduler_id.is_not(None))
        .order_by(submission.c.id.desc())
        .limit(_NEWEST)
    )
    with store.read() as connection:
        return connection.execute(query).all()


def elements(store: Store, *, live: bool = True) -> Sequence[Any]:
    """Return workers (that have not stopped) with a scheduler's name: `id`, `scheduler_id`, `submission_id`."""
    query = select(worker.c.id, worker.c.scheduler_id, worker.c.submission_id).where(worker.c.scheduler_id.is_not(None))
    if live:
        query = query.where(worker.c.stopped_at.is_(None))
    with store.read() as connection:
        return connection.execute(query.order_by(worker.c.id)).all()


def withdraw(store: Store, submission_id: int) -> int:
    """Make the queued jobs of a submission defined again, whose workers could not be started; return how many."""
    back = update(job).where(job.c.state == "queued", job.c.submission_id == bindparam("which")).values(state="defined")
    mine = select(job.c.id).where(job.c.state == "queued", job.c.submission_id == bindparam("which"))
    planned = delete(attempt).where(
        attempt.c.job_id.in_(mine), attempt.c.worker_id.is_(None), attempt.c.ended_at.is_(None)
    )
    with store.write() as connection:
        connection.execute(planned, {"which": submission_id})
        return connection.execute(back, {"which": submission_id}).rowcount
