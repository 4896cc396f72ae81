"""Scores of finished jobs by measures that were asked for later."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, insert, select, update

from batchml.core.digest import digest
from batchml.errors import DesignError
from batchml.registry import queries
from batchml.registry.close import score_columns
from batchml.registry.close_queries import SCORE_NAMES, add_score
from batchml.registry.dialects import among, utc_now
from batchml.registry.specs import put_specs, spec_bodies
from batchml.registry.tables import (
    attempt,
    benchmark,
    benchmark_experiment,
    benchmark_measure,
    experiment,
    job,
    prediction,
    result,
    score,
)
from batchml.registry.trips import by_index, lock, once, run_many, together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from batchml.core.measure import Measure
    from batchml.registry.store import Store

__all__ = ["Unscored", "ask_for", "policies_of", "put_scores", "task_types", "unscored"]

_PAGE = 2000  # results that are looked up at once
_ROWS = 500_000  # test rows whose predictions are in memory at once, for each process


@dataclass(frozen=True, slots=True)
class Unscored:
    """A finished job that lacks scores.

    Attributes
    ----------
    attempt_id
        The attempt that brought its result: scores are of this one's predictions.
    lacks
        Rows of the measures.
    predictions
        Predict set to bytes.
    """

    job_id: int
    attempt_id: int
    fit_s: float | None
    predict_s: float | None
    lacks: tuple[int, ...]
    predictions: Mapping[str, bytes]


def task_types(store: Store, benchmarks: Sequence[int]) -> dict[str, str]:
    """Return the type of each benchmark's tasks, by its name."""
    first = (
        select(benchmark.c.name, func.min(experiment.c.model_id).label("model"))
        .join_from(benchmark, benchmark_experiment)
        .join(experiment, experiment.c.id == benchmark_experiment.c.experiment_id)
        .where(benchmark.c.id.in_(benchmarks))
        .group_by(benchmark.c.name)
    )
    with store.read() as connection:
        models = {row.name: row.model for row in connection.execute(first)}
        bodies = spec_bodies(connection, models.values())
    return {name: bodies[model]["type"] for name, model in models.items()}


def policies_of(store: Store, benchmarks: Sequence[int]) -> dict[str, Any]:
    """Return the policies of the benchmarks' members by the label of their learner."""
    member = benchmark_experiment.c
    held = (
        select(member.learner, experiment.c.policy_id)
        .join_from(benchmark_experiment, experiment, experiment.c.id == member.experiment_id)
        .where(member.benchmark_id.in_(benchmarks))
        .distinct()
    )
    with store.read() as connection:
        rows = connection.execute(held).all()
        bodies = spec_bodies(connection, {row.policy_id for row in rows})
    return {row.learner: bodies[row.policy_id] for row in rows}


def ask_for(store: Store, benchmarks: Sequence[int], measures: Sequence[Measure]) -> None:
    """Put measures on the lists of benchmarks, so that views, results and jobs that run from now on have them.

    Raises
    ------
    DesignError
        A benchmark has another measure of that name; nothing was changed.
    """
    specs = {digest(measure.spec()): measure for measure in measures}
    with store.write() as connection:
        rows = put_specs(connection, "measure", {name: measure.spec() for name, measure in specs.items()})
        wanted = {rows[name]: measure.id for name, measure in specs.items()}
        changed = [key for key in benchmarks if _extend(connection, key, wanted)]
        if changed:
            touched = update(benchmark).where(benchmark.c.id.in_(changed)).values(changed_at=utc_now())
            connection.execute(touched)
            connection.execute(queries.raise_revision())


def _extend(connection: Connection, key: int, wanted: Mapping[int, str]) -> bool:
    listed = select(benchmark_measure).where(benchmark_measure.c.benchmark_id == key)
    held = connection.execute(listed.with_for_update()).all()
    rows = {row.measure_id for row in held}
    names = {row.name for row in held}
    last = max((row.position for row in held), default=-1)
    new = {row: name for row, name in wanted.items() if row not in rows}
    for name in new.values():
        if name in names:
            raise DesignError(
                f"the benchmark has another measure called '{name}': give this one an id, as in "
                f"bm.msr(..., id='{name}.2')"
            )
    values = [
        {"benchmark_id": key, "measure_id": row, "position": position, "name": name}
        for position, (row, name) in enumerate(new.items(), start=last + 1)
    ]
    if values:
        connection.execute(insert(benchmark_measure), values)
    return bool(values)


def unscored(store: Store, benchmarks: Sequence[int], measures: Sequence[int]) -> Iterator[list[Unscored]]:
    """Yield the finished jobs with predictions that lack a score by one of the measures, if their benchmarks ask for
    it, in pages by job.

    Between pages no transaction is open.
    """
    asked = _asked(store, benchmarks, measures)
    last = 0
    while True:
        with store.read() as connection:
            _, found = together(connection, by_index(), once(_page_end(), last=last, page=_PAGE))
            end = found.rows[0][0]
            if end is None:
                return
            values = {"last": last, "end": end, "measures": list(measures), "number": len(measures)}
            page = together(connection, once(_lacking(), **values))[0].rows
            ids = [row.id for row in page]
            held = together(connection, once(_stored(), ids=ids, measures=list(measures)))[0].rows if ids else ()
        stored = {tuple(pair) for pair in held}
        rows = [
            (row, lacks)
            for row in page
            if (lacks := tuple(key for key in asked(row.experiment_id, row.iteration) if (row.id, key) not in stored))
        ]
        for part in _parts(rows):
            yield _with_predictions(store, part)
        last = end


def _asked(store: Store, benchmarks: Sequence[int], measures: Sequence[int]) -> Callable[[int, int], Iterable[int]]:
    """Return a function that tells which of the measures are asked for of an iteration of an experiment."""
    member, listed = benchmark_experiment.c, benchmark_measure.c
    held = select(member.benchmark_id, member.experiment_id, member.n_iterations).where(
        member.benchmark_id.in_(benchmarks)
    )
    lists: defaultdict[int, list[int]] = defaultdict(list)
    members: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    with store.read() as connection:
        for row in connection.execute(select(listed.benchmark_id, listed.measure_id).order_by(listed.position)):
            if row.measure_id in measures:
                lists[row.benchmark_id].append(row.measure_id)
        for one in connection.execute(held):
            members[one.experiment_id].append((one.n_iterations, one.benchmark_id))

    def asked(experiment_id: int, iteration: int) -> Iterable[int]:
        ours = [key for size, key in members.get(experiment_id, ()) if iteration < size]
        return dict.fromkeys(measure for key in ours for measure in lists[key])

    return asked


def _parts(rows: Sequence[tuple[Any, tuple[int, ...]]]) -> Iterator[list[tuple[Any, tuple[int, ...]]]]:
    """Split a page so that the predictions of a part fit into memory."""
    part: list[tuple[Any, tuple[int, ...]]] = []
    total = 0
    for one in rows:
        total += one[0].n
        if part and total > _ROWS:
            yield part
            part, total = [], one[0].n
        part.append(one)
    if part:
        yield part


def _with_predictions(store: Store, rows: Sequence[tuple[Any, tuple[int, ...]]]) -> list[Unscored]:
    data: defaultdict[int, dict[str, bytes]] = defaultdict(dict)
    with store.read() as connection:
        ids = [row.id for row, _ in rows]
        for one in together(connection, by_index(), once(_predictions(), ids=ids))[1].rows:
            data[one.job_id][one.predict_set] = one.data
    return [
        Unscored(row.id, row.attempt_id, row.fit_s, row.predict_s, lacks, data.get(row.id, {})) for row, lacks in rows
    ]


@cache
def _page_end() -> Select[int | None]:
    """Select the last of the next `page` results after `last`."""
    following = select(result.c.job_id).where(result.c.job_id > bindparam("last"))
    return select(func.max(following.order_by(result.c.job_id).limit(bindparam("page")).subquery().c.job_id))


@cache
def _lacking() -> Select[Any]:
    """Select the finished jobs with predictions, after `last` and up to `end`, that lack some of the measures."""

    def ours(key: ColumnElement[int]) -> ColumnElement[bool]:
        return and_(key > bindparam("last"), key <= bindparam("end"))

    scored = (
        select(func.count())
        .where(score.c.job_id == result.c.job_id, among(score.c.measure_id, "measures"))
        .scalar_subquery()
    )
    predicted = select(prediction.c.job_id).where(prediction.c.job_id == result.c.job_id, ours(prediction.c.job_id))
    return (
        select(
            job.c.id,
            job.c.experiment_id,
            job.c.iteration,
            result.c.n,
            result.c.attempt_id,
            attempt.c.fit_s,
            attempt.c.predict_s,
        )
        .join_from(result, job, job.c.id == result.c.job_id)
        .join(attempt, attempt.c.id == result.c.attempt_id)
        # Said of each: a server would read the others from the first one to the last, for each page.
        .where(ours(result.c.job_id), ours(job.c.id), scored < bindparam("number"), predicted.exists())
        .order_by(result.c.job_id)
    )


@cache
def _stored() -> Select[Any]:
    return select(score.c.job_id, score.c.measure_id).where(
        among(score.c.job_id), among(score.c.measure_id, "measures")
    )


@cache
def _predictions() -> Select[Any]:
    return select(prediction).where(among(prediction.c.job_id))


def put_scores(store: Store, scores: Sequence[tuple[int, int, int, float]]) -> int:
    """Store scores, given as (job, attempt, measure, value), in one transaction; return how many are new.

    Those of a job whose result is another attempt's by now are dropped.
    """
    if not scores:
        return 0
    ids = sorted({job_id for job_id, *_ in scores})
    measures = sorted({measure for _, _, measure, _ in scores})
    with store.write() as connection:
        # Who holds the results is the only one to add to their scores.
        _, _, results, stored = together(
            connection,
            by_index(),
            lock(_results(), ids=ids),
            once(_results(), ids=ids),
            once(_stored(), ids=ids, measures=measures),
        )
        now = {row.job_id: row.attempt_id for row in results.rows}
        there = {tuple(row) for row in stored.rows}
        rows = [
            (job_id, measure, *score_columns(value))
            for job_id, attempt_id, measure, value in scores
            if now.get(job_id) == attempt_id and (job_id, measure) not in there
        ]
        run_many(connection, add_score(), SCORE_NAMES, rows)
    return len(rows)


@cache
def _results() -> Select[int, int]:
    return select(result.c.job_id, result.c.attempt_id).where(among(result.c.job_id)).order_by(result.c.job_id)
