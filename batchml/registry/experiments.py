"""Experiments (cells with their root seed): rows that designs share, and the payload from which any process can
rebuild them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, select

from batchml.core.attempt import Experiment
from batchml.errors import UnknownKeyError
from batchml.registry.dialects import among
from batchml.registry.specs import spec_bodies
from batchml.registry.tables import benchmark, benchmark_experiment, benchmark_measure, experiment, job

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchml.registry.store import Store

__all__ = ["cached_experiments", "load_experiments", "read_job"]


def load_experiments(store: Store, connection: Connection, ids: Iterable[int]) -> dict[int, Experiment]:
    """Return experiments by row, with the measures and modules of all benchmarks they are members of."""
    wanted = {"ids": sorted(set(ids))}
    rows = connection.execute(select(experiment).where(among(experiment.c.id)), wanted).all()
    member = benchmark_experiment
    asked: dict[int, dict[int, None]] = {}
    measures = (
        select(member.c.experiment_id, benchmark_measure.c.measure_id)
        .join_from(member, benchmark_measure, member.c.benchmark_id == benchmark_measure.c.benchmark_id)
        .where(among(member.c.experiment_id))
        .order_by(member.c.experiment_id, member.c.benchmark_id, benchmark_measure.c.position)
    )
    for row in connection.execute(measures, wanted):
        asked.setdefault(row.experiment_id, {})[row.measure_id] = None
    modules: dict[int, dict[str, None]] = {}
    named = (
        select(member.c.experiment_id, benchmark.c.modules)
        .join_from(member, benchmark, member.c.benchmark_id == benchmark.c.id)
        .where(among(member.c.experiment_id))
        .order_by(member.c.experiment_id, member.c.benchmark_id)
    )
    for row in connection.execute(named, wanted):
        modules.setdefault(row.experiment_id, {}).update(dict.fromkeys(row.modules))
    needed = {key for row in rows for key in (row.task_id, row.model_id, row.policy_id, row.resampling_id)}
    needed.update(key for keys in asked.values() for key in keys)
    bodies = spec_bodies(connection, needed)
    return {
        row.id: _experiment(store, row, bodies, tuple(asked.get(row.id, ())), tuple(modules.get(row.id, ())))
        for row in rows
    }


def _experiment(
    store: Store, row: Any, bodies: dict[int, Any], measures: tuple[int, ...], modules: tuple[str, ...]
) -> Experiment:
    return Experiment(
        id=row.id,
        digest=row.cell_digest,
        task=bodies[row.task_id],
        learner=bodies[row.model_id],
        policy=bodies[row.policy_id],
        resampling=bodies[row.resampling_id],
        measures=tuple((key, bodies[key]) for key in measures),
        seed=row.seed,
        modules=modules,
        registry=store.uuid,
    )


def cached_experiments(
    store: Store, connection: Connection, revision: int, ids: Iterable[int]
) -> dict[int, Experiment]:
    """Return experiments by row, read again only when a design has changed."""
    wanted = set(ids)
    held_revision, held = store.memo.get("experiments", (None, {}))
    if held_revision != revision:
        held = {}
        store.memo["experiments"] = (revision, held)
    missing = wanted - held.keys()
    if missing:
        held.update(load_experiments(store, connection, missing))
    return {key: held[key] for key in wanted}


def read_job(store: Store, job_id: int) -> tuple[Experiment, int]:
    """Return the experiment and the iteration of a job.

    Raises
    ------
    UnknownKeyError
        There is no such job.
    """
    with store.read() as connection:
        row = connection.execute(select(job.c.experiment_id, job.c.iteration).where(job.c.id == job_id)).one_or_none()
        if row is None:
            raise UnknownKeyError(f"there is no job {job_id} in {store.place}; `batchml jobs` lists them")
        return load_experiments(store, connection, [row.experiment_id])[row.experiment_id], row.iteration
