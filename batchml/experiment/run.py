"""Run the iterations of cells in this session, one after another or through joblib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from batchml.core.digest import digest
from batchml.core.learner_policy import warn_of_limits
from batchml.core.seed import derive
from batchml.experiment.parallel import Job, Work, results
from batchml.experiment.scoring import measure_key
from batchml.experiment.source import MemorySource
from batchml.experiment.table import CELL_COLUMNS, JOB_COLUMNS, ResultTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchml.core.learner import Learner
    from batchml.core.measure import Measure
    from batchml.core.resampling import Resampling
    from batchml.execution.iteration import IterationResult
    from batchml.experiment.design import Cell

__all__ = ["run_cells"]


def run_cells(cells: Sequence[Cell], *, seed: int, measures: Sequence[Measure], store_models: bool) -> ResultTable:
    """Run every iteration of the cells and return the results.

    Raises
    ------
    Exception
        What escaped from a learner that is not encapsulated, with a note naming task, learner and iteration.
    """
    import pandas as pd

    for learner in {id(cell.learner): cell.learner for cell in cells}.values():
        warn_of_limits(learner)
    bound = _instantiated(cells, seed)
    digests = [cell.digest for cell in cells]
    works = [
        Work(
            task=cell.task,
            learner=cell.learner,
            resampling=resampling,
            label=cell.label,
            measures=tuple(measures),
            store_model=store_models,
        )
        for cell, resampling in zip(cells, bound, strict=True)
    ]
    jobs = [
        Job(number, iteration, derive(seed, "job", digests[number], iteration))
        for number, resampling in enumerate(bound)
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
    for row, (job, result) in enumerate(zip(jobs, results(works, jobs), strict=True)):
        source.add(
            job.cell,
            job.iteration,
            predictions=result.predictions,
            conditions=result.conditions,
            model=_trained(works[job.cell], job, result) if store_models else None,
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


def _trained(work: Work, job: Job, result: IterationResult) -> Learner:
    """Return the learner as it was after this iteration: with its model, and that of its fallback."""
    from batchml.core.learner_state import with_state

    assert result.trained is not None
    return with_state(
        work.learner, work.task, result.trained, seed=job.seed, timings=result.timings, log=result.conditions
    )


def _columns(job: Job, result: IterationResult) -> tuple[Any, ...]:
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
