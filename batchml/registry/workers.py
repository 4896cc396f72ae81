"""Workers: who they are, what they are asked to do, and when they have stopped."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Select, bindparam, select, update

from batchml.core.attempt import Ending
from batchml.errors import UnknownKeyError
from batchml.execution.environment import scheduler_ids
from batchml.registry import queries
from batchml.registry.close import FAILURES, close_rows, read_locked
from batchml.registry.dialects import among, lease_seconds, lock_rows, up_since, utc_now
from batchml.registry.processes import Process, here
from batchml.registry.tables import attempt, submission, worker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchml.registry.store import Store

__all__ = ["end_worker", "live_workers", "register_worker", "replace_predecessors", "stop_worker", "stop_workers"]


def register_worker(
    store: Store,
    submission_id: int,
    *,
    slots: int,
    process: Process | None = None,
    scheduler_id: str | None = None,
    incarnation: int = 0,
    lease_s: float = 60.0,
    again: bool = False,
) -> int:
    """Enter a worker and return its id; its first beat is now.

    Parameters
    ----------
    submission_id
        Whose resource class it works for.
    slots
        Iterations it runs at once.
    process
        Who it is; default this process.
    scheduler_id, incarnation
        The scheduler's name for its allocation and how often that was requeued: a new incarnation closes its
        predecessors' attempts as `preempted`.
    lease_s
        Seconds without a beat after which it may be presumed dead.
    again
        The reply to an earlier call may have been lost: if that has entered the worker, its id is returned.
    """
    me = process or here()
    with store.write() as connection:
        if connection.execute(select(submission.c.id).where(submission.c.id == submission_id)).scalar() is None:
            raise UnknownKeyError(f"there is no submission {submission_id} in {store.place}")
        if again and (known := connection.execute(_newest_of(me, submission_id)).scalar()) is not None:
            return int(known)
        values: dict[str, Any] = {
            "submission_id": submission_id,
            "host": me.host,
            "boot_id": me.boot_id,
            "pid": me.pid,
            "pid_start": me.pid_start,
            "pid_ns": me.pid_ns,
            "scheduler_id": scheduler_id,
            "incarnation": incarnation,
            "allocation": json.dumps(allocation) if (allocation := scheduler_ids()) else None,
            "slots": slots,
            "lease_s": lease_s,
            "beat_s": lease_seconds(connection),
        }
        worker_id = connection.execute(worker.insert().returning(worker.c.id), values).scalar_one()
        if scheduler_id is not None:
            replace_predecessors(connection, scheduler_id, incarnation)
        return int(worker_id)


def _newest_of(process: Process, submission_id: int) -> Select[int]:
    same = (worker.c.boot_id == process.boot_id, worker.c.pid == process.pid, worker.c.pid_start == process.pid_start)
    mine = select(worker.c.id).where(*same, worker.c.submission_id == submission_id, worker.c.stopped_at.is_(None))
    return mine.order_by(worker.c.id.desc()).limit(1)


def replace_predecessors(connection: Connection, scheduler_id: str, incarnation: int) -> None:
    """End the earlier incarnations of a worker that its scheduler has requeued."""
    older = select(worker.c.id).where(
        worker.c.scheduler_id == scheduler_id, worker.c.incarnation < incarnation, worker.c.stopped_at.is_(None)
    )
    for worker_id in connection.execute(older).scalars().all():
        end_worker(connection, worker_id, "stopped", "requeued by its scheduler", Ending.PREEMPTED)


def end_worker(connection: Connection, worker_id: int, state: str, reason: str, ending: Ending) -> list[Any]:
    """Close a worker and its open attempts; return the rows of those."""
    # An exchange, too, takes the worker's row before its attempts.
    lock_rows(connection, _some_workers(), {"ids": [worker_id]})
    held = connection.execute(queries.open_attempts(), {"worker": worker_id}).all()
    rows: list[Any] = []
    if held:
        rows = [row for row in read_locked(connection, [row.id for row in held]) if row.outcome is None]
        close_rows(connection, rows, ending, reason if ending in FAILURES else None)
    stopped = update(worker).where(worker.c.id == bindparam("which"), worker.c.stopped_at.is_(None))
    connection.execute(stopped.values(state=state, stopped_at=utc_now(), reason=reason), {"which": worker_id})
    if state == "stopped":
        # Nobody is left to be told.
        forget = update(attempt).where(attempt.c.worker_id == bindparam("which"), attempt.c.recalled == 1)
        connection.execute(forget.values(recalled=0), {"which": worker_id})
    return rows


@cache
def _some_workers() -> Select[int]:
    return select(worker.c.id).where(among(worker.c.id)).order_by(worker.c.id)


def set_slots(store: Store, worker_id: int, slots: int) -> None:
    """Say that a worker runs more or fewer iterations at once than before."""
    change = update(worker).where(worker.c.id == bindparam("which"))
    with store.write() as connection:
        connection.execute(change.values(slots=bindparam("number")), {"which": worker_id, "number": slots})
    store.memo.pop(("post", worker_id), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alive:
    """A worker that has not ended, and how long it has said nothing."""

    id: int
    host: str
    silent_s: float
    lease_s: float


def live_workers(store: Store) -> list[Alive]:
    """Return the workers that have not ended; those without a database speak when somebody takes in what they wrote."""
    live = select(worker).where(worker.c.stopped_at.is_(None)).order_by(worker.c.id)
    with store.read() as connection:
        # While the database was away nobody could beat.
        now, up = lease_seconds(connection), up_since(connection)
        return [
            Alive(
                id=row.id,
                host=row.host,
                silent_s=0.0 if row.segment else now - max(row.beat_s, up),
                lease_s=row.lease_s,
            )
            for row in connection.execute(live)
        ]


def stop_worker(store: Store, worker_id: int, reason: str) -> None:
    """Say that a worker has ended by itself; what it still holds is given back."""
    with store.write() as connection:
        end_worker(connection, worker_id, "stopped", reason, Ending.PREEMPTED)


def stop_workers(store: Store, workers: Sequence[int] | None = None, *, now: bool = False) -> list[int]:
    """Ask workers (default: all that live) to drain, or to stop at once; return the ids of those that will be told."""
    with store.write() as connection:
        chosen = update(worker).where(worker.c.stopped_at.is_(None))
        values: dict[str, Any] = {"order": "stop" if now else "drain"}
        if workers is not None:
            known = set(
                connection.execute(select(worker.c.id).where(among(worker.c.id)), {"ids": list(workers)}).scalars()
            )
            unknown = sorted(set(workers) - known)
            if unknown:
                raise UnknownKeyError(f"there is no worker {unknown[0]} in {store.place}; `batchml status` lists them")
            chosen = chosen.where(among(worker.c.id))
            values["ids"] = list(workers)
        told = connection.execute(
            chosen.values(wanted=bindparam("order"), state="draining").returning(worker.c.id), values
        )
        return sorted(told.scalars())
