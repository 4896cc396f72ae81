"""What a whole benchmark found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from batchml.arguments import function
from batchml.core.show import counted, listing
from batchml.errors import DesignError, UnknownKeyError, nearest
from batchml.experiment import scoring
from batchml.experiment.environments import COLUMNS
from batchml.experiment.resample_result import ResampleResult
from batchml.experiment.result_base import Result, trouble
from batchml.experiment.table import combine_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

__all__ = ["BenchmarkResult", "ResampleResult"]


class BenchmarkResult(Result):
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
            if not hasattr(number, "__index__"):
                raise UnknownKeyError(f"a cell is named by its number or by task=, learner=, ...; not by {number!r}")
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
            function(keep, "what results are filtered by", "a row")
            rows = self._table.cells[["task", "learner", "resampling", "params"]]
            positions = np.asarray([i for i in positions if keep(rows.iloc[i])], dtype=np.intp)
        return BenchmarkResult(self._table.select(positions))

    def combine(self, other: BenchmarkResult) -> BenchmarkResult:
        """Return both results as one; iterations that both have count once."""
        if not isinstance(other, BenchmarkResult):
            raise DesignError(f"a result is combined with a BenchmarkResult, not with {type(other).__name__}")
        return BenchmarkResult(combine_tables(self._table, other._table))

    @property
    def errors(self) -> pd.DataFrame:
        """Recorded errors: task, learner, resampling, iteration, message."""
        return self._named_conditions("error")

    @property
    def warnings(self) -> pd.DataFrame:
        """Recorded warnings: task, learner, resampling, iteration, message."""
        return self._named_conditions("warning")

    @property
    def environments(self) -> pd.DataFrame:
        """The environments that results of a registry come from, and how many results each has given.

        Columns: environment_id, python, platform, cpu, cpu_level, blas, packages (name to version), code (commit and
        dirtiness of each folder of the user's own modules), n_jobs. No rows for results of a session.
        """
        import pandas as pd

        rows = [row for source in self._table.sources for row in source.environments()]
        # Two results of one registry speak of the same rows.
        rows = [row for number, row in enumerate(rows) if row not in rows[:number]]
        return pd.DataFrame(rows, columns=list(COLUMNS))

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
        lines = [f"<BenchmarkResult> {self.iters} of {len(jobs)} iterations in {counted(len(cells), 'cell')}"]
        names = ("task", "learner", "resampling")
        lines += [f"  {name}s: {listing(dict.fromkeys(cells[name]))}" for name in names]
        mixed = dict.fromkeys(source.mixed for source in self._table.sources if source.mixed)
        return "\n".join([*lines, trouble(jobs), *(f"  {words}" for words in mixed)])

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
