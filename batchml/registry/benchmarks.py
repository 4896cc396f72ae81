"""Benchmarks: named designs whose cells are members; adding is idempotent and completes an interrupted add."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Executable, Table, bindparam, delete, func, insert, select, update

from batchml.core.signing import make_key
from batchml.data.pickles import SignedPickles
from batchml.registry import queries
from batchml.registry.cells import Survey, survey
from batchml.registry.chunks import chunked
from batchml.registry.comparing import Comparison, compare
from batchml.registry.dialects import (
    MANY,
    among,
    among_words,
    insert_new,
    refresh_statistics,
    series,
    unindexed,
    utc_now,
)
from batchml.registry.moves import reset
from batchml.registry.specs import put_specs, spec_bodies
from batchml.registry.tables import benchmark, benchmark_experiment, benchmark_measure, experiment, job, spec
from batchml.registry.trips import run_many

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from batchml.core.trust import Trust
    from batchml.experiment.design import BenchmarkDesign
    from batchml.registry.plan import Plan
    from batchml.registry.store import Store

__all__ = ["add", "plan"]

_ABOUT = ("modules", "paths", "retry")
_PIECE = 1000  # jobs of one experiment that are written together

Piece = tuple[int, int, int]  # experiment, first iteration, iteration after the last


def plan(
    store: Store,
    design: BenchmarkDesign,
    name: str | None = None,
    *,
    trust: Trust | None = None,
    allow_pickle: bool = False,
) -> Plan:
    """Say what `add` would do with a design; change nothing.

    Raises
    ------
    ConfigError
        The design cannot run: a learner that cannot take its task, an object that cannot be described.
    """
    surveyed = survey(design, name=name, root_seed=store.root_seed, trust=trust, allow_pickle=allow_pickle)
    with store.read() as connection:
        return compare(connection, surveyed).plan


def add(
    store: Store,
    design: BenchmarkDesign,
    name: str | None = None,
    *,
    trust: Trust | None = None,
    allow_pickle: bool = False,
) -> list[int]:
    """Make a design the current one of its benchmark and return the ids of new jobs.

    Jobs are written in short transactions and show when the last of them has made their cells members; a killed add is
    completed by adding again.

    Raises
    ------
    ConfigError
        The design cannot run; nothing was changed.
    ArtifactError
        Task data could not be stored; nothing was changed.
    """
    surveyed = survey(design, name=name, root_seed=store.root_seed, trust=trust, allow_pickle=allow_pickle)
    with store.read() as connection:
        before = compare(connection, surveyed)
    _store_data(store, surveyed)
    _store_pickles(store, surveyed)
    with store.write() as connection:
        rows = {kind: put_specs(connection, kind, bodies) for kind, bodies in surveyed.bodies.items()}
        _move_data(connection, surveyed, rows["task"])
    experiments = _put_experiments(store, surveyed, rows)
    new = _put_jobs(store, surveyed, experiments)
    if before.again:
        reset(store, before.again)
    with store.write() as connection:
        _make_current(connection, surveyed, rows, experiments)
    if len(new) >= MANY:
        with store.write() as connection:
            refresh_statistics(connection)
    _withdraw(store, before)
    return new


def _store_data(store: Store, surveyed: Survey) -> None:
    from batchml.data.tables import write_table

    store.artifacts.make()
    for name, task in surveyed.tasks.items():
        if surveyed.bodies["task"][name].get("data", {}).get("kind") == "artifact":
            write_table(store.artifacts, task.backend)


def _move_data(connection: Connection, surveyed: Survey, rows: Mapping[str, int]) -> None:
    """Where the data of a task lie is no identity: the last design that was added says it."""
    held = spec_bodies(connection, rows.values())
    moved = [(row, body) for name, row in rows.items() if (body := surveyed.bodies["task"][name]) != held[row]]
    for row, body in moved:
        connection.execute(update(spec).where(spec.c.id == row).values(body=body))
    if moved:
        connection.execute(queries.raise_revision())


def _store_pickles(store: Store, surveyed: Survey) -> None:
    if any(body.get("store_models") for body in surveyed.bodies["policy"].values()):
        make_key()  # workers sign with it what they store
    if surveyed.pickles:
        signed = SignedPickles(folder=str(store.artifact_path), registry=store.uuid)
        for name, pickled in surveyed.pickles.items():
            signed.put(name, pickled.content)


def _put_experiments(store: Store, surveyed: Survey, rows: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Enter the experiments that are not there and return the rows of all by digest."""
    found = select(experiment.c.digest, experiment.c.id).where(among_words(experiment.c.digest))
    names = {"words": [cell.experiment for cell in surveyed.cells]}
    with store.read() as connection:
        known = {row.digest: row.id for row in connection.execute(found, names)}
    fresh = [_experiment(cell, surveyed.seed, rows) for cell in surveyed.cells if cell.experiment not in known]
    if not fresh:
        return known

    def act(connection: Connection, part: Sequence[dict[str, Any]]) -> None:
        connection.execute(insert_new(connection.dialect, experiment), list(part))

    chunked(store, fresh, act, first=500)
    with store.read() as connection:
        return {row.digest: row.id for row in connection.execute(found, names)}


def _experiment(cell: Any, seed: int, rows: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    task, learner, resampling, params = cell.labels
    return {
        "digest": cell.experiment,
        "cell_digest": cell.cell,
        "seed": seed,
        "task_id": rows["task"][cell.task],
        "model_id": rows["model"][cell.model],
        "policy_id": rows["policy"][cell.policy],
        "resampling_id": rows["resampling"][cell.resampling],
        "source_id": None if cell.source is None else rows["source"][cell.source],
        "n_iterations": cell.n_iterations,
        "task": task,
        "learner": learner,
        "resampling": resampling,
        "params": params,
    }


def _put_jobs(store: Store, surveyed: Survey, experiments: Mapping[str, int]) -> list[int]:
    """Write the jobs that are missing and return their ids."""
    wanted = {experiments[cell.experiment]: cell.n_iterations for cell in surveyed.cells}
    held = select(experiment.c.id, experiment.c.n_jobs).where(among(experiment.c.id))
    with store.read() as connection:
        counts = {row.id: row.n_jobs for row in connection.execute(held, {"ids": list(wanted)})}
    short = [(key, counts[key], size) for key, size in wanted.items() if counts[key] < size]
    pieces = [piece for one in short for piece in _pieces(*one)]
    return [job_id for ids in chunked(store, pieces, _put_pieces, first=20) for job_id in ids]


def _pieces(experiment_id: int, first: int, size: int) -> Iterator[Piece]:
    for start in range(first, size, _PIECE):
        yield experiment_id, start, min(start + _PIECE, size)


def _put_pieces(connection: Connection, pieces: Sequence[Piece]) -> list[int]:
    keys = sorted({piece[0] for piece in pieces})
    held = select(experiment.c.id, experiment.c.n_jobs).where(among(experiment.c.id))
    held = held.order_by(experiment.c.id).with_for_update()  # in one order, or two that add wait for each other
    counts = {row.id: row.n_jobs for row in connection.execute(held, {"ids": keys})}
    last = connection.execute(select(func.coalesce(func.max(job.c.id), 0))).scalar_one()
    missing = [(key, max(start, counts[key]), end) for key, start, end in pieces if counts[key] < end]
    if missing:
        # Iterations past the first gap stay when jobs are removed. To look for them once is cheaper than in each row.
        past = select(job.c.id).join_from(experiment, job, job.c.experiment_id == experiment.c.id)
        past = past.where(among(experiment.c.id), job.c.iteration >= experiment.c.n_jobs).limit(1)
        some = connection.execute(past, {"ids": keys}).first() is not None
        source = series(connection.dialect)
        entering = insert_new(connection.dialect, job) if some else insert(job)
        statement = entering.from_select(["experiment_id", "iteration"], source)
        connection.execute(statement, {"spans": json.dumps(missing)})
    ends = {key: end for key, _, end in missing}  # the pieces of an experiment come in their order
    if ends:
        grow = update(experiment).where(experiment.c.id == bindparam("key")).values(n_jobs=bindparam("size"))
        connection.execute(grow, [{"key": key, "size": size} for key, size in ends.items()])
    fresh = select(job.c.id).where(job.c.id > last, among(job.c.experiment_id)).order_by(job.c.id)
    return list(connection.execute(fresh, {"ids": keys}).scalars())


def _make_current(
    connection: Connection,
    surveyed: Survey,
    rows: Mapping[str, Mapping[str, int]],
    experiments: Mapping[str, int],
) -> None:
    """Replace the members and measures of the benchmark; from here on the jobs show."""
    values: dict[str, Any] = {"name": surveyed.name, "modules": list(surveyed.modules), "paths": list(surveyed.paths)}
    values |= {"retry": dict(surveyed.retry)}
    connection.execute(insert_new(connection.dialect, benchmark), values)
    key = connection.execute(select(benchmark.c.id).where(benchmark.c.name == surveyed.name)).scalar_one()
    changes = 0
    about = {name: values[name] for name in _ABOUT}
    held = connection.execute(select(*(benchmark.c[name] for name in _ABOUT)).where(benchmark.c.id == key)).one()
    changes += dict(held._mapping) != about  # noqa: SLF001 - the public name of a row as a mapping
    members = [
        (
            key,
            experiments[cell.experiment],
            position,
            cell.n_iterations,
            rows["resampling"][cell.resampling],
            *cell.labels,
        )
        for position, cell in enumerate(surveyed.cells)
    ]
    changes += _replace(connection, benchmark_experiment, key, members)
    measures = [
        (key, rows["measure"][digest], position, name) for position, (name, digest) in enumerate(surveyed.measures)
    ]
    changes += _replace(connection, benchmark_measure, key, measures)
    changes += _update_experiments(connection, surveyed, rows, experiments)
    if changes:
        touched = update(benchmark).where(benchmark.c.id == key)
        connection.execute(touched.values(**about, changed_at=utc_now()))
        connection.execute(queries.raise_revision())


def _replace(connection: Connection, table: Table, key: int, wanted: list[tuple[Any, ...]]) -> bool:
    """Make the rows of a benchmark those that are wanted; say whether they were others."""
    held = connection.execute(select(table).where(table.c.benchmark_id == key).order_by(table.c.position))
    if [tuple(row) for row in held] == wanted:
        return False
    connection.execute(delete(table).where(table.c.benchmark_id == key))
    names = tuple(column.name for column in table.columns)
    run_many(connection, _insert(table), names, wanted)
    return True


@cache
def _insert(table: Table) -> Executable:
    return insert(table).values({column.name: bindparam(column.name) for column in table.columns})


_CURRENT = ("policy_id", "source_id", "task", "learner", "resampling", "params")


def _update_experiments(
    connection: Connection,
    surveyed: Survey,
    rows: Mapping[str, Mapping[str, int]],
    experiments: Mapping[str, int],
) -> int:
    """Give experiments the policy, sources and labels of this design, and the longer resampling; return how many
    changed.
    """
    names = ("id", "n_iterations", "resampling_id", *_CURRENT)
    found = select(*(experiment.c[name] for name in names)).where(among(experiment.c.id))
    held = {row.id: row for row in connection.execute(found, {"ids": list(experiments.values())})}
    changed = []
    for cell in surveyed.cells:
        row = held[experiments[cell.experiment]]
        new = _experiment(cell, surveyed.seed, rows)
        longer = cell.n_iterations > row.n_iterations
        if longer or any(getattr(row, name) != new[name] for name in _CURRENT):
            kept = new if longer else {"resampling_id": row.resampling_id, "n_iterations": row.n_iterations}
            values = {name: new[name] for name in _CURRENT}
            values |= {name: kept[name] for name in ("resampling_id", "n_iterations")}
            changed.append({"key": row.id, **{f"new_{name}": value for name, value in values.items()}})
    if changed:
        change = update(experiment).where(experiment.c.id == bindparam("key"))
        connection.execute(change.values({name: bindparam(f"new_{name}") for name in names[1:]}), changed)
    return len(changed)


def _withdraw(store: Store, before: Comparison) -> None:
    """Take queued jobs of cells that have left, and are in no other benchmark, out of the queue."""
    if not before.left:
        return
    member = select(benchmark_experiment.c.experiment_id).where(
        benchmark_experiment.c.experiment_id == job.c.experiment_id
    )
    queued = select(job.c.id).where(job.c.state == "queued", among(job.c.experiment_id), ~member.exists())
    back = update(job).where(among(job.c.id), unindexed(job.c.state) == "queued").values(state="defined")
    with store.read() as connection:
        ids = list(connection.execute(queued, {"ids": list(before.left)}).scalars())

    def act(connection: Connection, part: Sequence[int]) -> None:
        connection.execute(back, {"ids": list(part)})

    chunked(store, ids, act)
