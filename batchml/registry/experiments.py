"""Experiments (cells with their root seed): rows that designs share, and the payload from which any process can
rebuild them.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Select, select

from batchml.core.attempt import Experiment
from batchml.errors import UnknownKeyError
from batchml.registry.dialects import among
from batchml.registry.specs import spec_bodies
from batchml.registry.tables import benchmark, benchmark_experiment, benchmark_measure, experiment, job
from batchml.registry.trips import once, together

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from batchml.registry.store import Store
    from batchml.registry.trips import Answer, Step

__all__ = [
    "cached_experiments",
    "keep_experiments",
    "load_experiments",
    "read_job",
    "reading",
    "unknown_experiments",
]


Held = dict[int, Experiment]


def load_experiments(store: Store, connection: Connection, ids: Iterable[int]) -> Held:
    """Return experiments by row, with the measures and modules of all benchmarks they are members of."""
    return _put_together(store, connection, together(connection, *reading(ids)), {})


def reading(ids: Iterable[int]) -> tuple[Step, ...]:
    """Return the steps that read experiments, for `keep_experiments`."""
    wanted = sorted(set(ids))
    return tuple(once(statement, ids=wanted) for statement in (_rows(), _measures(), _modules()))


@cache
def _rows() -> Select[Any]:
    return select(experiment).where(among(experiment.c.id))


@cache
def _measures() -> Select[Any]:
    member = benchmark_experiment
    return (
        select(member.c.experiment_id, benchmark_measure.c.measure_id)
        .join_from(member, benchmark_measure, member.c.benchmark_id == benchmark_measure.c.benchmark_id)
        .where(among(member.c.experiment_id))
        .order_by(member.c.experiment_id, member.c.benchmark_id, benchmark_measure.c.position)
    )


@cache
def _modules() -> Select[Any]:
    member = benchmark_experiment
    return (
        select(member.c.experiment_id, benchmark.c.modules)
        .join_from(member, benchmark, member.c.benchmark_id == benchmark.c.id)
        .where(among(member.c.experiment_id))
        .order_by(member.c.experiment_id, member.c.benchmark_id)
    )


def _put_together(store: Store, connection: Connection, read: Sequence[Answer], bodies: dict[int, Any]) -> Held:
    """Make experiments of what `reading` read; `bodies` are specs that are known, and gets those that are needed."""
    rows, measures, named = (answer.rows for answer in read)
    asked: dict[int, dict[int, None]] = {}
    for row in measures:
        asked.setdefault(row.experiment_id, {})[row.measure_id] = None
    modules: dict[int, dict[str, None]] = {}
    for row in named:
        modules.setdefault(row.experiment_id, {}).update(dict.fromkeys(row.modules))
    needed = {key for row in rows for key in (row.task_id, row.model_id, row.policy_id, row.resampling_id)}
    needed.update(key for keys in asked.values() for key in keys)
    if new := needed - bodies.keys():
        bodies.update(spec_bodies(connection, new))
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


def cached_experiments(store: Store, connection: Connection, revision: int, ids: Iterable[int]) -> Held:
    """Return experiments by row, read again only when a design has changed."""
    wanted = set(ids)
    if missing := unknown_experiments(store, revision, wanted):
        keep_experiments(store, connection, together(connection, *reading(missing)))
    held, _ = _held(store, revision)
    return {key: held[key] for key in wanted}


def unknown_experiments(store: Store, revision: int, ids: Iterable[int]) -> set[int]:
    """Return which experiments `cached_experiments` would have to read."""
    held, _ = _held(store, revision)
    return set(ids) - held.keys()


def keep_experiments(store: Store, connection: Connection, read: Sequence[Answer]) -> None:
    """Remember what the steps of `reading` have read, for `cached_experiments`."""
    _, held, bodies = store.memo["experiments"]
    held.update(_put_together(store, connection, read, bodies))


def _held(store: Store, revision: int) -> tuple[Held, dict[int, Any]]:
    """Return the experiments and the bodies of specs that are known while designs stay at a revision."""
    if store.memo.get("experiments", (None,))[0] != revision:
        store.memo["experiments"] = (revision, {}, {})
    _, held, bodies = store.memo["experiments"]
    return held, bodies


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
