"""Evaluate one learner on one task."""

from __future__ import annotations

from typing import Any

from batchml.arguments import flag
from batchml.core.seed import root_of
from batchml.experiment.design import Cell
from batchml.experiment.grid import coerce_task
from batchml.experiment.preflight import check_cells, measures_for
from batchml.experiment.result import ResampleResult
from batchml.experiment.run import run_cells

__all__ = ["resample"]


def resample(
    task: Any, learner: Any, resampling: Any, *, store_models: bool = False, seed: int | None = None
) -> ResampleResult:
    """Train and predict a learner on every split of a resampling.

    Keys and scikit-learn objects will do. The result equals that cell of a `benchmark` with the same seed.

    Parameters
    ----------
    store_models
        Whether the trained models are kept: ``rr.learners``.
    seed
        The root of all random numbers; drawn once and kept as ``.seed`` if None.

    Raises
    ------
    ConfigError
        If the learner cannot take the task, before anything runs.
    Exception
        What escaped from the learner, unless it is encapsulated.

    Examples
    --------
    >>> rr = resample("penguins", "classif.featureless", "cv", seed=1)
    >>> rr.aggregate("classif.acc").round(3).to_dict()
    {'classif.acc': 0.441}
    """
    from batchml.core.learner import as_learner
    from batchml.core.resampling import as_resampling

    cell = Cell(task=coerce_task(task), learner=as_learner(learner), resampling=as_resampling(resampling))
    check_cells([cell])
    root = root_of(seed)
    table = run_cells(
        [cell], seed=root, measures=measures_for([cell], ()), store_models=flag(store_models, "store_models")
    )
    return ResampleResult(table)
