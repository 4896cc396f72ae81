"""Splits without chance: all rows, given sets, given folds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from batchml.arguments import listed
from batchml.core.labels import is_missing
from batchml.core.resampling import Resampling
from batchml.core.rows import decode_rows, encode_rows
from batchml.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from batchml.core.task_types import Task

    _Sets = tuple[NDArray[np.int64], NDArray[np.int64]]

__all__ = ["Custom", "CustomCV", "Insample"]


class Insample(Resampling):
    """Train on all rows and test on the same."""

    heeds_strata: ClassVar[bool] = False

    def __init__(self, key: str = "insample", **params: Any) -> None:
        super().__init__(key, **params)

    def _iterations_on(self, task: Task) -> int:  # noqa: ARG002
        """Return 1."""
        return 1

    def _fixed_iters(self) -> int:
        return 1

    def _draw(self, bound: Any, seed: int, repetition: int) -> int:  # noqa: ARG002
        return len(bound.rows)

    def _sets(self, drawn: Any, part: int) -> _Sets:  # noqa: ARG002
        return np.arange(drawn), np.arange(drawn)


class Custom(Resampling):
    """Training and test sets as given.

    Parameters
    ----------
    train_sets, test_sets
        Row ids, a list for each iteration; equally many.
    """

    defaults: ClassVar[Mapping[str, Any]] = {"train_sets": None, "test_sets": None}
    heeds_strata: ClassVar[bool] = False

    def __init__(self, key: str = "custom", **params: Any) -> None:
        super().__init__(key, **params)

    def _check_params(self) -> None:
        for name in self.defaults:
            sets = self._params[name]
            if sets is None:
                raise ConfigError("resampling 'custom' needs train_sets and test_sets: a list of row ids per iteration")
            lists = listed(sets, f"resampling {self.key!r}: {name}", "lists of row ids")
            self._params[name] = [_as_ids(one, name) for one in lists]
        n_train, n_test = len(self._params["train_sets"]), len(self._params["test_sets"])
        if n_train != n_test or not n_train:
            raise ConfigError(f"there are {n_train} train_sets and {n_test} test_sets: give equally many, at least one")

    def _spec_params(self) -> dict[str, Any]:
        return {name: [encode_rows(ids) for ids in sets] for name, sets in self._params.items()}

    def _iterations_on(self, task: Task) -> int:
        """Return the number of sets; all their rows must be in use."""
        for sets in self._params.values():
            for ids in sets:
                task.positions(ids)
        return self._fixed_iters()

    def _fixed_iters(self) -> int:
        return len(self._params["train_sets"])

    def _draw(self, bound: Any, seed: int, repetition: int) -> _Sets:  # noqa: ARG002
        find = bound.task.positions
        return find(self._params["train_sets"][repetition]), find(self._params["test_sets"][repetition])

    def _sets(self, drawn: Any, part: int) -> _Sets:  # noqa: ARG002
        both: _Sets = drawn
        return both


def _as_ids(rows: Any, name: str) -> NDArray[np.int64]:
    if isinstance(rows, dict):
        return decode_rows(rows)
    ids = np.asarray(rows)
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise ConfigError(f"{name} holds row ids, which are whole numbers: not {rows!r:.60}")
    return ids.astype(np.int64)


class CustomCV(Resampling):
    """A fold for each value of a column or list, in sorted order; rows where it is missing are in no set.

    Parameters
    ----------
    col
        A column of the task.
    folds
        Instead: a value for each row in use.
    """

    defaults: ClassVar[Mapping[str, Any]] = {"col": None, "folds": None}
    heeds_strata: ClassVar[bool] = False

    def __init__(self, key: str = "custom_cv", **params: Any) -> None:
        super().__init__(key, **params)

    def _check_params(self) -> None:
        if (self._params["col"] is None) == (self._params["folds"] is None):
            raise ConfigError("resampling 'custom_cv' needs either col (a column) or folds (a value for each row)")
        if self._params["folds"] is not None:
            values = listed(self._params["folds"], f"resampling {self.key!r}: folds", "values, one for each row")
            self._params["folds"] = [
                None if is_missing(one) else one for one in np.asarray(values, dtype=object).tolist()
            ]

    def _iterations_on(self, task: Task) -> int:
        """Return the number of folds."""
        n = int(self._codes(task).max(initial=-1)) + 1
        if n < 2:
            raise DataError(f"task {task.id!r}, resampling {self.id!r}: there are {n} folds; at least 2 are needed")
        return n

    def _codes(self, task: Task) -> NDArray[np.int64]:
        from batchml.core.labels import encode_labels, sorted_classes

        if self._params["col"] is None:
            values = self._params["folds"]
            if len(values) != task.n_rows:
                raise DataError(
                    f"task {task.id!r} has {task.n_rows} rows in use, but resampling {self.id!r} {len(values)} folds"
                )
            return encode_labels(np.array(values, dtype=object), sorted_classes(values))
        codes = task.codes(self._params["col"])
        used = np.unique(codes[codes >= 0])
        return np.where(codes >= 0, np.searchsorted(used, codes), -1)

    def _repetition_of(self, i: int, bound: Any) -> tuple[int, int]:  # noqa: ARG002
        return 0, i

    def _draw(self, bound: Any, seed: int, repetition: int) -> NDArray[np.int64]:  # noqa: ARG002
        return self._codes(bound.task)

    def _sets(self, drawn: Any, part: int) -> _Sets:
        return np.flatnonzero((drawn != part) & (drawn >= 0)), np.flatnonzero(drawn == part)
