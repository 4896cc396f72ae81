"""Run the iterations of cells in this session, one after another or through joblib."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from batchml.core.digest import digest
from batchml.core.seed import derive
from batchml.errors import ConfigError
from batchml.experiment.scoring import measure_key
from batchml.experiment.source import MemorySource
from batchml.experiment.table import CELL_COLUMNS, JOB_COLUMNS, ResultTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batchml.core.learner import Learner
    from batchml.core.measure import Measure
    from batchml.core.resampling import Resampling
    from batchml.core.task import Task
    from batchml.execution.iteration import IterationResult
    from batchml.experiment.design import Cell

__all__ = ["run_cells"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    cell: int
    iteration: int
    task: Task
    learner: Learner
    resampling: Resampling
    label: str
    seed: int
    measures: tuple[Measure, ...]
    store_model: bool


def run_cells(cells: Sequence[Cell], *, seed: int, measures: Sequence[Measure], store_models: bool) -> ResultTable:
    """Run every iteration of the cells and return the results.

    Raises
    ------
    Exception
        What escaped from a learner that is not encapsulated, with a note naming task, learner and iteration.
    """
    import pandas as pd

    bound = _instantiated(cells, seed)
    digests = [cell.digest for cell in cells]
    jobs = [
        _Job(
            cell=number,
            iteration=iteration,
            task=cell.task,
            learner=cell.learner,
            resampling=resampling,
            label=cell.label,
            seed=derive(seed, "job", digests[number], iteration),
            measures=tuple(measures),
            store_model=store_models,
        )
        for number, (cell, resampling) in enumerate(zip(cells, bound, strict=True))
        for iteration in range(resampling.iters)
    ]
    source = MemorySource(
        [
            type(cell)(task=cell.task, learner=cell.learner, resampling=resampling, params=cell.params)
            for cell, resampling in zip(cells, bound, strict=True)
        ]
    )
    keys = [measure_key(measure) for measure in measures]
    scores = {key: np.full(len(jobs), np.nan) for key in keys}
    rows: list[tuple[Any, ...]] = []
    for row, (job, result) in enumerate(zip(jobs, _results(jobs), strict=True)):
        source.add(
            job.cell,
            job.iteration,
            predictions=result.predictions,
            conditions=result.conditions,
            model=None if result.model is None else _trained(job, result),
        )
        rows.append(_columns(job, result))
        for key, measure in zip(keys, measures, strict=True):
            value = result.scores[measure.id]
            scores[key][row] = np.nan if value is None else value
    table = [
        (
            cell.task.id,
            cell.learner.id,
            cell.resampling.id,
            dict(cell.params),
            digest([digests[number], seed]),
            0,
            number,
        )
        for number, cell in enumerate(cells)
    ]
    return ResultTable(
        cells=pd.DataFrame(table, columns=list(CELL_COLUMNS)),
        jobs=pd.DataFrame(rows, columns=list(JOB_COLUMNS)),
        sources=(source,),
        scores=scores,
        measures=tuple(measures),
        seed=seed,
    )


def _instantiated(cells: Sequence[Cell], seed: int) -> list[Resampling]:
    """Return each cell's resampling with its splits; learners on one task share them."""
    shared: dict[tuple[int, int], Resampling] = {}
    bound = []
    for cell in cells:
        pair = id(cell.task), id(cell.resampling)
        if pair not in shared:
            loose = cell.resampling
            if loose.is_instantiated:
                loose.check_bound(cell.task)
            shared[pair] = loose if loose.is_instantiated else loose.clone().instantiate(cell.task, seed=seed)
        bound.append(shared[pair])
    return bound


def _results(jobs: Sequence[_Job]) -> Iterator[IterationResult]:
    """Yield the jobs' results in order, whoever computes them."""
    import joblib
    from joblib.parallel import get_active_backend

    backend, workers = get_active_backend(prefer="processes")
    if workers == 1 or len(jobs) < 2:
        yield from map(_run, jobs)
        return
    if getattr(backend, "uses_threads", False):
        _refuse_capture(jobs)
    yield from joblib.Parallel(prefer="processes")(joblib.delayed(_run)(job) for job in jobs)


def _refuse_capture(jobs: Sequence[_Job]) -> None:
    """Raise if threads would record each other's warnings and output, which belong to the whole process."""
    for job in jobs:
        if "capture" in job.learner.encapsulate.values():
            raise ConfigError(
                f"learner '{job.learner.id}' is encapsulated by 'capture', which cannot tell threads apart: choose "
                "joblib's backend 'loky', or encapsulate = 'process'"
            )


def _run(job: _Job) -> IterationResult:
    from batchml.execution.iteration import run

    try:
        return run(
            job.task,
            job.learner,
            job.resampling,
            job.iteration,
            job_seed=job.seed,
            measures=job.measures,
            store_model=job.store_model,
        )
    except Exception as error:
        error.add_note(f"in {job.label}, iteration {job.iteration}")
        raise


def _trained(job: _Job, result: IterationResult) -> Learner:
    """Return the learner as it was after this iteration's training."""
    from batchml.core.learner_state import LearnerState, Schema
    from batchml.execution.stages import Trained

    learner = job.learner.clone()
    learner.state = LearnerState(
        trained=Trained(ok=True, model=result.model, conditions=result.conditions),
        schema=Schema.of(job.task),
        seed=job.seed,
        log=result.conditions,
        timings=dict(result.timings),
    )
    return learner


def _columns(job: _Job, result: IterationResult) -> tuple[Any, ...]:
    """Return the row of `JOB_COLUMNS` for a finished iteration."""
    levels = [condition.level for condition in result.conditions]
    return (
        job.cell,
        job.iteration,
        "done",
        result.n,
        result.n_missing,
        result.n_imputed,
        result.timings.get("train", np.nan),
        result.timings.get("predict", np.nan),
        levels.count("warning"),
        levels.count("error"),
        0,
        job.cell,
    )
