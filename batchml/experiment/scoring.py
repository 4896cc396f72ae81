"""Score tables and aggregates over the columns of a result."""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from batchml.core.digest import digest
from batchml.core.pickled import naming
from batchml.errors import ConfigError, DesignError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from batchml.core.measure import Measure
    from batchml.core.task import Task
    from batchml.experiment.table import ResultTable

__all__ = [
    "aggregate_frame",
    "chosen_measures",
    "loss_frame",
    "measure_key",
    "refuse_column_names",
    "score_frame",
    "score_values",
]

_COLUMNS = frozenset(
    {
        *("task", "learner", "resampling", "params", "iteration"),
        *("n", "n_missing", "n_imputed", "warnings", "errors", "prediction"),
    }
)
_STATISTICS = ("mean", "sd", "min", "max", "median")


def measure_key(measure: Measure) -> str:
    """Name a measure by what it computes for one iteration: the key of stored scores."""
    with naming():
        return digest({key: value for key, value in measure.spec().items() if key not in {"average", "aggregator"}})


def chosen_measures(table: ResultTable, measures: Any = None) -> tuple[Measure, ...]:
    """Return the measures asked for, else those of the run, else the defaults of the task type."""
    from batchml.core.measure import as_measures

    if measures is None and table.measures:
        return table.measures
    task_type = table.objects(0).task.task_type if len(table.cells) else "classif"
    chosen = tuple(as_measures(measures, task_type))
    refuse_column_names(chosen)
    return chosen


def refuse_column_names(measures: Iterable[Measure]) -> None:
    """Raise if a measure is called like a column of the tables, which it would overwrite."""
    for measure in measures:
        if measure.id in _COLUMNS:
            raise DesignError(f"a measure cannot be called '{measure.id}', as a column of the tables is: give it an id")


def score_values(table: ResultTable, measures: Sequence[Measure]) -> dict[str, NDArray[np.float64]]:
    """Return for each measure's id a value for each job, nan where there is no result.

    Scores that were stored are taken as they are; predictions are read only for the others, once for all of them.
    """
    values = {}
    lacking: dict[str, NDArray[np.bool_]] = {}
    for measure in measures:
        key = measure_key(measure)
        stored = table.scores.get(key)
        unknown = table.unscored.get(key)
        if stored is None:
            stored = np.full(len(table.jobs), np.nan)
            unknown = table.answered
        values[measure.id] = stored
        if unknown is not None and (unknown & table.answered).any():
            values[measure.id] = stored.copy()
            lacking[measure.id] = unknown & table.answered
    if lacking:
        _fill_in(table, [measure for measure in measures if measure.id in lacking], values, lacking)
    return values


def _fill_in(
    table: ResultTable,
    measures: Sequence[Measure],
    values: Mapping[str, NDArray[np.float64]],
    lacking: Mapping[str, NDArray[np.bool_]],
) -> None:
    """Score predictions where values are lacking; predictions are read once for all measures."""
    rows = np.flatnonzero(np.logical_or.reduce([lacking[measure.id] for measure in measures]))
    cells, train, predict = (table.jobs[name].to_numpy() for name in ("cell", "fit_s", "predict_s"))
    tasks: dict[int, Task] = {}
    ask_model = any(measure.facts.needs == "learner" for measure in measures)
    failures: dict[str, list[Exception]] = defaultdict(list)
    for row, predictions in zip(rows.tolist(), table.predictions(rows, _sets(measures)), strict=True):
        if not predictions:
            continue
        cell = int(cells[row])
        if cell not in tasks:
            tasks[cell] = table.objects(cell).task
        about: dict[str, Any] = {
            "timings": {"train": float(train[row]), "predict": float(predict[row])},
            "learner": table.model(row) if ask_model else None,
            "task": tasks[cell],
        }
        for measure in measures:
            if lacking[measure.id][row]:
                try:
                    values[measure.id][row] = measure.score(predictions, **about)
                except ConfigError:
                    raise
                except Exception as error:  # noqa: BLE001 - a measure of the user's own; other columns remain
                    failures[measure.id].append(error)
    for name, errors in failures.items():
        last = errors[-1]
        warnings.warn(
            f"measure '{name}' failed in {len(errors)} iterations, which are nan: {type(last).__name__}: {last}",
            UserWarning,
            stacklevel=5,
        )


def score_frame(table: ResultTable, measures: Sequence[Measure], *, predictions: bool = False) -> pd.DataFrame:
    """Return a row per finished iteration: ids, counts of test rows, one column per measure."""
    import pandas as pd

    values = score_values(table, measures)
    rows = np.flatnonzero(table.done)
    columns = _labels(table, rows)
    for name in ("n", "n_missing", "n_imputed"):
        columns[name] = table.jobs[name].to_numpy()[rows].astype(np.int64)
    columns |= {name: scores[rows] for name, scores in values.items()}
    if predictions:
        columns["prediction"] = [found.get("test") for found in table.predictions(rows)]
    return pd.DataFrame(columns)


def loss_frame(table: ResultTable, measures: Sequence[Measure]) -> pd.DataFrame:
    """Return a row per predicted test row: ids, row id, truth, response, one column per measure."""
    import pandas as pd

    rows = np.flatnonzero(table.done)
    found = [(row, kept["test"]) for row, kept in zip(rows, table.predictions(rows), strict=True) if "test" in kept]
    names = ["row_id", "truth", "response", *(measure.id for measure in measures)]
    if not found:
        return pd.DataFrame(columns=[*_labels(table, rows[:0]), *names])
    frame = pd.concat([prediction.obs_loss(measures) for _, prediction in found], ignore_index=True)
    jobs = np.repeat([row for row, _ in found], [len(prediction) for _, prediction in found])
    return frame.assign(**_labels(table, jobs))[[*_labels(table, rows[:0]), *names]]


def _labels(table: ResultTable, rows: NDArray[np.intp]) -> dict[str, Any]:
    """Return the columns that say of which iteration rows of `jobs` are."""
    cell = table.jobs["cell"].to_numpy()[rows]
    columns: dict[str, Any] = {name: table.cells[name].to_numpy()[cell] for name in ("task", "learner", "resampling")}
    if any(table.cells["params"]):
        columns["params"] = table.cells["params"].to_numpy()[cell]
    columns["iteration"] = table.jobs["iteration"].to_numpy()[rows].astype(np.int64)
    return columns


def aggregate_frame(
    table: ResultTable,
    measures: Sequence[Measure],
    *,
    conditions: bool = False,
    params: bool = False,
    stats: str | Sequence[str] = ("mean",),
    finished_only: bool = False,
) -> pd.DataFrame:
    """Return a row per cell: ids, iterations, how many lack a prediction or have imputed rows, the measures.

    A cell that lacks the prediction of an iteration has nan for its statistics, unless `finished_only`: leaving out
    what failed would favour methods that fail where it is difficult.
    """
    import pandas as pd

    statistics = _statistics(stats)
    cells, jobs = table.cells, table.jobs
    cell = jobs["cell"].to_numpy()
    answered = table.answered
    count = len(cells)
    frame = cells[["task", "learner", "resampling"]].reset_index(drop=True)
    if params:
        frame = pd.concat([frame, _settings(cells["params"]).set_index(frame.index)], axis=1)
    frame["n"] = np.bincount(cell, minlength=count)
    frame["n_missing"] = np.bincount(cell[~answered], minlength=count)
    frame["n_imputed"] = np.bincount(cell, weights=jobs["n_imputed"].to_numpy() > 0, minlength=count).astype(int)
    if conditions:
        for name in ("warnings", "errors"):
            frame[name] = np.bincount(cell, weights=jobs[f"n_{name}"].to_numpy() > 0, minlength=count).astype(int)
    incomplete = frame["n_missing"].to_numpy() > 0
    macro = [measure for measure in measures if _is_macro(measure)]
    values = score_values(table, macro)
    for measure in measures:
        found: dict[str, Any] = {}
        if measure.id in values:
            found = _macro(values[measure.id][answered], cell[answered], count, statistics)
        else:
            found = _by_cell(table, measure, statistics)
        for statistic, column in found.items():
            if not finished_only:
                column[incomplete] = np.nan
            frame[measure.id if statistic == "mean" else f"{measure.id}_{statistic}"] = column
    return frame


def _settings(params: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a column per parameter; values as they were given, nan where a learner has no such parameter."""
    import pandas as pd

    rows = list(params)
    columns = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name, math.nan) for row in rows]
        # Left to itself pandas makes 3.0 and nan of 3 and None.
        odd = any(value is None for value in values) or any(name not in row for row in rows)
        columns[f"params.{name}" if name in _COLUMNS else name] = pd.Series(values, dtype=object if odd else None)
    return pd.DataFrame(columns, index=range(len(rows)))


def warn_of_gaps(table: ResultTable, *, stacklevel: int) -> None:
    """Say once, with the counts, that iterations or rows have no prediction."""
    answered, n = table.answered, len(table.jobs)
    missing = int((~answered).sum())
    partly = int((answered & (table.jobs["n_missing"].to_numpy() > 0)).sum())
    gaps = []
    if missing:
        gaps.append(
            f"{missing} of {n} iterations have no prediction: their cells' means are nan (see .coverage and .errors; "
            "finished_only=True averages over what finished)"
        )
    if partly:
        gaps.append(
            f"in {partly} of {n} iterations some rows have no prediction: their scores are nan (see the column "
            "n_missing; a fallback fills them)"
        )
    if gaps:
        warnings.warn("; ".join(gaps), UserWarning, stacklevel=stacklevel)


def _statistics(stats: str | Sequence[str]) -> list[str]:
    listed = [stats] if isinstance(stats, str) else list(stats)
    for name in listed:
        if name not in _STATISTICS:
            raise ConfigError(f"no statistic is called '{name}': there are {', '.join(_STATISTICS)}")
    return listed


def _sets(measures: Iterable[Measure]) -> list[str]:
    return list(dict.fromkeys(name for measure in measures for name in measure.predict_sets))


def _is_macro(measure: Measure) -> bool:
    return measure.average == "macro" and measure.aggregator is None


def _macro(
    values: NDArray[np.float64], cell: NDArray[np.int64], count: int, statistics: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """Return statistics of the values of each cell; one nan makes the cell's nan."""
    import pandas as pd

    size = np.bincount(cell, minlength=count).astype(float)
    size[size == 0] = np.nan
    with np.errstate(invalid="ignore"):
        mean = np.bincount(cell, weights=values, minlength=count) / size
    found: dict[str, NDArray[np.float64]] = {}
    for statistic in statistics:
        if statistic == "mean":
            found["mean"] = mean
        elif statistic == "sd":
            with np.errstate(invalid="ignore", divide="ignore"):
                squares = np.bincount(cell, weights=(values - mean[cell]) ** 2, minlength=count)
                found["sd"] = np.sqrt(squares / np.where(size > 1, size - 1, np.nan))
        else:
            grouped = pd.Series(values).groupby(cell)
            column = getattr(grouped, statistic)().reindex(range(count)).to_numpy(dtype=float, copy=True)
            column[np.isnan(mean)] = np.nan
            found[statistic] = column
    return found


def _by_cell(table: ResultTable, measure: Measure, statistics: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Return the measure's own way of averaging for each cell."""
    scores = score_values(table, [measure])[measure.id]
    answered, cell = np.flatnonzero(table.answered), table.jobs["cell"].to_numpy()
    found = _macro(scores[answered], cell[answered], len(table.cells), statistics)
    if "mean" in statistics:
        answered = answered[np.argsort(cell[answered], kind="stable")]
        ends = np.searchsorted(cell[answered], np.arange(len(table.cells) + 1))
        for number in range(len(table.cells)):
            rows = answered[ends[number] : ends[number + 1]]
            found["mean"][number] = _average(table, measure, rows, scores[rows])
    return found


def _average(table: ResultTable, measure: Measure, rows: NDArray[np.intp], scores: NDArray[np.float64]) -> float:
    if not len(rows):
        return float("nan")
    return measure.aggregate(
        scores.tolist(),
        n=table.jobs["n"].to_numpy()[rows].tolist(),
        predictions=lambda: list(table.predictions(rows, measure.predict_sets)),
        learners=lambda: [table.model(int(row)) for row in rows],
    )
