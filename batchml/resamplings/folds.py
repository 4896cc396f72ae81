"""Cross-validation: each unit is tested once in each repetition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from batchml.arguments import count
from batchml.core.resampling import Resampling
from batchml.core.split import assign_folds
from batchml.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from batchml.core.split import Units
    from batchml.core.task_types import Task

__all__ = ["CV", "LeaveOneOut", "RepeatedCV"]


class CV(Resampling):
    """Cross-validation: `folds` parts of nearly equal size (the first ones larger by one), each tested once.

    Parameters
    ----------
    folds
        At least 2.
    stratify
        None: by the task's stratum columns if it has any; True: else by the target; columns; False: never.
    """

    defaults: ClassVar[Mapping[str, Any]] = {"folds": 10, "stratify": None}

    def __init__(self, key: str = "cv", **params: Any) -> None:
        super().__init__(key, **params)

    def _check_params(self) -> None:
        self._params["folds"] = count(self._params["folds"], f"resampling {self.key!r}: folds", least=2)
        if self.repeating:
            what = f"resampling {self.key!r}: {self.repeating}"
            self._params[self.repeating] = count(self._params[self.repeating], what, least=1)

    def _iterations_on(self, task: Task) -> int:
        """Return folds x repeats."""
        folds = self._params["folds"]
        units = len(np.unique(task.groups)) if task.groups is not None else task.n_rows
        if units < folds:
            what = "rows" if task.groups is None else "groups"
            raise DataError(f"task {task.id!r} has {units} {what}: too few for {folds} folds of resampling {self.id!r}")
        return self._fixed_iters()

    def check_units(self, units: Units, task: Task) -> None:
        """Refuse strata that are all smaller than the number of folds: the last folds would have no row."""
        largest = max(map(len, units.strata()))
        if largest < self._params["folds"]:
            raise DataError(
                f"task {task.id!r}: the largest stratum has {largest} rows, too few for {self._params['folds']} folds "
                f"of resampling {self.id!r}"
            )

    def _fixed_iters(self) -> int:
        repeats: int = self._params[self.repeating] if self.repeating else 1
        return int(self._params["folds"] * repeats)

    def _repetition_of(self, i: int, bound: Any) -> tuple[int, int]:  # noqa: ARG002
        folds = int(self._params["folds"])
        return i // folds, i % folds

    def _draw(self, bound: Any, seed: int, repetition: int) -> NDArray[np.int32]:  # noqa: ARG002
        return assign_folds(bound.units, self._params["folds"], seed)

    def _sets(self, drawn: Any, part: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        tested = drawn == part
        return np.flatnonzero(~tested), np.flatnonzero(tested)


class RepeatedCV(CV):
    """Cross-validation, repeated with other folds: iteration = repetition * folds + fold.

    Parameters
    ----------
    folds, stratify
        As for `CV`.
    repeats
        More repeats add iterations and leave the others as they are.
    """

    defaults: ClassVar[Mapping[str, Any]] = {"folds": 10, "repeats": 10, "stratify": None}
    repeating: ClassVar[str | None] = "repeats"

    def __init__(self, key: str = "repeated_cv", **params: Any) -> None:
        super().__init__(key, **params)

    def folds(self, i: int) -> int:
        """Return the fold of iteration `i`."""
        return int(i % self._params["folds"])

    def repeats(self, i: int) -> int:
        """Return the repetition of iteration `i`."""
        return int(i // self._params["folds"])


class LeaveOneOut(Resampling):
    """Each row, or each group of rows, is tested once; the number of iterations is that of rows or groups."""

    def __init__(self, key: str = "loo", **params: Any) -> None:
        super().__init__(key, **params)

    def _iterations_on(self, task: Task) -> int:
        """Return the number of rows or groups."""
        return task.n_rows if task.groups is None else len(np.unique(task.groups))

    def _repetition_of(self, i: int, bound: Any) -> tuple[int, int]:  # noqa: ARG002
        return 0, i

    def _draw(self, bound: Any, seed: int, repetition: int) -> NDArray[np.int64]:  # noqa: ARG002
        units = bound.units
        return np.arange(units.n_rows) if units.group is None else units.group

    def _sets(self, drawn: Any, part: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        tested = drawn == part
        return np.flatnonzero(~tested), np.flatnonzero(tested)
