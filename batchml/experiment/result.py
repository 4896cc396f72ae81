"""What an evaluation found: of one learner on one task, or of a whole benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from batchml.core.show import Shown, listing
from batchml.errors import ConfigError, UnknownKeyError, nearest
from batchml.experiment import scoring
from batchml.experiment.table import combine_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

    from batchml.core.learner import Learner
    from batchml.core.prediction import Prediction
    from batchml.core.resampling import Resampling
    from batchml.core.task import Task
    from batchml.experiment.table import ResultTable

__all__ = ["BenchmarkResult", "ResampleResult"]


class _Result(Shown):
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

    @property
    def coverage(self) -> pd.DataFrame:
        """Return what is missing and why, a row per cell: ids, defined, done, error, cancelled, missing.

        ``defined`` counts all iterations, ``missing`` those without a result; variants of a learner count together,
        as in the SQL view of that name.
        """
        cells, jobs = self._table.cells, self._table.jobs
        names = ["task", "learner", "resampling"]
        frame = cells[names].iloc[jobs["cell"].to_numpy()].reset_index(drop=True)
        frame["defined"] = 1
        for state in ("done", "error", "cancelled"):
            frame[state] = (jobs["state"] == state).to_numpy(dtype=np.int64)
        frame["missing"] = 1 - frame["done"]
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


class ResampleResult(_Result):
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
                "benchmark keep them with store_models=True; those in a registry are not opened when reducing"
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
                _trouble(jobs),
            ]
        )


class BenchmarkResult(_Result):
    """The results of a benchmark: columns in memory, predictions read when they are asked for.

    Examples
    --------
    >>> import batchml as bm
    >>> design = bm.benchmark_grid(["iris", "wine"], "classif.featureless", bm.rsmp("cv", folds=3), seed=1)
    >>> bmr = bm.benchmark(design)
    >>> bmr
    <BenchmarkResult> 6 of 6 iterations in 2 cells
      tasks: iris, wine
      learners: classif.featureless
      resamplings: cv
      warnings in 0, errors in 0 iterations
    >>> bmr.coverage[["task", "defined", "done", "missing"]]
       task  defined  done  missing
    0  iris        3     3        0
    1  wine        3     3        0
    """

    def aggregate(
        self,
        measures: Any = None,
        *,
        conditions: bool = False,
        params: bool = False,
        stats: str | Sequence[str] = ("mean",),
        finished_only: bool = False,
    ) -> pd.DataFrame:
        """Return a row per cell: ids, ``n`` iterations, ``n_missing`` without a result, ``n_imputed``, the measures.

        Parameters
        ----------
        conditions
            Add in how many iterations there were ``warnings`` and ``errors``.
        params
            Add a column for each parameter that tells variants of a learner apart.
        stats
            ``mean`` goes by the measure's own averaging; also ``sd``, ``min``, ``max``, ``median`` (``<measure>_sd``).
        finished_only
            Average over what finished; otherwise a cell that lacks a result has nan.
        """
        chosen = scoring.chosen_measures(self._table, measures)
        if not finished_only:
            self._warn_of_gaps()
        return scoring.aggregate_frame(
            self._table, chosen, conditions=conditions, params=params, stats=stats, finished_only=finished_only
        )

    @property
    def tasks(self) -> pd.DataFrame:
        """The tasks: id, task."""
        return self._objects("task")

    @property
    def learners(self) -> pd.DataFrame:
        """The learners, untrained: id, learner."""
        return self._objects("learner")

    @property
    def resamplings(self) -> pd.DataFrame:
        """The resamplings: id, resampling."""
        return self._objects("resampling")

    @property
    def n_resample_results(self) -> int:
        """Number of cells."""
        return len(self._table.cells)

    def resample_result(
        self,
        number: int | None = None,
        *,
        task: str | None = None,
        learner: str | None = None,
        resampling: str | None = None,
        params: dict[str, Any] | None = None,
    ) -> ResampleResult:
        """Return one cell, by its row in `aggregate` or by ids.

        Raises
        ------
        UnknownKeyError
            If there is no such cell, or if the ids fit several.
        """
        if number is not None:
            if not -len(self._table.cells) <= number < len(self._table.cells):
                raise UnknownKeyError(f"there is no cell {number}: they are numbered 0 to {len(self._table.cells) - 1}")
            position = range(len(self._table.cells))[number]
        else:
            fits = self._matching(task=task, learner=learner, resampling=resampling, params=params)
            if len(fits) != 1:
                raise UnknownKeyError(f"{len(fits)} cells fit, not one: give task=, learner=, resampling= and params=")
            position = int(fits[0])
        return ResampleResult(self._table.select(np.asarray([position], dtype=np.intp)))

    def filter(
        self,
        keep: Callable[[pd.Series[Any]], bool] | None = None,
        *,
        task: str | Sequence[str] | None = None,
        learner: str | Sequence[str] | None = None,
        resampling: str | Sequence[str] | None = None,
    ) -> BenchmarkResult:
        """Return the result with some cells only: by ids, or by a function of the cell's row (task, learner, ...)."""
        positions = self._matching(task=task, learner=learner, resampling=resampling)
        if keep is not None:
            rows = self._table.cells[["task", "learner", "resampling", "params"]]
            positions = np.asarray([i for i in positions if keep(rows.iloc[i])], dtype=np.intp)
        return BenchmarkResult(self._table.select(positions))

    def combine(self, other: BenchmarkResult) -> BenchmarkResult:
        """Return both results as one; iterations that both have count once."""
        return BenchmarkResult(combine_tables(self._table, other._table))

    @property
    def errors(self) -> pd.DataFrame:
        """Recorded errors: task, learner, resampling, iteration, message."""
        return self._named_conditions("error")

    @property
    def warnings(self) -> pd.DataFrame:
        """Recorded warnings: task, learner, resampling, iteration, message."""
        return self._named_conditions("warning")

    def export(self, folder: str | Path) -> Path:
        """Write everything but models to a folder as Parquet and JSON; `load` reads it."""
        from batchml.experiment.folder import write_result

        return write_result(self._table, Path(folder))

    @classmethod
    def load(cls, folder: str | Path) -> BenchmarkResult:
        """Return the result that `export` wrote."""
        from batchml.experiment.folder import read_result

        return cls(read_result(Path(folder)))

    def __len__(self) -> int:
        """Return the number of iterations with a result."""
        return self.iters

    def __repr__(self) -> str:
        """Return what was compared, and in how many iterations something was recorded."""
        cells, jobs = self._table.cells, self._table.jobs
        lines = [f"<BenchmarkResult> {self.iters} of {len(jobs)} iterations in {len(cells)} cells"]
        names = ("task", "learner", "resampling")
        lines += [f"  {name}s: {listing(dict.fromkeys(cells[name]))}" for name in names]
        return "\n".join([*lines, _trouble(jobs)])

    def _objects(self, name: str) -> pd.DataFrame:
        import pandas as pd

        ids = self._table.cells[name]
        firsts = ids.drop_duplicates().index
        objects = [getattr(self._table.objects(int(position)), name) for position in firsts]
        return pd.DataFrame({"id": ids[firsts].to_numpy(), name: pd.Series(objects, dtype=object)})

    def _named_conditions(self, level: str) -> pd.DataFrame:
        found = self._conditions(level)
        cell = found["cell"].to_numpy(dtype=np.int64)
        for name in ("task", "learner", "resampling"):
            found[name] = self._table.cells[name].to_numpy()[cell]
        return found[["task", "learner", "resampling", "iteration", "message"]]

    def _matching(self, *, params: dict[str, Any] | None = None, **ids: Any) -> np.ndarray[Any, np.dtype[np.intp]]:
        keep = np.ones(len(self._table.cells), dtype=bool)
        for name, wanted in ids.items():
            if wanted is None:
                continue
            known = set(self._table.cells[name])
            names = [wanted] if isinstance(wanted, str) else list(wanted)
            for one in names:
                if one not in known:
                    raise UnknownKeyError(f"no {name} is called '{one}' in this result{nearest(one, sorted(known))}")
            keep &= self._table.cells[name].isin(names).to_numpy()
        if params is not None:
            keep &= np.asarray([label == params for label in self._table.cells["params"]], dtype=bool)
        return np.flatnonzero(keep)


def _trouble(jobs: pd.DataFrame) -> str:
    warned, failed = int((jobs["n_warnings"] > 0).sum()), int((jobs["n_errors"] > 0).sum())
    return f"  warnings in {warned}, errors in {failed} iterations"
