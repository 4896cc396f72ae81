"""What adding a design would do: what is new, what is reused, what runs again and why, what leaves."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, and_, bindparam, func, select

from batchml.core.policy import Ran, why_again
from batchml.registry.dialects import among, among_words, unindexed
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
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from batchml.registry.cells import CellRow, Survey

__all__ = ["Comparison", "Plan", "compare"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Plan:
    """What `add` would do with a design. Counts are jobs (iterations) unless they say cells.

    Attributes
    ----------
    benchmark
        The name under which the registry keeps it.
    exists
        Whether there is a benchmark of that name.
    cells, jobs
        What the design asks for.
    new
        Jobs that are not there yet.
    reused
        Finished jobs that count as they are.
    waiting, failed
        Jobs that are there and defined, queued or running; that ended in error or were cancelled.
    again
        Reason to number of jobs that have ended but run again, because the learner's policy changed.
    changed
        Sentences about what changed without running anything again.
    entering, leaving
        Cells that become members of the benchmark, and that stop being members.
    measures_added, measures_dropped
        Ids of measures.
    retry_changed
        Failures from now on are tried again by another policy.
    """

    benchmark: str
    exists: bool
    cells: int
    jobs: int
    new: int
    reused: int
    waiting: int
    failed: int
    again: Mapping[str, int] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    entering: int = 0
    leaving: int = 0
    measures_added: tuple[str, ...] = ()
    measures_dropped: tuple[str, ...] = ()
    retry_changed: bool = False

    @property
    def nothing_new(self) -> bool:
        """Whether adding the design would change nothing."""
        moves = (self.new, self.again, self.entering, self.leaving, self.measures_added, self.measures_dropped)
        return self.exists and not any(moves) and not self.retry_changed

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        names = ("benchmark", "exists", "cells", "jobs", "new", "reused", "waiting", "failed", "entering", "leaving")
        lists = ("changed", "measures_added", "measures_dropped")
        return {
            **{name: getattr(self, name) for name in names},
            "again": dict(self.again),
            **{name: list(getattr(self, name)) for name in lists},
            "retry_changed": self.retry_changed,
        }

    def __str__(self) -> str:
        """Return a few lines for people."""
        lines = [f"benchmark '{self.benchmark}': {_count(self.cells, 'cell')}, {_count(self.jobs, 'job')}"]
        if self.nothing_new:
            lines.append("  nothing is new")
        counts = {"new": self.new, "reused": self.reused, "waiting": self.waiting, "failed": self.failed}
        lines += [f"  {number} {word}" for word, number in counts.items() if number]
        lines += [f"  {number} again: they {reason}" for reason, number in self.again.items()]
        if self.leaving:
            words = _count(self.leaving, "cell")
            lines.append(
                f"  {words} not in this design any more: out of the benchmark, but stored and reused when back"
            )
        if self.measures_added and self.reused:
            lines.append(f"  {self.reused} finished without {', '.join(self.measures_added)}: score them by rescore")
        if self.measures_dropped:
            lines.append(f"  not asked for any more: {', '.join(self.measures_dropped)}")
        if self.retry_changed:
            lines.append("  another retry policy, for failures from now on: `retry` queues those that are there")
        return "\n".join([*lines, *(f"  {sentence}" for sentence in self.changed)])

    __repr__ = __str__


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
    reasons = _run_again(connection, design, known)
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
        changed=tuple(_sources_changed(connection, design, known)),
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
    counted = (
        select(job.c.state, func.count())
        .where(among(job.c.experiment_id), job.c.iteration < bindparam("size"))
        .group_by(job.c.state)
    )
    counts: Counter[str] = Counter()
    for size, ids in by_size.items():
        for state, number in connection.execute(counted, {"ids": ids, "size": size}):
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
    from batchml.registry.tables import spec

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


def _run_again(connection: Connection, design: Survey, known: Mapping[str, Any]) -> dict[int, str | None]:
    """Return ended jobs whose policy changed, with the reason to run them again if there is one."""
    policies = spec_ids(connection, "policy", design.bodies["policy"])
    changed = {
        known[row.experiment].id: row
        for row in design.cells
        if row.experiment in known and known[row.experiment].policy_id != policies.get(row.policy)
    }
    if not changed:
        return {}
    rows = connection.execute(_ended(), {"ids": list(changed)}).all()
    old = spec_bodies(connection, {row.policy_id for row in rows})
    found: dict[int, str | None] = {}
    for row in rows:
        cell: CellRow = changed[row.experiment_id]
        if row.iteration < cell.n_iterations:
            found[row.job_id] = why_again(old[row.policy_id], design.bodies["policy"][cell.policy], _ran(row))
    return found


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
    """Say of which own modules results were made with another version."""
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
    stale: Counter[str] = Counter()
    for row in found:
        then, now = old.get(row.source_id, {}), design.bodies["source"][rows[row.experiment_id].source or ""]
        for module in sorted(now):
            if then.get(module) != now[module]:
                stale[module] += row.n
    return [
        f"module {module} changed since {_count(n, 'finished job')} ran; kept as they are: reset them to run them again"
        for module, n in stale.items()
    ]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
