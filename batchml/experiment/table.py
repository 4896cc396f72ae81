"""Results as columns: a row per planned iteration, whatever became of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from batchml.errors import DesignError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from batchml.core.measure import Measure
    from batchml.core.prediction import Prediction
    from batchml.experiment.design import Cell
    from batchml.experiment.source import PredictionSource

__all__ = ["CELL_COLUMNS", "JOB_COLUMNS", "ResultTable", "combine_tables"]

CELL_COLUMNS = ("task", "learner", "resampling", "params", "digest", "source", "key")
JOB_COLUMNS = (
    "cell", "iteration", "state", "n", "n_missing", "n_imputed", "fit_s", "predict_s", "n_warnings", "n_errors",
    "source", "key",
)  # fmt: skip
_CONDITIONS = {"cell": int, "iteration": int, "stage": object, "level": object, "message": object}
_BATCH = 256  # predictions in memory at once


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultTable:
    """What `ResampleResult` and `BenchmarkResult` look at.

    Attributes
    ----------
    cells
        A row per cell: the ids ``task``, ``learner``, ``resampling``, the label ``params`` (a mapping), ``digest`` (of
        cell and root seed), and where its objects are: position in `sources` and that source's own number (``key``).
    jobs
        A row per planned iteration: ``cell`` (a row of `cells`), ``iteration``, ``state`` (done, error, cancelled, or
        what a registry says of unfinished ones), counts of test rows, seconds, counts of conditions, and where its
        prediction is (``source``, ``key``). Only rows that are done have results.
    scores
        Digest of a measure's spec to its values, aligned with `jobs`; nan where there is none.
    unscored
        For some of these keys, the jobs whose value is not known: their predictions tell.
    sources
        Where objects and predictions are read.
    measures
        Those that were asked for when the iterations ran.
    """

    cells: pd.DataFrame
    jobs: pd.DataFrame
    sources: tuple[PredictionSource, ...]
    scores: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    unscored: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    measures: tuple[Measure, ...] = ()
    seed: int | None = None

    @property
    def done(self) -> NDArray[np.bool_]:
        """Which jobs have a result."""
        return np.asarray(self.jobs["state"] == "done", dtype=bool)

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Which jobs have a result with a prediction: an encapsulated failure without a fallback leaves none."""
        n, missing = self.jobs["n"].to_numpy(), self.jobs["n_missing"].to_numpy()
        return np.asarray(self.done & ((missing < n) | (n == 0)), dtype=bool)

    def objects(self, cell: int) -> Cell:
        """Return task, learner and resampling of a cell."""
        row = self.cells.iloc[cell]
        return self.sources[int(row["source"])].cell(int(row["key"]))

    def model(self, row: int) -> Any:
        """Return the trained learner of a row of `jobs`, None if models were not kept."""
        job = self.jobs.iloc[row]
        return self.sources[int(job["source"])].model(int(job["key"]), int(job["iteration"]))

    def predictions(
        self, rows: NDArray[np.intp], predict_sets: Sequence[str] = ("test",)
    ) -> Iterator[Mapping[str, Prediction]]:
        """Yield the predictions of rows of `jobs`, in their order, by predict set."""
        source, key, iteration = (self.jobs[name].to_numpy()[rows] for name in ("source", "key", "iteration"))
        start = 0
        while start < len(rows):
            stop = start + 1  # a run of jobs of one source
            while stop < len(rows) and source[stop] == source[start] and stop - start < _BATCH:
                stop += 1
            wanted = [(int(key[i]), int(iteration[i])) for i in range(start, stop)]
            yield from self.sources[int(source[start])].predictions(wanted, predict_sets)
            start = stop

    def conditions(self, rows: NDArray[np.intp] | None = None) -> pd.DataFrame:
        """Return the conditions of the jobs in this table, in job order: cell, iteration, stage, level, message.

        Parameters
        ----------
        rows
            Of `jobs`, if only some are asked for.
        """
        import pandas as pd

        asked = self.jobs if rows is None else self.jobs.iloc[rows]
        parts = []
        for number, source in enumerate(self.sources):
            of = asked[asked["source"] == number]
            wanted = list(zip(of["key"].tolist(), of["iteration"].tolist(), strict=True))
            parts.append(source.conditions(wanted).assign(source=number))
        found = pd.concat(parts, ignore_index=True).rename(columns={"cell": "key"})
        places = asked[["source", "key", "iteration", "cell"]].assign(position=np.arange(len(asked)))
        found = found.merge(places, on=["source", "key", "iteration"], how="inner")
        found = found.sort_values("position", kind="stable", ignore_index=True)
        return found[["cell", "iteration", "stage", "level", "message"]]

    def without(self, *, models: bool, backends: bool) -> ResultTable:
        """Return the table without models or task data in memory."""
        sources = tuple(source.without(models=models, backends=backends) for source in self.sources)
        return dataclasses.replace(self, sources=sources)

    def conditions_of(self, level: str) -> pd.DataFrame:
        """Return the conditions of a level; sources are not asked if the counts say that there are none."""
        import pandas as pd

        counts = self.jobs[{"warning": "n_warnings", "error": "n_errors"}[level]]
        if not counts.any():
            return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in _CONDITIONS.items()})
        found = self.conditions(np.flatnonzero(counts))
        return found[found["level"] == level].reset_index(drop=True)

    def select(self, cells: NDArray[np.intp]) -> ResultTable:
        """Return the table of some cells (positions), in the order given."""
        place = np.full(len(self.cells), -1, dtype=np.int64)
        place[cells] = np.arange(len(cells))
        renumbered = place[self.jobs["cell"].to_numpy()]
        rows = np.flatnonzero(renumbered >= 0)
        rows = rows[np.argsort(renumbered[rows], kind="stable")]
        return dataclasses.replace(
            self,
            cells=self.cells.iloc[cells].reset_index(drop=True),
            jobs=self.jobs.iloc[rows].assign(cell=renumbered[rows]).reset_index(drop=True),
            scores={name: values[rows] for name, values in self.scores.items()},
            unscored={name: values[rows] for name, values in self.unscored.items()},
        )

    def where(self, keep: NDArray[np.bool_]) -> ResultTable:
        """Return the table with some of the jobs; cells that have none left stay out."""
        rows = np.flatnonzero(keep)
        kept = dataclasses.replace(
            self,
            jobs=self.jobs.iloc[rows].reset_index(drop=True),
            scores={name: values[rows] for name, values in self.scores.items()},
            unscored={name: values[rows] for name, values in self.unscored.items()},
        )
        return kept.select(np.unique(kept.jobs["cell"].to_numpy()).astype(np.intp))


def combine_tables(first: ResultTable, second: ResultTable) -> ResultTable:
    """Return both tables as one; equal cells (same digest, same labels) become one cell.

    An iteration that both have counts once: the first's, unless only the other is done.

    Raises
    ------
    DesignError
        If one holds classification and the other regression.
    """
    import pandas as pd

    _refuse_other_type(first, second)
    cells = pd.concat(
        [first.cells, second.cells.assign(source=second.cells["source"] + len(first.sources))], ignore_index=True
    )
    joined_cells, place = _merge_equal_cells(cells)
    moved = second.jobs.assign(
        cell=second.jobs["cell"] + len(first.cells), source=second.jobs["source"] + len(first.sources)
    )
    jobs = pd.concat([first.jobs, moved], ignore_index=True)
    jobs["cell"] = place[jobs["cell"].to_numpy()]
    late = jobs["state"] != "done"
    ranked = jobs[["cell", "iteration"]].assign(late=late).sort_values("late", kind="stable")
    best = ranked.drop_duplicates(["cell", "iteration"]).index
    rows = jobs.loc[best].sort_values(["cell", "iteration"], kind="stable").index.to_numpy()
    scores, unscored = _joined_scores(first, second)
    ids = {measure.id for measure in first.measures}
    return ResultTable(
        cells=joined_cells,
        jobs=jobs.iloc[rows].reset_index(drop=True),
        sources=first.sources + second.sources,
        scores={name: values[rows] for name, values in scores.items()},
        unscored={name: values[rows] for name, values in unscored.items()},
        measures=first.measures + tuple(measure for measure in second.measures if measure.id not in ids),
        seed=first.seed if first.seed == second.seed else None,
    )


def _joined_scores(
    first: ResultTable, second: ResultTable
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.bool_]]]:
    """Return the values of both, and which are not known because only one of them has the measure."""
    scores, unscored = {}, {}
    for name in dict.fromkeys([*first.scores, *second.scores]):
        parts = (first, second)
        empty = [np.full(len(table.jobs), np.nan) for table in parts]
        gaps = [np.full(len(table.jobs), name not in table.scores) for table in parts]
        values = [table.scores.get(name, lacking) for table, lacking in zip(parts, empty, strict=True)]
        known = [table.unscored.get(name, gap) for table, gap in zip(parts, gaps, strict=True)]
        scores[name] = np.concatenate(values)
        if any(gap.any() for gap in known):
            unscored[name] = np.concatenate(known)
    return scores, unscored


def _merge_equal_cells(cells: pd.DataFrame) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Return the distinct cells and for each given cell its place among them."""
    names = cells[["digest", "task", "learner", "resampling"]].astype(str).agg("\0".join, axis=1)
    place, distinct = names.factorize()
    firsts = names.drop_duplicates().index
    assert len(firsts) == len(distinct)
    return cells.loc[firsts].reset_index(drop=True), np.asarray(place, dtype=np.int64)


def _refuse_other_type(first: ResultTable, second: ResultTable) -> None:
    if len(first.cells) and len(second.cells):
        mine, other = first.objects(0).task, second.objects(0).task
        if mine.task_type != other.task_type:
            raise DesignError(
                f"results of one task type can be combined, but '{mine.id}' is {mine.task_type} and '{other.id}' is "
                f"{other.task_type}"
            )
