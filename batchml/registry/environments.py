"""Environments of workers, each stored once; and which of them the results of benchmarks come from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, select, update

from batchml.core.digest import digest
from batchml.registry.dialects import among, insert_new
from batchml.registry.places import ENVIRONMENT, put_place
from batchml.registry.tables import attempt, benchmark_experiment, environment, job, place, result, worker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batchml.registry.store import Store

__all__ = ["NAMES", "count_environments", "describe", "put_environment", "read_environments"]

NAMES = ("environment_id", "python", "platform", "cpu", "cpu_level", "blas", "packages", "code", "n_jobs")
"""What `read_environments` tells of each: packages and code as plain data."""


def describe(found: Mapping[str, Any]) -> dict[str, str]:
    """Return what `batchml.execution.environment.collect` found as the columns of a row."""
    processor = found.get("cpu") or {}
    return {
        "python": str(found.get("python") or ""),
        "platform": str(found.get("platform") or ""),
        "cpu": str(processor.get("model") or ""),
        "cpu_level": str(processor.get("level") or ""),
        "cpu_features": str(processor.get("features") or ""),
        "blas": ", ".join(dict.fromkeys(_library(one) for one in found.get("blas") or ())),
        "packages": json.dumps(found.get("packages") or {}, sort_keys=True),
        "code": json.dumps(found.get("project") or [], sort_keys=True),
    }


def _library(one: Mapping[str, Any]) -> str:
    """Return e.g. ``openblas 0.3.30 SkylakeX``."""
    return " ".join(str(one[name]) for name in ("internal_api", "version", "architecture") if one.get(name))


def put_environment(store: Store, worker_id: int, found: Mapping[str, Any], *, host: str = "", name: str = "") -> None:
    """Say in which environment a worker runs, or the place of that `name` on `host`, to which it sends its jobs."""
    row = describe(found)
    given = {"which": worker_id, "digest": digest(row)}
    this = select(environment.c.id).where(environment.c.digest == bindparam("digest")).scalar_subquery()
    change = update(worker).where(worker.c.id == bindparam("which"))
    with store.write() as connection:
        connection.execute(insert_new(connection.dialect, environment), {"digest": given["digest"], **row})
        if name:
            put_place(connection, worker_id, host=host, name=name)
            change = update(place).where(place.c.worker_id == bindparam("which"), place.c.name == bindparam("there"))
            given["there"] = name
        connection.execute(change.values(environment_id=this), given)


def read_environments(store: Store, benchmarks: Sequence[int]) -> list[dict[str, Any]]:
    """Return the environments that results of benchmarks come from, and how many jobs each has done.

    Jobs of workers that ended before they knew their environment are left out.
    """
    member = benchmark_experiment
    counted: Any = (
        select(ENVIRONMENT.label("environment_id"), func.count(func.distinct(job.c.id)).label("n_jobs"))
        .select_from(
            member.join(
                job, (job.c.experiment_id == member.c.experiment_id) & (job.c.iteration < member.c.n_iterations)
            )
            .join(result, result.c.job_id == job.c.id)
            .join(attempt, attempt.c.id == result.c.attempt_id)
            .join(worker, worker.c.id == attempt.c.worker_id)
            .outerjoin(place, place.c.id == attempt.c.place_id)
        )
        .where(among(member.c.benchmark_id), ENVIRONMENT.is_not(None))
        .group_by(ENVIRONMENT)
        .subquery()
    )
    names = [environment.c[name] for name in NAMES[1:-1]]
    rows = (
        select(environment.c.id.label("environment_id"), *names, counted.c.n_jobs)
        .join(counted, counted.c.environment_id == environment.c.id)
        .order_by(environment.c.id)
    )
    with store.read() as connection:
        found = [dict(row) for row in connection.execute(rows, {"ids": list(benchmarks)}).mappings()]
    return [row | {name: json.loads(row[name]) for name in ("packages", "code")} for row in found]


def count_environments(store: Store) -> int:
    """Return how many environments workers of this registry have had."""
    with store.read() as connection:
        return int(connection.execute(select(func.count()).select_from(environment)).scalar_one())
