"""What users do with jobs: retry, reset, cancel, remove, tag. Each move is one guarded statement on any number of
jobs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection, and_, bindparam, case, delete, func, or_, select, update

from batchml.core.attempt import Ending
from batchml.errors import RegistryError, UnknownKeyError
from batchml.registry import close_queries
from batchml.registry.chunks import chunked
from batchml.registry.dialects import among, insert_new, lock_rows, unindexed
from batchml.registry.names import checked_name
from batchml.registry.tables import experiment, job, job_tag, result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from batchml.registry.store import Store

__all__ = ["cancel", "known_jobs", "remove", "reset", "retry", "tag", "untag"]

_CLEAN = {"charged": 0, "hiccups": 0, "lost_alone": 0, "suspect": 0, "not_before": None}


def known_jobs(store: Store, jobs: Sequence[int]) -> list[int]:
    """Return job ids, sorted and once each.

    Raises
    ------
    UnknownKeyError
        One of them names no job; nothing was changed.
    """
    wanted = sorted(set(jobs))
    with store.read() as connection:
        found = set(connection.execute(select(job.c.id).where(among(job.c.id)), {"ids": wanted}).scalars())
    unknown = [job_id for job_id in wanted if job_id not in found]
    if unknown:
        some = ", ".join(map(str, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
        raise UnknownKeyError(f"there is no job {some} in {store.place}; `batchml jobs` lists them")
    return wanted


def _moved(store: Store, jobs: Sequence[int], act: Callable[[Connection, Sequence[int]], int], first: int = 500) -> int:
    """Act on slices of the jobs, whose rows nobody else changes meanwhile."""

    def locked(connection: Connection, part: Sequence[int]) -> int:
        lock_rows(connection, close_queries.some_jobs(), {"ids": list(part)})
        return act(connection, part)

    return sum(chunked(store, known_jobs(store, jobs), locked, first=first))


def retry(store: Store, jobs: Sequence[int]) -> int:
    """Queue failed and cancelled jobs again, with a clean slate; return how many. A job never submitted becomes
    `defined`.

    A job that is done without any prediction (its learner failed, encapsulated and with no fallback) has failed, too:
    its empty result is dropped.
    """
    state = case((job.c.resource_id.is_(None), "defined"), else_="queued")
    empty = result.c.completeness == "none"
    hollow = select(result.c.job_id).where(result.c.job_id == job.c.id, empty).exists()
    failed = unindexed(job.c.state).in_(["error", "cancelled"])
    again = (
        update(job)
        .where(among(job.c.id), or_(failed, and_(unindexed(job.c.state) == "done", hollow)))
        .values(state=state, **_CLEAN)
    )
    drop = delete(result).where(among(result.c.job_id), empty)

    def act(connection: Connection, part: Sequence[int]) -> int:
        count = connection.execute(again, {"ids": list(part)}).rowcount
        connection.execute(drop, {"ids": list(part)})
        return count

    return _moved(store, jobs, act)


def reset(store: Store, jobs: Sequence[int]) -> int:
    """Drop results and make jobs `defined` again; attempts stay as history, running ones are cancelled. Return how
    many.
    """
    back = (
        update(job)
        .where(among(job.c.id), unindexed(job.c.state) != "defined")
        .values(state="defined", generation=job.c.generation + 1, **_CLEAN)
    )

    def act(connection: Connection, part: Sequence[int]) -> int:
        _end_open(connection, part)
        connection.execute(delete(result).where(among(result.c.job_id)), {"ids": list(part)})
        return connection.execute(back, {"ids": list(part)}).rowcount

    return _moved(store, jobs, act)


def cancel(store: Store, jobs: Sequence[int], *, running: bool = False) -> int:
    """Cancel defined and queued jobs, and running ones if asked: their workers are told. Return how many."""
    states = ["defined", "queued", "running"] if running else ["defined", "queued"]
    stop = (
        update(job)
        .where(among(job.c.id), unindexed(job.c.state).in_(states))
        .values(state="cancelled", generation=job.c.generation + 1)
    )

    def act(connection: Connection, part: Sequence[int]) -> int:
        _end_open(connection, part, begun=running)
        return connection.execute(stop, {"ids": list(part)}).rowcount

    return _moved(store, jobs, act)


def _end_open(connection: Connection, jobs: Sequence[int], *, begun: bool = True) -> None:
    """Close open attempts; without `begun` only those that wait in a bundle for a worker."""
    rows = connection.execute(close_queries.successors(), {"ids": list(jobs)})
    ids = [row.id for row in rows if begun or row.worker_id is None]
    if ids:
        values = {"ids": ids, "outcome": Ending.CANCELLED.value, "recall": 1, "note": None, "mark": None}
        connection.execute(close_queries.close_plainly(), values)


def remove(store: Store, jobs: Sequence[int]) -> int:
    """Delete jobs with all their attempts and results; adding their design again makes them new. Return how many.

    Raises
    ------
    RegistryError
        Some are running; nothing was removed.
    """
    ids = known_jobs(store, jobs)
    busy = select(func.count()).where(among(job.c.id), unindexed(job.c.state) == "running")
    idle = select(job.c.id).where(among(job.c.id), unindexed(job.c.state) != "running")
    with store.read() as connection:
        number = connection.execute(busy, {"ids": ids}).scalar_one()
    if number:
        raise RegistryError(
            f"{number} of these jobs are running; cancel them first (`batchml cancel --running`), or wait"
        )

    def act(connection: Connection, part: Sequence[int]) -> int:
        # One that was claimed since is left alone.
        values = {"ids": list(connection.execute(idle, {"ids": list(part)}).scalars())}
        first = (
            select(job.c.experiment_id, func.min(job.c.iteration)).where(among(job.c.id)).group_by(job.c.experiment_id)
        )
        gaps = [{"key": key, "size": size} for key, size in connection.execute(first, values)]
        if gaps:
            # The next add fills experiments up from here.
            smaller = case((experiment.c.n_jobs > bindparam("size"), bindparam("size")), else_=experiment.c.n_jobs)
            shrink = update(experiment).where(experiment.c.id == bindparam("key")).values(n_jobs=smaller)
            connection.execute(shrink, gaps)
        connection.execute(delete(result).where(among(result.c.job_id)), values)
        return connection.execute(delete(job).where(among(job.c.id)), values).rowcount

    return _moved(store, ids, act, first=200)


def tag(store: Store, jobs: Sequence[int], word: str) -> int:
    """Give jobs a tag; return how many did not have it."""
    word = checked_name(word, "a tag")

    def act(connection: Connection, part: Sequence[int]) -> int:
        statement = insert_new(connection.dialect, job_tag)
        before = _tagged(connection, part, word)
        connection.execute(statement, [{"job_id": job_id, "tag": word} for job_id in part])
        return _tagged(connection, part, word) - before

    return _moved(store, jobs, act)


def _tagged(connection: Connection, jobs: Sequence[int], tag: str) -> int:
    counted = select(func.count()).select_from(job_tag).where(among(job_tag.c.job_id), job_tag.c.tag == tag)
    return int(connection.execute(counted, {"ids": list(jobs)}).scalar_one())


def untag(store: Store, jobs: Sequence[int], word: str) -> int:
    """Take a tag from jobs; return how many had it."""
    word = checked_name(word, "a tag")
    gone = delete(job_tag).where(among(job_tag.c.job_id), job_tag.c.tag == word)
    return _moved(store, jobs, lambda connection, part: connection.execute(gone, {"ids": list(part)}).rowcount)
