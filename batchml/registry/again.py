"""Trying again by itself what the policy of a benchmark gives another try (see `batchml.core.retry`)."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, func, select, update

from batchml.core.attempt import Ending
from batchml.core.digest import digest
from batchml.core.retry import Retry
from batchml.registry.dialects import among, insert_new
from batchml.registry.tables import attempt, benchmark, benchmark_experiment, job, resource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

__all__ = ["RETRIED", "granted", "grow"]

RETRIED = frozenset({Ending.TIMEOUT, Ending.OUT_OF_MEMORY, Ending.CRASHED})
"""Endings that a policy may give another try."""

_CHARGED = (Ending.LEARNER_ERROR.value, *sorted(ending.value for ending in RETRIED))


def granted(connection: Connection, failed: Mapping[int, Ending], *, pending: bool = False) -> dict[int, float]:
    """Return the jobs that are tried again, with the factor by which their memory grows.

    Parameters
    ----------
    failed
        Jobs with how their attempt, which has been closed, ended. Those of several benchmarks get the most generous
        policy; a job whose resources name no memory has none that could grow.
    pending
        The attempts have not been closed yet.
    """
    policies: defaultdict[int, Retry] = defaultdict(Retry)
    about: dict[int, Any] = {}
    for row in connection.execute(_policies(), {"ids": list(failed)}):
        policies[row.id] |= Retry.parse(row.retry)
        about[row.id] = row
    hopeful = {key: row for key, row in about.items() if policies[key].allows(failed[key].value, 1)}
    if not hopeful:
        return {}
    found: dict[int, float] = {}
    history = _history(connection, list(hopeful))
    for key, row in hopeful.items():
        # Since a user last queued it: `charged` does not count the attempt that has just been closed.
        ended = [failed[key].value, *history[key]] if pending else history[key]
        recent = Counter(ended[: row.charged + 1])
        if not policies[key].allows(failed[key].value, recent[failed[key].value]):
            continue
        if failed[key] is not Ending.OUT_OF_MEMORY:
            found[key] = 1.0
        elif (row.body or {}).get("memory_mb"):
            found[key] = policies[key].memory
    return found


def grow(connection: Connection, factors: Mapping[int, float]) -> None:
    """Move jobs into the resource class with that many times the memory of their own."""
    ids = [key for key, factor in factors.items() if factor > 1.0]
    if not ids:
        return
    rows = connection.execute(_policies(), {"ids": ids})
    for key, body in {row.id: row.body for row in rows}.items():
        larger = {**body, "memory_mb": math.ceil(body["memory_mb"] * factors[key])}
        name = digest(larger)
        connection.execute(insert_new(connection.dialect, resource), {"digest": name, "body": larger})
        number = connection.execute(select(resource.c.id).where(resource.c.digest == name)).scalar_one()
        connection.execute(update(job).where(job.c.id == key).values(resource_id=number))


@cache
def _policies() -> Select[Any]:
    """The policies of the benchmarks that the jobs `ids` belong to."""
    member = benchmark_experiment.c
    return (
        select(job.c.id, job.c.charged, resource.c.body, benchmark.c.retry)
        .join_from(job, benchmark_experiment, member.experiment_id == job.c.experiment_id)
        .join(benchmark, benchmark.c.id == member.benchmark_id)
        .outerjoin(resource, resource.c.id == job.c.resource_id)
        .where(among(job.c.id), job.c.iteration < member.n_iterations)
    )


def _history(connection: Connection, jobs: Sequence[int]) -> dict[int, list[str]]:
    """Return how attempts ended that were charged to their jobs, the last one first."""
    ended = (
        select(attempt.c.job_id, attempt.c.outcome)
        .where(among(attempt.c.job_id), func.coalesce(attempt.c.outcome, "").in_(_CHARGED))
        .order_by(attempt.c.id.desc())
    )
    found: defaultdict[int, list[str]] = defaultdict(list)
    for job_id, outcome in connection.execute(ended, {"ids": list(jobs)}):
        found[job_id].append(outcome)
    return found
