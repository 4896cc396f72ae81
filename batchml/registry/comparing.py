"""Comparing a design with what the registry holds."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, and_, bindparam, func, select

from batchml.core.policy import Ran, why_again
from batchml.core.show import counted
from batchml.registry.cells import DEFAULTS
from batchml.registry.changes import differences, why_new
from batchml.registry.dialects import among, among_words, unindexed
from batchml.registry.plan import Plan
from batchml.registry.specs import spec_bodies, spec_ids
from batchml.registry.tables import (
    attempt,
    benchmark,
    benchmark_experiment,
    benchmark_measure,
    condition,
    experiment,
    job,
    result,
    spec,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from batchml.registry.cells import CellRow, Survey

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A plan with the rows that `add` acts on.

    Attributes
    ----------
    known
        Rows of the experiments that are there, by digest.
    again
        Ids of jobs to run again.
    left
        Rows of experiments that stop being members.
    """

    plan: Plan
    known: Mapping[str, Any]
    again: tuple[int, ...]
    left: tuple[int, ...]


def compare(connection: Connection, design: Survey) -> Comparison:
    """Compare a design with what the registry holds."""
    wanted = {row.experiment: row for row in design.cells}
    found = connection.execute(select(experiment).where(among_words(experiment.c.digest)), {"words": list(wanted)})
    known = {row.digest: row for row in found}
    states = _states(connection, [(known[name].id, row.n_iterations) for name, row in wanted.items() if name in known])
    reasons, kept = _run_again(connection, design, known)
    again = {job_id: reason for job_id, reason in reasons.items() if reason}
    redone = Counter(again.values())
    done_again, failed_again = _split_again(connection, again)
    there = sum(states.values())
    members, old_measures, exists = _current(connection, design.name)
    ids = {known[name].id for name in wanted if name in known}
    new_ids = {name for _, name in design.measures}
    jobs = sum(row.n_iterations for row in design.cells)
    plan = Plan(
        benchmark=design.name,
        exists=exists,
        cells=len(design.cells),
        jobs=jobs,
        new=jobs - there,
        reused=states["done"] - done_again,
        waiting=states["defined"] + states["queued"] + states["running"],
        failed=states["error"] + states["cancelled"] - failed_again,
        again=dict(redone),
        because=tuple(why_new(connection, design, known)),
        changed=(
            *(
                f"{words}: {counted(n, 'finished job')} could not end otherwise and are kept"
                for words, n in kept.items()
            ),
            *_sources_changed(connection, design, known),
        ),
        entering=len(wanted) - len(members & ids),
        leaving=len(members - ids),
        measures_added=tuple(name for name, key in design.measures if key not in old_measures) if exists else (),
        measures_dropped=tuple(name for key, name in old_measures.items() if key not in new_ids),
        retry_changed=exists and _retry_of(connection, design.name) != dict(design.retry),
    )
    return Comparison(plan=plan, known=known, again=tuple(again), left=tuple(sorted(members - ids)))


def _states(connection: Connection, sizes: Iterable[tuple[int, int]]) -> Counter[str]:
    """Count the jobs of experiments by state, of each the first so many iterations."""
    by_size: defaultdict[int, list[int]] = defaultdict(list)
    for experiment_id, size in sizes:
        by_size[size].append(experiment_id)
    of_state = (
        select(job.c.state, func.count())
        .where(among(job.c.experiment_id), job.c.iteration < bindparam("size"))
        .group_by(job.c.state)
    )
    counts: Counter[str] = Counter()
    for size, ids in by_size.items():
        for state, number in connection.execute(of_state, {"ids": ids, "size": size}):
            counts[state] += number
    return counts


def _retry_of(connection: Connection, name: str) -> Any:
    return connection.execute(select(benchmark.c.retry).where(benchmark.c.name == name)).scalar()


def _current(connection: Connection, name: str) -> tuple[set[int], dict[str, str], bool]:
    """Return the members of a benchmark, its measures (digest to id), and whether there is one."""
    row = connection.execute(select(benchmark.c.id).where(benchmark.c.name == name)).scalar()
    if row is None:
        return set(), {}, False
    members = select(benchmark_experiment.c.experiment_id).where(benchmark_experiment.c.benchmark_id == row)
    measures = (
        select(spec.c.digest, benchmark_measure.c.name)
        .join_from(benchmark_measure, spec, spec.c.id == benchmark_measure.c.measure_id)
        .where(benchmark_measure.c.benchmark_id == row)
        .order_by(benchmark_measure.c.position)
    )
    return (
        set(connection.execute(members).scalars()),
        {found.digest: found.name for found in connection.execute(measures)},
        True,
    )


def _run_again(
    connection: Connection, design: Survey, known: Mapping[str, Any]
) -> tuple[dict[int, str | None], Counter[str]]:
    """Return ended jobs whose policy changed, with the reason to run them again if there is one; and how many are kept
    by what changed.
    """
    policies = spec_ids(connection, "policy", design.bodies["policy"])
    changed = {
        known[row.experiment].id: row
        for row in design.cells
        if row.experiment in known and known[row.experiment].policy_id != policies.get(row.policy)
    }
    kept: Counter[str] = Counter()
    if not changed:
        return {}, kept
    rows = connection.execute(_ended(), {"ids": list(changed)}).all()
    old = spec_bodies(connection, {row.policy_id for row in rows})
    found: dict[int, str | None] = {}
    for row in rows:
        cell: CellRow = changed[row.experiment_id]
        if row.iteration < cell.n_iterations:
            new = design.bodies["policy"][cell.policy]
            found[row.job_id] = why_again(old[row.policy_id], new, _ran(row))
            if found[row.job_id] is None and old[row.policy_id] != new:
                kept[
                    f"policy of learner '{cell.labels[1]}' changed ({', '.join(differences(old[row.policy_id], new))})"
                ] += 1
    return found, kept


def _ended() -> Any:
    """Select how the ended jobs of the experiments `ids` came to their end."""
    last = select(func.max(attempt.c.id)).where(attempt.c.job_id == job.c.id).correlate(job).scalar_subquery()
    failed = select(condition.c.number).where(condition.c.attempt_id == attempt.c.id, condition.c.level == "error")
    return (
        select(
            job.c.id.label("job_id"),
            job.c.experiment_id,
            job.c.iteration,
            attempt.c.policy_id,
            attempt.c.outcome,
            attempt.c.fit_s,
            attempt.c.predict_s,
            result.c.completeness,
            result.c.model.label("model"),
            failed.exists().label("failed"),
            failed.where(condition.c.kind == "timeout").exists().label("timed_out"),
        )
        .select_from(
            job.outerjoin(result, result.c.job_id == job.c.id).join(
                attempt, attempt.c.id == func.coalesce(result.c.attempt_id, last)
            )
        )
        .where(and_(among(job.c.experiment_id), job.c.state.in_(["done", "error"])))
    )


def _ran(row: Any) -> Ran:
    return Ran(
        outcome=row.outcome,
        completeness=row.completeness,
        fit_s=row.fit_s,
        predict_s=row.predict_s,
        errors=bool(row.failed),
        timed_out=bool(row.timed_out) or row.outcome == "timeout",
        model_stored=row.model is not None,
    )


def _split_again(connection: Connection, again: Mapping[int, str]) -> tuple[int, int]:
    """Count the jobs that run again by whether they were done."""
    if not again:
        return 0, 0
    done = select(func.count()).where(among(job.c.id), unindexed(job.c.state) == "done")
    number = int(connection.execute(done, {"ids": list(again)}).scalar_one())
    return number, len(again) - number


def _sources_changed(connection: Connection, design: Survey, known: Mapping[str, Any]) -> Sequence[str]:
    """Say of which own modules and defaults of classes results were made with another version."""
    rows = {known[row.experiment].id: row for row in design.cells if row.source and row.experiment in known}
    if not rows:
        return []
    made = (
        select(job.c.experiment_id, attempt.c.source_id, func.count().label("n"))
        .select_from(result.join(job, job.c.id == result.c.job_id).join(attempt, attempt.c.id == result.c.attempt_id))
        .where(among(job.c.experiment_id))
        .group_by(job.c.experiment_id, attempt.c.source_id)
    )
    found = connection.execute(made, {"ids": list(rows)}).all()
    old = spec_bodies(connection, {row.source_id for row in found if row.source_id is not None})
    modules: Counter[str] = Counter()
    defaults: Counter[str] = Counter()
    for row in found:
        then, now = old.get(row.source_id, {}), design.bodies["source"][rows[row.experiment_id].source or ""]
        for name in sorted(now):
            if not name.startswith(DEFAULTS):
                modules[name] += row.n if then.get(name) != now[name] else 0
            elif name in then and then[name] != now[name]:
                said = ", ".join(differences(then[name], now[name], absent="none"))
                defaults[f"{name.removeprefix(DEFAULTS)} ({said})"] += row.n
    kept = "kept as they are: reset them to run them again"
    return [
        *(f"module {name} changed since {counted(n, 'finished job')} ran; {kept}" for name, n in modules.items() if n),
        *(f"defaults changed of {name} since {counted(n, 'finished job')} ran; {kept}" for name, n in defaults.items()),
    ]
