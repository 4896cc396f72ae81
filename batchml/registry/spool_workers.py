"""Workers that reach no database, as the registry knows them: by what they have written."""

from __future__ import annotations

import json
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Double, Executable, bindparam, func, insert, null, or_, select, update

from batchml.core.attempt import Ending
from batchml.registry import close_queries
from batchml.registry.close import close_rows, read_locked
from batchml.registry.dialects import among, among_words, lease_seconds, lock_rows, moment, unindexed, utc_now
from batchml.registry.queries import QUEUED
from batchml.registry.tables import attempt, job, resource, submission, worker
from batchml.registry.workers import replace_predecessors

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import Connection

    from batchml.registry.processes import Process
    from batchml.registry.store import Store

__all__ = ["begin", "enter", "forget", "hear", "recalled", "refuse", "revive", "segments", "set_clocks"]


def enter(store: Store, resource_id: int, segment: str, size: int, about: Mapping[str, Any], process: Process) -> Any:
    """Enter the worker that writes a segment, or find it; return its row.

    Parameters
    ----------
    size
        Bytes of its first words.
    about
        Its slots, lease, scheduler's id, incarnation and allocation.
    """
    found = select(worker).where(worker.c.segment == bindparam("segment"))
    with store.write() as connection:
        lock_rows(connection, select(resource.c.id).where(resource.c.id == resource_id), {})
        known = connection.execute(found, {"segment": segment}).one_or_none()
        if known is not None:
            return known
        newest = select(func.max(submission.c.id)).where(submission.c.resource_id == resource_id)
        values = {
            "submission_id": connection.execute(newest).scalar_one(),
            "host": process.host,
            "boot_id": process.boot_id,
            "pid": process.pid,
            "pid_start": process.pid_start,
            "pid_ns": process.pid_ns,
            "scheduler_id": about["scheduler_id"],
            "incarnation": about["incarnation"],
            "allocation": json.dumps(about["allocation"]) if about["allocation"] else None,
            "slots": about["slots"],
            "lease_s": about["lease_s"],
            "beat_s": lease_seconds(connection),
            "segment": segment,
            "synced": size,
        }
        connection.execute(insert(worker), values)
        if about["scheduler_id"] is not None:
            replace_predecessors(connection, about["scheduler_id"], about["incarnation"])
        return connection.execute(found, {"segment": segment}).one()


@cache
def hear() -> Executable:
    """Note that the first `new` bytes of a worker's segment are taken in, if `old` were: a sign of life."""
    return (
        update(worker)
        .where(worker.c.id == bindparam("worker"), worker.c.synced == bindparam("old"))
        .values(synced=bindparam("new"), beat_s=bindparam("beat"), heartbeat_at=utc_now())
    )


@cache
def revive() -> Executable:
    """A `worker` that was taken for dead and goes on writing is alive."""
    lost = update(worker).where(worker.c.id == bindparam("worker"), worker.c.state == "lost")
    return lost.values(stopped_at=null(), state="running")


def begin(connection: Connection, worker_id: int, attempts: Sequence[int], at: float) -> None:
    """Note that a worker has begun planned attempts, also those that were given up meanwhile."""
    if not attempts:
        return
    values = {"ids": list(attempts)}
    lock_rows(connection, close_queries.jobs_of(), values)
    rows = connection.execute(_begin(), {**values, "worker": worker_id, "at": at}).all()
    started = [row.job_id for row in rows if row.ended_at is None]
    connection.execute(_run(), {"ids": started})


@cache
def _run() -> Executable:
    waits = unindexed(job.c.state) == QUEUED
    return update(job).where(among(job.c.id), waits).values(state="running", attempts=job.c.attempts + 1)


@cache
def _begin() -> Executable:
    return (
        update(attempt)
        .where(among(attempt.c.id), attempt.c.worker_id.is_(None))
        .values(worker_id=bindparam("worker"), started_at=moment(bindparam("at", type_=Double())))
        .returning(attempt.c.job_id, attempt.c.ended_at)
    )


def recalled(connection: Connection, worker_id: int, bundles: Collection[int]) -> list[int]:
    """Return the attempts that a worker holds, begun or in one of its bundles, and that somebody else has closed."""
    mine = or_(attempt.c.worker_id == bindparam("worker"), attempt.c.worker_id.is_(None) & among(attempt.c.bundle_id))
    rows = select(attempt.c.id).where(mine, attempt.c.recalled == 1).order_by(attempt.c.id)
    return list(connection.execute(rows, {"worker": worker_id, "ids": list(bundles)}).scalars())


def segments(store: Store, names: Collection[str]) -> dict[str, Any]:
    """Return the workers that write segments, by the segment's name."""
    rows = select(worker).where(among_words(worker.c.segment))
    with store.read() as connection:
        return {row.segment: row for row in connection.execute(rows, {"words": list(names)})}


def set_clocks(store: Store, names: Collection[str]) -> None:
    """Begin the leases of workers anew that were last heard before this host was started, on a registry in a file."""
    later = (among_words(worker.c.segment), worker.c.stopped_at.is_(None), worker.c.beat_s > bindparam("now"))
    with store.read() as connection:
        values = {"words": list(names), "now": lease_seconds(connection)}
        ids = list(connection.execute(select(worker.c.id).where(*later), values).scalars())
    if ids:
        with store.write() as connection:
            connection.execute(update(worker).where(among(worker.c.id)).values(beat_s=values["now"]), {"ids": ids})


def forget(connection: Connection, attempts: Sequence[int]) -> None:
    """Note that no worker will begin these, which somebody has closed."""
    if attempts:
        nobodys = update(attempt).where(among(attempt.c.id), attempt.c.worker_id.is_(None))
        connection.execute(nobodys.values(recalled=0), {"ids": list(attempts)})


def refuse(connection: Connection, worker_id: int, attempts: Sequence[int], why: str) -> None:
    """Close attempts that a worker could not begin, by the system's fault: their jobs are tried again, some times."""
    begin(connection, worker_id, attempts, time.time())
    rows = [row for row in read_locked(connection, attempts) if row.outcome is None]
    close_rows(connection, rows, Ending.INFRASTRUCTURE, why)
