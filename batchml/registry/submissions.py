"""Submissions: jobs handed to an executor with the resources that each of them needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, bindparam, select, update

from batchml.core.digest import digest
from batchml.errors import UnknownKeyError
from batchml.registry.chunks import chunked
from batchml.registry.dialects import MANY, among, insert_new, refresh_statistics, unindexed
from batchml.registry.ranking import by_rank, check_priority, ranks, urgency
from batchml.registry.tables import benchmark_experiment, job, resource, submission

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchml.registry.store import Store

__all__ = ["add_submission", "resources_of", "submit"]


def add_submission(
    connection: Connection, resources: Mapping[str, Any], executor: str, settings: Mapping[str, Any]
) -> int:
    """Enter a submission; equal resources are one class."""
    name = digest(dict(resources))
    connection.execute(insert_new(connection.dialect, resource), {"digest": name, "body": dict(resources)})
    resource_id = connection.execute(select(resource.c.id).where(resource.c.digest == name)).scalar_one()
    values = {"resource_id": resource_id, "executor": executor, "settings": dict(settings)}
    return int(connection.execute(submission.insert().returning(submission.c.id), values).scalar_one())


def submit(
    store: Store,
    jobs: Sequence[int] | None = None,
    resources: Mapping[str, Any] | None = None,
    executor: str = "local",
    settings: Mapping[str, Any] | None = None,
    priority: int = 0,
) -> tuple[int, int]:
    """Queue defined jobs and return the submission's id and the number of jobs queued.

    Jobs that are queued, running or ended stay as they are: `retry` and `reset` are for those.

    Parameters
    ----------
    jobs
        Ids; None stands for all defined jobs of current benchmarks.
    resources
        What one iteration needs (cpus, memory, ...), as plain data: workers of this submission claim jobs of equal
        resources.
    executor, settings
        Who starts the workers and with what, kept for `resume`.
    priority
        From -500 to 500; jobs of a higher one are claimed first, those of equal ones by what they are expected to take.

    Raises
    ------
    ConfigError
        `priority` is none.
    UnknownKeyError
        An id names no job.
    """
    check_priority(priority)
    with store.read() as connection:
        waiting = defined_jobs(connection, jobs, store)
        places = ranks(store, connection, {experiment_id for _, experiment_id in waiting})
    with store.write() as connection:
        submission_id = add_submission(connection, resources or {}, executor, settings or {})
        resource_id = connection.execute(
            select(submission.c.resource_id).where(submission.c.id == submission_id)
        ).scalar_one()
    queued = 0
    for place, ids in by_rank(places, waiting).items():
        queue = (
            update(job)
            .where(among(job.c.id), unindexed(job.c.state) == "defined")
            .values(
                state="queued",
                submission_id=bindparam("submission"),
                resource_id=bindparam("resource"),
                priority=urgency(priority, place),
            )
        )
        values = {"submission": submission_id, "resource": resource_id}

        def act(
            connection: Connection, part: Sequence[int], queue: Any = queue, values: Mapping[str, Any] = values
        ) -> int:
            return connection.execute(queue, {"ids": list(part), **values}).rowcount

        queued += sum(chunked(store, ids, act))
    if queued >= MANY:
        with store.write() as connection:
            refresh_statistics(connection)
    return submission_id, queued


def defined_jobs(connection: Connection, jobs: Sequence[int] | None, store: Store) -> list[tuple[int, int]]:
    """Return the ids of jobs that a submission would queue, each with its experiment.

    Raises
    ------
    UnknownKeyError
        An id names no job.
    """
    if jobs is None:
        member = select(benchmark_experiment.c.experiment_id).where(
            benchmark_experiment.c.experiment_id == job.c.experiment_id,
            job.c.iteration < benchmark_experiment.c.n_iterations,
        )
        found = select(job.c.id, job.c.experiment_id).where(job.c.state == "defined", member.exists())
        return [tuple(row) for row in connection.execute(found.order_by(job.c.id))]
    wanted = select(job.c.id, job.c.experiment_id, job.c.state).where(among(job.c.id)).order_by(job.c.id)
    rows = connection.execute(wanted, {"ids": list(jobs)}).all()
    unknown = sorted(set(jobs) - {row.id for row in rows})
    if unknown:
        raise UnknownKeyError(f"there is no job {unknown[0]} in {store.place}")
    return [(row.id, row.experiment_id) for row in rows if row.state == "defined"]


def resources_of(store: Store, submission_id: int) -> Mapping[str, Any]:
    """Return what one iteration of a submission may use; nothing for a submission that is not there."""
    wanted = select(resource.c.body).join_from(submission, resource).where(submission.c.id == submission_id)
    with store.read() as connection:
        found: Mapping[str, Any] | None = connection.execute(wanted).scalar()
    return found or {}
