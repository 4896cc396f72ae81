"""Planned attempts: jobs dealt out to workers that reach no database, and what those report."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Executable,
    Select,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    update,
)

from batchml.core.attempt import Assignment, Ending
from batchml.registry import close_queries
from batchml.registry.bundles import Waiting, pack
from batchml.registry.dialects import among, epoch_now, lock_rows, moment, unindexed
from batchml.registry.experiments import cached_experiments
from batchml.registry.queries import LONGEST_BACK_OFF_S, QUEUED, revision
from batchml.registry.runtimes import expected_seconds
from batchml.registry.tables import attempt, bundle, experiment, job, resource, submission, worker

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from batchml.registry.store import Store

__all__ = [
    "Plan",
    "close_spool",
    "is_expected",
    "lost_bundles",
    "open_spool",
    "plan",
    "planned",
    "spools",
    "stale",
    "take_back",
]

_PLANNED = (attempt.c.ended_at.is_(None), attempt.c.worker_id.is_(None), attempt.c.bundle_id.is_not(None))
_AT_ONCE = 2_000  # in one transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A bundle that was written down in the registry."""

    bundle: int
    assignments: tuple[Assignment, ...]


# -- spools ----------------------------------------------------------------------------------------------------------


def spools(store: Store) -> Sequence[Any]:
    """Return the resource classes that are served by a folder: `id`, `body` and `spool`."""
    with store.read() as connection:
        return connection.execute(select(resource).where(resource.c.spool.is_not(None)).order_by(resource.c.id)).all()


def open_spool(store: Store, submission_id: int, folder_of: Callable[[int], str]) -> Any:
    """Say that a submission's resource class is served by a folder, named by the class; return the class."""
    mine = select(submission.c.resource_id).where(submission.c.id == bindparam("which"))
    with store.write() as connection:
        key = connection.execute(mine, {"which": submission_id}).scalar_one()
        opened = update(resource).where(resource.c.id == key).values(spool=folder_of(key)).returning(resource)
        return connection.execute(opened).one()


def is_expected(connection: Connection, resource_id: int) -> bool:
    """Whether anything is still to come out of a class's folder."""
    waits: Select[Any] = select(literal_column("1")).where(
        job.c.resource_id == resource_id, job.c.state.in_(("queued", "running"))
    )
    owes: Select[Any] = (
        select(literal_column("1"))
        .select_from(worker.join(submission))
        .where(submission.c.resource_id == resource_id, worker.c.segment.is_not(None), worker.c.state != "stopped")
    )
    return bool(connection.execute(select(or_(waits.exists(), owes.exists()))).scalar())


def close_spool(connection: Connection, resource_id: int) -> bool:
    """Say that no folder serves a class any more; False if something is still to be expected from it."""
    lock_rows(connection, select(resource.c.id).where(resource.c.id == resource_id), {})
    if is_expected(connection, resource_id):
        return False
    connection.execute(update(resource).where(resource.c.id == resource_id).values(spool=None))
    return True


# -- dealing out -----------------------------------------------------------------------------------------------------


def plan(store: Store, resource_id: int, *, workers: int, slots: int) -> Iterator[Plan]:
    """Open attempts for the queued jobs of a class that nobody has, and return them in bundles, as they are committed.

    The jobs stay queued: their attempts have neither a worker nor a start before a worker is known to have begun them.
    """
    with store.read() as connection:
        jobs = [Waiting(**row) for row in connection.execute(_waiting(), {"resource": resource_id}).mappings()]
        expected = expected_seconds(store, connection, {each.experiment_id for each in jobs})
    part: list[tuple[Waiting, ...]] = []
    for each in pack(jobs, expected, workers=workers, slots=slots):
        part.append(each)
        if sum(map(len, part)) >= _AT_ONCE:
            yield from _open(store, resource_id, part, expected)
            part = []
    if part:
        yield from _open(store, resource_id, part, expected)


@cache
def _waiting() -> Select[Any]:
    due = or_(
        job.c.not_before.is_(None),
        job.c.not_before <= epoch_now(),
        job.c.not_before > epoch_now() + LONGEST_BACK_OFF_S,
    )
    return (
        select(job.c.id.label("job_id"), job.c.experiment_id, job.c.iteration, job.c.suspect, job.c.priority)
        .where(job.c.resource_id == bindparam("resource"), job.c.state == QUEUED, due, ~_dealt())
        .order_by(job.c.suspect, job.c.priority.desc(), job.c.id)
    )


def _dealt() -> Any:
    return select(literal_column("1")).where(attempt.c.job_id == job.c.id, attempt.c.ended_at.is_(None)).exists()


def _open(
    store: Store, resource_id: int, bundles: Sequence[Sequence[Waiting]], expected: Mapping[int, float]
) -> list[Plan]:
    """Open the attempts of some bundles in one transaction; a job that somebody else has dealt out is left out."""
    ids = [each.job_id for some in bundles for each in some]
    with store.write() as connection:
        lock_rows(connection, close_queries.some_jobs(), {"ids": ids})
        free = set(connection.execute(_still_waiting(), {"ids": ids, "resource": resource_id}).scalars())
        kept = [[each for each in some if each.job_id in free] for some in bundles]
        experiments = cached_experiments(
            store,
            connection,
            connection.execute(revision()).scalar_one(),
            {each.experiment_id for some in kept for each in some},
        )
        found = []
        for some in filter(None, kept):
            values = {"resource_id": resource_id, "n_jobs": len(some)}
            number = connection.execute(insert(bundle).returning(bundle.c.id), values).scalar_one()
            asked = {"ids": [each.job_id for each in some], "bundle": number, "alone": int(some[0].suspect)}
            opened = {row.job_id: row.id for row in connection.execute(_open_planned(), asked)}
            assignments = tuple(
                Assignment(
                    attempt_id=opened[each.job_id],
                    job_id=each.job_id,
                    iteration=each.iteration,
                    experiment=experiments[each.experiment_id],
                    alone=bool(each.suspect),
                    expected_s=expected.get(each.experiment_id),
                )
                for each in some
            )
            found.append(Plan(bundle=number, assignments=assignments))
    return found


@cache
def _still_waiting() -> Select[int]:
    mine = unindexed(job.c.resource_id) == bindparam("resource")
    return select(job.c.id).where(among(job.c.id), mine, unindexed(job.c.state) == QUEUED, ~_dealt())


@cache
def _open_planned() -> Executable:
    source = (
        select(
            job.c.id,
            experiment.c.policy_id,
            experiment.c.source_id,
            job.c.generation,
            bindparam("bundle", type_=attempt.c.bundle_id.type),
            bindparam("alone", type_=attempt.c.alone.type),
            null(),
        )
        .join_from(job, experiment)
        .where(among(job.c.id))
        .order_by(job.c.id)
    )
    names = ["job_id", "policy_id", "source_id", "generation", "bundle_id", "alone", "started_at"]
    return insert(attempt).from_select(names, source).returning(attempt.c.id, attempt.c.job_id)


# -- what became of bundles ------------------------------------------------------------------------------------------


def planned(connection: Connection, bundles: Collection[int]) -> dict[int, list[int]]:
    """Return the attempts of bundles that nobody is known to have begun."""
    found: dict[int, list[int]] = defaultdict(list)
    rows = select(attempt.c.bundle_id, attempt.c.id).where(among(attempt.c.bundle_id), *_PLANNED)
    for number, attempt_id in connection.execute(rows, {"ids": list(bundles)}):
        found[number].append(attempt_id)
    return found


def stale(connection: Connection, bundles: Mapping[int, int]) -> set[int]:
    """Return which bundles hold anything that is not to be run as it was written down.

    Parameters
    ----------
    bundles
        Number of jobs by bundle.
    """
    sound = (
        select(attempt.c.bundle_id, func.count().label("n"))
        .join_from(attempt, job, job.c.id == attempt.c.job_id)
        .join(experiment, experiment.c.id == job.c.experiment_id)
        .where(
            among(attempt.c.bundle_id),
            *_PLANNED,
            unindexed(job.c.state) == QUEUED,
            job.c.generation == attempt.c.generation,
            experiment.c.policy_id == attempt.c.policy_id,
        )
        .group_by(attempt.c.bundle_id)
    )
    counts = {number: n for number, n in connection.execute(sound, {"ids": list(bundles)})}  # noqa: C416 - rows
    return {number for number, n in bundles.items() if counts.get(number, 0) < n}


def lost_bundles(connection: Connection, resource_id: int, known: Collection[int], age_s: float) -> set[int]:
    """Return bundles with planned attempts that are older than some seconds and not among those that are `known`."""
    old = func.coalesce(bundle.c.created_at <= moment(epoch_now() - age_s), literal_column("true"))
    rows = (
        select(bundle.c.id)
        .where(bundle.c.resource_id == resource_id, old)
        .where(select(literal_column("1")).where(attempt.c.bundle_id == bundle.c.id, *_PLANNED).exists())
    )
    return set(connection.execute(rows).scalars()) - set(known)


def take_back(connection: Connection, attempts: Sequence[int], *, note: str | None = None) -> int:
    """Forget planned attempts, whose jobs wait for others; with a `note` they are kept, as given back unstarted.

    Nobody has begun those of a bundle that nobody had claimed. Of one that somebody had nobody is known to have: what
    its worker may report after all still finds its attempt.
    """
    ids = {"ids": list(attempts)}
    lock_rows(connection, close_queries.jobs_of(), ids)
    if note is None:
        return connection.execute(delete(attempt).where(among(attempt.c.id), *_PLANNED), ids).rowcount
    still = connection.execute(select(attempt.c.id).where(among(attempt.c.id), *_PLANNED), ids).scalars().all()
    values = {"ids": list(still), "outcome": Ending.RELEASED.value, "recall": 0, "note": note, "mark": None}
    return connection.execute(close_queries.close_plainly(), values).rowcount
