"""What all results can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from batchml.core.show import Shown
from batchml.experiment import scoring

if TYPE_CHECKING:
    import pandas as pd

    from batchml.experiment.table import ResultTable

__all__ = ["Result", "trouble"]


class Result(Shown):
    """What both kinds of result can tell."""

    def __init__(self, table: ResultTable) -> None:
        self._table = table
        self._warned = False

    @property
    def seed(self) -> int | None:
        """The root of all random numbers; None if results with different seeds were combined."""
        return self._table.seed

    @property
    def iters(self) -> int:
        """Number of iterations with a result."""
        return int(self._table.done.sum())

    def score(self, measures: Any = None, *, predictions: bool = False) -> pd.DataFrame:
        """Return a row per iteration with a result: ids, counts of test rows, a column per measure.

        Parameters
        ----------
        predictions
            Whether to add a column with the test predictions.
        """
        chosen = scoring.chosen_measures(self._table, measures)
        self._warn_of_gaps()
        return scoring.score_frame(self._table, chosen, predictions=predictions)

    def obs_loss(self, measures: Any = None) -> pd.DataFrame:
        """Return what every predicted row contributes: ids, row_id, truth, response, a column per measure.

        Rows that were predicted in several iterations occur as often. Rows without a prediction have nan.

        Parameters
        ----------
        measures
            Those with the property ``obs_loss``, such as classif.ce, classif.logloss, regr.mse.
        """
        chosen = scoring.chosen_measures(self._table, measures)
        self._warn_of_gaps()
        return scoring.loss_frame(self._table, chosen)

    @property
    def coverage(self) -> pd.DataFrame:
        """Return what is missing and why: ids, defined, done, error, cancelled, missing, no_prediction.

        ``defined`` counts all iterations, ``missing`` those without a result, ``no_prediction`` those that are done but
        predicted no row: an encapsulated failure without a fallback. Variants of a learner count together, as in the
        SQL view of that name.
        """
        cells, jobs = self._table.cells, self._table.jobs
        names = ["task", "learner", "resampling"]
        frame = cells[names].iloc[jobs["cell"].to_numpy()].reset_index(drop=True)
        frame["defined"] = 1
        for state in ("done", "error", "cancelled"):
            frame[state] = (jobs["state"] == state).to_numpy(dtype=np.int64)
        frame["missing"] = 1 - frame["done"]
        frame["no_prediction"] = (self._table.done & ~self._table.answered).astype(np.int64)
        return frame.groupby(names, sort=False, as_index=False).sum()

    def _warn_of_gaps(self) -> None:
        if not self._warned:
            self._warned = True
            scoring.warn_of_gaps(self._table, stacklevel=4)

    def _conditions(self, level: str) -> pd.DataFrame:
        return self._table.conditions_of(level)

    def discard(self, *, models: bool = False, backends: bool = False) -> Self:
        """Return the result without the models, or without the tasks' data: smaller in memory and when pickled.

        Scores, predictions, conditions and splits stay. Data that are in an artifact store anyway are left there.
        """
        return type(self)(self._table.without(models=models, backends=backends))


def trouble(jobs: pd.DataFrame) -> str:
    """Return the line on warnings and errors of a `repr`."""
    warned, failed = int((jobs["n_warnings"] > 0).sum()), int((jobs["n_errors"] > 0).sum())
    return f"  warnings in {warned}, errors in {failed} iterations"
