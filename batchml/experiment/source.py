"""Where predictions come from: memory, a registry or a folder, read when they are asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd

    from batchml.core.prediction import Prediction
    from batchml.experiment.design import Cell

__all__ = ["CONDITION_COLUMNS", "MemorySource", "PredictionSource"]

CONDITION_COLUMNS = ("cell", "iteration", "stage", "level", "message")


class PredictionSource(Protocol):
    """Where the large parts of a result are. Cells and iterations go by the source's own numbers.

    Attributes
    ----------
    mixed
        In what the environments of the results differ, in words; None if they do not.
    """

    mixed: str | None

    def cell(self, cell: int) -> Cell:
        """Return the objects of a cell; built on first use."""
        ...

    def predictions(
        self, wanted: Sequence[tuple[int, int]], predict_sets: Sequence[str]
    ) -> Iterator[Mapping[str, Prediction]]:
        """Yield the predictions of (cell, iteration) pairs in the order asked for, by predict set; none if it has none.

        Reads in batches, so that memory does not grow with the number of pairs.
        """
        ...

    def conditions(self, wanted: Sequence[tuple[int, int]] | None = None) -> pd.DataFrame:
        """Return recorded conditions: cell, iteration, stage, level, message.

        Parameters
        ----------
        wanted
            (cell, iteration) pairs whose conditions are asked for; a source may return others too. None: all.
        """
        ...

    def model(self, cell: int, iteration: int) -> Any:
        """Return the trained learner of an iteration; None if models were not kept."""
        ...

    def environments(self) -> Sequence[dict[str, Any]]:
        """Return the environments that results come from, see `batchml.experiment.environments`; none if unknown."""
        ...

    def without(self, *, models: bool, backends: bool) -> PredictionSource:
        """Return a source that keeps no models, no task data, or neither, in memory."""
        ...


class MemorySource:
    """Predictions of this session."""

    mixed: str | None = None

    def __init__(self, cells: Sequence[Cell]) -> None:
        self._cells = tuple(cells)
        self._predictions: dict[tuple[int, int], Mapping[str, Prediction]] = {}
        self._models: dict[tuple[int, int], Any] = {}
        self._conditions: list[tuple[int, int, str, str, str]] = []

    def add(
        self,
        cell: int,
        iteration: int,
        *,
        predictions: Mapping[str, Prediction],
        conditions: Sequence[Any] = (),
        model: Any = None,
    ) -> None:
        """Keep what an iteration left behind."""
        self._predictions[cell, iteration] = predictions
        self._conditions += [(cell, iteration, c.stage, c.level, c.message) for c in conditions]
        if model is not None:
            self._models[cell, iteration] = model

    def cell(self, cell: int) -> Cell:
        """Return the objects of a cell."""
        return self._cells[cell]

    def predictions(
        self, wanted: Sequence[tuple[int, int]], predict_sets: Sequence[str]
    ) -> Iterator[Mapping[str, Prediction]]:
        """Yield the predictions of (cell, iteration) pairs."""
        for pair in wanted:
            kept = self._predictions.get(pair, {})
            yield {name: kept[name] for name in predict_sets if name in kept}

    def conditions(self, wanted: Sequence[tuple[int, int]] | None = None) -> pd.DataFrame:  # noqa: ARG002
        """Return all recorded conditions."""
        import pandas as pd

        return pd.DataFrame(self._conditions, columns=list(CONDITION_COLUMNS))

    def model(self, cell: int, iteration: int) -> Any:
        """Return the trained learner of an iteration."""
        return self._models.get((cell, iteration))

    def environments(self) -> Sequence[dict[str, Any]]:
        """Return nothing: it is this session's."""
        return ()

    def without(self, *, models: bool, backends: bool) -> MemorySource:
        """Return a copy without models or task data."""
        lean = MemorySource(_without_data(self._cells) if backends else self._cells)
        lean._predictions, lean._conditions = self._predictions, self._conditions
        lean._models = {} if models else self._models
        return lean


def _without_data(cells: Sequence[Cell]) -> list[Cell]:
    from batchml.experiment.discard import bound_to, without_data

    tasks = {id(cell.task): without_data(cell.task) for cell in cells}
    return [
        replace(cell, task=tasks[id(cell.task)], resampling=bound_to(cell.resampling, tasks[id(cell.task)]))
        for cell in cells
    ]
