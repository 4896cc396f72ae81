"""What waits, what runs, and whether anybody is there to bring it to an end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Select, bindparam, func, literal_column, or_, select, update

from batchml.registry.chunks import chunked
from batchml.registry.dialects import among, unindexed, utc_now
from batchml.registry.processes import Process, is_gone
from batchml.registry.tables import (
    attempt,
    benchmark,
    benchmark_experiment,
    experiment,
    job,
    resource,
    spec,
    submission,
    worker,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchml.registry.store import Store

__all__ = [
    "Backlog",
    "adopt",
    "class_waits",
    "has_greeted",
    "modules_of_waiting",
    "orphaned",
    "read_backlog",
    "submission_jobs",
]

Served = Callable[[], Collection[int]]
"""Asks schedulers for the resource classes that workers will still come for."""

_STARTING_S = 30.0
"""A submission younger than this may have workers that have not said hello yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Jobs that wait for workers or are with them.

    Attributes
    ----------
    queued, running
        Numbers of jobs.
    slots
        Iterations that the workers alive run at once.
    stalled
        Why some of the jobs will never end as things are; None if they will, or there are none.
    """

    queued: int
    running: int
    slots: int
    stalled: str | None = None


def read_backlog(store: Store, served: Served | None = None, departed: Collection[int] = ()) -> Backlog:
    """Return what waits or runs, and why it may never end.

    Queued jobs need a live worker of their resource class, or a submission so young that one may still be starting;
    running jobs a worker whose process is not known to be gone.

    Parameters
    ----------
    served
        Asks schedulers for the resource classes that workers will still come for.
    departed
        Submissions of which no worker will say hello any more.
    """
    found = _read(store, frozenset(), departed)
    # A scheduler is asked only if nobody else is there.
    return found if found.stalled is None or served is None else _read(store, served(), departed)


def _read(store: Store, served: Collection[int], departed: Collection[int]) -> Backlog:
    with store.read() as connection:
        counts = _counts(connection)
        workers = _workers(connection)
        young = _young_classes(connection, departed)
        dead = [row.id for row in workers if _is_dead(row)]
        alive = [row for row in workers if row.id not in dead]
        classes = {row.resource_id for row in alive if row.wanted == "go_on"} | young | set(served)
        queued = {key: number for (key, state), number in counts.items() if state == "queued"}
        orphans = {key: number for key, number in queued.items() if key not in classes}
        total = sum(counts.values())
        hopeless = orphans or (dead and not alive and not served)
        stalled = _reason(connection, orphans, dead) if total and hopeless else None
    waiting = sum(queued.values())
    return Backlog(queued=waiting, running=total - waiting, slots=sum(row.slots for row in alive), stalled=stalled)


def _counts(connection: Connection) -> dict[tuple[int, str], int]:
    # The state first: its index answers without reading the jobs that have ended.
    waiting: Any = (
        select(job.c.resource_id, job.c.state, func.count().label("number"))
        .where(job.c.state.in_(("queued", "running")))
        .group_by(job.c.resource_id, job.c.state)
    )
    return {(row.resource_id, row.state): row.number for row in connection.execute(waiting)}


def _workers(connection: Connection) -> Sequence[Any]:
    live = select(worker, submission.c.resource_id).join_from(worker, submission).where(worker.c.stopped_at.is_(None))
    return connection.execute(live).all()


def _is_dead(row: Any) -> bool:
    return is_gone(Process.of(row)) is True


def _young_classes(connection: Connection, departed: Collection[int]) -> set[int]:
    """Return the resource classes of submissions whose first worker may still be on its way."""
    greeted = select(literal_column("1")).where(worker.c.submission_id == submission.c.id).exists()
    newest = (
        select(submission.c.id, submission.c.resource_id, submission.c.created_at, utc_now().label("now"))
        .where(~greeted, submission.c.scheduler_id.is_(None))
        .order_by(submission.c.id.desc())
        .limit(20)
    )
    rows = connection.execute(newest).all()
    return {
        row.resource_id for row in rows if row.id not in departed and _seconds(row.created_at, row.now) < _STARTING_S
    }


def has_greeted(store: Store, submission_id: int) -> bool:
    """Return whether a worker of a submission has ever said hello."""
    greeted = select(worker.c.id).where(worker.c.submission_id == bindparam("which")).limit(1)
    with store.read() as connection:
        return connection.execute(greeted, {"which": submission_id}).first() is not None


def _seconds(start: Any, end: Any) -> float:
    """Return the time between two moments of the database: text on SQLite."""
    first, last = (dt.datetime.fromisoformat(moment) if isinstance(moment, str) else moment for moment in (start, end))
    return float((last - first).total_seconds())


def _reason(connection: Connection, orphans: Mapping[int, int], dead: Sequence[int]) -> str:
    parts = []
    if dead:
        names = ", ".join(str(each) for each in dead[:5]) + (", ..." if len(dead) > 5 else "")
        parts.append(f"worker {names} died" if len(dead) == 1 else f"workers {names} died")
    if orphans:
        bodies = connection.execute(
            select(resource.c.body).where(among(resource.c.id)), {"ids": list(orphans)}
        ).scalars()
        needs = " or ".join(sorted(_words(body) for body in bodies))
        number = sum(orphans.values())
        parts.append(f"{number} queued {'job has' if number == 1 else 'jobs have'} no worker alive or pending{needs}")
    return ", and ".join(parts)


def _words(resources: Mapping[str, Any]) -> str:
    """Return e.g. `` for memory_mb=8192``, nothing for jobs that need nothing special."""
    return " for " + ", ".join(f"{key}={value}" for key, value in sorted(resources.items())) if resources else ""


def submission_jobs(store: Store, submission_id: int, states: Sequence[str]) -> list[int]:
    """Return the ids of a submission's jobs that are in one of the states."""
    found = (
        select(job.c.id)
        .where(job.c.state.in_(list(states)), job.c.submission_id == bindparam("which"))
        .order_by(job.c.id)
    )
    with store.read() as connection:
        return list(connection.execute(found, {"which": submission_id}).scalars())


def class_waits(store: Store, submission_id: int) -> bool:
    """Return whether jobs of a submission's resource class, which its workers serve, are queued or running."""
    resource_id = select(submission.c.resource_id).where(submission.c.id == bindparam("which")).scalar_subquery()
    some = select(job.c.id).where(job.c.state.in_(("queued", "running")), job.c.resource_id == resource_id).limit(1)
    with store.read() as connection:
        return connection.execute(some, {"which": submission_id}).first() is not None


def modules_of_waiting(store: Store, state: str, jobs: Sequence[int] | None = None) -> dict[str, list[str]]:
    """Return the users' own modules by benchmark, of benchmarks with jobs in a state (among `jobs`, if given)."""
    waiting: Select[Any] = (
        select(literal_column("1"))
        .select_from(benchmark_experiment.join(job, job.c.experiment_id == benchmark_experiment.c.experiment_id))
        .where(benchmark_experiment.c.benchmark_id == benchmark.c.id, job.c.state == state)
    )
    if jobs is not None:
        waiting = waiting.where(among(job.c.id))
    found = select(benchmark.c.name, benchmark.c.modules).where(waiting.exists()).order_by(benchmark.c.id)
    with store.read() as connection:
        rows = connection.execute(found, {} if jobs is None else {"ids": list(jobs)})
        return {row.name: row.modules for row in rows if row.modules}


def threads_of_waiting(store: Store) -> int:
    """Return the most threads that a learner of queued jobs uses."""
    used = select(experiment.c.policy_id).join(job, job.c.experiment_id == experiment.c.id)
    found = select(spec.c.body).where(spec.c.id.in_(used.where(job.c.state == "queued")))
    with store.read() as connection:
        return max((int(body.get("threads", 1)) for body in connection.execute(found).scalars()), default=1)


def orphaned(
    store: Store, dead: Collection[int] = (), served: Served | None = None, over: Collection[int] = ()
) -> list[Any]:
    """Return one row for each resource class with waiting jobs and no live worker: the newest submission of such jobs.

    Rows have `id`, `executor`, `settings` of that submission, and `resource_id` and `body`, the resources: more than
    were submitted (`grown`) for jobs that have failed for want of memory.

    Parameters
    ----------
    dead
        Workers that are about to be declared dead: what they hold waits, too.
    served
        Asks schedulers for the resource classes that workers will still come for.
    over
        Jobs that have ended, though that was not taken in: they do not wait.
    """
    with store.read() as connection:
        alive = {
            row.resource_id
            for row in _workers(connection)
            if row.wanted == "go_on" and row.id not in dead and not _is_dead(row)
        }
        held = select(attempt.c.job_id).where(among(attempt.c.worker_id, "dead"), attempt.c.ended_at.is_(None))
        waits = or_(job.c.state == "queued", job.c.id.in_(held)) if dead else job.c.state == "queued"
        newest = (
            select(job.c.resource_id, func.max(job.c.submission_id).label("submission_id"))
            .where(waits, ~among(job.c.resource_id, "served"), ~among(job.c.id, "over"))
            .group_by(job.c.resource_id)
            .subquery()
        )
        query = (
            select(
                submission.c.id,
                submission.c.executor,
                submission.c.settings,
                resource.c.id.label("resource_id"),
                resource.c.body,
                (submission.c.resource_id != resource.c.id).label("grown"),
            )
            .join_from(newest, submission, submission.c.id == newest.c.submission_id)
            .join(resource, resource.c.id == newest.c.resource_id)
            .order_by(submission.c.id, resource.c.id)
        )
        alive |= set() if served is None else set(served())
        values = {"served": list(alive), "over": list(over)} | ({"dead": list(dead)} if dead else {})
        return list(connection.execute(query, values))


def adopt(store: Store, resource_id: int, new: int) -> int:
    """Give the queued jobs of a resource class to a submission and its class; return how many."""
    with store.read() as connection:
        becomes = connection.execute(select(submission.c.resource_id).where(submission.c.id == new)).scalar_one()
        # What was dealt out to workers without a database is theirs until they are known to be gone.
        dealt = select(literal_column("1")).where(attempt.c.job_id == job.c.id, attempt.c.ended_at.is_(None)).exists()
        queued = (
            select(job.c.id).where(job.c.state == "queued", job.c.resource_id == resource_id, ~dealt).order_by(job.c.id)
        )
        ids = list(connection.execute(queued).scalars())
    move = (
        update(job)
        .where(among(job.c.id), unindexed(job.c.state) == "queued")
        .values(submission_id=new, resource_id=becomes)
    )
    return sum(chunked(store, ids, lambda connection, part: connection.execute(move, {"ids": list(part)}).rowcount))
