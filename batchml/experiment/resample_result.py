"""What the evaluation of one learner on one task found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from batchml import arguments
from batchml.core.fields import SETS
from batchml.errors import ConfigError
from batchml.experiment import scoring
from batchml.experiment.result_base import Result, trouble

if TYPE_CHECKING:
    import pandas as pd

    from batchml.core.learner import Learner
    from batchml.core.prediction import Prediction
    from batchml.core.resampling import Resampling
    from batchml.core.task import Task

__all__ = ["ResampleResult"]


class ResampleResult(Result):
    """The predictions of one learner on one task, iteration by iteration.

    Examples
    --------
    >>> import batchml as bm
    >>> bm.resample("iris", "classif.featureless", bm.rsmp("cv", folds=3), seed=1)
    <ResampleResult> 3 of 3 iterations
      task: iris
      learner: classif.featureless
      resampling: cv
      warnings in 0, errors in 0 iterations
    """

    @property
    def task(self) -> Task:
        """The task."""
        return self._table.objects(0).task

    @property
    def learner(self) -> Learner:
        """The learner, untrained."""
        return self._table.objects(0).learner

    @property
    def resampling(self) -> Resampling:
        """The resampling, instantiated."""
        return self._table.objects(0).resampling

    @property
    def learners(self) -> list[Any]:
        """The trained learners of the iterations with a result; needs ``store_models=True``."""
        models = [self._table.model(int(row)) for row in np.flatnonzero(self._table.done)]
        if any(model is None for model in models):
            raise ConfigError(
                f"the models of learner '{self.learner.id}' on task '{self.task.id}' are not at hand: resample and "
                "benchmark keep them with store_models=True; of a registry, reduce(allow_pickle=True) opens them"
            )
        return models

    @property
    def iterations(self) -> list[int]:
        """The numbers of the iterations with a result."""
        return [int(i) for i in self._table.jobs["iteration"].to_numpy()[self._table.done]]

    def aggregate(self, measures: Any = None, *, finished_only: bool = False) -> pd.Series[float]:
        """Return the average of each measure over the iterations, by the measure's own way of averaging.

        nan while iterations have no result, unless `finished_only`.
        """
        import pandas as pd

        chosen = scoring.chosen_measures(self._table, measures)
        if not finished_only:
            self._warn_of_gaps()
        frame = scoring.aggregate_frame(self._table, chosen, finished_only=finished_only)
        values = {measure.id: float(frame[measure.id].iloc[0]) for measure in chosen}
        return pd.Series(values, dtype=float)

    def predictions(self, predict_set: str = "test") -> list[Prediction]:
        """Return the predictions of each iteration with a result, in the order of `iterations`."""
        arguments.chosen(predict_set, "a predict set", SETS)
        rows = np.flatnonzero(self._table.done)
        found = [kept.get(predict_set) for kept in self._table.predictions(rows, (predict_set,))]
        return [prediction for prediction in found if prediction is not None]

    def prediction(self, predict_set: str = "test") -> Prediction:
        """Return the predictions of all iterations as one; rows predicted more than once occur more than once."""
        from batchml.core.prediction import Prediction

        found = self.predictions(predict_set)
        if not found:
            raise ConfigError(
                f"learner '{self.learner.id}' on task '{self.task.id}' has no '{predict_set}' predictions: "
                "set learner.predict_sets, or see .errors"
            )
        combined: Prediction = Prediction.combine(found)
        return combined

    @property
    def errors(self) -> pd.DataFrame:
        """Recorded errors: iteration, message."""
        return self._conditions("error")[["iteration", "message"]]

    @property
    def warnings(self) -> pd.DataFrame:
        """Recorded warnings: iteration, message."""
        return self._conditions("warning")[["iteration", "message"]]

    def __repr__(self) -> str:
        """Return what was evaluated, and in how many iterations something was recorded."""
        cells = self._table.cells.iloc[0]
        jobs = self._table.jobs
        return "\n".join(
            [
                f"<ResampleResult> {self.iters} of {len(jobs)} iterations",
                f"  task: {cells['task']}",
                f"  learner: {cells['learner']}",
                f"  resampling: {cells['resampling']}",
                trouble(jobs),
            ]
        )
