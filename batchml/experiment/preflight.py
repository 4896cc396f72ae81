"""Refuse a design that cannot run before anything of it runs or is stored."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from batchml.core.show import listing
from batchml.errors import BatchmlError, DesignError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchml.core.measure import Measure
    from batchml.experiment.design import Cell

__all__ = ["check_cells", "check_splits", "measures_for", "warn_of_unscored"]

_MORE_THAN_RESPONSE = frozenset({"prob", "se", "quantiles"})
_SEEDLESS = frozenset({"custom", "custom_cv", "insample", "loo"})  # their splits are not drawn


def check_cells(cells: Iterable[Cell]) -> None:
    """Check every learner and every resampling against its task, each pair once.

    Raises
    ------
    ConfigError
        The first thing that does not fit, naming task, learner and column, and how many other pairs have one too.
    """
    _check_resamplings(cells := list(cells))
    seen: set[tuple[int, int]] = set()
    problems: list[BatchmlError] = []
    for cell in cells:
        pair = (id(cell.task), id(cell.learner))
        if pair in seen:
            continue
        seen.add(pair)
        try:
            cell.learner.check(cell.task)
        except BatchmlError as problem:
            problems.append(problem)
    if not problems:
        return
    first, others = problems[0], len(problems) - 1
    if others:
        pairs = "one more pair" if others == 1 else f"{others} more pairs"
        first.args = (f"{first} ({pairs} of task and learner cannot run either)",)
    raise first


def _check_resamplings(cells: Iterable[Cell]) -> None:
    seen: set[tuple[int, int]] = set()
    for cell in cells:
        pair = (id(cell.task), id(cell.resampling))
        if pair not in seen:
            seen.add(pair)
            if not cell.resampling.is_instantiated:
                cell.resampling.check(cell.task)


def check_splits(cells: Iterable[Cell], seed: int) -> None:
    """Refuse resamplings whose splits a registry could not draw again, because they come from another seed.

    Raises
    ------
    DesignError
        Names the resampling and the remedy.
    """
    for cell in cells:
        bound = cell.resampling
        if bound.is_instantiated and bound.seed != seed and bound.key not in _SEEDLESS:
            raise DesignError(
                f"resampling '{bound.id}' was instantiated on task '{cell.task.id}' with the seed {bound.seed}, but a "
                f"registry draws splits from the design's seed {seed}: give the design seed={bound.seed}, or pass the "
                "resampling uninstantiated"
            )


def measures_for(cells: Iterable[Cell], measures: Iterable[Measure]) -> tuple[Measure, ...]:
    """Return the measures to score with: those given, else the defaults of the cells' task type.

    Raises
    ------
    ConfigError
        If two measures share an id, or one is for another type of task.
    """
    from batchml.core.measure import as_measures
    from batchml.experiment.scoring import refuse_column_names

    types = list(dict.fromkeys(cell.task.task_type for cell in cells))
    if not types:
        return ()
    given = list(measures)
    chosen = tuple(as_measures(given or None, types[0]))
    for measure in chosen:
        if measure.task_type is not None and measure.task_type != types[0]:
            raise DesignError(
                f"measure '{measure.id}' is for {measure.task_type} tasks, the design has {types[0]} tasks"
            )
    refuse_column_names(chosen)
    return chosen


def warn_of_unscored(cells: Iterable[Cell], measures: Iterable[Measure]) -> None:
    """Say before anything runs that scores will be NaN because a learner does not predict what a measure needs."""
    learners = list({id(cell.learner): cell.learner for cell in cells}.values())
    for measure in measures:
        wanted = measure.predict_type
        if wanted not in _MORE_THAN_RESPONSE:
            continue
        lacking = list(dict.fromkeys(learner.id for learner in learners if learner.predict_type != wanted))
        if lacking:
            warnings.warn(
                f"measure '{measure.id}' will be NaN for {listing(map(repr, lacking))}: it needs predict_type "
                f"'{wanted}', which they do not predict; set predict_type = '{wanted}'",
                stacklevel=3,
            )
